"""Custom losses from Python functions of two numbers."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn import _custom
from fastnn._checks.floats import as_float, float_type
from fastnn._engine import core as _core
from fastnn.jit._check import check_gradient
from fastnn.jit._compile import loss_block, python_function
from fastnn.jit._function import JitFunction, bounds
from fastnn.losses import CustomLoss


def loss(
    *,
    gradient: Callable[[float, float], float],
    name: str | None = None,
    check_range: tuple[float, float] | None = (-10.0, 10.0),
) -> Callable[[Callable[[float, float], float]], JitLoss]:
    """Return a decorator that makes a loss from a function of a target and a prediction.

    The loss is the mean of the function's values. You can use it, or its name, wherever fastnn takes the name of a built-in
    loss. You can still call it like the function, with numbers or arrays.

    Parameters
    ----------
    gradient : callable
        The derivative of the function with respect to y_pred, as a function of the same arguments. y_pred is the output
        after its activation.
    name : str, optional
        The name of the loss in trainers and files, by default that of the function. If several losses have the
        same name, the name refers to the last one.
    check_range : tuple (low, high) or None, default (-10.0, 10.0)
        The range of both arguments in which the gradient is compared with difference quotients of the function. None skips
        the comparison.

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
    The loss is the mean over all elements, weighted by `sample_weight`. Rows of weight 0 do not count, whatever their loss.
    The notes of `activation` on compilation and exceptions apply.

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
    derivative = python_function("gradient", gradient, 0.0, 0.0)
    within = bounds(check_range)

    def decorator(function: Callable[[float, float], float]) -> JitLoss:
        made = JitLoss(python_function("function", function, 0.0, 0.0), derivative, name)
        if within is not None:
            check_gradient(made, within)
        _custom.LOSSES[made.name] = made
        return made

    return decorator


class JitLoss(JitFunction, CustomLoss):
    """A loss compiled by Numba; see `loss`."""

    def __init__(self, function: FunctionType, gradient: FunctionType, name: str | None) -> None:
        functions = {"function": function, "gradient": gradient}
        super().__init__(loss_block, functions, "input", name, _core.LOSSES)
        self._evaluate(np.zeros(1), np.zeros(1))  # raises now if it does not compile, or fails at the zeros between rows

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
