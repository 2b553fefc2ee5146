"""Attributes of objects that consist of more than attributes, for copies and pickles of the objects."""

from __future__ import annotations

from collections.abc import Set
from typing import Any


def attributes_of(instance: object, without: Set[str]) -> Any:
    """Return the attributes of an object, including those in slots, except for the names in `without`."""
    state = object.__getstate__(instance)
    named, slots = state if isinstance(state, tuple) else (state, None)
    own = {name: value for name, value in (named or {}).items() if name not in without}
    return (own, slots) if slots else own


def new(kind: type[Any], *args: Any) -> Any:
    """Return an object whose constructor has not been called."""
    return kind.__new__(kind, *args)


def set_attributes(instance: object, state: Any) -> None:
    """Set the attributes that `attributes_of` returned, without any checks."""
    named, slots = state if isinstance(state, tuple) else (state, None)
    instance.__dict__.update(named)
    for name, value in (slots or {}).items():
        object.__setattr__(instance, name, value)
