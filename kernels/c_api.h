// The kernels for code that Numba or Cython have compiled: plain functions on plain pointers, which need no GIL.
//
// A matrix is its first element, the number of its element type (api.h), and its strides in bytes. None of these functions
// checks shapes: the callers' layers do, src/fastnn/jit/ and src/fastnn/__init__.pxd.
//
// Users' compiled programs call these by name, with numbers from registry.h: a name keeps its arguments and their meaning, and
// what changes gets a new name.
#pragma once

#include <cstdint>

namespace fastnn {
struct Model;
class Stepper;
}  // namespace fastnn

extern "C" {

// y = f(x) for n elements, f by its number in registry.h; y may be x.
void fastnn_function_float32(int64_t function, const float *x, float *y, int64_t n);
void fastnn_function_float64(int64_t function, const double *x, double *y, int64_t n);

// An activation by its number, in place, of rows of n elements side by side: softmax, too.
void fastnn_activate_float32(int64_t activation, float *z, int64_t rows, int64_t n);
void fastnn_activate_float64(int64_t activation, double *z, int64_t rows, int64_t n);

// log_softmax of rows of n elements side by side, in place.
void fastnn_log_softmax_float32(float *z, int64_t rows, int64_t n);
void fastnn_log_softmax_float64(double *z, int64_t rows, int64_t n);

// delta times the activation's derivative, in place, told by its outputs a. 0: done, -1: they don't tell.
int64_t fastnn_times_derivative_float32(int64_t activation, float *delta, const float *a, int64_t rows, int64_t n);
int64_t fastnn_times_derivative_float64(int64_t activation, double *delta, const double *a, int64_t rows, int64_t n);

// out = activation(x @ w + b), n_rows rows of n_out side by side; b may be null; n_threads may be 0 for as many as pay.
// 0: done, -1: no memory.
int64_t fastnn_linear(int64_t type, int64_t n_rows, int64_t n_in, int64_t n_out, const void *x, int64_t x_type, int64_t x_row,
                      int64_t x_column, const void *w, int64_t w_type, int64_t w_row, int64_t w_column, const void *b,
                      int64_t b_type, int64_t b_column, int64_t activation, void *out, int64_t n_threads);

// The sum of the n terms of a loss of predictions p and targets y, by the loss's number in registry.h.
double fastnn_prediction_loss(int64_t loss, const double *p, const double *y, int64_t n);

// One update of n parameters: optimizer by its number, of whose moments m and v may be null.
void fastnn_update_float32(int64_t optimizer, float *w, const float *g, float *m, float *v, int64_t n, double learning_rate,
                           double beta_1, double beta_2, double epsilon, double decay, int64_t updates);
void fastnn_update_float64(int64_t optimizer, double *w, const double *g, double *m, double *v, int64_t n, double learning_rate,
                           double beta_1, double beta_2, double epsilon, double decay, int64_t updates);

// The model's outputs for n_rows rows, side by side in out, which is of its type. 0: done, -1: no memory.
int64_t fastnn_predict(const fastnn::Model *model, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row, int64_t x_column,
                       void *out, int64_t n_threads);

// One step on a batch; the loss before it in *loss. y: rows of n_out, or integer labels if so said. 0: done, -1: no memory,
// 1: loss or update is not finite, 2: somebody else is training with it. Nothing has changed then.
int64_t fastnn_train_step(fastnn::Stepper *stepper, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row, int64_t x_column,
                          const void *y, int64_t y_type, int64_t y_row, int64_t y_column, int64_t labels, double *loss);
}
