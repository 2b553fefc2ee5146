"""Private methods of scikit-learn's estimators, which fastnn does not call.

A program that overrides one needs scikit-learn's estimator.
"""

from __future__ import annotations

import functools
import inspect
import sys
from abc import ABCMeta
from collections.abc import Callable, Iterable
from typing import Any

from sklearn.base import ClassifierMixin

from fastnn.sklearn._originals import ORIGINALS

_MODULE = "sklearn.neural_network._multilayer_perceptron"
_LIBRARIES = ("fastnn", "sklearn")


def _private(cls: type) -> dict[str, Any]:
    """Return the private attributes of a class of scikit-learn, whatever its version."""
    names = {n for base in cls.__mro__ if base.__module__ == _MODULE for n in vars(base)}
    return {
        n: inspect.getattr_static(cls, n) for n in names if n.startswith("_") and not n.endswith("__") and n != "_abc_impl"
    }


_KNOWN = {name: _private(original) for name, original in ORIGINALS.items()}


def _defined_by(classes: Iterable[type], name: str) -> set[str]:
    """Return the private methods of scikit-learn's class `name` that classes of the program define."""
    foreign = [cls for cls in classes if cls.__module__.partition(".")[0] not in _LIBRARIES]
    return {method for cls in foreign for method in vars(cls) if method in _KNOWN[name]}


def own_methods(estimator: Any, name: str) -> list[str]:
    """Return the private methods that a program put into an object, its class, or the classes of the libraries."""
    kind, known = type(estimator), _KNOWN[name]
    found = _defined_by(kind.__mro__, name) | (known.keys() & vars(estimator).keys())
    for base in kind.__mro__:
        if base.__module__ == "fastnn.sklearn._patching":  # programs under the patch take it for scikit-learn's class
            found |= known.keys() & vars(base).keys()
    found |= {method for method, was in known.items() if inspect.getattr_static(ORIGINALS[name], method, None) is not was}
    return sorted(found)


def described(methods: Iterable[str]) -> str:
    """Return a text that explains why fastnn can't fit with these methods."""
    return f"{', '.join(methods)} of the program, which fastnn would not call"


def check_overrides(estimator: Any) -> None:
    """Raise NotImplementedError if an estimator or its class has methods that only scikit-learn's code would call."""
    kind: Any = type(estimator)
    by_class, callable_by_none = _not_called(kind)
    if by_class or not callable_by_none.isdisjoint(vars(estimator)):
        methods = sorted({*by_class, *(callable_by_none & vars(estimator).keys())})
        raise NotImplementedError(
            f"{kind.__name__}: expected methods that fastnn calls, got {described(methods)}; a subclass of scikit-learn's "
            "class calls them"
        )


@functools.lru_cache(maxsize=256)
def _not_called(kind: type) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return methods that fastnn does not call: those that a class defines, and those that an object might have."""
    name = "MLPClassifier" if issubclass(kind, ClassifierMixin) else "MLPRegressor"
    ours = {method for cls in kind.__mro__ if cls.__module__.startswith("fastnn.") for method in vars(cls)}
    return tuple(sorted(_defined_by(kind.__mro__, name) - ours)), frozenset(_KNOWN[name].keys() - ours)


class SubclassesOfOriginals(ABCMeta):
    """The metaclass that derives subclasses with such methods from scikit-learn's class, not from its replacement."""

    # For each replacement: its name, and a function that maps a reason to scikit-learn's class.
    swapped: dict[type, tuple[str, Callable[[str], Any]]] = {}  # noqa: RUF012

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **kwargs: Any) -> Any:
        # Classes made by type() would otherwise get the name of this module.
        namespace.setdefault("__module__", sys._getframe(1).f_globals.get("__name__", "__main__"))
        for base in bases:
            if base in mcs.swapped:
                of, original_for = mcs.swapped[base]
                others = [cls for other in bases if other is not base for cls in other.__mro__]
                methods = _defined_by(others, of) | (_KNOWN[of].keys() & namespace.keys())
                if methods:
                    original = original_for(described(sorted(methods)))
                    bases = tuple(original if one is base else one for one in bases)
                    return type(original)(name, bases, namespace, **kwargs)
        return super().__new__(mcs, name, bases, namespace, **kwargs)
