"""Checks of a model's arguments: what came, what was expected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fastnn import _core
from fastnn._scalars import integer, real
from fastnn.losses import Loss
from fastnn.losses import resolve as resolve_loss

OUTPUT_ONLY = ("softmax", "exp")


def native_loss(loss: str | Loss, output_activation: str) -> tuple[str, float, bool]:
    """Return name, parameter and whether the loss takes logits; ValueError if it doesn't go with the activation."""
    resolved = resolve_loss(loss)
    if resolved.links and output_activation not in resolved.links:
        expected = " or ".join(repr(link) for link in resolved.links)
        raise ValueError(
            f"loss: got {resolved.name!r} for a model with output_activation={output_activation!r}, expected {expected}"
        )
    return resolved.name, resolved.parameter, bool(resolved.links)


def generator(random_state: Any) -> np.random.Generator:
    if isinstance(random_state, np.random.RandomState):
        return np.random.Generator(random_state._bit_generator)
    try:
        return np.random.default_rng(random_state)
    except (TypeError, ValueError) as error:
        raise type(error)(f"random_state: got {random_state!r}, expected a seed or a Generator ({error})") from error


def sizes_of_layers(layer_sizes: Sequence[int]) -> tuple[int, ...]:
    try:
        sizes = tuple(layer_sizes)
    except TypeError:
        raise TypeError(f"layer_sizes: got {layer_sizes!r}, expected (n_in, hidden…, n_out)") from None
    if not 2 <= len(sizes) <= 65:
        raise ValueError(f"layer_sizes: got {len(sizes)} sizes, expected 2 to 65: (n_in, hidden…, n_out)")
    return tuple(integer("layer_sizes", size, low=1) for size in sizes)


def hidden_activation_names(activation: str | Sequence[str], n_hidden: int) -> tuple[str, ...]:
    allowed = [name for name in _core.ACTIVATIONS if name not in OUTPUT_ONLY]
    names = (activation,) * n_hidden if isinstance(activation, str) else tuple(activation)
    if len(names) != n_hidden:
        raise ValueError(f"activation: got {len(names)} of them, expected {n_hidden}: one a hidden layer")
    for name in (activation,) if isinstance(activation, str) else names:
        if name not in allowed:
            raise ValueError(f"activation: got {name!r}, expected one of {', '.join(allowed)}")
    return names


def output_activation_name(name: str) -> str:
    if name not in _core.ACTIVATIONS:
        raise ValueError(f"output_activation: got {name!r}, expected one of {', '.join(_core.ACTIVATIONS)}")
    return name


def dropout_rates(dropout: float | Sequence[float], n_hidden: int) -> tuple[float, ...]:
    rates = tuple(dropout) if isinstance(dropout, Sequence) else (dropout,) * n_hidden
    if len(rates) != n_hidden:
        raise ValueError(f"dropout: got {len(rates)} rates, expected {n_hidden}: one a hidden layer")
    if not isinstance(dropout, Sequence):
        real("dropout", dropout, low=0.0, high=1.0, exclude_high=True)
    return tuple(real("dropout", rate, low=0.0, high=1.0, exclude_high=True) for rate in rates)


def float_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    try:
        result = np.dtype(dtype)
    except TypeError as error:
        raise TypeError(f"dtype: got {dtype!r}, expected float32 or float64") from error
    if result not in (np.dtype(np.float32), np.dtype(np.float64)) or not result.isnative:
        raise ValueError(f"dtype: got {result}, expected float32 or float64")
    return result
