"""Losses, which training minimizes: their names, parameters and traits.

These classes hold numbers and no mathematics but the meaning of a model's outputs. The arithmetic is in the compiled trainer, and in plain NumPy in
`fastnn.reference`. All definitions are PyTorch's with `reduction="mean"`. Below, y is the target, p the prediction
after the output activation, z the prediction before it, and n the number of rows. Losses are means over all elements,
rows times targets, unless their documentation says that they are means over rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

from fastnn import _custom
from fastnn._checks import spellings as _spellings
from fastnn._checks.lookup import resolve as _resolve
from fastnn.losses._base import CustomLoss, Loss
from fastnn.losses._elementwise import MAE, MSE, Huber, Quantile
from fastnn.losses._likelihoods import BinaryCrossEntropy, CrossEntropy, Poisson
from fastnn.losses._margins import Hinge, SquaredHinge
from fastnn.losses._rows import Cosine, GaussianNLL, KLDivergence, MultiQuantile

__all__ = [
    "LOSSES",
    "MAE",
    "MSE",
    "BinaryCrossEntropy",
    "Cosine",
    "CrossEntropy",
    "CustomLoss",
    "GaussianNLL",
    "Hinge",
    "Huber",
    "KLDivergence",
    "Loss",
    "MultiQuantile",
    "Poisson",
    "Quantile",
    "SquaredHinge",
]
__dir__ = __all__.copy

LOSSES: Mapping[str, type[Loss]] = MappingProxyType(
    {
        loss.name: loss
        for loss in (
            MSE,
            MAE,
            Huber,
            Quantile,
            Poisson,
            BinaryCrossEntropy,
            CrossEntropy,
            GaussianNLL,
            MultiQuantile,
            KLDivergence,
            Cosine,
            Hinge,
            SquaredHinge,
        )
    }
)
"""The losses by name."""

# From a name or a loss to a loss; private.
resolve = partial(
    _resolve,
    "loss",
    Loss,
    LOSSES,
    spellings=_spellings.LOSSES,
    defined=_custom.LOSSES,
    custom=(CustomLoss, "fastnn.jit.loss makes one of a function and its gradient"),
)
