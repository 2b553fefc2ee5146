"""What fastnn/__init__.pxd is made of: kernels/c_api.h, which tells what they do."""
from libc.stdint cimport int64_t

# The numbers of the optimizers: their order is that of kernels/registry.h.
cdef enum:
    c_sgd, c_momentum, c_nesterov, c_adagrad, c_rmsprop, c_adam, c_adamw, c_nadam, c_lion, c_muon

cdef void c_function_float32(int64_t function, const float *x, float *y, int64_t n) noexcept nogil
cdef void c_function_float64(int64_t function, const double *x, double *y, int64_t n) noexcept nogil
cdef void c_activate_float32(int64_t activation, float *z, int64_t rows, int64_t n) noexcept nogil
cdef void c_activate_float64(int64_t activation, double *z, int64_t rows, int64_t n) noexcept nogil
cdef int64_t c_linear(
    int64_t type, int64_t n_rows, int64_t n_in, int64_t n_out, const void *x, int64_t x_type, int64_t x_row, int64_t x_column,
    const void *w, int64_t w_type, int64_t w_row, int64_t w_column, const void *b, int64_t b_type, int64_t b_column,
    int64_t activation, void *out, int64_t n_threads) noexcept nogil
cdef void c_update_float32(
    int64_t optimizer, float *w, const float *g, float *m, float *v, int64_t n, double rate, double beta_1, double beta_2,
    double epsilon, double decay, int64_t updates) noexcept nogil
cdef void c_update_float64(
    int64_t optimizer, double *w, const double *g, double *m, double *v, int64_t n, double rate, double beta_1, double beta_2,
    double epsilon, double decay, int64_t updates) noexcept nogil
cdef int64_t c_predict(
    const void *model, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row, int64_t x_column, void *out,
    int64_t n_threads) noexcept nogil
cdef int64_t c_train_step(
    void *trainer, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row, int64_t x_column, const void *y, int64_t y_type,
    int64_t y_row, int64_t y_column, int64_t labels, double *loss) noexcept nogil
cdef int64_t c_train_step_gradient(
    void *trainer, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row, int64_t x_column, const void *g, int64_t g_type,
    int64_t g_row, int64_t g_column) noexcept nogil
cdef int64_t c_accumulate(
    void *trainer, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row, int64_t x_column, const void *y, int64_t y_type,
    int64_t y_row, int64_t y_column, int64_t labels, double *loss) noexcept nogil
cdef int64_t c_accumulate_gradient(
    void *trainer, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row, int64_t x_column, const void *g, int64_t g_type,
    int64_t g_row, int64_t g_column) noexcept nogil
cdef int64_t c_apply_accumulated(void *trainer) noexcept nogil
cdef int64_t c_trainer_outputs(const void *trainer) noexcept nogil
cdef int64_t c_vjp(
    const void *model, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row, int64_t x_column, const void *g, int64_t g_type,
    int64_t g_row, int64_t g_column, void *gradient, void *input_gradient, int64_t n_threads) noexcept nogil
cdef int64_t c_jacobian(
    const void *model, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row, int64_t x_column, void *jacobian,
    int64_t n_threads) noexcept nogil
cdef const void *c_model_loss(const void *model, int64_t loss) noexcept nogil
cdef int64_t c_loss_targets(const void *loss) noexcept nogil
cdef int64_t c_loss_labels(const void *loss) noexcept nogil
cdef int64_t c_gradient(
    const void *model, const void *loss, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row, int64_t x_column,
    const void *y, int64_t y_type, int64_t y_row, int64_t y_column, int64_t labels, void *gradient, void *input_gradient,
    double *value) noexcept nogil
cdef int64_t c_n_parameters(const void *model) noexcept nogil
