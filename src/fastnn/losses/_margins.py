"""The hinge losses, for predictions whose sign is the class."""

from __future__ import annotations

from dataclasses import dataclass
from inspect import cleandoc
from typing import ClassVar, TypeVar

from fastnn._checks.options import explained_fields
from fastnn._checks.scalars import real
from fastnn.losses._base import Loss

_Margins = TypeVar("_Margins", bound=type["_Margin"])

_SECTIONS = """Parameters
----------
margin : float, default 1.0
    The value of y * p at and above which the loss of an element is 0, > 0.

Raises
------
TypeError, ValueError
    If `margin` is not a number or not positive.

"""


@dataclass(frozen=True, repr=False)
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


def _documented(cls: _Margins) -> _Margins:
    """Insert the sections on `margin` into the docstring of a loss, after its summary and remarks."""
    if cls.__doc__ is not None:  # it is None under python -OO
        text = cleandoc(cls.__doc__)
        first = min(text.index(heading) for heading in ("References\n", "Examples\n") if heading in text)
        cls.__doc__ = text[:first] + _SECTIONS + text[first:]
    return cls


@_documented
@explained_fields
@dataclass(frozen=True, repr=False)
class Hinge(_Margin):
    """The hinge loss of support vector machines: max(0, margin - y * p), for targets y of -1 and 1.

    The gradient is 0 where y * p = margin.

    References
    ----------
    C. Cortes and V. Vapnik, "Support-vector networks", Machine Learning 20, 1995.

    Examples
    --------
    >>> Hinge().margin
    1.0
    """

    name: ClassVar[str] = "hinge"


@_documented
@explained_fields
@dataclass(frozen=True, repr=False)
class SquaredHinge(_Margin):
    """The squared hinge loss: max(0, margin - y * p)**2, for targets y of -1 and 1.

    Examples
    --------
    >>> SquaredHinge(margin=2.0).parameter
    2.0
    """

    name: ClassVar[str] = "squared_hinge"
