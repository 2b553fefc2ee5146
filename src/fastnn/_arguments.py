"""Checks of a model's arguments: what came, what was expected."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fastnn import _core
from fastnn._scalars import integer, real
from fastnn.losses import Loss
from fastnn.losses import resolve as resolve_loss

OUTPUT_ONLY = ("softmax", "exp")
_MOST_ELEMENTS = 2**43


def native_loss(loss: str | Loss, output_activation: str) -> tuple[str, float, bool]:
    """Return name, parameter and whether the loss takes logits; ValueError if it doesn't go with the activation."""
    resolved = resolve_loss(loss)
    if resolved.links and output_activation not in resolved.links:
        expected = " or ".join(repr(link) for link in resolved.links)
        raise ValueError(
            f"loss: got {resolved.name!r} for a model with output_activation={output_activation!r}, expected {expected}"
        )
    return resolved.name, resolved.parameter, bool(resolved.links)


def sizes_of_layers(layer_sizes: Sequence[int]) -> tuple[int, ...]:
    """Return the sizes as a tuple of int."""
    try:
        sizes = tuple(layer_sizes)
    except TypeError:
        raise TypeError(f"layer_sizes: got {layer_sizes!r}, expected (n_in, hidden…, n_out)") from None
    if not 2 <= len(sizes) <= 65:
        raise ValueError(f"layer_sizes: got {len(sizes)} sizes, expected 2 to 65: (n_in, hidden…, n_out)")
    sizes = tuple(integer("layer_sizes", size, low=1, high=2**31 - 1) for size in sizes)
    elements = sum(n_in * n_out for n_in, n_out in itertools.pairwise(sizes))
    if elements > _MOST_ELEMENTS:
        raise ValueError(f"layer_sizes: got {sizes} with {elements} weights, expected at most {_MOST_ELEMENTS}")
    return sizes


def hidden_activation_names(activation: str | Sequence[str], n_hidden: int) -> tuple[str, ...]:
    """Return one name a hidden layer."""
    allowed = [name for name in _core.ACTIVATIONS if name not in OUTPUT_ONLY]
    if not isinstance(activation, str | Sequence):
        raise TypeError(f"activation: got {activation!r}, expected a name or a list with one a hidden layer")
    names = (activation,) * n_hidden if isinstance(activation, str) else tuple(activation)
    if len(names) != n_hidden:
        raise ValueError(f"activation: got {len(names)} of them, expected {n_hidden}: one a hidden layer")
    for name in (activation,) if isinstance(activation, str) else names:
        if name not in allowed:
            raise ValueError(f"activation: got {name!r}, expected one of {', '.join(allowed)}")
    return names


def output_activation_name(name: str) -> str:
    """Return the name, if there is such an activation."""
    if name not in _core.ACTIVATIONS:
        raise ValueError(f"output_activation: got {name!r}, expected one of {', '.join(_core.ACTIVATIONS)}")
    return name


def dropout_rates(dropout: float | Sequence[float], n_hidden: int) -> tuple[float, ...]:
    """Return one rate a hidden layer."""
    if isinstance(dropout, Sequence) and not isinstance(dropout, str):
        if len(dropout) != n_hidden:
            raise ValueError(f"dropout: got {len(dropout)} rates, expected {n_hidden}: one a hidden layer")
        return tuple(real("dropout", rate, low=0.0, high=1.0, exclude_high=True) for rate in dropout)
    return (real("dropout", dropout, low=0.0, high=1.0, exclude_high=True),) * n_hidden


def float_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """Return float32 or float64."""
    try:
        if dtype is None:  # which NumPy takes for float64
            raise TypeError("None names no type")
        result = np.dtype(dtype)
    except TypeError as error:
        raise TypeError(f"dtype: got {dtype!r}, expected float32 or float64") from error
    if result not in (np.dtype(np.float32), np.dtype(np.float64)) or not result.isnative:
        raise ValueError(f"dtype: got {result}, expected float32 or float64")
    return result
