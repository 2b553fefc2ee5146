// Entry points for Python, and for code that Numba or Cython compiles. Each call has a workspace of its own.
#pragma once

#include <atomic>

#include "api.h"
#include "memory.h"

namespace fastnn {

// The workspace of a network's calls, from one call to the next. One call at a time borrows it; the others have their own. A call
// with the layout of the one before finds its workspace as that left it, so that nothing is cleared or allocated.
class KeptWorkspace {
  public:
    // A workspace depends on these alone.
    struct Layout {
        const void *kernels;  // of the instruction set; null if there was no call
        int64_t n_rows, n_threads;
        int64_t loss;              // what computes it, which decides whether its deltas take the place of the outputs
        int64_t n_targets;         // columns of the loss's targets
        int64_t bytes_with_heads;  // 0 if the loss has no heads, whose sizes vary
        bool jacobian, gradient, gradient_inside, input_gradient, from_logits;

        bool operator==(const Layout &other) const;
    };

    KeptWorkspace() = default;
    KeptWorkspace(const KeptWorkspace &) = delete;
    KeptWorkspace &operator=(const KeptWorkspace &) = delete;

  private:
    friend class Borrowed;
    std::atomic<bool> busy_{false};
    KeptArray memory_;
    Layout layout_ = {};  // of the last call
};

// A loss as it suits a model's outputs. Targets have n_targets columns, or are labels if `labels` is not 0; if it is 2, labels of -1
// are missing.
struct ModelLoss {
    Loss loss;
    int64_t n_targets;
    int32_t labels;
};

// The handle of a network for outside code. Python makes it, and keeps it in one place.
struct Model {
    Network network;
    void *parameters;
    Type type;
    double work_per_row;  // floating-point operations of a prediction
    int64_t row_bytes;    // of a workspace for one dense row
    KeptWorkspace *kept;
    const ModelLoss *const *losses;  // by their numbers in registry.h, each null if it does not suit; null before there are any
    const ModelLoss *own_loss;       // of calls without a number
};
Model model_of(const Network &, void *parameters, Type, double work_per_row, KeptWorkspace *kept);

// The rows of a matrix in the caller's memory; strides are in bytes.
inline Rows dense_rows(const void *data, Type type, int64_t row_stride, int64_t column_stride) {
    Rows rows;
    rows.data = static_cast<const char *>(data);
    rows.type = type;
    rows.row_stride = row_stride;
    rows.column_stride = column_stride;
    return rows;
}

// Returns whether a prediction is of one dense row on one thread. It takes less time than to release the GIL and to take it
// again.
inline bool is_one_dense_row(const Rows &x, int64_t n_rows, int n_threads) { return n_rows == 1 && n_threads == 1 && !x.sparse(); }

// These return false if there is no memory for a workspace; nothing else happens then.
bool predict(const Model &, const Rows &x, int64_t n_rows, void *const *outputs, int n_threads);
bool linear(Linear &, Type type);  // fills in the layer's layout
// Computes a loss and its gradients. The caller sets the members of the call from `loss` on. If `parameters` is not null, its
// elements get the gradients of the blocks in the order of the storage: weights as matrices (n_in, n_out) without padding.
// Otherwise call.gradient gets them if it is not null.
bool gradient(const Model &, Gradient &call, void *const *parameters);
bool jacobian(const Model &, const Rows &x, int64_t n_rows, void *jacobian, int n_threads);

// Sets the places of the blocks' gradients in one vector, for `gradient`, and returns the number of parameters.
int64_t places_in_vector(const Model &, void *vector, void **places);
// Copies all parameters from the storage to a vector in the same order, or back.
void get_parameters(const Model &, void *vector);
void set_parameters(const Model &, const void *vector);

// Returns the loss whose targets are its gradient with respect to the outputs: gradients with it are vector-Jacobian products.
inline Loss given_gradient() {
    Loss loss = {};
    loss.given = loss.per_row = true;
    loss.factor = loss.value_factor = 1;
    return loss;
}

// Returns the floating-point operations of a layer for n_rows rows. An activation counts as several.
constexpr double activation_work = 20;
inline double layer_work(int64_t n_rows, int64_t n_in, int64_t n_out) {
    return (2 * double(n_in) + activation_work) * double(n_rows) * double(n_out);
}

// Returns the number of threads that is worthwhile for this number of floating-point operations where CPUs are idle: for trainings, which
// measure what threads are worth, or whose threads never meet.
int most_threads_for(double operations);

// The same as things are now.
int threads_for(double operations);

// The same for the loss of some rows and its gradients, and for Jacobians. work_per_row: the operations of the way forward. A loss alone
// counts like one with gradients: by measurement, a second thread pays from a third of the work of a prediction on.
int threads_for_gradient(double work_per_row, int64_t n_rows, bool by_parameters);
int threads_for_jacobian(const Network &, int64_t n_rows);

// Sets the number of threads for training steps with this number of operations: `wanted`, or, if that is 0, the fastest according
// to the timings of recent trainings of the same shape.
void choose_threads(Training &, Type, int wanted, double work);

}  // namespace fastnn
