"""Errors for unknown options, which name the function, the option and the way out."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import fields
from typing import Any, ParamSpec, TypeVar

from fastnn._checks import spellings as _spellings

_P = ParamSpec("_P")
_R = TypeVar("_R")
_Class = TypeVar("_Class", bound=type)
_Function = TypeVar("_Function", bound=Callable[..., Any])


def explained(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return a function or method whose error for an unknown option names the way out."""
    code = function.__code__
    names, most = frozenset(_parameters(function)), code.co_argcount

    @functools.wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        if not names.issuperset(kwargs):
            raise refusal(function, args, [name for name in kwargs if name not in names])
        if len(args) > most:
            raise _too_many(function, args)
        return function(*args, **kwargs)

    return call


class Options:
    """The base of frozen dataclasses whose fields are options: they are compared, hashed and shown by their fields.

    Methods that `dataclass` generates for each class would take a quarter of the time of ``import fastnn``.
    """

    def __eq__(self, other: object) -> bool:
        """Return whether the other object has the same class and the same options."""
        return self.__dict__ == other.__dict__ if type(self) is type(other) else NotImplemented

    def __hash__(self) -> int:
        """Return the hash of the values of the options."""
        return hash(tuple(self.__dict__.values()))

    def __repr__(self) -> str:
        """Return the call that makes the object, without keyword-only options that have their default values."""
        shown = [each for each in fields(self) if not (each.kw_only and getattr(self, each.name) == each.default)]  # type: ignore[arg-type]
        shown.sort(key=lambda each: bool(each.kw_only))
        return f"{type(self).__qualname__}({', '.join(f'{each.name}={getattr(self, each.name)!r}' for each in shown)})"


def explained_fields(cls: _Class) -> _Class:
    """Give a dataclass a constructor whose error for an unknown option names the way out."""
    cls.__init__ = explained(cls.__init__)  # type: ignore[misc]
    return cls


def without_unknown(function: _Function) -> _Function:
    """Hide ``**unknown`` from the signature of a method that refuses it itself, to save the time of a wrapper."""
    import inspect

    signature = inspect.signature(function)
    shown = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    function.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined]
    return function


def refusal(function: Callable[..., Any], args: Sequence[Any], unknown: Iterable[str]) -> TypeError:
    """Return the error for unknown options in a call with these arguments. It names the first of them."""
    known = [name for name in _parameters(function) if name not in ("self", "cls")]
    option = next(iter(unknown))
    otherwise = f"expected one of {', '.join(known)}" if known else "expected none"
    way = way_to(option, known) or _similar(option, known) or otherwise
    return TypeError(f"{_called(function, args)} got an unexpected keyword argument {option!r}: {way}")


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


def _too_many(function: Callable[..., Any], args: Sequence[Any]) -> TypeError:
    """Return the error for more positional arguments than a function takes."""
    parameters, most = _parameters(function), function.__code__.co_argcount
    bound = parameters[:1] in (("self",), ("cls",))
    expected = ", ".join(parameters[bound:most]) or "none"
    named = f"; name the others, such as {parameters[most]}=…" if len(parameters) > most else ""
    most -= bound
    got = f"got {len(args) - bound}"
    return TypeError(
        f"{_called(function, args)}: expected at most {most} arguments without a name ({expected}), {got}{named}"
    )


def _written(option: str) -> str:
    return f"{option}={_spellings.VALUES.get(option, '…')}"


def _renamed(option: str, known: Collection[str]) -> str | None:
    """Return a text with the function's own name for the option, or None."""
    names = [name for name in _spellings.OPTIONS.get(option, ()) if name in known]
    return f"use {' and '.join(map(_written, names))}" if names else None


def _elsewhere(option: str, known: Collection[str]) -> str | None:
    """Return a text that names another function with the option, under this name or under fastnn's, or None."""
    for name in (*_spellings.OPTIONS.get(option, ()), option):
        for owner, options, place in _owners(known):
            if name in options:
                return f"use {place.format(owner=owner, option=_written(name))}"
    return None


def _owners(known: Collection[str]) -> Iterator[tuple[str, Collection[str], str]]:
    """Yield functions that have options, their options, and a text that says how to give one to them."""
    import inspect

    from fastnn import MLP, Trainer, callbacks, optimizers

    of_fit = "" if "optimizer" in known else " of fit() or Trainer()"
    kinds: list[Any] = [
        optimizers.Adam,
        *optimizers.OPTIMIZERS.values(),
        optimizers.LBFGS,
    ]  # most options are meant for Adam
    for optimizer in kinds:
        place = "optimizer={owner}({option})" + of_fit
        yield optimizer.__name__, inspect.signature(optimizer).parameters, place
    of_run = "" if "callbacks" in known else " of fit() or run()"
    for callback in (callbacks.EarlyStopping, callbacks.TimeLimit, callbacks.ReduceOnPlateau):
        place = "callbacks=[fastnn.callbacks.{owner}({option})]" + of_run
        yield callback.__name__, inspect.signature(callback).parameters, place
    if "layer_sizes" not in known:
        yield (
            "MLP",
            set(inspect.signature(MLP).parameters) - {"random_state"},
            "{owner}(…, {option}), where the model is made",
        )
    yield "Trainer", inspect.signature(Trainer).parameters, "{option} of fit() or Trainer()"
    yield "run", inspect.signature(Trainer.run).parameters, "{option} of fit() or run()"


def _similar(option: str, known: Collection[str]) -> str | None:
    import difflib

    similar = difflib.get_close_matches(option, known, n=1, cutoff=0.7)
    return f"did you mean {similar[0]}=…?" if similar else None
