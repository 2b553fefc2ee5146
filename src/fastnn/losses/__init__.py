"""Losses, which training minimizes: their names, parameters and traits.

These classes hold numbers, and know what the outputs of a model stand for. The arithmetic is in the compiled trainer, and in
plain NumPy in `fastnn.reference`. All definitions are PyTorch's with `reduction="mean"`. Below, y is the target, p the
prediction after the output activation, z the prediction before it, and n the number of rows. Losses are means over all
elements, rows times targets, unless their documentation says that they are means over rows.
"""

from __future__ import annotations

from functools import partial

from fastnn.losses._base import CustomLoss, Loss
from fastnn.losses._elementwise import MAE, MSE, Huber, Quantile
from fastnn.losses._heads import Heads
from fastnn.losses._likelihoods import BinaryCrossEntropy, CrossEntropy, Poisson
from fastnn.losses._margins import Hinge, SquaredHinge
from fastnn.losses._registry import LOSSES, resolve_one
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
    "Heads",
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

# From a name or a loss to a loss; private.
resolve = partial(resolve_one, custom=((CustomLoss, Heads), resolve_one.keywords["custom"][1]))
