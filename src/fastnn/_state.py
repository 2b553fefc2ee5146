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


def set_attributes(instance: object, state: Any) -> None:
    """Give an object what `attributes_of` returned, past all checks."""
    named, slots = state if isinstance(state, tuple) else (state, None)
    instance.__dict__.update(named)
    for name, value in (slots or {}).items():
        object.__setattr__(instance, name, value)


def overrides(instance: object, name: str, *known: object) -> bool:
    """Return whether an object has a method of that name which is none of the known functions."""
    method = getattr(instance, name, None)
    return callable(method) and getattr(method, "__func__", method) not in known
