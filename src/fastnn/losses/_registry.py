"""The losses by name, built-in and custom, and the lookup of losses other than `Heads`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType

from fastnn._checks import spellings as _spellings
from fastnn._checks.lookup import resolve as _resolve
from fastnn._custom import function_named
from fastnn.losses._base import CustomLoss, Loss
from fastnn.losses._elementwise import MAE, MSE, Huber, Quantile
from fastnn.losses._likelihoods import BinaryCrossEntropy, CrossEntropy, Poisson
from fastnn.losses._margins import Hinge, SquaredHinge
from fastnn.losses._rows import Cosine, GaussianNLL, KLDivergence, MultiQuantile

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

CUSTOM_LOSSES: dict[str, CustomLoss] = {}
"""The losses that fastnn.jit has made in this process, by name. Of several with the same name, the last one."""

# Return the built-in or custom loss that a name or an object stands for.
resolve_one = partial(
    _resolve,
    "loss",
    Loss,
    LOSSES,
    spellings=_spellings.LOSSES,
    defined=CUSTOM_LOSSES,
    custom=(CustomLoss, "fastnn.jit.loss makes one of a function and its gradient"),
)


def loss_named(name: str, given: Sequence[CustomLoss]) -> CustomLoss:
    """Return the custom loss that a file names."""
    return function_named("custom_losses", name, {loss.name: loss for loss in given}, CUSTOM_LOSSES)
