"""Make random calls of the functions in fastnn.ops."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import ops, reference
from fastnn._engine import core as _core
from fuzz import draw

FROM_OUTPUT = [name for name in _core.ACTIVATIONS if reference.ACTIVATIONS[name].uses == "output" and name != "exp"]
UPDATES = ["sgd", "momentum", "adagrad", "rmsprop", "adam", "adamw", "nadam", "lion"]
_Arrays = list[NDArray[Any]]


def call(rng: np.random.Generator, n_threads: int, dtype: str) -> tuple[str, _Arrays]:
    """Call one function; return its name and the results."""
    kind = draw.choice(rng, [_element, _linear, _linear_grad, _rows, _update])
    name, arrays = kind(rng, n_threads, dtype)
    return name, arrays


def _element(rng: np.random.Generator, _: int, dtype: str) -> tuple[str, _Arrays]:
    name = draw.choice(rng, sorted(_core.FUNCTIONS))
    # Every tenth array is long enough for several threads.
    shape = (700_000,) if rng.random() < 0.1 else (draw.count(rng, 60), draw.count(rng, 60))
    z = rng.uniform(0.01, 0.99, shape).astype(dtype)
    if rng.random() < 0.5:
        return f"ops.{name} {shape}", [getattr(ops, name)(draw.layout(rng, z))]
    shift = draw.count(rng, z.shape[0])
    getattr(ops, name)(z[: z.shape[0] - shift], out=z[shift:])
    return f"ops.{name} {shape}, out shifted by {shift}", [z]


def _layer(rng: np.random.Generator, dtype: str) -> tuple[_Arrays, Any]:
    n, n_in, n_out = draw.count(rng, 300), draw.count(rng, 100), draw.count(rng, 100)
    shapes = [(n, n_in), (n_in, n_out), (n_out,)]
    return [draw.layout(rng, (0.3 * rng.normal(size=shape)).astype(dtype)) for shape in shapes], (n, n_out)


def _linear(rng: np.random.Generator, n_threads: int, dtype: str) -> tuple[str, _Arrays]:
    (x, w, b), _ = _layer(rng, dtype)
    activation = draw.choice(rng, list(_core.ACTIVATIONS))
    return f"ops.linear {x.shape} {w.shape} {activation}", [ops.linear(x, w, b, activation, n_threads=n_threads)]


def _linear_grad(rng: np.random.Generator, _: int, dtype: str) -> tuple[str, _Arrays]:
    (x, w, b), shape = _layer(rng, dtype)
    activation = draw.choice(rng, FROM_OUTPUT)
    a = ops.linear(x, w, b, activation)
    gradient = rng.normal(size=shape).astype(dtype)
    return f"ops.linear_grad {x.shape} {w.shape} {activation}", list(ops.linear_grad(x, w, a, gradient, activation))


def _rows(rng: np.random.Generator, _: int, dtype: str) -> tuple[str, _Arrays]:
    shape = tuple(draw.count(rng, 30) for _ in range(3))
    z = draw.layout(rng, (3 * rng.normal(size=shape)).astype(dtype))
    name, axis = draw.choice(rng, ["softmax", "log_softmax"]), int(rng.integers(-3, 3))
    return f"ops.{name} {shape} axis {axis}", [getattr(ops, name)(z, axis=axis)]


def _update(rng: np.random.Generator, _: int, dtype: str) -> tuple[str, _Arrays]:
    shapes = [(draw.count(rng, 60), draw.count(rng, 60)), (draw.count(rng, 60),)]
    params = [rng.normal(size=shape).astype(dtype) for shape in shapes]
    name = draw.choice(rng, UPDATES)
    state: dict[str, Any] = {}
    for _ in range(3):
        grads = [rng.normal(size=shape).astype(dtype) for shape in shapes]
        function = getattr(ops, name)
        function(params, grads, 0.01) if name == "sgd" else function(params, grads, state, 0.01)
    return f"ops.{name} {shapes}", params
