"""The numbers of formulas: abstract scalars, the counterpart of the vectors of kernels/per_isa/vec.h.

The operations are those of IEEE arithmetic and on bits, and have no branches. A compiler can therefore inline formulas, and
vectorize the loops around them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Self, TypeAlias, TypeVar


class Number(ABC):
    """A float32 or float64. A Python number on the right of an operator is a constant of that type."""

    is_float32: bool
    fused: bool  # whether fma rounds once

    @abstractmethod
    def constant(self, number: float) -> Self:
        """Return a constant of this type."""

    @abstractmethod
    def as_int(self) -> Bits:
        """Return the `Bits` of the number, without a conversion."""

    @abstractmethod
    def fma(self, b: Self | float, c: Self | float) -> Self:
        """Return self * b + c, rounded once if the instruction set has fused multiply-add."""

    @abstractmethod
    def when(self, condition: Any, other: Self) -> Self:
        """Return the number if the condition is true, and the other one if not."""

    @abstractmethod
    def absolute(self) -> Self:
        """Return the number without its sign."""

    @abstractmethod
    def copysign(self, sign: Self) -> Self:
        """Return the magnitude of the number with the sign of another."""

    @abstractmethod
    def __add__(self, other: Self | float) -> Self: ...

    @abstractmethod
    def __sub__(self, other: Self | float) -> Self: ...

    @abstractmethod
    def __mul__(self, other: Self | float) -> Self: ...

    @abstractmethod
    def __truediv__(self, other: Self | float) -> Self: ...

    @abstractmethod
    def __neg__(self) -> Self: ...

    # Comparisons return conditions for `select`. They are false if an operand is NaN.
    @abstractmethod
    def __lt__(self, other: Self | float) -> Any: ...

    @abstractmethod
    def __gt__(self, other: Self | float) -> Any: ...

    @abstractmethod
    def equals(self, other: Self | float) -> Any:
        """Return the condition that both numbers are equal."""


class Bits(ABC):
    """An integer as wide as a float. Sums are modulo 2^32 or 2^64."""

    @abstractmethod
    def constant(self, number: int) -> Self:
        """Return a constant of this type."""

    @abstractmethod
    def as_float(self) -> Number:
        """Return the `Number` with these bits, without a conversion."""

    @abstractmethod
    def when(self, condition: Any, other: Self) -> Self:
        """Return the integer if the condition is true, and the other one if not."""

    @abstractmethod
    def __add__(self, other: Self) -> Self: ...

    @abstractmethod
    def __neg__(self) -> Self: ...

    @abstractmethod
    def __and__(self, other: Self) -> Self: ...

    @abstractmethod
    def __xor__(self, other: Self) -> Self: ...

    @abstractmethod
    def __lshift__(self, places: int) -> Self: ...

    @abstractmethod
    def __rshift__(self, places: int) -> Self:
        """Shift to the right, and fill with copies of the sign bit."""

    @abstractmethod
    def equals(self, other: Self) -> Any:
        """Return the condition that both integers are equal."""


Formula: TypeAlias = Callable[[Any], Any]
_Scalar = TypeVar("_Scalar", Number, Bits)


def select(condition: Any, a: _Scalar, b: _Scalar) -> _Scalar:
    """Return a if the condition is true and b otherwise."""
    return a.when(condition, b)


def fma(a: Number, b: Number | float, c: Number | float) -> Number:
    """Return a b + c, rounded once if the instruction set has fused multiply-add."""
    return a.fma(b, c)


def minimum(a: float, b: Number) -> Number:
    """Return the smaller number, or b if one of them is NaN."""
    return select(b > a, b.constant(a), b)


def maximum(a: float | Number, b: Number) -> Number:
    """Return the larger number, or b if one of them is NaN."""
    return select(b < a, b.constant(a) if isinstance(a, float | int) else a, b)


def absolute(a: Number) -> Number:
    """Return a without its sign."""
    return a.absolute()


def copysign(a: Number, sign: Number) -> Number:
    """Return the magnitude of a with the sign of another."""
    return a.copysign(sign)
