#include "c_api.h"

#include <algorithm>

#include "calls.h"
#include "stepper.h"
#include "isa_kernels.h"
#include "threads.h"

namespace fastnn {
namespace {

int bounded(int64_t n_threads) { return int(std::min<int64_t>(n_threads, thread_limit)); }
int threads(int64_t wanted, double work) { return wanted > 0 ? bounded(wanted) : threads_for(work); }

void update(Type type, int64_t optimizer, void *w, const void *g, void *m, void *v, int64_t n, double learning_rate, double beta_1,
            double beta_2, double epsilon, double decay, int64_t updates) {
    Optimizer o = {};
    o.kind = int32_t(optimizer);
    o.moments = v ? 2 : m ? 1 : 0;
    o.beta_1 = beta_1, o.beta_2 = beta_2, o.epsilon = epsilon, o.decay = decay;
    kernels_of(type).update(o, w, g, m, v, n, learning_rate, updates);
}

int64_t status_number(StepStatus status) {
    switch (status) {
        case StepStatus::done: return 0;
        case StepStatus::diverged: return 1;
        case StepStatus::nothing_accumulated: return 4;
        case StepStatus::weightless:
        case StepStatus::no_memory: break;
    }
    return -1;
}

// Calls call() if no other caller is training, and returns the number of its status.
template <class Call> int64_t use(Stepper *stepper, Call call) {
    if (!stepper->acquire()) return 2;
    const StepStatus status = call();
    stepper->release();
    return status_number(status);
}

// The same for a batch with targets, whose loss it stores.
template <class Call> int64_t use_targets(Stepper *stepper, int64_t labels, double *loss, Call call) {
    if (!stepper->acquire()) return 2;
    const bool fit = !labels || stepper->takes_labels;
    const StepStatus status = fit ? call() : StepStatus::done;
    *loss = stepper->training.batch_loss;
    stepper->release();
    return fit ? status_number(status) : 3;
}

// Computes gradients into a vector and rows, each of which may be null.
int64_t store_gradients(const Model &model, Gradient &call, void *vector, void *input_gradient, int64_t n_threads) {
    void *places[max_layers * n_block_kinds];
    if (vector) places_in_vector(model, vector, places);
    call.input_gradient = input_gradient;
    call.n_threads = n_threads > 0 ? bounded(n_threads) : threads_for_gradient(model.work_per_row, call.n_rows, vector);
    return gradient(model, call, vector ? places : nullptr) ? 0 : -1;
}

}  // namespace
}  // namespace fastnn

using namespace fastnn;

void fastnn_function_float32(int64_t function, const float *x, float *y, int64_t n) {
    instruction_set()->float32->function(int32_t(function), x, y, n);
}
void fastnn_function_float64(int64_t function, const double *x, double *y, int64_t n) {
    instruction_set()->float64->function(int32_t(function), x, y, n);
}

void fastnn_activate_float32(int64_t activation, float *z, int64_t rows, int64_t n) {
    instruction_set()->float32->activate(int32_t(activation), z, rows, n);
}
void fastnn_activate_float64(int64_t activation, double *z, int64_t rows, int64_t n) {
    instruction_set()->float64->activate(int32_t(activation), z, rows, n);
}

void fastnn_log_softmax_float32(float *z, int64_t rows, int64_t n) { instruction_set()->float32->log_softmax(z, rows, n); }
void fastnn_log_softmax_float64(double *z, int64_t rows, int64_t n) { instruction_set()->float64->log_softmax(z, rows, n); }

int64_t fastnn_times_derivative_float32(int64_t activation, float *delta, const float *a, int64_t rows, int64_t n) {
    return instruction_set()->float32->times_derivative(int32_t(activation), delta, a, rows, n) ? 0 : -1;
}
int64_t fastnn_times_derivative_float64(int64_t activation, double *delta, const double *a, int64_t rows, int64_t n) {
    return instruction_set()->float64->times_derivative(int32_t(activation), delta, a, rows, n) ? 0 : -1;
}

int64_t fastnn_linear(int64_t type, int64_t n_rows, int64_t n_in, int64_t n_out, const void *x, int64_t x_type, int64_t x_row,
                      int64_t x_column, const void *w, int64_t w_type, int64_t w_row, int64_t w_column, const void *b,
                      int64_t b_type, int64_t b_column, int64_t activation, void *out, int64_t n_threads) {
    if (n_rows * n_out == 0) return 0;
    Linear call = {};
    call.layer.n_in = n_in, call.layer.n_out = n_out, call.layer.activation = int32_t(activation);
    call.x = dense_rows(x, Type(x_type), x_row, x_column);
    call.w = dense_rows(w, Type(w_type), w_row, w_column);
    call.b = dense_rows(b, Type(b_type), 0, b_column);
    call.n_rows = n_rows;
    call.out = out;
    call.n_threads = threads(n_threads, layer_work(n_rows, n_in, n_out));
    return linear(call, Type(type)) ? 0 : -1;
}

double fastnn_prediction_loss(int64_t loss, const double *p, const double *y, int64_t n) {
    return instruction_set()->float64->prediction_loss(int32_t(loss), p, y, n);
}

void fastnn_update_float32(int64_t optimizer, float *w, const float *g, float *m, float *v, int64_t n, double learning_rate,
                           double beta_1, double beta_2, double epsilon, double decay, int64_t updates) {
    update(Type::float32, optimizer, w, g, m, v, n, learning_rate, beta_1, beta_2, epsilon, decay, updates);
}
void fastnn_update_float64(int64_t optimizer, double *w, const double *g, double *m, double *v, int64_t n, double learning_rate,
                           double beta_1, double beta_2, double epsilon, double decay, int64_t updates) {
    update(Type::float64, optimizer, w, g, m, v, n, learning_rate, beta_1, beta_2, epsilon, decay, updates);
}

