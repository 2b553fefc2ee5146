"""Threads compute in the rounding mode of their caller, whichever was in force when they were started."""

from __future__ import annotations

import ctypes
import ctypes.util
import platform
from contextlib import contextmanager

import numpy as np
import pytest

import fastnn
from fastnn import MLP, Trainer, ops

THREADS = (1, 2, 3, 7)
# The modes in the C library's fenv.h: downwards, upwards, and towards zero.
MODES = {"x86_64": (0x400, 0x800, 0xC00), "aarch64": (0x800000, 0x400000, 0xC00000)}.get(platform.machine(), ())
pytestmark = pytest.mark.skipif(
    platform.system() != "Linux" or not MODES, reason="rounding modes are known of Linux on x86-64 and aarch64 only"
)

rng = np.random.default_rng(0)
X, Z = rng.normal(size=(900, 40)), rng.normal(size=480_000)
WEIGHTS, FEW, MANY = rng.normal(size=(40, 60)), rng.normal(size=(3, 300)), rng.normal(size=(300, 400))


@contextmanager
def rounding(mode):
    libm = ctypes.CDLL(ctypes.util.find_library("m"))
    assert libm.fesetround(mode) == 0
    try:
        yield
    finally:
        assert libm.fesetround(0) == 0


def elementwise(n_threads):
    before = fastnn.get_num_threads()
    fastnn.set_num_threads(n_threads)
    out = ops.tanh(Z)
    fastnn.set_num_threads(before)
    return out


def layer(n_threads):
    return ops.linear(X, WEIGHTS, activation="tanh", n_threads=n_threads)


def few_rows(n_threads):
    return ops.linear(FEW, MANY, n_threads=n_threads)


def predictions(n_threads):
    return MLP((40, 50, 8), dtype="f8", random_state=0).predict(X, n_threads=n_threads)


def training(n_threads):
    model = MLP((40, 30, 3), "tanh", dtype="f8", random_state=0)
    Trainer(model, batch_size=100, n_threads=n_threads, random_state=0).run(X, X[:, :3], 3)
    return model.to_vector()


@pytest.mark.parametrize("work", [elementwise, layer, few_rows, predictions, training])
def test_threads_use_the_rounding_mode_of_the_caller(work):
    nearest = [work(n_threads) for n_threads in THREADS]  # starts threads before the mode changes
    for mode in MODES:
        with rounding(mode):
            results = [work(n_threads) for n_threads in THREADS]
        assert (results[0] != nearest[0]).mean() > 0.1  # the mode has an effect on the results
        for result in results:
            np.testing.assert_array_equal(result, results[0])
        for n_threads in THREADS:  # and has none after the caller restores it
            np.testing.assert_array_equal(work(n_threads), nearest[0])
