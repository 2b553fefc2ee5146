// Calls from outside, each with a workspace of its own: of Python, and of code that Numba or Cython have compiled.
#pragma once

#include "api.h"

namespace fastnn {

// A network as outside code holds it: made by Python, which keeps it where it is.
struct Model {
    Network network;
    void *parameters;
    Type type;
    double work_per_row;  // floating-point operations of a prediction
    int64_t row_bytes;    // of a workspace for one dense row
};
Model model_of(const Network &, void *parameters, Type, double work_per_row);

// The rows of a matrix in the caller's memory; strides are in bytes.
inline Rows dense_rows(const void *data, Type type, int64_t row_stride, int64_t column_stride) {
    Rows rows;
    rows.data = static_cast<const char *>(data);
    rows.type = type;
    rows.row_stride = row_stride;
    rows.column_stride = column_stride;
    return rows;
}

// Whether a prediction takes the short way: it is over before another thread could take a lock that its caller gave away.
inline bool is_one_dense_row(const Rows &x, int64_t n_rows, int n_threads) { return n_rows == 1 && n_threads == 1 && !x.sparse(); }

// These return false if there is no memory for a workspace; nothing else happens then.
bool predict(const Model &, const Rows &x, int64_t n_rows, void *const *outputs, int n_threads);
bool linear(Linear &, Type type);  // fills in the layer's layout

// Floating-point operations of a layer for so many rows; that of an activation counts as some.
constexpr double activation_work = 20;
inline double layer_work(int64_t n_rows, int64_t n_in, int64_t n_out) {
    return (2 * double(n_in) + activation_work) * double(n_rows) * double(n_out);
}

// As many threads as so many floating-point operations pay for.
int threads_for(double operations);
// Of a training step of so much work: `wanted`, or where that is 0 as many as pay, which timings find out.
void choose_threads(Training &, int wanted, double work, ThreadTimings *timings);

}  // namespace fastnn
