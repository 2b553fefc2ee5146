"""Custom activations from Python functions of one number."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fastnn import _custom
from fastnn._custom import CustomActivation
from fastnn._engine import core as _core
from fastnn.jit._check import check_derivative
from fastnn.jit._compile import activation_block, python_function
from fastnn.jit._function import JitFunction, bounds
from fastnn.reference.arrays import elementwise

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def activation(
    *,
    derivative: Callable[[float], float],
    uses: Literal["input", "output"] = "input",
    name: str | None = None,
    check_range: tuple[float, float] | None = (-10.0, 10.0),
) -> Callable[[Callable[[float], float]], JitActivation]:
    """Return a decorator that makes an activation from a function of one number.

    You can use the activation, or its name, wherever a network takes the name of a built-in one. You can still call it like
    the function, with numbers or arrays.

    Parameters
    ----------
    derivative : callable
        The derivative of the function. `uses` decides whether its argument is the input z or the output a.
    uses : {"input", "output"}, default "input"
        The argument of `derivative`.
    name : str, optional
        The name of the activation in networks and files, by default that of the function. If
        several activations have the same name, the name refers to the last one.
    check_range : tuple (low, high) or None, default (-10.0, 10.0)
        The range in which the derivative is compared with difference quotients of the function. None skips the comparison,
        for a derivative that differs on purpose.

    Returns
    -------
    decorator
        A function that maps a function of one number to an activation.

    Raises
    ------
    TypeError
        If an argument is of the wrong type, or if Numba can't compile a function.
    ValueError
        If the derivative is wrong, or another argument is out of its range.

    Notes
    -----
    Numba compiles both functions in nopython mode, and stores the result in its cache. exp, expm1, log, log1p, tanh and
    atan of `math` and NumPy, and most functions of `fastnn.ops`, become fastnn's own vector instructions.

    Division by zero gives infinity or NaN, as in NumPy. A function must not raise: if it does so inside a network, all
    results of that block of rows are NaN. In float32 networks, floating-point numbers in the function are float32 too.

    Examples
    --------
    >>> import math
    >>> import fastnn
    >>> @fastnn.jit.activation(derivative=lambda a: 1.0 - a * a, uses="output")
    ... def my_tanh(z):
    ...     return math.tanh(z)
    >>> my_tanh([0.0, 1.0])
    array([0.        , 0.76159416])
    >>> fastnn.MLP((2, 8, 1), activation=my_tanh)
    MLP((2, 8, 1), activation=<activation 'my_tanh'>, output_activation='identity', dtype=float32)
    """
    if uses not in ("input", "output"):
        raise ValueError(f"uses: expected 'input' or 'output', got {uses!r}")
    derivative_function = python_function("derivative", derivative, 0.0)
    within = bounds(check_range)

    def decorator(function: Callable[[float], float]) -> JitActivation:
        made = JitActivation(python_function("function", function, 0.0), derivative_function, uses, name)
        if within is not None:
            check_derivative(made, within)
        _custom.ACTIVATIONS[made.name] = made
        return made

    return decorator


class JitActivation(JitFunction, CustomActivation):
    """An activation compiled by Numba; see `activation`."""

    def __init__(self, function: FunctionType, derivative: FunctionType, uses: str, name: str | None) -> None:
        functions = {"function": function, "derivative": derivative}
        super().__init__(activation_block, functions, uses, name, _core.LAYER_ACTIVATIONS)
        self._evaluate(np.zeros(1))  # raises now if it does not compile, or fails at 0, which fills the gaps between rows

    def value(self, z: ArrayLike) -> Any:
        """Return f(z) for every element, computed in float64."""
        return elementwise(lambda x: self._evaluate(x)[0])(z)

    def slope(self, z: ArrayLike) -> Any:
        """Return f'(z) for every element, computed in float64."""
        return elementwise(lambda x: self._evaluate(x)[1])(z)

    __call__ = value
