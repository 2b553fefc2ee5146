"""Dropout masks from a counter, so that the mask of each row can be computed independently, on any thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastnn._checks.floats import Array
from fastnn._checks.scalars import integer, real

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

__all__ = ["dropout_mask"]
__dir__ = __all__.copy

INPUT_LAYER = -1
"""The number of the inputs among the layers whose units are dropped."""
_MASK = 0xFFFFFFFF
_LAYER_STRIDE = 0x9E3779B9  # 2**32 / golden ratio: neighbouring layers get distant keys


def dropout_mask(key: int, layer: int, n_rows: int, n_units: int, p: float, dtype: DTypeLike = np.float64) -> Array:
    """Return the factors of a hidden layer's outputs, or of the inputs, under dropout: 0, or 1 / (1 - p).

    Unit u of row r is kept if and only if mix(mix((r * n_units + u) ^ (k0 + layer * 0x9E3779B9)) + k1) >= floor(p * 2**32),
    where k0 and k1 are the low and the high 32 bits of `key` and everything wraps around at 2**32.

    Parameters
    ----------
    key : int
        64 random bits, the same for all layers of a step.
    layer : int
        The hidden layer, counted from 0, or -1 for the inputs.
    n_rows, n_units : int
        The number of rows in the batch, and of units in the layer.
    p : float
        The probability of dropping a unit, in [0, 1).
    dtype : data type, default float64
        The type of the result.

    Returns
    -------
    ndarray, shape (n_rows, n_units)

    References
    ----------
    N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15, 2014. The mixing
    function is "lowbias32" of C. Wellons, "Prospecting for hash functions", 2018.

    Examples
    --------
    >>> dropout_mask(key=9, layer=0, n_rows=2, n_units=4, p=0.5)
    array([[2., 0., 0., 0.],
           [0., 2., 0., 0.]])
    """
    p = real("p", p, low=0.0, high=1.0, exclude_high=True)
    layers = np.array([integer("layer", layer, low=INPUT_LAYER) & _MASK], np.uint64)
    low, high = layer_keys(np.array([int(key) & 2**64 - 1], np.uint64), layers)
    return np.asarray(factors(p, n_rows * n_units, low[0, 0], high[0]).reshape(n_rows, n_units), dtype=dtype)


def layer_keys(keys: NDArray[np.uint64], layers: NDArray[np.uint64]) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Return numbers for masks from the 64-bit key of each step: one per layer from the low bits, and the high bits."""
    low, high = keys & np.uint64(_MASK), keys >> np.uint64(32)
    strides = layers * np.uint64(_LAYER_STRIDE)
    return ((low[:, np.newaxis] + strides) & np.uint64(_MASK)).astype(np.uint32), high.astype(np.uint32)


def layer_numbers(n_layers: int) -> NDArray[np.uint64]:
    """Return the numbers of a network's layers for `layer_keys`, and behind them that of its inputs."""
    return np.array([*range(n_layers), INPUT_LAYER & _MASK], np.uint64)


def factors(p: float, n: int, low: np.uint32, high: np.uint32) -> NDArray[np.float64]:
    """Return the factors of n units, row by row. `layer_keys` returns low and high."""
    counter = np.arange(n).astype(np.uint32)
    kept = mix(mix(counter ^ low) + high) >= np.uint32(p * 2.0**32)
    return np.where(kept, 1.0 / (1.0 - p), 0.0)


def dropout_rates(dropout: float | Sequence[float], n_hidden: int) -> list[float]:
    """Return one probability per hidden layer."""
    if isinstance(dropout, Sequence):
        if len(dropout) != n_hidden:
            raise ValueError(f"dropout: expected {n_hidden}, one per hidden layer, got {len(dropout)} probabilities")
        return [real(f"dropout[{i}]", p, low=0.0, high=1.0, exclude_high=True) for i, p in enumerate(dropout)]
    return [real("dropout", dropout, low=0.0, high=1.0, exclude_high=True)] * n_hidden


def mix(x: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return a bijective hash of every element; array arithmetic wraps around without a warning."""
    x = x ^ (x >> np.uint32(16))
    x = x * np.uint32(0x7FEB352D)
    x = x ^ (x >> np.uint32(15))
    x = x * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))
