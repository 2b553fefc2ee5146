"""The kernels as plain functions, for code that Numba or Cython have compiled. Included by _core.pyx."""


def c_functions():
    """The addresses of kernels/c_api.h, by name."""
    return {
        "fastnn_function_float32": <uintptr_t>&fastnn_function_float32,
        "fastnn_function_float64": <uintptr_t>&fastnn_function_float64,
        "fastnn_activate_float32": <uintptr_t>&fastnn_activate_float32,
        "fastnn_activate_float64": <uintptr_t>&fastnn_activate_float64,
        "fastnn_log_softmax_float32": <uintptr_t>&fastnn_log_softmax_float32,
        "fastnn_log_softmax_float64": <uintptr_t>&fastnn_log_softmax_float64,
        "fastnn_times_slope_float32": <uintptr_t>&fastnn_times_slope_float32,
        "fastnn_times_slope_float64": <uintptr_t>&fastnn_times_slope_float64,
        "fastnn_linear": <uintptr_t>&fastnn_linear,
        "fastnn_update_float32": <uintptr_t>&fastnn_update_float32,
        "fastnn_update_float64": <uintptr_t>&fastnn_update_float64,
        "fastnn_predict": <uintptr_t>&fastnn_predict,
        "fastnn_train_step": <uintptr_t>&fastnn_train_step,
    }
