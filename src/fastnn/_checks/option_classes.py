"""Classes whose objects are sets of options: what `dataclass` would generate for each of them, written once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform

from fastnn._checks.options import too_many, unknown_option

if TYPE_CHECKING:
    from inspect import Signature

_Class = TypeVar("_Class", bound=type)


@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(field,))
def option_class(cls: _Class) -> _Class:
    """Make a subclass of `Options` a dataclass without generated methods, which would take half of ``import fastnn``."""
    return dataclass(init=False, eq=False, repr=False, match_args=False)(cls)  # type: ignore[return-value]


class _SignatureOfClass:
    """The signature of the constructor, which `inspect.signature` reads from the class."""

    def __get__(self, instance: object, cls: type[Options]) -> Signature:
        if instance is not None:  # an object that can be called has another signature
            raise AttributeError("__signature__")
        import inspect

        empty, parameters = inspect.Parameter.empty, []
        for each in cls._in_order():
            kind = inspect.Parameter.KEYWORD_ONLY if each.kw_only else inspect.Parameter.POSITIONAL_OR_KEYWORD
            default = empty if each.default is MISSING else each.default
            parameters.append(inspect.Parameter(each.name, kind, default=default, annotation=each.type))
        return inspect.Signature(parameters, return_annotation=None)


class Options:
    """The base of classes whose fields are options: they can't change, and are compared, hashed and shown by their fields.

    Only a subclass that `option_class` does not decorate may set other attributes.
    """

    __signature__ = _SignatureOfClass()

    def __init__(self, *args: Any, **named: Any) -> None:
        called, options = f"{type(self).__name__}()", self._in_order()
        names = [each.name for each in options]
        positional = [each.name for each in options if not each.kw_only]
        _check_names(called, names, named, positional[: len(args)])
        if len(args) > len(positional):
            raise too_many(called, positional, len(args), names[len(positional) :])
        given = dict(zip(positional, args, strict=False)) | named
        missing = [each.name for each in options if each.default is MISSING and each.name not in given]
        if missing:
            raise TypeError(f"{called} lacks {' and '.join(missing)}, expected a value, got none")
        self.__dict__.update({each.name: given.get(each.name, each.default) for each in options})
        self.__post_init__()

    def __post_init__(self) -> None:
        """Check the options, at the end of the construction."""

    @classmethod
    @cache
    def _in_order(cls) -> tuple[Field[Any], ...]:
        """Return the options as the constructor takes them: those that must be named come last."""
        return tuple(sorted(fields(cls), key=lambda each: bool(each.kw_only)))  # type: ignore[arg-type]

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse to change an option."""
        if "__dataclass_fields__" in type(self).__dict__ or name in (each.name for each in fields(self)):  # type: ignore[arg-type]
            kind = type(self).__name__
            raise FrozenInstanceError(f"{name}: the options of {kind} can't be changed, expected a new {kind}")
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        """Refuse to delete an option."""
        raise FrozenInstanceError(f"{name}: the options of {type(self).__name__} can't be deleted")

    def __eq__(self, other: object) -> bool:
        """Return whether the other object has the same class and the same options."""
        return self.__dict__ == other.__dict__ if type(self) is type(other) else NotImplemented

    def __hash__(self) -> int:
        """Return the hash of the values of the options."""
        return hash(tuple(self.__dict__.values()))

    def __repr__(self) -> str:
        """Return the call that makes the object, without keyword-only options that have their default values."""
        options = self._in_order()
        shown = [each.name for each in options if not (each.kw_only and getattr(self, each.name) == each.default)]
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"


def _check_names(called: str, names: list[str], named: Iterable[str], by_position: list[str]) -> None:
    """Raise TypeError for an unknown option, or for one that is given twice."""
    unknown = [name for name in named if name not in names]
    if unknown:
        raise unknown_option(called, names, unknown)
    for name in named:
        if name in by_position:
            raise TypeError(f"{called} got multiple values for argument {name!r}")
