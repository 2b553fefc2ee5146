"""The losses of single elements, which are computed from predictions."""

from __future__ import annotations

from typing import ClassVar

from fastnn._checks.option_classes import option_class
from fastnn._checks.scalars import real
from fastnn.losses._base import Loss


@option_class
class MSE(Loss):
    """The mean squared error: (p - y)**2.

    Examples
    --------
    >>> MSE().name
    'mse'
    """

    name: ClassVar[str] = "mse"


@option_class
class MAE(Loss):
    """The mean absolute error: abs(p - y), with gradient 0 where p = y.

    Examples
    --------
    >>> MAE().name
    'mae'
    """

    name: ClassVar[str] = "mae"


@option_class
class Huber(Loss):
    """The Huber loss: squared for small errors and linear for large ones, so that outliers count less.

    With e = p - y, it is e**2 / 2 if abs(e) <= delta, and otherwise delta * (abs(e) - delta / 2).

    Parameters
    ----------
    delta : float, default 1.0
        The error at which the loss changes from quadratic to linear, > 0.

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
        """Check the parameter and the options."""
        super().__post_init__()
        object.__setattr__(self, "delta", real("delta", self.delta, low=0.0, exclude_low=True))

    @property
    def parameter(self) -> float:
        """The number in the formula: `delta`."""
        return self.delta


@option_class
class Quantile(Loss):
    """The pinball loss, which is smallest if p is the `q`-quantile of y.

    With e = y - p, it is max(q * e, (q - 1) * e), with gradient 0 where e = 0.

    Parameters
    ----------
    q : float, default 0.5
        The quantile, above 0 and below 1.

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
        """Check the parameter and the options."""
        super().__post_init__()
        object.__setattr__(self, "q", real("q", self.q, low=0.0, high=1.0, exclude_low=True, exclude_high=True))

    @property
    def parameter(self) -> float:
        """The number in the formula: `q`."""
        return self.q
