"""Helpers of several test files: data for every loss, registries as objects, training by the reference, scripts."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn import MLP, Trainer, losses, optimizers, reference
from fastnn._engine import core as _core

OUTPUT_ONLY = ("softmax", "exp")
HIDDEN = [name for name in _core.ACTIVATIONS if name not in OUTPUT_ONLY]
# Rows of the compiled registry that have no class of their own.
_SPECIAL = {
    "momentum": optimizers.SGD(0.01, momentum=0.9),
    "nesterov": optimizers.SGD(0.01, momentum=0.9, nesterov=True),
}


def optimizer_of(row: str, **changes: Any) -> optimizers.Optimizer:
    """Return an object that is trained by this row of `_core.OPTIMIZERS`."""
    optimizer = _SPECIAL.get(row) or optimizers.OPTIMIZERS[row]()
    return type(optimizer)(**vars(optimizer) | changes)


def links_of(loss: str) -> tuple[str, ...]:
    """Return the output activations that a loss accepts."""
    return losses.LOSSES[loss].links or _core.ACTIVATIONS


# Losses with one output per target; test_row_losses.py has the others.
LIKE_TARGETS = [loss for loss in _core.LOSSES if losses.LOSSES[loss].one_output_per_target]
LOSSES_AND_LINKS = [(loss, link) for loss in LIKE_TARGETS for link in links_of(loss)]


def data(rows: int, n_in: int, n_out: int, loss: str = "mse", seed: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return inputs, and targets that suit the loss and that a network can learn."""
    rng = np.random.default_rng([seed, rows, n_in, n_out])
    X = rng.normal(size=(rows, n_in))
    y = np.sin(X @ rng.normal(size=(n_in, n_out))) + 0.1 * rng.normal(size=(rows, n_out))
    if loss == "poisson":
        return X, rng.poisson(np.exp(y)).astype(float)
    if "hinge" in loss:
        return X, np.where(y > 0, 1.0, -1.0)
    if loss == "binary_cross_entropy":
        return X, (y > 0).astype(float)
    if loss == "cross_entropy":
        return X, np.argmax(y, axis=1) if n_out > 1 else np.ones((rows, 1))
    if loss == "kl_divergence":
        return X, reference.softmax(y)
    return X, y


def model_of(sizes: tuple[int, ...], activation: Any = "tanh", output: str = "identity", **options: Any) -> MLP:
    """Return a float64 model whose biases are not zero."""
    options = {"dtype": np.float64, "random_state": 1} | options
    model = MLP(sizes, activation, output, **options)
    rng = np.random.default_rng(2)
    for b in model.biases:
        b[...] = rng.normal(size=b.shape) * 0.1
    return model


def forward(model: MLP, X: Any) -> list[NDArray[Any]]:
    """Return the outputs of every layer, computed by the reference."""
    return [a for _, a in reference.forward(model.weights, model.biases, model.activations, X)]


def trained(
    rows: int,
    network: tuple[tuple[int, ...], int] = ((3, 8, 5, 2), 10),
    loss: str = "mse",
    dropout: Any = 0.0,
    output: str | None = None,
    activation: Any = "tanh",
    **options: Any,
) -> tuple[Trainer, NDArray[Any], NDArray[Any]]:
    """Return a trainer with seed 7 for a network, given as layer sizes and batch size, and data for it."""
    sizes, batch_size = network
    model = model_of(sizes, activation, output or links_of(loss)[0], dropout=dropout)
    X, y = data(rows, sizes[0], sizes[-1], loss)
    return Trainer(model, loss, batch_size=batch_size, random_state=7, **options), X, y


def train_reference(model: MLP, X: Any, y: Any, seed: int, **options: Any) -> tuple[list[Any], list[Any], list[float]]:
    """Train a copy of the model with `reference.train`; return weights, biases and losses."""
    weights, biases = [w.copy() for w in model.weights], [b.copy() for b in model.biases]
    rng = np.random.default_rng(seed)
    history = reference.train(weights, biases, model.activations, X, y, rng=rng, dropout=list(model.dropout), **options)
    return weights, biases, history


