"""Runs of the portable backend with the arguments that a trainer would pass."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from fastnn import SGD
from fastnn._engine import portable as _portable
from fastnn._engine import targets as _targets
from fastnn._engine.losses import native_loss
from fastnn._engine.optimizers import native_optimizer
from fastnn._engine.portable import _compile
from fastnn._engine.run_settings import RunSettings
from fastnn._views import by_kind
from fastnn.losses import resolve as resolve_loss

SIZES = (3, 8, 5, 2)
DTYPES = [np.float64, np.float32]
TOLERANCE = {np.float64: 1e-9, np.float32: 2e-4}


def run_formulas_as(how, monkeypatch):
    """Run the formulas in plain NumPy, or as Numba compiles them."""
    if how == "plain":
        monkeypatch.setattr(_compile, "COMPILED", False)
    elif not _portable.COMPILED:
        pytest.skip("needs Numba and SciPy")


class Setting(NamedTuple):
    """Of a run."""

    loss: str = "mse"
    optimizer: object = SGD(0.1)
    batch_size: int = 8
    epochs: int = 3
    seed: int = 7
    shuffle: bool = True
    sample_weight: object = None


def network_of(model):
    """Return a portable network like a model."""
    dropout = (*model.dropout, 0.0)
    network = _portable.Network(model.layer_sizes, model.activations, dropout, model.dtype)
    for view, array in zip(by_kind(network.parameters), by_kind(model._network.parameters), strict=True):
        view[...] = array
    return network


def run_of(network, X, y, setting, bits=None, native=None, penalties=None, **options):
    """Return a portable run, and the moments that it changes."""
    optimizer = native_optimizer(setting.optimizer, **(penalties or {})) | (native or {})
    moments = np.zeros((optimizer["moments"], network.storage.size), network.dtype)
    weight = setting.sample_weight
    loss = resolve_loss(setting.loss)
    y, labels = _targets.targets("y", y, len(X), network.layer_sizes[-1], loss, network.dtype, weight)
    settings = RunSettings(
        native_loss(loss, network.activations[-1]),
        optimizer,
        moments,
        bits or np.random.default_rng(setting.seed).bit_generator,
        batch_size=setting.batch_size,
        shuffle=setting.shuffle,
        **options,
    )
    run = _portable.Run(network, (X, y, labels, weight), settings, setting.epochs, 0)
    run.set_rates(np.full(1, setting.optimizer.learning_rate))
    return run, moments


def assert_close(network, weights, biases, dtype):
    for got, wanted in zip(by_kind(network.parameters), [*weights, *biases], strict=True):
        np.testing.assert_allclose(got, wanted, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype] * np.abs(wanted).max())


def arrays_of(network, vector):
    """Return the weights and biases in a vector that is laid out like a network's storage."""
    return by_kind(network.views(vector))
