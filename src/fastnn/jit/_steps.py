"""The methods of trainers in code that Numba compiles: steps, and the accumulation of gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba.core.errors import TypingError
from numba.extending import overload_method, register_jitable

from fastnn._errors import DIVERGED_PART, DIVERGED_STEP, DIVERGED_UPDATE, NOTHING_ACCUMULATED, DivergedError
from fastnn.jit import _kernels
from fastnn.jit._handle_types import OutsideTrainerType, TrainerType, integers_of, present
from fastnn.jit._kernels import NUMBERS, bare, column_stride, is_none, is_readable, row_stride, rows_of
from fastnn.jit._targets import check_inputs, targets_of


def _check(diverged: str) -> Callable[..., None]:
    """Return a function that raises the error of a kernel's status; `diverged` is the message of a DivergedError."""

    def check(status: int) -> None:
        if status == 1:
            raise DivergedError(diverged)
        if status == 2:
            raise RuntimeError("this trainer is already running, in another thread")
        if status == 3:
            raise ValueError("y: expected no labels, which the trainer's present loss does not take, got some")
        if status == 4:
            raise RuntimeError(NOTHING_ACCUMULATED)
        if status != 0:
            raise MemoryError("there is no memory for the step's workspace")

    return register_jitable(bare(check))


def _with_targets(kernel: Any, X: Any, y: Any, diverged: str) -> Any:
    """Return a function of (trainer, X, y) that calls a kernel and returns the loss; None if the types don't fit."""
    targets = targets_of(X, y)
    if targets is None:
        return None
    x_number, check = NUMBERS[X.dtype], _check(diverged)
    y_number, are_labels, y_row, y_column = targets

    def run(trainer: Any, X: Any, y: Any) -> float:
        n_in, n_targets, takes_labels = integers_of(trainer)
        labels = are_labels(X, y, n_in, n_targets, takes_labels)
        status, loss = kernel(
            trainer, rows_of(X), X, x_number, row_stride(X), column_stride(X),
            y, y_number, y_row(y), y_column(y), labels,
        )  # fmt: skip
        check(status)
        return loss

    return register_jitable(bare(run))


def _with_gradient(kernel: Any, X: Any, G: Any, diverged: str) -> Any:
    """Return a function of (trainer, X, G) that calls a kernel; None if the types don't fit."""
    if not is_readable(X, 1, 2) or not is_readable(G, X.ndim):
        return None
    x_number, g_number, check = NUMBERS[X.dtype], NUMBERS[G.dtype], _check(diverged)
    outputs_of = _kernels.trainer_outputs

    def run(trainer: Any, X: Any, G: Any) -> None:
        check_inputs(X, integers_of(trainer)[0])
        if rows_of(G) != rows_of(X) or G.shape[G.ndim - 1] != outputs_of(trainer):
            raise ValueError("G: expected the shape of the model's outputs for X, got another")
        status = kernel(
            trainer, rows_of(X), X, x_number, row_stride(X), column_stride(X),
            G, g_number, row_stride(G), column_stride(G),
        )  # fmt: skip
        check(status)

    return register_jitable(bare(run))


@overload_method(TrainerType, "step")
@bare
def _step(trainer: Any, X: Any, y: Any) -> Any:
    run = _with_targets(_kernels.train_step, X, y, DIVERGED_STEP)
    return None if run is None else bare(lambda trainer, X, y: run(trainer, X, y))


@overload_method(TrainerType, "step_gradient")
@bare
def _step_gradient(trainer: Any, X: Any, G: Any) -> Any:
    run = _with_gradient(_kernels.train_step_gradient, X, G, DIVERGED_STEP)
    return None if run is None else bare(lambda trainer, X, G: run(trainer, X, G))


@overload_method(TrainerType, "accumulate")
@bare
def _accumulate(trainer: Any, X: Any, y: Any = None, sample_weight: Any = None, G: Any = None) -> Any:
    if not is_none(sample_weight):
        return None
    if is_none(y) == is_none(G):
        raise TypingError("y, G: expected either targets y or a gradient G=, got both or neither")
    if is_none(G):
        run = _with_targets(_kernels.accumulate, X, y, DIVERGED_PART)
        return None if run is None else bare(lambda trainer, X, y=None, sample_weight=None, G=None: run(trainer, X, y))
    run = _with_gradient(_kernels.accumulate_gradient, X, G, DIVERGED_PART)
    return None if run is None else bare(lambda trainer, X, y=None, sample_weight=None, G=None: run(trainer, X, G))


_check_update = _check(DIVERGED_UPDATE)


@overload_method(TrainerType, "apply")
@bare
def _apply(trainer: Any) -> Any:
    kernel = _kernels.apply_accumulated
    return bare(lambda trainer: _check_update(kernel(trainer)))


# ---- Global trainers, whose settings may have been assigned in the meantime ----


@overload_method(OutsideTrainerType, "step")
@bare
def _step_from_outside(trainer: Any, X: Any, y: Any) -> Any:
    return lambda trainer, X, y: present(trainer).step(X, y)


@overload_method(OutsideTrainerType, "step_gradient")
@bare
def _step_gradient_from_outside(trainer: Any, X: Any, G: Any) -> Any:
    return lambda trainer, X, G: present(trainer).step_gradient(X, G)


@overload_method(OutsideTrainerType, "accumulate")
@bare
def _accumulate_from_outside(trainer: Any, X: Any, y: Any = None, sample_weight: Any = None, G: Any = None) -> Any:
    return lambda trainer, X, y=None, sample_weight=None, G=None: present(trainer).accumulate(X, y, sample_weight, G)


@overload_method(OutsideTrainerType, "apply")
@bare
def _apply_from_outside(trainer: Any) -> Any:
    return lambda trainer: present(trainer).apply()
