"""The attributes of objects that are more than attributes, for copies and pickles of them."""

from __future__ import annotations

from collections.abc import Set
from typing import Any


def attributes_of(instance: object, without: Set[str]) -> Any:
    """Return the attributes that a subclass or a user gave an object, those in slots included, but for some."""
    state = object.__getstate__(instance)
    named, slots = state if isinstance(state, tuple) else (state, None)
    own = {name: value for name, value in (named or {}).items() if name not in without}
    return (own, slots) if slots else own


def new(kind: type[Any], *args: Any) -> Any:
    """Return an object whose constructor has not been called."""
    return kind.__new__(kind, *args)


def set_attributes(instance: object, state: Any) -> None:
    """Give an object what `attributes_of` returned, past all checks."""
    named, slots = state if isinstance(state, tuple) else (state, None)
    instance.__dict__.update(named)
    for name, value in (slots or {}).items():
        object.__setattr__(instance, name, value)
