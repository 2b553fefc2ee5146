"""Losses, which training minimizes: their names, parameters and traits.

These classes hold the parameters of the losses, and convert outputs to predictions. The compiled trainer does the
arithmetic, and `fastnn.reference` shows it in plain NumPy. All definitions are PyTorch's with `reduction="mean"`. In the
formulas, y is the target, p is the prediction after the output activation, z is the prediction before it, and n is the
number of rows. A loss is a mean over all elements, rows times targets, unless its documentation calls it a mean over rows.
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

# Private: return the loss that a name or an object stands for.
resolve = partial(resolve_one, custom=((CustomLoss, Heads), resolve_one.keywords["custom"][1]))
