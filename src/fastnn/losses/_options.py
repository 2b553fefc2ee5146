"""The options that losses share: weights of outputs, and missing targets."""

from __future__ import annotations

from typing import NamedTuple

from fastnn._checks.scalars import has_elements, real, shown

# Within these bounds, sums of weights times sample weights have a finite reciprocal, and a weight is not 0 in float32.
_LOWEST_WEIGHT, _HIGHEST_WEIGHT = 1e-15, 1e15


class TargetOptions(NamedTuple):
    """The options that act on targets before the formula of a loss, in the form for the engine and the reference."""

    output_weights: tuple[float, ...] | None = None  # one per column of targets; None if all are 1
    ignores_missing: bool = False
    whole_rows: bool = False  # rows are observed as a whole, and the weights are those of classes
    label_smoothing: float = 0.0
    pos_weight: float | tuple[float, ...] | None = None  # for all columns, or one per column; None if all are 1

    @property
    def act_on_targets(self) -> bool:
        """True if any of these options changes targets or their weights."""
        has_weights = self.output_weights is not None or self.pos_weight is not None
        return has_weights or self.ignores_missing or self.label_smoothing != 0.0


def weights_of_outputs(argument: str, value: object) -> tuple[float, ...] | None:
    """Return weights, one per output, as a tuple of floats, or None if they are None.

    Raises
    ------
    TypeError, ValueError
        If they are neither 0 nor numbers from 1e-15 to 1e15, or if all of them are 0.
    """
    if value is None:
        return None
    weights = _weights(argument, value)
    if not any(weights):
        raise ValueError(f"{argument}: expected at least one weight above 0, got {shown(value)}")
    for i, weight in enumerate(weights):
        if 0 < weight < _LOWEST_WEIGHT:
            raise ValueError(f"{argument}[{i}]: expected 0, or a number >= {_LOWEST_WEIGHT}, got {weight}")
    return weights


def _weights(argument: str, value: object) -> tuple[float, ...]:
    if isinstance(value, dict) or not has_elements(value):
        raise TypeError(f"{argument}: expected a sequence of numbers, one per output, got {shown(value)}")
    return tuple(real(f"{argument}[{i}]", each, low=0.0, high=_HIGHEST_WEIGHT) for i, each in enumerate(value))


def weights_of_positives(argument: str, value: object) -> float | tuple[float, ...] | None:
    """Return a float for all outputs, a tuple with one float per output, or None if the weights are None."""
    if value is None:
        return None
    if has_elements(value):
        return _weights(argument, value)
    return real(argument, value, low=0.0, high=_HIGHEST_WEIGHT)


def checked_missing(value: object) -> str:
    """Return the option `missing`, or raise TypeError or ValueError if it is invalid."""
    if not isinstance(value, str):
        raise TypeError(f"missing: expected 'raise' or 'ignore', got {shown(value)} of type {type(value).__name__}")
    if value not in ("raise", "ignore"):
        raise ValueError(f"missing: expected 'raise' or 'ignore', got {shown(value)}")
    return value
