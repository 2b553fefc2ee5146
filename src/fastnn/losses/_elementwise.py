"""Losses, which training minimizes: their names, parameters and traits.

These classes hold numbers and no mathematics. The arithmetic is in the compiled trainer, and in plain NumPy in
`fastnn.reference`. All definitions are PyTorch's with `reduction="mean"`. Below, y is the target, p the prediction
after the output activation, z the prediction before it, and n the number of rows; all losses but `CrossEntropy` are
means over all elements, rows times outputs.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar

from numpy.typing import ArrayLike, DTypeLike

from fastnn import _custom
from fastnn._checks import spellings as _spellings
from fastnn._checks.lookup import resolve as _resolve
from fastnn._checks.options import explained_fields
from fastnn._checks.scalars import real

__all__ = [
    "LOSSES",
    "MAE",
    "MSE",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "CustomLoss",
    "Huber",
    "Loss",
    "Poisson",
    "Quantile",
]
__dir__ = __all__.copy


@dataclass(frozen=True)
class Loss:
    """Base class of the losses.

    Attributes
    ----------
    name : str
        The name to ask for it by.
    links : tuple of str
        The output activations that it pairs with: such a loss is computed from z, in one stable expression with the
        activation, which is the first of them, or "identity" where z itself is the prediction. Empty: it is computed
        from p and goes with every output activation.
    per_row : bool
        Whether it is a mean over rows, not over elements.
    takes_labels : bool
        Whether targets may be integer labels.
    domain : tuple (low, high)
        The interval that contains all valid targets.
    """

    name: ClassVar[str] = ""
    links: ClassVar[tuple[str, ...]] = ()
    per_row: ClassVar[bool] = False
    takes_labels: ClassVar[bool] = False
    domain: ClassVar[tuple[float, float]] = (-math.inf, math.inf)

    def __post_init__(self) -> None:
        """Refuse the base class itself."""
        if type(self) is Loss:
            raise TypeError(f"Loss is a base class, expected one of {', '.join(LOSSES)}")

    @property
    def parameter(self) -> float:
        """The number that shapes the loss, 0.0 for losses without one."""
        return 0.0


@explained_fields
@dataclass(frozen=True)
class MSE(Loss):
    """Mean squared error: (p - y)**2.

    Examples
    --------
    >>> MSE().name
    'mse'
    """

    name: ClassVar[str] = "mse"


@explained_fields
@dataclass(frozen=True)
class MAE(Loss):
    """Mean absolute error: abs(p - y), with gradient 0 where p = y.

    Examples
    --------
    >>> MAE().name
    'mae'
    """

    name: ClassVar[str] = "mae"


@explained_fields
@dataclass(frozen=True)
class Huber(Loss):
    """Squared for small errors, linear for large ones, so that outliers pull less.

    With e = p - y: e**2 / 2 if abs(e) <= delta, else delta * (abs(e) - delta / 2).

    Parameters
    ----------
    delta : float, default 1.0
        Where the two meet, > 0.

    Raises
    ------
    TypeError, ValueError
        If `delta` is not a number or not positive.

    References
    ----------
    P. J. Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35, 1964.

    Examples
    --------
    >>> Huber(delta=2.0).parameter
    2.0
    """

    name: ClassVar[str] = "huber"
    delta: float = 1.0

    def __post_init__(self) -> None:
        """Check the parameter."""
        object.__setattr__(self, "delta", real("delta", self.delta, low=0.0, exclude_low=True))

    @property
    def parameter(self) -> float:
        """The number that shapes the loss: `delta`."""
        return self.delta


@explained_fields
@dataclass(frozen=True)
class Quantile(Loss):
    """Pinball loss, least when p is the `q`-quantile of y.

    With e = y - p: max(q * e, (q - 1) * e), with gradient 0 where e = 0.

    Parameters
    ----------
    q : float, default 0.5
        Between 0 and 1, both left out.

    Raises
    ------
    TypeError, ValueError
        If `q` is not a number or not between 0 and 1.

    References
    ----------
    R. Koenker and G. Bassett, "Regression quantiles", Econometrica 46, 1978.

    Examples
    --------
    >>> Quantile(q=0.9).parameter
    0.9
    """

    name: ClassVar[str] = "quantile"
    q: float = 0.5

    def __post_init__(self) -> None:
        """Check the parameter."""
        object.__setattr__(self, "q", real("q", self.q, low=0.0, high=1.0, exclude_low=True, exclude_high=True))

    @property
    def parameter(self) -> float:
        """The number that shapes the loss: `q`."""
        return self.q


@explained_fields
@dataclass(frozen=True)
class Poisson(Loss):
    """Negative log likelihood of counts from the logarithm of their rate: exp(z) - y * z.

    Goes with the output activations "exp" (the model predicts rates) and "identity" (it predicts their logarithms).

    Examples
    --------
    >>> Poisson().links
    ('exp', 'identity')
    """

    name: ClassVar[str] = "poisson"
    links: ClassVar[tuple[str, ...]] = ("exp", "identity")
    domain: ClassVar[tuple[float, float]] = (0, math.inf)


@explained_fields
@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """Negative log likelihood of independent yes-or-no targets, from logits.

    max(z, 0) - z * y + log(1 + exp(-abs(z))). Goes with the output activations "sigmoid" (the model predicts
    probabilities) and "identity" (it predicts logits).

    Examples
    --------
    >>> BinaryCrossEntropy().links
    ('sigmoid', 'identity')
    """

    name: ClassVar[str] = "binary_cross_entropy"
    links: ClassVar[tuple[str, ...]] = ("sigmoid", "identity")
    domain: ClassVar[tuple[float, float]] = (0, 1)


@explained_fields
@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Negative log likelihood of one class a row, from logits; a mean over rows, not elements.

    The sum over classes j of y_j * (logsumexp(z) - z_j). Targets are integer labels, or rows of probabilities. Goes
    with the output activations "softmax" (the model predicts probabilities) and "identity" (it predicts logits).

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


class CustomLoss(Loss, ABC):
    """A custom loss, a mean over all elements, which `fastnn.jit.loss` makes. Each is equal to itself alone.

    Attributes
    ----------
    name : str
        The name in files, different from those of the built-in losses.
    """

    name: str  # type: ignore[misc]  # of the object

    @abstractmethod
    def address(self, dtype: DTypeLike) -> int:
        """Return the address of a C function of n elements, T being `dtype`.

        ``void (const T *y, const T *p, T *value, T *gradient, int64_t n)`` sets ``value[i]`` and its derivative by ``p[i]``.
        Threads without the GIL call it for as long as the object lives.
        """

    @abstractmethod
    def value(self, y_true: ArrayLike, y_pred: ArrayLike) -> Any:
        """Return the loss of every element, computed in float64."""

    @abstractmethod
    def gradient(self, y_true: ArrayLike, y_pred: ArrayLike) -> Any:
        """Return its derivative by the prediction, of every element, computed in float64."""

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        """Say the name."""
        return f"<loss {self.name!r}>"


LOSSES: Mapping[str, type[Loss]] = MappingProxyType(
    {loss.name: loss for loss in (MSE, MAE, Huber, Quantile, Poisson, BinaryCrossEntropy, CrossEntropy)}
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
