"""Activations that are not built in: what networks, their files and the oracle ask of one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from numpy.typing import ArrayLike, DTypeLike

from fastnn._backend import core as _core


class CustomActivation(ABC):
    """An activation of one's own; `fastnn.jit.activation` makes them. Each is equal to itself alone.

    Attributes
    ----------
    name : str
        What files call it; none of the built-in ones' names.
    """

    name: str

    @abstractmethod
    def address(self, dtype: DTypeLike) -> int:
        """Return the address of a C function ``void (const T *z, T *a, T *slope, int64_t n)``, T being `dtype`.

        It sets ``a[i] = f(z[i])`` and, unless slope is null, ``slope[i] = f'(z[i])``. a may be z. Threads without the GIL
        call it for as long as the object lives.
        """

    @abstractmethod
    def value(self, z: ArrayLike) -> Any:
        """Return f(z) of every element, computed in float64."""

    @abstractmethod
    def slope(self, z: ArrayLike) -> Any:
        """Return f'(z) of every element, computed in float64."""

    def __repr__(self) -> str:
        """Say the name."""
        return f"<activation {self.name!r}>"


class MissingActivation(ValueError):
    """A file needs an activation that is neither built in nor given."""


def check_names(activations: Sequence[str | CustomActivation]) -> None:
    """Raise ValueError if two of a network's activations have the same name, by which a file couldn't tell them apart."""
    custom = {activation for activation in activations if isinstance(activation, CustomActivation)}
    names = sorted(activation.name for activation in custom)
    if len(set(names)) < len(names):
        raise ValueError(f"activation: got different ones named {', '.join(names)}, expected a name for each")


def check_given(custom_activations: object) -> Sequence[CustomActivation]:
    """Return the list of activations that a user gives for a file."""
    expected = "a list of activations made by fastnn.jit.activation"
    if not isinstance(custom_activations, Sequence) or isinstance(custom_activations, str):
        raise TypeError(f"custom_activations: got {custom_activations!r}, expected {expected}")
    for given in custom_activations:
        if not isinstance(given, CustomActivation):
            raise TypeError(f"custom_activations: got {given!r} in it, expected {expected}")
    check_names(custom_activations)
    return custom_activations


def by_names(names: Sequence[Any], custom_activations: Sequence[CustomActivation]) -> list[Any]:
    """Return a file's activations: the given objects where it has their names, all else as it is."""
    given = {activation.name: activation for activation in custom_activations}
    for name in names:
        if isinstance(name, str) and name not in _core.ACTIVATIONS and name not in given:
            listed = ", ".join(map(repr, given)) or "none"
            raise MissingActivation(f"custom_activations: got {listed}, expected the one named {name!r} too")
    return [given.get(name, name) for name in names]
