"""Errors for unknown options, which name the function, the option and the way out."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, ParamSpec, TypeAlias, TypeVar

from fastnn._checks import spellings as _spellings

_P = ParamSpec("_P")
_R = TypeVar("_R")
_Function = TypeVar("_Function", bound=Callable[..., Any])
Owner: TypeAlias = tuple[str, Collection[str], str]
"""The name of a function, its options, and a text with the fields `owner` and `option` that says how to give it one."""


def owners_of_options(known: Collection[str]) -> Iterator[Owner]:
    """Yield the public functions that have options, for an error of one with the options `known`.

    The package assigns its own function to this name: others must not import the name itself.
    """
    yield from ()


def explained(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return a function or method whose error for an unknown option names the way out."""
    code = function.__code__
    names, most = frozenset(_parameters(function)), code.co_argcount

    @functools.wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        if not names.issuperset(kwargs):
            raise refusal(function, args, [name for name in kwargs if name not in names])
        if len(args) > most:
            bound = code.co_varnames[:1] in (("self",), ("cls",))
            named = _parameters(function)
            raise too_many(_called(function, args), named[bound:most], len(args) - bound, named[most:])
        return function(*args, **kwargs)

    return call


def without_unknown(function: _Function) -> _Function:
    """Hide ``**unknown`` from the signature of a method that refuses it itself, to save the time of a wrapper."""
    import inspect

    signature = inspect.signature(function)
    shown = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    function.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined]
    return function


def name_methods(cls: type) -> None:
    """Let Python's own errors about arguments name a public class, in place of its private bases that define methods."""
    for base in cls.__mro__[1:-1]:
        for name, method in vars(base).items():
            if name.startswith("_") or isinstance(method, type):
                continue
            while hasattr(method, "__qualname__"):
                method.__qualname__, method.__module__ = f"{cls.__name__}.{name}", cls.__module__
                method = getattr(method, "__wrapped__", None)


def refusal(function: Callable[..., Any], args: Sequence[Any], unknown: Iterable[str]) -> TypeError:
    """Return the error for unknown options in a call with these arguments. It names the first of them."""
    known = [name for name in _parameters(function) if name not in ("self", "cls")]
    return unknown_option(_called(function, args), known, unknown)


def unknown_option(called: str, known: Collection[str], unknown: Iterable[str]) -> TypeError:
    """Return the error for unknown options in a call of a function with the options `known`. It names the first of them."""
    option = next(iter(unknown))
    otherwise = f"expected one of {', '.join(known)}" if known else "expected none"
    way = way_to(option, known) or _similar(option, known) or otherwise
    return TypeError(f"{called} got an unexpected keyword argument {option!r}: {way}")


def too_many(called: str, positional: Sequence[str], n_given: int, others: Sequence[str]) -> TypeError:
    """Return the error for more arguments without a name than the `positional` ones. `others` must be named."""
    expected = ", ".join(positional) or "none"
    named = f"; name the others, such as {others[0]}=…" if others else ""
    most = len(positional)
    return TypeError(f"{called}: expected at most {most} arguments without a name ({expected}), got {n_given}{named}")


def way_to(option: str, known: Collection[str] = ()) -> str | None:
    """Return a text that says how to give an unknown option to a function with the options `known`, or None."""
    return _renamed(option, known) or _spellings.WAYS_OUT.get(option) or _elsewhere(option, known)


def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    code = function.__code__
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def names_of_options(function: Callable[..., Any]) -> frozenset[str]:
    """Return the names of the parameters of a method that `explained` has wrapped, without ``self``."""
    return frozenset(_parameters(getattr(function, "__wrapped__", function))) - {"self", "cls"}


def _called(function: Callable[..., Any], args: Sequence[Any]) -> str:
    """Return the call as its user wrote it: ``MLP.fit()``, ``Adam()``."""
    name = function.__name__
    if name == "__init__":
        return f"{type(args[0]).__name__}()"
    if "." not in function.__qualname__:
        return f"{name}()"
    cls = args[0] if isinstance(args[0], type) else type(args[0])
    return f"{cls.__name__}.{name}()"


def _written(option: str) -> str:
    return f"{option}={_spellings.VALUES.get(option, '…')}"


def _renamed(option: str, known: Collection[str]) -> str | None:
    """Return a text with the function's own name for the option, or None."""
    names = [name for name in _spellings.OPTIONS.get(option, ()) if name in known]
    return f"use {' and '.join(map(_written, names))}" if names else None


def _elsewhere(option: str, known: Collection[str]) -> str | None:
    """Return a text that names another function with the option, under this name or under fastnn's, or None."""
    for name in (*_spellings.OPTIONS.get(option, ()), option):
        for owner, options, place in owners_of_options(known):
            if name in options:
                return f"use {place.format(owner=owner, option=_written(name))}"
    return None


def _similar(option: str, known: Collection[str]) -> str | None:
    import difflib

    similar = difflib.get_close_matches(option, known, n=1, cutoff=0.7)
    return f"did you mean {similar[0]}=…?" if similar else None
