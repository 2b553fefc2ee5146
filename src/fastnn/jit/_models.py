"""The methods of models and trainers in code that Numba compiles."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload_method, register_jitable

from fastnn._errors import DivergedError
from fastnn.jit import _kernels
from fastnn.jit._handle_types import ModelType, OutsideTrainerType, TrainerType, integers_of, present
from fastnn.jit._kernels import NUMBERS, apart, bare, column_stride, is_aligned, is_none, is_readable, row_stride, rows_of

# ---- Predictions ----


@overload_method(ModelType, "predict")
@bare
def _predict(model: Any, X: Any, out: Any = None, n_threads: Any = None) -> Any:
    if not is_readable(X, 1, 2) or not (is_none(n_threads) or isinstance(n_threads, types.Integer)):
        return None
    run, to = _prediction(X, n_threads), getattr(np, str(model.dtype))
    if is_none(out):

        def new(model: Any, X: Any, out: Any = None, n_threads: Any = None) -> Any:
            result = np.empty(X.shape[:-1] + (integers_of(model)[1],), to)  # noqa: RUF005  Numba knows no starred tuples
            run(model, X, result, n_threads)
            return result

        return bare(new)

    if not isinstance(out, types.Array) or out.dtype != model.dtype or out.ndim != X.ndim or not out.mutable:
        return None

    def given(model: Any, X: Any, out: Any = None, n_threads: Any = None) -> Any:
        if out.shape[:-1] != X.shape[:-1] or out.shape[-1] != integers_of(model)[1]:
            raise ValueError("out: expected the shape of the result, got another")
        if out.flags.c_contiguous and is_aligned(out) and apart(out, X):
            run(model, X, out, n_threads)
        else:
            result = np.empty(out.shape, to)
            run(model, X, result, n_threads)
            out[...] = result
        return out

    return bare(given)


def _prediction(X: Any, n_threads: Any) -> Any:
    """Return the call of the kernel. The result array must be contiguous, and separate from X."""
    kernel, number, counted = _kernels.predict, NUMBERS[X.dtype], not is_none(n_threads)

    def run(model: Any, X: Any, out: Any, n_threads: Any) -> None:
        if X.shape[-1] != integers_of(model)[0]:
            raise ValueError("X: expected rows of n_in numbers, got rows of another length")
        threads = 0
        if counted:
            threads = n_threads
            if threads < 1:
                raise ValueError("n_threads: expected at least 1, got less")
        if kernel(model, rows_of(X), X, number, row_stride(X), column_stride(X), out, threads) != 0:
            raise MemoryError("there is no memory for the layers' outputs")

    return register_jitable(bare(run))


# ---- Training ----


@overload_method(TrainerType, "step")
@bare
def _step(trainer: Any, X: Any, y: Any) -> Any:
    if not is_readable(X, 2) or not is_readable(y, 1, 2):
        return None
    kernel, x_number, y_number = _kernels.train_step, NUMBERS[X.dtype], NUMBERS[y.dtype]
    may_be_labels = y.ndim == 1 and isinstance(y.dtype, types.Integer)

    def step(trainer: Any, X: Any, y: Any) -> float:
        n_in, n_targets, takes_labels = integers_of(trainer)
        n_rows = X.shape[0]
        if X.shape[1] != n_in or n_rows == 0:
            raise ValueError("X: expected shape (n, n_in) with at least one row, got another")
        if y.shape[0] != n_rows:
            raise ValueError("y: expected as many rows as X has, got another number")
        labels = may_be_labels and takes_labels != 0 and n_targets > 1
        if y.ndim == 1:
            if labels:
                lowest = -1 if takes_labels == 2 else 0
                if np.int64(y.min()) < lowest or y.max() >= n_targets:
                    raise ValueError("y: expected labels from 0 to n_out - 1, got another")
            elif n_targets != 1:
                raise ValueError("y: expected a row of targets for each row of X, got one number")
        elif y.shape[y.ndim - 1] != n_targets:
            raise ValueError("y: expected rows of as many numbers as the loss takes, got rows of another length")
        loss = np.empty(1)
        status = kernel(
            trainer, n_rows, X, x_number, X.strides[0], X.strides[1],
            y, y_number, y.strides[0], y.strides[y.ndim - 1], labels, loss,
        )  # fmt: skip
        if status == 1:
            raise DivergedError("loss or update of this batch is not finite; nothing was changed")
        if status == 2:
            raise RuntimeError("this trainer is already running, in another thread")
        if status == 3:
            raise ValueError("y: expected no labels, which the trainer's present loss does not take, got some")
        if status != 0:
            raise MemoryError("there is no memory for the step's workspace")
        return loss[0]

    return bare(step)


@overload_method(OutsideTrainerType, "step")
@bare
def _step_from_outside(trainer: Any, X: Any, y: Any) -> Any:
    return lambda trainer, X, y: present(trainer).step(X, y)