int64_t fastnn_predict(const Model *model, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row, int64_t x_column,
                       void *out, int64_t n_threads) {
    if (n_rows == 0) return 0;
    void *outputs[max_layers] = {};
    outputs[model->network.n_layers - 1] = out;
    const Rows rows = dense_rows(x, Type(x_type), x_row, x_column);
    const int team = threads(n_threads, model->work_per_row * double(n_rows));
    return predict(*model, rows, n_rows, outputs, team) ? 0 : -1;
}

int64_t fastnn_train_step(Stepper *stepper, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row, int64_t x_column,
                          const void *y, int64_t y_type, int64_t y_row, int64_t y_column, int64_t labels, double *loss) {
    return use_targets(stepper, labels, loss, [&] {
        Rows targets = dense_rows(y, Type(y_type), y_row, y_column);
        targets.labels = labels;
        return stepper->step(dense_rows(x, Type(x_type), x_row, x_column), targets, nullptr, n_rows);
    });
}

int64_t fastnn_train_step_gradient(Stepper *stepper, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row, int64_t x_column,
                                   const void *g, int64_t g_type, int64_t g_row, int64_t g_column) {
    return use(stepper, [&] {
        const Rows rows = dense_rows(x, Type(x_type), x_row, x_column);
        return stepper->step_gradient(rows, dense_rows(g, Type(g_type), g_row, g_column), n_rows);
    });
}

int64_t fastnn_accumulate(Stepper *stepper, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row, int64_t x_column,
                          const void *y, int64_t y_type, int64_t y_row, int64_t y_column, int64_t labels, double *loss) {
    return use_targets(stepper, labels, loss, [&] {
        Rows targets = dense_rows(y, Type(y_type), y_row, y_column);
        targets.labels = labels;
        return stepper->accumulate(dense_rows(x, Type(x_type), x_row, x_column), targets, nullptr, n_rows);
    });
}

int64_t fastnn_accumulate_gradient(Stepper *stepper, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row, int64_t x_column,
                                   const void *g, int64_t g_type, int64_t g_row, int64_t g_column) {
    return use(stepper, [&] {
        const Rows rows = dense_rows(x, Type(x_type), x_row, x_column);
        return stepper->accumulate_gradient(rows, dense_rows(g, Type(g_type), g_row, g_column), n_rows);
    });
}

int64_t fastnn_apply(Stepper *stepper) {
    return use(stepper, [&] { return stepper->apply(); });
}

int64_t fastnn_trainer_outputs(const Stepper *stepper) { return stepper->training.network.last().n_out; }

int64_t fastnn_vjp(const Model *model, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row, int64_t x_column,
                   const void *g, int64_t g_type, int64_t g_row, int64_t g_column, void *gradient, void *input_gradient,
                   int64_t n_threads) {
    Gradient call = {};
    call.loss = given_gradient();
    call.x = dense_rows(x, Type(x_type), x_row, x_column);
    call.y = dense_rows(g, Type(g_type), g_row, g_column);
    call.n_rows = n_rows;
    return store_gradients(*model, call, gradient, input_gradient, n_threads);
}

int64_t fastnn_jacobian(const Model *model, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row, int64_t x_column,
                        void *out, int64_t n_threads) {
    const int team = n_threads > 0 ? bounded(n_threads) : threads_for_jacobian(model->network, n_rows);
    return jacobian(*model, dense_rows(x, Type(x_type), x_row, x_column), n_rows, out, team) ? 0 : -1;
}

const ModelLoss *fastnn_model_loss(const Model *model, int64_t loss) {
    return loss < 0 ? model->own_loss : model->losses ? model->losses[loss] : nullptr;
}
int64_t fastnn_loss_targets(const ModelLoss *loss) { return loss->n_targets; }
int64_t fastnn_loss_labels(const ModelLoss *loss) { return loss->labels; }

int64_t fastnn_gradient(const Model *model, const ModelLoss *loss, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row,
                        int64_t x_column, const void *y, int64_t y_type, int64_t y_row, int64_t y_column, int64_t labels,
                        void *gradient, void *input_gradient, double *value) {
    Gradient call = {};
    call.loss = loss->loss;
    call.x = dense_rows(x, Type(x_type), x_row, x_column);
    call.y = dense_rows(y, Type(y_type), y_row, y_column);
    call.y.labels = labels;
    call.n_rows = n_rows;
    const int64_t status = store_gradients(*model, call, gradient, input_gradient, 0);
    *value = call.value;
    return status;
}

int64_t fastnn_n_parameters(const Model *model) { return places_in_vector(*model, nullptr, nullptr); }

int64_t fastnn_overlaps_parameters(const Model *model, const void *start, int64_t bytes) {
    const auto first = reinterpret_cast<uintptr_t>(start), storage = reinterpret_cast<uintptr_t>(model->parameters);
    const int64_t size = model->network.size * element_size(model->type);
    return first < storage + uintptr_t(size) && storage < first + uintptr_t(bytes);
}

void fastnn_get_parameters(const Model *model, void *vector) { get_parameters(*model, vector); }
void fastnn_set_parameters(const Model *model, const void *vector) { set_parameters(*model, vector); }
