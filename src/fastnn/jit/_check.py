"""Checks of derivatives, which compare them with difference quotients of the functions."""

from __future__ import annotations

import math
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
        raise ValueError(f"derivative: {expected}, got {wrong.given:.6g} at {place}")


def check_gradient(loss: CustomLoss, within: _Range) -> None:
    """Raise ValueError if the gradient of a loss is wrong anywhere in a range of targets and predictions."""
    labels = [label for label in (-1.0, 0.0, 1.0) if within[0] <= label <= within[1]]  # special cases of some losses
    grid = np.meshgrid([*_points(within, 20, _OFFSET), *labels], _points(within, 41, _OTHER_OFFSET))
    y, p = (axis.reshape(-1) for axis in grid)
    wrong = _worst(loss.name, lambda x: loss.value(y, x), lambda x: loss.gradient(y, x), p, within)
    if wrong:
        point = f"y_true = {y[wrong.point]:.6g}, y_pred = {p[wrong.point]:.6g}"
        expected = f"expected about {wrong.expected:.6g}, the derivative of {loss.name} by y_pred"
        raise ValueError(f"gradient: {expected}, got {wrong.given:.6g} at {point}, where the loss is {wrong.output:.6g}")


def check_row_gradient(
    loss: CustomLoss, function: Callable[..., Any], within: _Range, n_targets: int, n_outputs: int
) -> None:
    """Raise ValueError if the gradient of a loss of whole rows is not its derivative by each prediction, on drawn rows.

    So it does if the gradient returns the loss, and that is not what the function returns.
    """
    low, high = within
    rng = np.random.default_rng(0)
    y, p = rng.uniform(low, high, (60, n_targets)), rng.uniform(low, high, (60, n_outputs))
    if low <= 0 and high >= 1:  # one-hot rows
        y[40:] = np.eye(n_targets)[np.arange(20) % n_targets]
    _check_returned(loss, function, y, p)
    for j in range(n_outputs):
        wrong = _worst(loss.name, *_along(loss, y, p, j), p[:, j], within)
        if wrong:
            point = _point(y, p, wrong.point)
            expected = f"expected about {wrong.expected:.6g}, the derivative of {loss.name} by y_pred[{j}]"
            raise ValueError(
                f"gradient: got {wrong.given:.6g} in out[{j}] at {point}, where it is {wrong.output:.6g}; {expected}"
            )


def _along(loss: CustomLoss, y: NDArray[np.float64], p: NDArray[np.float64], j: int) -> tuple[_Function, _Function]:
    """Return the loss of rows, and its derivative, as functions of one column of the predictions."""

    def rows(x: NDArray[np.float64]) -> NDArray[np.float64]:
        moved = p.copy()
        moved[:, j] = x
        return moved

    return lambda x: loss.value(y, rows(x)), lambda x: loss.gradient(y, rows(x))[:, j]


def _check_returned(loss: CustomLoss, function: Callable[..., Any], y: NDArray[np.float64], p: NDArray[np.float64]) -> None:
    for i, value in enumerate(loss.value(y, p)):
        try:
            with np.errstate(all="ignore"):
                expected = float(function(y[i], p[i]))
        except (ArithmeticError, ValueError):  # where compiled code gives NaN or infinity
            continue
        if math.isfinite(expected) and not math.isclose(value, expected, rel_tol=1e-6, abs_tol=1e-9):
            right = f"expected {expected:.6g}, which {loss.name} returns"
            raise ValueError(f"gradient: got {value:.6g} returned at {_point(y, p, i)}, {right}")


def _point(y: NDArray[np.float64], p: NDArray[np.float64], row: int) -> str:
    of_targets, of_outputs = (np.array2string(rows[row], precision=6, separator=", ") for rows in (y, p))
    return f"y_true = {of_targets}, y_pred = {of_outputs}"


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
        raise ValueError(f"check_range: expected a range in which {name} is finite somewhere, got ({low}, {high})")
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
