"""The functions of a loss, from its description: a built-in loss or a custom loss; and those of several heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fastnn._checks.floats import Array
from fastnn.losses import CustomLoss, Loss
from fastnn.reference.losses import LossFunction, function_named

__all__ = ["Part", "function_of", "of_custom", "of_heads", "packed"]
__dir__ = __all__.copy


class Part(NamedTuple):
    """The loss of certain columns of the predictions and of the targets."""

    columns: slice
    targets: slice
    labels: bool  # whether the targets are one column of labels
    weight: float
    function: LossFunction
    parameter: Any


def function_of(loss: Loss) -> LossFunction:
    """Return the functions of a loss of `fastnn.losses` other than `Heads`, or of a custom loss."""
    return of_custom(loss) if isinstance(loss, CustomLoss) else function_named(loss.name, loss.parameters)


def of_custom(loss: CustomLoss) -> LossFunction:
    """Return the functions of a custom loss."""
    if loss.per_row:
        values = lambda y, p, _: loss.value(y, p)[:, np.newaxis]  # noqa: E731
        return LossFunction(loss.name, values, lambda y, p, _: loss.gradient(y, p), mean_over="rows")
    return LossFunction(loss.name, lambda y, p, _: loss.value(y, p), lambda y, p, _: loss.gradient(y, p))


def of_heads(parts: Sequence[Part]) -> LossFunction:
    """Return the functions of a weighted sum of losses without options."""

    def value(y: Array, p: Array, parameter: Any) -> Array:
        terms = [share * part.function.value(own, p[:, part.columns], part.parameter) for part, own, share in each(y, p)]
        return np.concatenate(terms, axis=1)

    def gradient(y: Array, p: Array, parameter: Any) -> Array:
        result = np.empty_like(p)
        for part, own, share in each(y, p):
            result[:, part.columns] = share * part.function.gradient(own, p[:, part.columns], part.parameter)
        return result

    def each(y: Array, p: Array) -> list[tuple[Part, Array, float]]:
        """Return the parts with their targets and the factors of their terms in the sum for a row."""
        found = []
        for part in parts:
            own = y[:, part.targets]
            if part.labels:
                own = (own == np.arange(part.columns.stop - part.columns.start)).astype(p.dtype)
            found.append((part, own, part.weight / (1 if part.function.mean_over == "rows" else own.shape[1])))
        return found

    return LossFunction("heads", value, gradient, mean_over="rows")


def packed(parameter: float, parameters: tuple[float, ...]) -> Any:
    """Return the numbers in the formula of a loss, in the form for its functions."""
    return np.array((parameter, *parameters)) if parameters else float(parameter)
