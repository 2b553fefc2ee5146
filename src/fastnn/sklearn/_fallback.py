"""Fits that only scikit-learn can do: an estimator under the patch becomes one of scikit-learn's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sklearn.base import clone

from fastnn._checks.limits import MAX_LAYERS, MAX_UNITS
from fastnn.sklearn import _parameters
from fastnn.sklearn._originals import is_default, parameters_of
from fastnn.sklearn._overrides import own_methods


def unsupported(estimator: Any) -> str | None:
    """Return the reason why fastnn can't fit an estimator, or None if it can, or if scikit-learn can't either."""
    try:
        sizes = _parameters.layer_sizes(estimator)
    except (TypeError, ValueError):  # the fit raises the error
        return None
    if len(sizes) >= MAX_LAYERS:
        return f"{len(sizes) + 1} layers, where fastnn allows at most {MAX_LAYERS}"
    if max(sizes, default=0) > MAX_UNITS:
        return f"a layer of {max(sizes)} units, where fastnn allows at most {MAX_UNITS}"
    return None


def may_become(
    estimator: Any, original: Any, method: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> bool:
    """Return whether scikit-learn can handle a call, because it uses no feature that only fastnn has.

    Parameters
    ----------
    estimator : estimator
        The estimator of fastnn.
    original : class
        The class of scikit-learn.
    method : function
        The method `fit` or `partial_fit` of fastnn.
    args, kwargs
        The arguments of the method, without `self`.
    """
    goes_on = method.__name__ == "partial_fit" or estimator.warm_start
    if goes_on and hasattr(estimator, "network_"):  # fitted by fastnn
        return False
    known = parameters_of(getattr(original, method.__name__))
    given = [*list(parameters_of(method))[1 : len(args) + 1], *kwargs]
    if any(name not in known for name in given):
        return False
    return all(
        name in parameters_of(original) or is_default(getattr(estimator, name), parameter.default)
        for name, parameter in parameters_of(type(estimator)).items()
    )


def become(estimator: Any, original: Any) -> None:
    """Turn an estimator into an unfitted one of scikit-learn, with the same parameters and the program's own methods."""
    attributes, in_class = vars(estimator), vars(type(estimator))
    own = own_methods(estimator, original.__name__)
    # The program put these methods into the class that replaces scikit-learn's. scikit-learn's own class lacks them.
    lacking = {name: in_class[name] for name in own if name in in_class and name not in attributes}
    attributes.pop("_cache", None)
    if "network_" in attributes:
        kept = {*vars(clone(estimator)), *own}  # parameters, and requests for metadata
        for name in [name for name in attributes if name.startswith("_") or name.endswith("_")]:
            if name not in kept:
                del attributes[name]
    given = {name: attributes.pop(name) for name in parameters_of(type(estimator))}
    estimator.__class__ = original
    attributes.update({name: method.__get__(estimator) for name, method in lacking.items() if callable(method)})
    original.__init__(estimator, **{name: given[name] for name in parameters_of(original)})
