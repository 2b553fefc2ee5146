"""Turn the name of a loss or an optimizer into an object, and pass objects through."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeVar, cast

_T = TypeVar("_T")


def resolve(
    argument: str,
    base: type[_T],
    registry: Mapping[str, type[_T]],
    value: str | _T,
    defined: Mapping[str, _T] = MappingProxyType({}),
) -> _T:
    """Return `value` if it is a `base`, or the object with default parameters that it names.

    Parameters
    ----------
    argument : str
        The name under which the user passed it.
    base : type
        The common base class of the objects.
    registry : mapping
        Classes by name.
    value : str or object
        What the user passed.
    defined : mapping
        Objects of the user's own by name.

    Raises
    ------
    TypeError
        If `value` is neither a string nor a `base`.
    ValueError
        If there is none of that name.
    """
    names = ", ".join(repr(name) for name in (*registry, *defined))
    if isinstance(value, base):
        return value
    if isinstance(value, str):
        if value in defined:
            return defined[value]
        if value not in registry:
            raise ValueError(f"{argument}: got {value!r}, expected one of {names}")
        return registry[value]()
    if isinstance(value, type) and issubclass(value, base):
        raise TypeError(f"{argument}: got the class {value.__name__}, expected an object: {value.__name__}(...)")
    kind = cast("type[object]", type(value)).__name__
    expected = f"an object of {base.__name__} or one of {names}"
    raise TypeError(f"{argument}: got {value!r} of type {kind}, expected {expected}")
