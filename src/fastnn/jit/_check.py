"""Checks of derivatives, which compare them with difference quotients of the functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastnn._custom import CustomActivation
from fastnn.losses import CustomLoss

_Range: TypeAlias = tuple[float, float]
_Function: TypeAlias = Callable[[NDArray[np.float64]], Any]

# No point is a round number, which may be a kink or a pole, and no prediction equals a target.
_OFFSET, _OTHER_OFFSET = 0.381966, 0.723607
_EPSILON = float(np.finfo(np.float64).eps)


class _Wrong(NamedTuple):
    """The point with the largest error of a derivative: its index, the function's value, and both derivatives."""

    point: int
    output: float
    given: float
    expected: float


def check_derivative(activation: CustomActivation, within: _Range) -> None:
    """Raise ValueError if an activation's derivative is wrong anywhere in a range."""
    z = _points(within, 400, _OFFSET)
    wrong = _worst(activation.name, activation.value, activation.slope, z, within)
    if wrong:
        place = f"z = {z[wrong.point]:.6g}, where the output is {wrong.output:.6g}"
        expected = f"expected about {wrong.expected:.6g}, the derivative of {activation.name}"
        raise ValueError(f"derivative: got {wrong.given:.6g} at {place}; {expected}")


def check_gradient(loss: CustomLoss, within: _Range) -> None:
    """Raise ValueError if the gradient of a loss is wrong anywhere in a range of targets and predictions."""
    labels = [label for label in (-1.0, 0.0, 1.0) if within[0] <= label <= within[1]]  # special cases of some losses
    grid = np.meshgrid([*_points(within, 20, _OFFSET), *labels], _points(within, 41, _OTHER_OFFSET))
    y, p = (axis.reshape(-1) for axis in grid)
    wrong = _worst(loss.name, lambda x: loss.value(y, x), lambda x: loss.gradient(y, x), p, within)
    if wrong:
        point = f"y_true = {y[wrong.point]:.6g}, y_pred = {p[wrong.point]:.6g}"
        expected = f"expected about {wrong.expected:.6g}, the derivative of {loss.name} by y_pred"
        raise ValueError(f"gradient: got {wrong.given:.6g} at {point}, where it is {wrong.output:.6g}; {expected}")


def _points(within: _Range, count: int, offset: float) -> NDArray[np.float64]:
    low, high = within
    return low + (high - low) * (np.arange(count) + offset) / count


@np.errstate(all="ignore")
def _worst(name: str, function: _Function, derivative: _Function, x: NDArray[np.float64], within: _Range) -> _Wrong | None:
    """Return the point with the largest error of a derivative, or None if the derivative is right.

    Steps in proportion to x suit powers, and steps of constant length suit waves. A derivative is right if either kind of
    step confirms it.
    """
    low, high = within
    size = min(1.0, high - low)
    f, given = function(x), derivative(x)
    wide = _Quotients(function, x, f, np.cbrt(_EPSILON) * np.maximum(np.abs(x), size))
    narrow = _Quotients(function, x, f, np.maximum(np.cbrt(_EPSILON) * size, 2.0**-40 * np.abs(x)))
    if not wide.known.any():
        raise ValueError(f"check_range: got ({low}, {high}), where {name} is finite nowhere")
    wrong = wide.contradict(given) & narrow.contradict(given)
    if not wrong.any():
        return None
    error = np.nan_to_num(np.abs(given - wide.central), nan=np.inf)
    point = int(np.argmax(np.where(wrong, error, -1.0)))
    return _Wrong(point, f[point], given[point], wide.central[point])


class _Quotients:
    """The left, right and central difference quotients of a function at points."""

    def __init__(
        self, function: _Function, x: NDArray[np.float64], f: NDArray[np.float64], step: NDArray[np.float64]
    ) -> None:
        below, above = x - step, x + step
        f_below, f_above = function(below), function(above)
        left, right = (f - f_below) / (x - below), (f_above - f) / (above - x)
        self.central = (f_above - f_below) / (above - below)
        self.known = np.isfinite(left) & np.isfinite(right)
        self._spread = np.abs(right - left)
        self._rounding = 64 * _EPSILON * np.abs(f) / step

    def contradict(self, derivative: NDArray[np.float64]) -> Any:
        """Return a mask of the points at which a derivative is not between the left and right quotients, up to rounding.

        At a kink, the two quotients are the two one-sided derivatives, and either of them is accepted.
        """
        allowed = self._spread + 1e-4 * np.abs(self.central) + self._rounding + 1e-7
        return self.known & ~(np.abs(derivative - self.central) <= allowed)
