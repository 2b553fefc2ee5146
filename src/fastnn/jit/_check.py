"""Is a derivative that of its function? Difference quotients tell."""

from __future__ import annotations

import numpy as np

from fastnn._custom import CustomActivation

_POINTS = 400
# No point is a round number, where kinks and poles are.
_OFFSET = 0.381966
_EPSILON = float(np.finfo(np.float64).eps)


@np.errstate(all="ignore")
def check_slope(activation: CustomActivation, low: float, high: float) -> None:
    """Raise ValueError if the slope of an activation isn't that of its value somewhere between low and high.

    The quotients to the left and to the right of a point enclose the slope, up to rounding. At a kink they are as far
    from each other as the slopes there, so that either is accepted.
    """
    z = low + (high - low) * (np.arange(_POINTS) + _OFFSET) / _POINTS
    step = np.cbrt(_EPSILON) * np.maximum(np.abs(z), min(1.0, high - low))
    below, above = z - step, z + step
    a_below, a, a_above = (activation.value(points) for points in (below, z, above))
    left, right = (a - a_below) / (z - below), (a_above - a) / (above - z)
    expected = (a_above - a_below) / (above - below)
    known = np.isfinite(left) & np.isfinite(right)
    if not known.any():
        raise ValueError(f"check_range: got ({low}, {high}), where {activation.name} is finite nowhere")
    given = activation.slope(z)
    rounding = 64 * _EPSILON * np.abs(a) / step
    error = np.abs(given - expected)
    wrong = known & ~(error <= np.abs(right - left) + 1e-4 * np.abs(expected) + rounding + 1e-7)
    if wrong.any():
        worst = np.argmax(np.where(wrong, np.nan_to_num(error, nan=np.inf), -1.0))
        raise ValueError(
            f"derivative: got {given[worst]:.6g} at z = {z[worst]:.6g}, where the output is {a[worst]:.6g}; "
            f"expected about {expected[worst]:.6g}, the slope of {activation.name}"
        )
