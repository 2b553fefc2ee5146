"""Custom losses from Python functions of two numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._checks.floats import as_float, float_type
from fastnn._checks.scalars import flag
from fastnn._engine import core as _core
from fastnn.jit._check import check_gradient
from fastnn.jit._compile import loss_block, python_function
from fastnn.jit._function import JitFunction, bounds
from fastnn.jit._row_loss import JitRowLoss, checked_sizes
from fastnn.losses import CustomLoss
from fastnn.losses._options import checked_missing, weights_of_outputs
from fastnn.losses._registry import CUSTOM_LOSSES

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def loss(
    *,
    gradient: Callable[..., Any],
    per_row: bool = False,
    from_logits: bool = False,
    n_targets: int | None = None,
    n_outputs: int | None = None,
    name: str | None = None,
    check_range: tuple[float, float] | None = (-10.0, 10.0),
    output_weights: Sequence[float] | None = None,
    missing: str = "raise",
) -> Callable[[Callable[..., float]], JitLoss | JitRowLoss]:
    """Return a decorator that makes a loss from a function of a target and a prediction.

    The loss is the mean of the function's values. You can use it, or its name, wherever fastnn takes the name of a built-in
    loss. You can still call it like the function, with numbers or arrays.

    Parameters
    ----------
    gradient : callable
        The derivative of the function with respect to y_pred, as a function of the same arguments. y_pred is the output
        after its activation. With `per_row`, it is a function of y_true, y_pred and out, which stores the derivative with
        respect to each element of y_pred in out, an array of zeros. If it also returns the loss, training does not call
        the function, which saves time.
    per_row : bool, default False
        Whether the function takes whole rows: arrays y_true (columns of targets,) and y_pred (outputs,), which it can't
        change. The loss is then the mean over rows.
    from_logits : bool, default False
        Whether y_pred are the inputs of the output activation, which may be any without parameters of its own.
    n_targets, n_outputs : int, optional
        With `per_row`, the numbers of columns of targets and of outputs that the function needs. By default, targets have
        one column per output of the model, and the model may have any number of outputs.
    name : str, optional
        The name of the loss in trainers and files, by default that of the function. If several losses have the
        same name, the name refers to the last one.
    check_range : tuple (low, high) or None, default (-10.0, 10.0)
        The range of both arguments in which the gradient is compared with difference quotients of the function; with
        `per_row`, on rows of `n_outputs` elements, or of 2, 3 and 5. None skips the comparison.
    output_weights, missing : optional
        Options that every loss has: see `fastnn.losses.Loss`. The function is called with 0.0 in place of a missing
        target, and its result is not used. A loss of whole rows has no `output_weights`.

    Returns
    -------
    decorator
        A function that maps a function of two numbers to a loss.

    Raises
    ------
    TypeError
        If an argument is of the wrong type, or if Numba can't compile a function.
    ValueError
        If the gradient is wrong, or another argument is out of its range.

    Notes
    -----
    The loss is the mean over all elements, or rows, weighted by `sample_weight`. Rows of weight 0 do not count, whatever
    their loss. The notes of `activation` on compilation and exceptions apply. A loss of rows is compiled for each
    number of outputs with which it is used.

    Examples
    --------
    >>> import math
    >>> import fastnn
    >>> @fastnn.jit.loss(gradient=lambda y_true, y_pred: math.tanh(y_pred - y_true))
    ... def log_cosh(y_true, y_pred):
    ...     e = abs(y_pred - y_true)
    ...     return e + math.log1p(math.exp(-2.0 * e)) - math.log(2.0)
    >>> log_cosh([0.0, 0.0], [0.0, 1.0])
    array([0.        , 0.43378083])
    >>> fastnn.Trainer(fastnn.MLP((2, 8, 1)), loss=log_cosh).loss
    <loss 'log_cosh'>
    """
    by_rows, takes_logits = flag("per_row", per_row), flag("from_logits", from_logits)
    sizes = checked_sizes(by_rows, n_targets, n_outputs)
    of_rows = {"takes": "two rows, y_true and y_pred"} if by_rows else {}
    with_out = {"takes": "three rows, y_true, y_pred and out"} if by_rows else {}
    derivative = python_function("gradient", gradient, *[0.0] * (3 if by_rows else 2), **with_out)
    within = bounds(check_range)

    options = weights_of_outputs("output_weights", output_weights), checked_missing(missing)

    def decorator(function: Callable[..., float]) -> JitLoss | JitRowLoss:
        checked = python_function("function", function, 0.0, 0.0, **of_rows)
        made: JitLoss | JitRowLoss
        if by_rows:
            made = JitRowLoss(checked, derivative, name, sizes, from_logits=takes_logits)
        else:
            made = JitLoss(checked, derivative, name, from_logits=takes_logits)
        made.set_options(*options)
        if within is not None:
            made.check(within)
        CUSTOM_LOSSES[made.name] = made
        return made

    return decorator


class JitLoss(JitFunction, CustomLoss):
    """A loss compiled by Numba; see `loss`."""

    def __init__(
        self, function: FunctionType, gradient: FunctionType, name: str | None, *, from_logits: bool = False
    ) -> None:
        self._from_logits = from_logits
        functions = {"function": function, "gradient": gradient}
        super().__init__(loss_block, functions, "input", name, _core.LOSSES)
        self._evaluate(np.zeros(1), np.zeros(1))  # raises now if it does not compile, or fails at the zeros between rows

    def check(self, within: tuple[float, float]) -> None:
        """Raise ValueError if the gradient is wrong anywhere in a range."""
        check_gradient(self, within)

    def value(self, y_true: ArrayLike, y_pred: ArrayLike) -> Any:
        """Return the loss for every element, computed in float64."""
        return self._elementwise(y_true, y_pred, 0)

    def gradient(self, y_true: ArrayLike, y_pred: ArrayLike) -> Any:
        """Return the derivative with respect to the prediction for every element, computed in float64."""
        return self._elementwise(y_true, y_pred, 1)

    __call__ = value

    def _elementwise(self, y_true: ArrayLike, y_pred: ArrayLike, which: int) -> Any:
        arguments = as_float("y_true", y_true), as_float("y_pred", y_pred)
        y, p = np.broadcast_arrays(*(argument.astype(np.float64) for argument in arguments))
        result: NDArray[Any] = self._evaluate(y, p)[which].astype(float_type(*arguments))
        return result[()]
