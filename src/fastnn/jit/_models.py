"""The methods of models and trainers in code that Numba compiles: predictions, parameters and steps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.extending import overload_method, register_jitable

from fastnn._errors import DivergedError
from fastnn.jit import _kernels
from fastnn.jit._handle_types import ModelType, OutsideTrainerType, TrainerType, integers_of, present
from fastnn.jit._kernels import NUMBERS, bare, column_stride, is_readable, row_stride, rows_of
from fastnn.jit._results import delivery_of, is_thread_count, of_rows, place_of, threads_of
from fastnn.jit._targets import check_inputs, targets_of

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


# ---- Training ----


@register_jitable
def _check_step(status: int) -> None:
    if status == 1:
        raise DivergedError("loss or update of this batch is not finite; nothing was changed")
    if status == 2:
        raise RuntimeError("this trainer is already running, in another thread")
    if status == 3:
        raise ValueError("y: expected no labels, which the trainer's present loss does not take, got some")
    if status != 0:
        raise MemoryError("there is no memory for the step's workspace")


@overload_method(TrainerType, "step")
@bare
def _step(trainer: Any, X: Any, y: Any) -> Any:
    targets = targets_of(X, y)
    if targets is None:
        return None
    kernel, x_number = _kernels.train_step, NUMBERS[X.dtype]
    y_number, are_labels, y_row, y_column = targets

    def step(trainer: Any, X: Any, y: Any) -> float:
        n_in, n_targets, takes_labels = integers_of(trainer)
        labels = are_labels(X, y, n_in, n_targets, takes_labels)
        status, loss = kernel(
            trainer, rows_of(X), X, x_number, row_stride(X), column_stride(X),
            y, y_number, y_row(y), y_column(y), labels,
        )  # fmt: skip
        _check_step(status)
        return loss

    return bare(step)


@overload_method(TrainerType, "step_gradient")
@bare
def _step_gradient(trainer: Any, X: Any, G: Any) -> Any:
    if not is_readable(X, 1, 2) or not is_readable(G, X.ndim):
        return None
    kernel, x_number, g_number = _kernels.train_step_gradient, NUMBERS[X.dtype], NUMBERS[G.dtype]
    outputs_of = _kernels.trainer_outputs

    def step_gradient(trainer: Any, X: Any, G: Any) -> None:
        check_inputs(X, integers_of(trainer)[0])
        if rows_of(G) != rows_of(X) or G.shape[G.ndim - 1] != outputs_of(trainer):
            raise ValueError("G: expected the shape of the model's outputs for X, got another")
        status = kernel(
            trainer, rows_of(X), X, x_number, row_stride(X), column_stride(X),
            G, g_number, row_stride(G), column_stride(G),
        )  # fmt: skip
        _check_step(status)

    return bare(step_gradient)


@overload_method(OutsideTrainerType, "step")
@bare
def _step_from_outside(trainer: Any, X: Any, y: Any) -> Any:
    return lambda trainer, X, y: present(trainer).step(X, y)


@overload_method(OutsideTrainerType, "step_gradient")
@bare
def _step_gradient_from_outside(trainer: Any, X: Any, G: Any) -> Any:
    return lambda trainer, X, G: present(trainer).step_gradient(X, G)
