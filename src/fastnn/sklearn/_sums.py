"""Losses and scores of many rows from those of parts of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import is_classifier

from fastnn.sklearn._data import counted_rows, evaluation_of
from fastnn.sklearn._shares import Blueprint, State

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Sums:
    """The sums over some rows from which their loss and score follow.

    Attributes
    ----------
    weight : float
        The sum of the weights of the rows.
    loss, right : float
        The sums of the losses, and of the weights of correctly classified rows.
    mean, spread, error : ndarray of float64, shape (n_outputs,)
        The weighted mean of the targets, and the sums of squares of their distances from it and from the predictions.
    """

    weight: float
    loss: float
    right: float
    mean: NDArray[np.float64]
    spread: NDArray[np.float64]
    error: NDArray[np.float64]

    def __add__(self, other: Sums) -> Sums:
        """Return the sums of the rows of both.

        The spreads are combined as by Chan, Golub and LeVeque (1983), without cancellation.
        """
        weight = self.weight + other.weight
        distance, share = other.mean - self.mean, other.weight / weight if weight else 0.0
        return Sums(
            weight,
            self.loss + other.loss,
            self.right + other.right,
            self.mean + share * distance,
            self.spread + other.spread + self.weight * share * distance**2,
            self.error + other.error,
        )

    @property
    def accuracy(self) -> float:
        """Return the share of correctly classified rows."""
        return self.right / self.weight

    @property
    def determination(self) -> float:
        """Return the coefficient of determination R², as a mean over outputs. That of constant targets is 1 or 0."""
        scores = np.where(self.error == 0, 1.0, 0.0)
        np.divide(self.error, self.spread, out=scores, where=self.spread != 0)
        return float(np.where(self.spread != 0, 1 - scores, scores).mean())


def sums(blueprint: Blueprint, state: State, X: Any, y: Any, sample_weight: Any) -> Sums:
    """Return the sums for some rows with the parameters of a state."""
    if not X.shape[0] or (sample_weight is not None and not np.any(np.asarray(sample_weight))):
        nothing = np.zeros(blueprint.layer_sizes[-1])
        return Sums(0.0, 0.0, 0.0, nothing, nothing, nothing)
    estimator = blueprint.estimator()
    X, y, weight = counted_rows(*blueprint.rows(estimator, X, y, sample_weight))
    trainer = blueprint.trainer(estimator, state, 1.0, np.random.Generator(np.random.MT19937(0)))
    evaluation = evaluation_of(estimator, trainer, X, y, weight)
    outputs = evaluation.outputs()
    outputs = outputs.astype(np.result_type(X.dtype, outputs.dtype), copy=False)
    total = float(len(y) if weight is None else weight.sum())
    loss = total * evaluation.loss
    if is_classifier(estimator):
        nothing = np.zeros(blueprint.layer_sizes[-1])
        return Sums(total, loss, total * estimator._score_outputs(outputs, y, weight), nothing, nothing, nothing)
    target = evaluation.data.y
    shares = np.ones((len(y), 1)) if weight is None else weight[:, None]
    mean = (shares * target).sum(axis=0) / total
    spread, error = ((shares * (target - center) ** 2).sum(axis=0, dtype=np.float64) for center in (mean, outputs))
    return Sums(total, loss, 0.0, mean, spread, error)


def added(parts: Iterable[Sums]) -> Sums:
    """Return the sums of all parts, added in their order."""
    first, *others = parts
    for other in others:
        first = first + other
    return first
