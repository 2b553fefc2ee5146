// The kernels for code that Numba or Cython compiles: plain functions on plain pointers, which need no GIL.
//
// A matrix is passed as its first element, the number of its element type (api.h), and its strides in bytes. None of these
// functions checks shapes; src/fastnn/jit/ and src/fastnn/__init__.pxd do.
//
// Users' compiled programs call these functions by name, with numbers from registry.h. So a name keeps its arguments and their
// meaning; a function that differs gets a new name.
#pragma once

#include <cstdint>

namespace fastnn {
struct Model;
struct ModelLoss;
class Stepper;
}  // namespace fastnn

extern "C" {

// y = f(x) for n elements, where f is a number in registry.h. y may be x.
void fastnn_function_float32(int64_t function, const float *x, float *y, int64_t n);
void fastnn_function_float64(int64_t function, const double *x, double *y, int64_t n);

// Applies an activation, given its number, to rows of n elements, side by side, in place.
void fastnn_activate_float32(int64_t activation, float *z, int64_t rows, int64_t n);
void fastnn_activate_float64(int64_t activation, double *z, int64_t rows, int64_t n);

// Computes the log_softmax of rows of n elements, side by side, in place.
void fastnn_log_softmax_float32(float *z, int64_t rows, int64_t n);
void fastnn_log_softmax_float64(double *z, int64_t rows, int64_t n);

// Multiplies delta by the activation's derivative, given its outputs a. Returns 0, or -1 if they don't determine the derivative.
int64_t fastnn_times_derivative_float32(int64_t activation, float *delta, const float *a, int64_t rows, int64_t n);
int64_t fastnn_times_derivative_float64(int64_t activation, double *delta, const double *a, int64_t rows, int64_t n);

// out = activation(x @ w + b), with n_rows rows of n_out, side by side. b may be null. With n_threads 0, the kernels choose.
// Returns 0, or -1 if there is no memory.
int64_t fastnn_linear(int64_t type, int64_t n_rows, int64_t n_in, int64_t n_out, const void *x, int64_t x_type, int64_t x_row,
                      int64_t x_column, const void *w, int64_t w_type, int64_t w_row, int64_t w_column, const void *b,
                      int64_t b_type, int64_t b_column, int64_t activation, void *out, int64_t n_threads);

// Returns the sum of the n terms of a loss of predictions p and targets y, given the loss's number in registry.h.
double fastnn_prediction_loss(int64_t loss, const double *p, const double *y, int64_t n);

// Makes one update of n parameters, given the optimizer's number. Moments m and v that it lacks are null.
void fastnn_update_float32(int64_t optimizer, float *w, const float *g, float *m, float *v, int64_t n, double learning_rate,
                           double beta_1, double beta_2, double epsilon, double decay, int64_t updates);
void fastnn_update_float64(int64_t optimizer, double *w, const double *g, double *m, double *v, int64_t n, double learning_rate,
                           double beta_1, double beta_2, double epsilon, double decay, int64_t updates);

// Stores the model's outputs for n_rows rows, side by side, in out, which is of the model's type. Returns 0, or -1 without
// memory.
int64_t fastnn_predict(const fastnn::Model *model, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row, int64_t x_column,
                       void *out, int64_t n_threads);

// Makes one step on a batch, and stores the loss before it in *loss. y has rows of n_out, or integer labels if `labels` is set.
// Returns 0. Otherwise nothing has changed, and the result is -1 if there is no memory, 1 if the loss or the update is not finite,
// 2 if another caller is training with it, 3 if the loss takes no labels.
int64_t fastnn_train_step(fastnn::Stepper *stepper, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row, int64_t x_column,
                          const void *y, int64_t y_type, int64_t y_row, int64_t y_column, int64_t labels, double *loss);

// Makes one step with the gradient g (n_rows, n_out) of any loss with respect to the outputs. Returns the same as fastnn_train_step.
int64_t fastnn_train_step_gradient(fastnn::Stepper *stepper, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row,
                                   int64_t x_column, const void *g, int64_t g_type, int64_t g_row, int64_t g_column);

// Adds the gradient of a batch to those of earlier batches, and stores the loss of the batch without penalties in *loss. Returns the
// same as fastnn_train_step; 1 means that nothing was added.
int64_t fastnn_accumulate(fastnn::Stepper *stepper, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row, int64_t x_column,
                          const void *y, int64_t y_type, int64_t y_row, int64_t y_column, int64_t labels, double *loss);

// Adds the gradient that belongs to the gradient g (n_rows, n_out) of any loss with respect to the outputs, unscaled.
int64_t fastnn_accumulate_gradient(fastnn::Stepper *stepper, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row,
                                   int64_t x_column, const void *g, int64_t g_type, int64_t g_row, int64_t g_column);

// Makes one step with the accumulated gradients, and discards them. Returns the same as fastnn_train_step, or 4 if there are none.
int64_t fastnn_apply(fastnn::Stepper *stepper);

// Returns the number of outputs of the trainer's model.
int64_t fastnn_trainer_outputs(const fastnn::Stepper *stepper);

// In the functions below, gradients with respect to the parameters are one vector of the model's type, in the order of
// MLP.to_vector, and gradients with respect to the inputs are n_rows rows, side by side. Either may be null. They return 0, or -1
// if there is no memory.

// Stores the products of g (n_rows, n_out) with the derivatives of the outputs.
int64_t fastnn_vjp(const fastnn::Model *model, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row, int64_t x_column,
                   const void *g, int64_t g_type, int64_t g_row, int64_t g_column, void *gradient, void *input_gradient,
                   int64_t n_threads);

// Stores the derivatives of the outputs with respect to the inputs, n_rows matrices (n_out, n_in), side by side.
int64_t fastnn_jacobian(const fastnn::Model *model, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row, int64_t x_column,
                        void *jacobian, int64_t n_threads);

// Returns a loss of the model, given its number in registry.h, or the model's own if that is -1; null if it does not suit the model.
const fastnn::ModelLoss *fastnn_model_loss(const fastnn::Model *model, int64_t loss);
// Return the number of columns of the targets, and the kind of labels that they may be: 0 for none, 2 if those of -1 are missing.
int64_t fastnn_loss_targets(const fastnn::ModelLoss *loss);
int64_t fastnn_loss_labels(const fastnn::ModelLoss *loss);

// Stores a loss in *value, and its gradients. y has rows of n_targets, or integer labels if `labels` is set. There is at least one row.
int64_t fastnn_gradient(const fastnn::Model *model, const fastnn::ModelLoss *loss, int64_t n_rows, const void *x, int64_t x_type,
                        int64_t x_row, int64_t x_column, const void *y, int64_t y_type, int64_t y_row, int64_t y_column,
                        int64_t labels, void *gradient, void *input_gradient, double *value);

// Returns the number of a model's parameters.
int64_t fastnn_n_parameters(const fastnn::Model *model);
// Returns 1 if some of the bytes are those of parameters, and 0 otherwise.
int64_t fastnn_overlaps_parameters(const fastnn::Model *model, const void *start, int64_t bytes);
// Copy all parameters to a vector in the order of MLP.to_vector, or back.
void fastnn_get_parameters(const fastnn::Model *model, void *vector);
void fastnn_set_parameters(const fastnn::Model *model, const void *vector);
}
