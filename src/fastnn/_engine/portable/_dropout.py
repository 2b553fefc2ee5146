"""Dropout masks from a counter: the same as the kernels' and the oracle's."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._engine.portable._compile import shared

_LAYER_STRIDE = 0x9E3779B9  # 2**32 / golden ratio: neighbouring layers get distant keys


def layer_keys(keys: NDArray[np.uint64], n_layers: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Return what the masks of every layer depend on: of each step's key the lower bits (steps, layers), and the upper."""
    low, high = (keys & np.uint64(0xFFFFFFFF)).astype(np.uint32), (keys >> np.uint64(32)).astype(np.uint32)
    strides = (np.arange(n_layers, dtype=np.uint64) * np.uint64(_LAYER_STRIDE) & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    return low[:, np.newaxis] + strides, high


@shared
def drop(probability: float, low: Any, high: Any, a: Any, slope: Any) -> None:
    """Multiply outputs a and slopes, vectors, by 0 where a unit is dropped, else by 1 / (1 - probability)."""
    counter = np.arange(a.size).astype(np.uint32)
    kept = mix(mix(counter ^ low) + high) >= np.uint32(probability * 4294967296.0)
    mask = np.where(kept, a.dtype.type(1.0 / (1.0 - probability)), a.dtype.type(0.0))
    a *= mask
    slope *= mask


@shared
def mix(x: Any) -> Any:
    """Return C. Wellons' hash "lowbias32" of every element of an array of uint32."""
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))
