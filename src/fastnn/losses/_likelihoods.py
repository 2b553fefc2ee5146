"""The negative log-likelihoods, which take the inputs of the output activation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from fastnn._checks.options import explained_fields
from fastnn.losses._base import Loss


@explained_fields
@dataclass(frozen=True, repr=False)
class Poisson(Loss):
    """Negative log-likelihood of counts, given the logarithm of their rate: exp(z) - y * z.

    The output activation is "exp" (the model predicts rates) or "identity" (it predicts their logarithms).

    Examples
    --------
    >>> Poisson().links
    ('exp', 'identity')
    """

    name: ClassVar[str] = "poisson"
    links: ClassVar[tuple[str, ...]] = ("exp", "identity")
    domain: ClassVar[tuple[float, float]] = (0, math.inf)


@explained_fields
@dataclass(frozen=True, repr=False)
class BinaryCrossEntropy(Loss):
    """Negative log-likelihood of independent yes-or-no targets, given logits.

    The formula is max(z, 0) - z * y + log(1 + exp(-abs(z))). The output activation is "sigmoid" (the model predicts
    probabilities) or "identity" (it predicts logits).

    Examples
    --------
    >>> BinaryCrossEntropy().links
    ('sigmoid', 'identity')
    """

    name: ClassVar[str] = "binary_cross_entropy"
    links: ClassVar[tuple[str, ...]] = ("sigmoid", "identity")
    domain: ClassVar[tuple[float, float]] = (0, 1)


@explained_fields
@dataclass(frozen=True, repr=False)
class CrossEntropy(Loss):
    """Negative log-likelihood of one class per row, given logits; a mean over rows rather than over elements.

    The loss of a row is the sum over classes j of y_j * (logsumexp(z) - z_j). Targets are integer labels, or rows of
    probabilities. The output activation is "softmax" (the model predicts probabilities) or "identity" (it predicts
    logits).

    Examples
    --------
    >>> CrossEntropy().links
    ('softmax', 'identity')
    """

    name: ClassVar[str] = "cross_entropy"
    links: ClassVar[tuple[str, ...]] = ("softmax", "identity")
    per_row: ClassVar[bool] = True
    takes_labels: ClassVar[bool] = True
    domain: ClassVar[tuple[float, float]] = (0, 1)
