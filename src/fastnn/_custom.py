"""Custom activations, which networks and files use, and the lookup of custom functions by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike

_T = TypeVar("_T")


class CustomActivation(ABC):
    """A custom activation, which `fastnn.jit.activation` makes. Each is equal only to itself.

    Attributes
    ----------
    name : str
        The name in files, which differs from those of the built-in activations.
    """

    name: str

    @abstractmethod
    def address(self, dtype: DTypeLike) -> int:
        """Return the address of a C function ``void (const T *z, T *a, T *slope, int64_t n)``, where T is `dtype`.

        The function sets ``a[i] = f(z[i])`` and, unless slope is null, ``slope[i] = f'(z[i])``. a may be the same array as
        z. Threads without the GIL may call the function as long as this object lives.
        """

    @abstractmethod
    def value(self, z: ArrayLike) -> Any:
        """Return f(z) for every element, computed in float64."""

    @abstractmethod
    def slope(self, z: ArrayLike) -> Any:
        """Return f'(z) for every element, computed in float64."""

    def __repr__(self) -> str:
        """Return a text with the name."""
        return f"<activation {self.name!r}>"


# The activations that fastnn.jit has made in this process, by name. Of several with the same name, the last one.
ACTIVATIONS: dict[str, CustomActivation] = {}


class MissingFunction(ValueError):
    """A file needs an activation or a loss that is not built in, and was neither passed nor defined."""


def check_names(activations: Sequence[str | CustomActivation]) -> None:
    """Raise ValueError if two activations of a network have the same name: a file could not distinguish them."""
    custom = {activation for activation in activations if isinstance(activation, CustomActivation)}
    names = sorted(activation.name for activation in custom)
    if len(set(names)) < len(names):
        raise ValueError(f"activation: expected a different name for each, got {', '.join(names)}")


def check_given(argument: str, value: object, base: type[Any]) -> Sequence[Any]:
    """Return the activations or losses that a user passes for loading a file, after checking them."""
    kind = argument.removeprefix("custom_")
    expected = f"a list of {kind} made by fastnn.jit"
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise TypeError(f"{argument}: expected {expected}, got {value!r}")
    for given in value:
        if not isinstance(given, base):
            raise TypeError(f"{argument}: expected {expected}, got one with {given!r}")
    return value


def activations_named(names: Sequence[Any], built_in: Sequence[str], given: Sequence[CustomActivation]) -> list[Any]:
    """Return the activations that a file names: objects for custom ones, names for the built-in ones."""
    custom = [isinstance(name, str) and name not in built_in for name in names]
    by_name = {activation.name: activation for activation in given}
    found = zip(names, custom, strict=True)
    return [function_named("custom_activations", name, by_name, ACTIVATIONS) if own else name for name, own in found]


def function_named(argument: str, name: str, given: Mapping[str, _T], defined: Mapping[str, _T]) -> _T:
    """Return the function that a file names: one that was given, or else one that was defined."""
    if name in given:
        return given[name]
    if name in defined:
        return defined[name]
    listed = ", ".join(map(repr, given)) or "none"
    raise MissingFunction(f"{argument}: expected one named {name!r}, got {listed}")