def assert_same_trajectory(trainer: Trainer, X: Any, y: Any, seed: int, epochs: int, rtol: float, **run: Any) -> None:
    """Train, and compare losses and parameters with those of the reference."""
    options = {name: getattr(trainer, name) for name in ("batch_size", "shuffle", "l1", "l2", "clip_norm", "clip_value")}
    loss, optimizer = trainer.loss, trainer.optimizer
    expected = train_reference(trainer.model, X, y, seed, loss=loss, optimizer=optimizer, epochs=epochs, **options, **run)
    before = trainer.model.to_vector()
    history = trainer.run(X, y, epochs, **run)
    assert np.abs(trainer.model.to_vector() - before).max() > 1e-3  # something was learned
    np.testing.assert_allclose(history["loss"], expected[2], rtol=rtol, atol=rtol)
    for got, wanted in zip(trainer.model.weights + trainer.model.biases, expected[0] + expected[1], strict=True):
        np.testing.assert_allclose(got, wanted, rtol=rtol, atol=rtol * np.abs(wanted).max())


class Silent:
    """A callback that does nothing, with which a run is watched."""

    def on_epoch_end(self, trainer: Trainer, history: Any) -> None:
        return None


def state_of(trainer: Trainer) -> tuple[Any, ...]:
    """Return everything that the next step depends on, to be compared to the bit."""
    rng = trainer._rng.bit_generator.state
    return trainer.model.to_vector().tobytes(), np.array(trainer._moments).tobytes(), trainer.updates, repr(rng)


def example(**options: Any) -> Trainer:
    """Return a trainer with nothing at its default, and moments that are not zero."""
    model = MLP((3, 8, 5, 2), ["tanh", "gelu"], "sigmoid", dropout=[0.1, 0.2], dtype=np.float64, random_state=4)
    options = {"batch_size": 7, "l1": 0.1, "l2": 0.2, "clip_norm": 3.0, "clip_value": 4.0, "n_threads": 2} | options
    trainer = Trainer(model, losses.Huber(0.3), optimizers.Adam(0.01, 0.8), random_state=9, **options)
    trainer.run(*data(20, 3, 2), 2)
    return trainer


def config_of(path: os.PathLike[str]) -> Any:
    """Return the metadata of a file saved by fastnn."""
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        return json.loads(file.metadata()["fastnn"])


def _unaligned(a: NDArray[Any]) -> NDArray[Any]:
    """Return a copy at an odd address."""
    room = np.empty(a.nbytes + 1, np.uint8)[1:].view(a.dtype).reshape(a.shape)
    room[...] = a
    return room


def _spread(a: NDArray[Any]) -> NDArray[Any]:
    """Return every third row and every second column of a larger array, in reverse order."""
    room = np.full((3 * a.shape[0], *(2 * n for n in a.shape[1:])), -99.0)
    view = room[::-3] if a.ndim == 1 else room[::-3, ::-2]
    view[...] = a
    return view


def _read_only(a: NDArray[Any]) -> NDArray[Any]:
    a = a.copy()
    a.flags.writeable = False
    return a


# Functions that turn small integers in float64 into each kind of array that can hold them.
KINDS = {
    **{name: lambda a, name=name: a.astype(name) for name in ["f2", "f4", "f8", "g", ">f2", ">f4", ">f8", ">i2", ">u8"]},
    **{name: lambda a, name=name: a.astype(name) for name in ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "q", "Q"]},
    "bool": lambda a: a > 2,
    "bool of other bytes": lambda a: (3 * (a > 2)).astype(np.uint8).view(bool),
    "object": lambda a: a.astype(object),
    "list": lambda a: a.tolist(),
    "tuple": lambda a: tuple(map(tuple, a.astype(int))) if a.ndim > 1 else tuple(a),
    "list of rows": list,
    "column-major": np.asfortranarray,
    "columns backwards": lambda a: np.ascontiguousarray(a[..., ::-1])[..., ::-1],
    "spread": _spread,
    "spread float32": lambda a: _spread(a).astype("f4", order="K"),
    "unaligned": _unaligned,
    "unaligned float32": lambda a: _unaligned(a.astype("f4")),
    "unaligned int16": lambda a: _unaligned(a.astype("i2")),
    "read-only": _read_only,
    "wide rows": lambda a: np.hstack([a, a])[:, : a.shape[1]] if a.ndim > 1 else a,
    "masked": np.ma.masked_array,
    "memoryview": memoryview,
}


def run_script(script: str, *arguments: str, timeout: float = 60, check: bool = True, **environment: str) -> Any:
    """Run a script in a new Python process, with changes to this process's environment."""
    command = [sys.executable, "-c", script, *arguments]
    env = {**os.environ, **environment}
    result = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=env, check=False)
    if check:
        assert result.returncode == 0, result.stderr
    return result


@contextlib.contextmanager
def obeying_interrupts() -> Iterator[None]:
    """Let new processes obey Ctrl-C. A shell that runs the tests in the background may have made its processes ignore it."""
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
