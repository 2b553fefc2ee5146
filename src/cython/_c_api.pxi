"""The kernels as plain functions, for code that Numba or Cython compiles. Included by _core.pyx."""


def c_functions():
    """Return the addresses of the functions in kernels/c_api.h, by name."""
    return {
        "fastnn_function_float32": <uintptr_t>&fastnn_function_float32,
        "fastnn_function_float64": <uintptr_t>&fastnn_function_float64,
        "fastnn_activate_float32": <uintptr_t>&fastnn_activate_float32,
        "fastnn_activate_float64": <uintptr_t>&fastnn_activate_float64,
        "fastnn_log_softmax_float32": <uintptr_t>&fastnn_log_softmax_float32,
        "fastnn_log_softmax_float64": <uintptr_t>&fastnn_log_softmax_float64,
        "fastnn_times_derivative_float32": <uintptr_t>&fastnn_times_derivative_float32,
        "fastnn_times_derivative_float64": <uintptr_t>&fastnn_times_derivative_float64,
        "fastnn_linear": <uintptr_t>&fastnn_linear,
        "fastnn_prediction_loss": <uintptr_t>&fastnn_prediction_loss,
        "fastnn_update_float32": <uintptr_t>&fastnn_update_float32,
        "fastnn_update_float64": <uintptr_t>&fastnn_update_float64,
        "fastnn_predict": <uintptr_t>&fastnn_predict,
        "fastnn_train_step": <uintptr_t>&fastnn_train_step,
        "fastnn_train_step_gradient": <uintptr_t>&fastnn_train_step_gradient,
        "fastnn_accumulate": <uintptr_t>&fastnn_accumulate,
        "fastnn_accumulate_gradient": <uintptr_t>&fastnn_accumulate_gradient,
        "fastnn_apply": <uintptr_t>&fastnn_apply,
        "fastnn_trainer_outputs": <uintptr_t>&fastnn_trainer_outputs,
        "fastnn_vjp": <uintptr_t>&fastnn_vjp,
        "fastnn_jacobian": <uintptr_t>&fastnn_jacobian,
        "fastnn_model_loss": <uintptr_t>&fastnn_model_loss,
        "fastnn_loss_targets": <uintptr_t>&fastnn_loss_targets,
        "fastnn_loss_labels": <uintptr_t>&fastnn_loss_labels,
        "fastnn_gradient": <uintptr_t>&fastnn_gradient,
        "fastnn_n_parameters": <uintptr_t>&fastnn_n_parameters,
        "fastnn_overlaps_parameters": <uintptr_t>&fastnn_overlaps_parameters,
        "fastnn_get_parameters": <uintptr_t>&fastnn_get_parameters,
        "fastnn_set_parameters": <uintptr_t>&fastnn_set_parameters,
    }


# ---- For Cython: _core.pxd declares them -------------------------------------------------------------------------------

cdef void c_function_float32(int64_t function, const float *x, float *y, int64_t n) noexcept nogil:
    fastnn_function_float32(function, x, y, n)


cdef void c_function_float64(int64_t function, const double *x, double *y, int64_t n) noexcept nogil:
    fastnn_function_float64(function, x, y, n)


cdef void c_activate_float32(int64_t activation, float *z, int64_t rows, int64_t n) noexcept nogil:
    fastnn_activate_float32(activation, z, rows, n)


cdef void c_activate_float64(int64_t activation, double *z, int64_t rows, int64_t n) noexcept nogil:
    fastnn_activate_float64(activation, z, rows, n)


cdef int64_t c_linear(
        int64_t type, int64_t n_rows, int64_t n_in, int64_t n_out, const void *x, int64_t x_type, int64_t x_row, int64_t x_column,
        const void *w, int64_t w_type, int64_t w_row, int64_t w_column, const void *b, int64_t b_type, int64_t b_column,
        int64_t activation, void *out, int64_t n_threads) noexcept nogil:
    return fastnn_linear(type, n_rows, n_in, n_out, x, x_type, x_row, x_column, w, w_type, w_row, w_column, b, b_type, b_column,
                         activation, out, n_threads)


cdef void c_update_float32(
        int64_t optimizer, float *w, const float *g, float *m, float *v, int64_t n, double rate, double beta_1, double beta_2,
        double epsilon, double decay, int64_t updates) noexcept nogil:
    fastnn_update_float32(optimizer, w, g, m, v, n, rate, beta_1, beta_2, epsilon, decay, updates)


