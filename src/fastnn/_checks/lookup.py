"""Lookup of losses and optimizers by name."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar, cast

from fastnn._checks.scalars import shown
from fastnn._checks.spellings import named_here

_T = TypeVar("_T")


@functools.cache
def _default(kind: Any) -> Any:
    """Return the object of a class with default parameters. It can't change, so that all callers may share it."""
    return kind()


def resolve(
    argument: str,
    base: type[_T],
    registry: Mapping[str, type[_T]],
    value: str | _T,
    *,
    spellings: Mapping[str, str],
    defined: Mapping[str, _T] = MappingProxyType({}),
    custom: tuple[type[_T] | tuple[type[_T], ...], str] | None = None,
) -> _T:
    """Return the object that `value` names, with default parameters, or `value` itself if it is a suitable object.

    Parameters
    ----------
    argument : str
        The name under which the user passed it.
    base : type
        The common base class of the objects.
    registry : mapping
        Classes by name.
    value : str or object
        The value that the user passed.
    spellings : mapping
        Maps names in other libraries to those of the registry.
    defined : mapping
        Custom objects by name.
    custom : tuple (type or tuple of types, str), optional
        The base class of custom objects and of others without a name, and the end of error messages, which names the
        function that makes them.

    Raises
    ------
    TypeError
        If `value` is neither a string nor an object of these classes. Methods of other objects would not be called.
    ValueError
        If nothing has that name.
    """
    if not isinstance(value, str) and (type(value) in registry.values() or (custom and isinstance(value, custom[0]))):
        return value
    if isinstance(value, str) and value in defined:
        return defined[value]
    if isinstance(value, str) and value in registry:
        kind: Any = registry[value]
        return cast("_T", _default(kind))
    names = ", ".join(repr(name) for name in (*registry, *defined))
    if isinstance(value, str):
        meant = named_here(value, (*registry, *defined), spellings)
        raise ValueError(f"{argument}: expected one of {names}, got {value!r}{meant}")
    makes = f"; {custom[1]}" if custom else ""
    if isinstance(value, type) and value in registry.values():
        raise TypeError(f"{argument}: expected an object, {value.__name__}(...), got the class {value.__name__}")
    if isinstance(value, base):
        classes = ", ".join(known.__name__ for known in registry.values())
        kind = type(value).__name__
        raise TypeError(f"{argument}: expected an object of {classes}, got one of {kind}{makes}")
    name = cast("type[object]", type(value)).__name__
    meant = named_here(getattr(value, "__name__", name), registry, spellings, similar=False)
    expected = f"an object of {base.__name__} or one of {names}"
    raise TypeError(f"{argument}: expected {expected}, got {shown(value)} of type {name}{meant}{makes}")
