"""The methods of models in code that Numba compiles: predictions and parameters."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.extending import overload_method, register_jitable

from fastnn.jit import _kernels
from fastnn.jit._handle_types import ModelType, integers_of
from fastnn.jit._kernels import NUMBERS, bare, column_stride, is_readable, row_stride, rows_of
from fastnn.jit._results import delivery_of, is_thread_count, of_rows, place_of, threads_of

# ---- Predictions ----


@register_jitable
def _prediction_shape(model: Any, X: Any) -> Any:
    return X.shape[:-1] + (integers_of(model)[1],)  # noqa: RUF005  Numba knows no starred tuples


@overload_method(ModelType, "predict")
@bare
def _predict(model: Any, X: Any, out: Any = None, n_threads: Any = None) -> Any:
    if not is_readable(X, 1, 2) or not is_thread_count(n_threads):
        return None
    kernel, number, threads = _kernels.predict, NUMBERS[X.dtype], threads_of(n_threads)

    def run(model: Any, X: Any, out: Any, n_threads: Any) -> None:
        if X.shape[-1] != integers_of(model)[0]:
            raise ValueError("X: expected rows of n_in numbers, got rows of another length")
        if kernel(model, rows_of(X), X, number, row_stride(X), column_stride(X), out, threads(n_threads)) != 0:
            raise MemoryError("there is no memory for the layers' outputs")

    place = place_of(model, out, X.ndim, _prediction_shape, apart_from_model=False)
    return None if place is None else of_rows(place, delivery_of(out), register_jitable(bare(run)))


# ---- Parameters ----


@overload_method(ModelType, "to_vector")
@bare
def _to_vector(model: Any) -> Any:
    count, get, to = _kernels.n_parameters, _kernels.get_parameters, getattr(np, str(model.dtype))

    def to_vector(model: Any) -> Any:
        vector = np.empty(count(model), to)
        get(model, vector)
        return vector

    return bare(to_vector)


@overload_method(ModelType, "set_vector")
@bare
def _set_vector(model: Any, v: Any) -> Any:
    if not is_readable(v, 1):
        return None
    count, put, to = _kernels.n_parameters, _kernels.set_parameters, getattr(np, str(model.dtype))

    def set_vector(model: Any, v: Any) -> None:
        if v.shape[0] != count(model):
            raise ValueError("v: expected one number per parameter, got another number of them")
        vector = np.empty(v.shape[0], to)  # v may be of another type, and may be memory of the model
        vector[:] = v
        put(model, vector)

    return bare(set_vector)