cdef void c_update_float64(
        int64_t optimizer, double *w, const double *g, double *m, double *v, int64_t n, double rate, double beta_1, double beta_2,
        double epsilon, double decay, int64_t updates) noexcept nogil:
    fastnn_update_float64(optimizer, w, g, m, v, n, rate, beta_1, beta_2, epsilon, decay, updates)


cdef int64_t c_predict(
        const void *model, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row, int64_t x_column, void *out,
        int64_t n_threads) noexcept nogil:
    return fastnn_predict(<const Model *>model, n_rows, x, x_type, x_row, x_column, out, n_threads)


cdef int64_t c_train_step(
        void *trainer, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row, int64_t x_column, const void *y, int64_t y_type,
        int64_t y_row, int64_t y_column, int64_t labels, double *loss) noexcept nogil:
    return fastnn_train_step(<NativeStepper *>trainer, n_rows, x, x_type, x_row, x_column, y, y_type, y_row, y_column, labels, loss)


cdef int64_t c_train_step_gradient(
        void *trainer, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row, int64_t x_column, const void *g, int64_t g_type,
        int64_t g_row, int64_t g_column) noexcept nogil:
    return fastnn_train_step_gradient(<NativeStepper *>trainer, n_rows, x, x_type, x_row, x_column, g, g_type, g_row, g_column)


cdef int64_t c_accumulate(
        void *trainer, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row, int64_t x_column, const void *y, int64_t y_type,
        int64_t y_row, int64_t y_column, int64_t labels, double *loss) noexcept nogil:
    return fastnn_accumulate(<NativeStepper *>trainer, n_rows, x, x_type, x_row, x_column, y, y_type, y_row, y_column, labels, loss)


cdef int64_t c_accumulate_gradient(
        void *trainer, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row, int64_t x_column, const void *g, int64_t g_type,
        int64_t g_row, int64_t g_column) noexcept nogil:
    return fastnn_accumulate_gradient(<NativeStepper *>trainer, n_rows, x, x_type, x_row, x_column, g, g_type, g_row, g_column)


cdef int64_t c_apply_accumulated(void *trainer) noexcept nogil:
    return fastnn_apply(<NativeStepper *>trainer)


cdef int64_t c_trainer_outputs(const void *trainer) noexcept nogil:
    return fastnn_trainer_outputs(<const NativeStepper *>trainer)


cdef int64_t c_vjp(
        const void *model, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row, int64_t x_column, const void *g,
        int64_t g_type, int64_t g_row, int64_t g_column, void *gradient, void *input_gradient, int64_t n_threads) noexcept nogil:
    return fastnn_vjp(<const Model *>model, n_rows, x, x_type, x_row, x_column, g, g_type, g_row, g_column, gradient,
                      input_gradient, n_threads)


cdef int64_t c_jacobian(
        const void *model, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row, int64_t x_column, void *jacobian,
        int64_t n_threads) noexcept nogil:
    return fastnn_jacobian(<const Model *>model, n_rows, x, x_type, x_row, x_column, jacobian, n_threads)


cdef const void *c_model_loss(const void *model, int64_t loss) noexcept nogil:
    return fastnn_model_loss(<const Model *>model, loss)


cdef int64_t c_loss_targets(const void *loss) noexcept nogil:
    return fastnn_loss_targets(<const ModelLoss *>loss)


cdef int64_t c_loss_labels(const void *loss) noexcept nogil:
    return fastnn_loss_labels(<const ModelLoss *>loss)


cdef int64_t c_gradient(
        const void *model, const void *loss, int64_t n_rows, const void *x, int64_t x_type, int64_t x_row, int64_t x_column,
        const void *y, int64_t y_type, int64_t y_row, int64_t y_column, int64_t labels, void *gradient, void *input_gradient,
        double *value) noexcept nogil:
    return fastnn_gradient(<const Model *>model, <const ModelLoss *>loss, n_rows, x, x_type, x_row, x_column, y, y_type, y_row,
                           y_column, labels, gradient, input_gradient, value)


cdef int64_t c_n_parameters(const void *model) noexcept nogil:
    return fastnn_n_parameters(<const Model *>model)
