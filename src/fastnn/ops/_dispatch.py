"""NEP 18: if the type of an argument overrides NumPy's functions, fastnn's functions pass the call on to it.

The functions of `fastnn.ops` therefore work on arrays of other libraries that implement them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np

from fastnn._engine import core as _core

_P = ParamSpec("_P")
_R = TypeVar("_R")


def array_function(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return a function of arrays that the type of any of its arguments can override."""
    return _overridable(function, lists=False)


def array_list_function(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return a function that the types of elements of its lists and tuples can override, too."""
    return _overridable(function, lists=True)


def _overridable(function: Callable[_P, _R], *, lists: bool) -> Callable[_P, _R]:
    def dispatch(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        relevant = overriding(_elements((*args, *kwargs.values()), lists))
        return dispatched(public, relevant, args, kwargs) if relevant else function(*args, **kwargs)

    public: Callable[_P, _R] = wraps(function)(_core.dispatching(function, dispatch, lists))
    # ndarray.__array_function__, which subclasses reach by super(), calls this attribute.
    public._implementation = function  # type: ignore[attr-defined]
    return public


def _elements(arguments: Iterable[Any], lists: bool) -> Iterator[Any]:
    for argument in arguments:
        if lists and isinstance(argument, list | tuple):
            yield from argument
        else:
            yield argument


def overriding(arguments: Iterable[Any]) -> list[Any]:
    """Return one argument per type that overrides functions: subclasses before superclasses, otherwise from left to right.

    The list is empty if no type behaves differently from ndarray.
    """
    relevant: list[Any] = []
    for argument in arguments:
        kind = type(argument)
        if hasattr(kind, "__array_function__") and all(kind is not type(other) for other in relevant):
            before = (index for index, other in enumerate(relevant) if issubclass(kind, type(other)))
            relevant.insert(next(before, len(relevant)), argument)
    own = np.ndarray.__array_function__
    return relevant if any(type(argument).__array_function__ is not own for argument in relevant) else []


def dispatched(public: Callable[..., Any], relevant: list[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return the result of the first of these arguments whose type implements the function."""
    types = tuple(map(type, relevant))
    for argument in relevant:
        result = type(argument).__array_function__(argument, public, types, args, kwargs)
        if result is not NotImplemented:
            return result
    names = ", ".join(kind.__qualname__ for kind in types)
    name = f"{public.__module__}.{public.__qualname__}"
    raise TypeError(f"{name}: expected one whose __array_function__ implements it, got arguments of types {names}")
