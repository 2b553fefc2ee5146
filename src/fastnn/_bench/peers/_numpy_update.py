"""Updates of a vector of parameters in NumPy; they overwrite the gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import optimizers
from fastnn._bench.works import RATE, Array

# The number of elements per chain of operations, which fits into the cache.
_BLOCK = 32_768


def _blocks(*vectors: Array) -> list[tuple[Array, ...]]:
    return [tuple(v[start : start + _BLOCK] for v in vectors) for start in range(0, vectors[0].size, _BLOCK)]


class Descent:
    """Plain gradient descent."""

    def __init__(self, parameters: Array, gradient: Array) -> None:
        self._blocks = _blocks(parameters, gradient)

    def __call__(self) -> None:
        for p, g in self._blocks:
            g *= RATE
            p -= g


class Adam:
    """Adam, with the corrections of the moments folded into learning rate and epsilon."""

    def __init__(self, parameters: Array, gradient: Array) -> None:
        self._blocks = _blocks(parameters, gradient, np.zeros_like(gradient), np.zeros_like(gradient))
        self._scratch = np.empty(min(_BLOCK, gradient.size), gradient.dtype)
        self._constants: Any = optimizers.Adam(RATE)
        self._updates = 0

    def __call__(self) -> None:
        beta_1, beta_2 = self._constants.beta_1, self._constants.beta_2
        self._updates += 1
        correction = float(np.sqrt(1.0 - beta_2**self._updates))
        rate, epsilon = RATE * correction / (1.0 - beta_1**self._updates), self._constants.epsilon * correction
        for p, g, m, v in self._blocks:
            scratch = self._scratch[: g.size]
            m *= beta_1
            np.multiply(g, 1.0 - beta_1, out=scratch)
            m += scratch
            g *= g
            g *= 1.0 - beta_2
            v *= beta_2
            v += g
            np.sqrt(v, out=scratch)
            scratch += epsilon
            np.divide(m, scratch, out=scratch)
            scratch *= rate
            p -= scratch
