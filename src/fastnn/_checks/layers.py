"""Checks of the arguments of models."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastnn import _custom
from fastnn._checks import spellings as _spellings
from fastnn._checks.limits import MAX_LAYERS, MAX_UNITS, MAX_WEIGHTS
from fastnn._checks.scalars import flag, integer, real, shown
from fastnn._custom import CustomActivation, check_names

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

Activation: TypeAlias = str | CustomActivation
Normalization: TypeAlias = tuple[str, str] | None  # its name and its place, or None for a layer without one

OUTPUT_ONLY = ("softmax", "exp")
PLACES = ("before", "after")  # of a normalization: before or after the activation
_OR_CUSTOM = ", or an activation that fastnn.jit.activation makes of a function and its derivative"


def sizes_of_layers(layer_sizes: Sequence[int]) -> tuple[int, ...]:
    """Return the sizes as a tuple of int."""
    try:
        if isinstance(layer_sizes, str | Set | Mapping):
            raise TypeError("text has no sizes, and a set has no order")
        sizes = tuple(layer_sizes)
    except TypeError:
        raise TypeError(f"layer_sizes: expected (n_in, hidden…, n_out), got {shown(layer_sizes)}") from None
    if not 2 <= len(sizes) <= MAX_LAYERS + 1:
        raise ValueError(f"layer_sizes: expected (n_in, hidden…, n_out), 2 to {MAX_LAYERS + 1} sizes, got {len(sizes)}")
    sizes = tuple(integer("layer_sizes", size, low=1, high=MAX_UNITS) for size in sizes)
    n_weights = sum(n_in * n_out for n_in, n_out in itertools.pairwise(sizes))
    if n_weights > MAX_WEIGHTS:
        raise ValueError(f"layer_sizes: expected at most {MAX_WEIGHTS} weights, got {sizes} with {n_weights}")
    return sizes


def layer_activations(
    activation: Activation | Sequence[Activation], output_activation: Activation, n_hidden: int, names: Sequence[str]
) -> tuple[Activation, ...]:
    """Return one activation per layer; the last is that of the output layer. `names` has all built-in activations."""
    hidden = _hidden_activations(activation, n_hidden, [name for name in names if name not in OUTPUT_ONLY])
    activations = (*hidden, _activation("output_activation", output_activation, names))
    check_names(activations)
    return activations


def _activation(argument: str, given: Activation, allowed: Sequence[str]) -> Activation:
    """Return the name of a built-in activation, or a custom activation as an object."""
    if isinstance(given, CustomActivation):
        return given
    if isinstance(given, str) and given in _custom.ACTIVATIONS:
        return _custom.ACTIVATIONS[given]
    if isinstance(given, str) and given in allowed:
        return given
    expected = f"expected one of {', '.join(allowed)}{_OR_CUSTOM}"
    if isinstance(given, str):
        output_only = f"; {given} is for the output layer alone" if given in OUTPUT_ONLY else ""
        meant = output_only or _spellings.named_here(given, allowed, _spellings.ACTIVATIONS)
        raise ValueError(f"{argument}: {expected}, got {given!r}{meant}")
    kind = type(given).__name__
    meant = _spellings.named_here(getattr(given, "__name__", kind), allowed, _spellings.ACTIVATIONS, similar=False)
    raise TypeError(f"{argument}: {expected}, got {shown(given)} of type {kind}{meant}")


def _hidden_activations(
    activation: Activation | Sequence[Activation], n_hidden: int, allowed: Sequence[str]
) -> tuple[Activation, ...]:
    given: tuple[Activation, ...]
    if isinstance(activation, Sequence) and not isinstance(activation, str | CustomActivation):
        given, count = tuple(activation), 1
        if len(given) != n_hidden:
            raise ValueError(f"activation: expected {n_hidden}, one per hidden layer, got {len(given)}")
    else:
        given, count = (activation,), n_hidden
    return tuple(_activation("activation", each, allowed) for each in given) * count


def dropout_rates(dropout: float | Sequence[float], n_hidden: int) -> tuple[float, ...]:
    """Return one rate per hidden layer."""
    if isinstance(dropout, Sequence) and not isinstance(dropout, str):
        if len(dropout) != n_hidden:
            raise ValueError(f"dropout: expected {n_hidden} rates, one per hidden layer, got {len(dropout)}")
        return tuple(dropout_rate("dropout", rate) for rate in dropout)
    return (dropout_rate("dropout", dropout),) * n_hidden


def dropout_rate(argument: str, rate: float) -> float:
    """Return a probability of dropping a unit."""
    return real(argument, rate, low=0.0, high=1.0, exclude_high=True)


def layer_normalizations(
    normalization: str | Sequence[str | None] | None,
    place: str | Sequence[str | None],
    n_hidden: int,
    names: Sequence[str],
) -> tuple[Normalization, ...]:
    """Return the normalization of each layer, of which the last one has none. `names` has all of them."""
    kinds = _each_hidden("normalization", normalization, n_hidden, (*names, None))
    places = _each_hidden("normalization_place", place, n_hidden, (*PLACES, None) if isinstance(place, Sequence) else PLACES)
    if not any(kinds) and "after" in places:
        raise ValueError("normalization_place: expected the default 'before' without normalization, got 'after'")
    for layer, (name, where) in enumerate(zip(kinds, places, strict=True)):
        if name is not None and where is None:
            raise ValueError(f"normalization_place[{layer}]: expected 'before' or 'after' for {name!r}, got None")
    each = zip(kinds, places, strict=True)
    return (*(None if name is None or where is None else (name, where) for name, where in each), None)


def parametric_layers(
    parametric: bool | Sequence[bool], activations: Sequence[Activation], without: Sequence[str]
) -> tuple[bool, ...]:
    """Return whether the activation of each layer is parametric; that of the last layer is not.

    `without` has the names of the activations that can't be.
    """
    argument, n_hidden = "parametric_activation", len(activations) - 1
    if isinstance(parametric, Sequence) and not isinstance(parametric, str):
        if len(parametric) != n_hidden:
            raise ValueError(f"{argument}: expected {n_hidden}, one per hidden layer, got {len(parametric)}")
        values = tuple(flag(f"{argument}[{layer}]", each) for layer, each in enumerate(parametric))
    else:
        values = (flag(argument, parametric),) * n_hidden
    for layer, (value, activation) in enumerate(zip(values, activations, strict=False)):
        if value and activation in without:
            raise ValueError(
                f"{argument}: expected False for the activation {activation!r} of hidden layer {layer}, got True; alphas "
                "would change nothing that other parameters don't"
            )
    return (*values, False)


def _each_hidden(argument: str, given: Any, n_hidden: int, allowed: Sequence[str | None]) -> tuple[str | None, ...]:
    """Return one of the allowed values per hidden layer, from one for all of them or a sequence."""
    if isinstance(given, Sequence) and not isinstance(given, str):
        values = tuple(given)
        if len(values) != n_hidden:
            raise ValueError(f"{argument}: expected {n_hidden}, one per hidden layer, got {len(values)}")
    else:
        values = (given,) * max(n_hidden, 1)
    for value in values:
        if not any(value is each if each is None else isinstance(value, str) and value == each for each in allowed):
            expected = f"expected one of {', '.join(map(repr, allowed))}, or a list with one per hidden layer"
            if isinstance(value, str):
                raise ValueError(f"{argument}: {expected}, got {value!r}")
            raise TypeError(f"{argument}: {expected}, got {shown(value)} of type {type(value).__name__}")
    return values[:n_hidden]


def float_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """Return float32 or float64."""
    try:
        if dtype is None:  # NumPy would interpret None as float64
            raise TypeError("None names no type")
        result = np.dtype(dtype)
    except TypeError as error:
        raise TypeError(f"dtype: expected float32 or float64, got {dtype!r}") from error
    if result not in (np.dtype(np.float32), np.dtype(np.float64)):  # this also excludes foreign byte orders
        raise ValueError(f"dtype: expected float32 or float64, got {result}")
    return result
