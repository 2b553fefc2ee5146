"""The hinge losses, for predictions whose sign is the class."""

from __future__ import annotations

from typing import ClassVar

from fastnn._checks.option_classes import option_class
from fastnn._checks.scalars import real
from fastnn.losses._base import Loss


@option_class
class _Margin(Loss):
    domain: ClassVar[tuple[float, float]] = (-1, 1)
    only_ends_of_domain: ClassVar[bool] = True
    margin: float = 1.0

    def __post_init__(self) -> None:
        """Check the parameter and the options."""
        super().__post_init__()
        object.__setattr__(self, "margin", real("margin", self.margin, low=0.0, exclude_low=True))

    @property
    def parameter(self) -> float:
        """The number in the formula: `margin`."""
        return self.margin


@option_class
class Hinge(_Margin):
    """The hinge loss of support vector machines: max(0, margin - y * p), for targets y of -1 and 1.

    The gradient is 0 where y * p = margin.

    Parameters
    ----------
    margin : float, default 1.0
        The value of y * p at and above which the loss of an element is 0, > 0.

    Raises
    ------
    TypeError, ValueError
        If `margin` is not a number or not positive.

    References
    ----------
    C. Cortes and V. Vapnik, "Support-vector networks", Machine Learning 20, 1995.

    Examples
    --------
    >>> Hinge().margin
    1.0
    """

    name: ClassVar[str] = "hinge"


@option_class
class SquaredHinge(_Margin):
    """The squared hinge loss: max(0, margin - y * p)**2, for targets y of -1 and 1.

    Parameters
    ----------
    margin : float, default 1.0
        The value of y * p at and above which the loss of an element is 0, > 0.

    Raises
    ------
    TypeError, ValueError
        If `margin` is not a number or not positive.

    Examples
    --------
    >>> SquaredHinge(margin=2.0).parameter
    2.0
    """

    name: ClassVar[str] = "squared_hinge"
