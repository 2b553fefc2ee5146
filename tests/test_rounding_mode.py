"""Threads compute in the rounding mode of the thread that calls them."""

from __future__ import annotations

import ctypes
import ctypes.util
import platform

import numpy as np
import pytest

import fastnn
from fastnn import MLP, ops

# fenv.h of the C library: towards plus infinity, and to nearest.
UPWARD = {"x86_64": 0x800, "aarch64": 0x400000}.get(platform.machine())
pytestmark = pytest.mark.skipif(
    platform.system() != "Linux" or UPWARD is None, reason="rounding modes are known of Linux on x86-64 and aarch64 only"
)


def results(n_threads, model, X, z):
    """Return what is computed in the present rounding mode, without a rounding of our own in between."""
    out = np.empty_like(z)
    fastnn.set_num_threads(n_threads)
    ops.tanh(z, out=out)
    return out, model.predict(X, n_threads=n_threads), ops.linear(X, model.weights[0], n_threads=n_threads)


def test_it_is_the_callers():
    libm = ctypes.CDLL(ctypes.util.find_library("m"))
    rng = np.random.default_rng(0)
    model, X, z = (
        MLP((40, 60, 8), "tanh", dtype=np.float64, random_state=0),
        rng.normal(size=(3000, 40)),
        rng.normal(size=400_000),
    )
    before, nearest = fastnn.get_num_threads(), results(1, model, X, z)
    try:
        assert libm.fesetround(UPWARD) == 0
        upward = [results(n_threads, model, X, z) for n_threads in (1, 2, 3, 7)]
    finally:
        libm.fesetround(0)
        fastnn.set_num_threads(before)
    for one, other in zip(nearest, upward[0], strict=True):
        assert (one != other).mean() > 0.1
    for of_more in upward[1:]:
        for one, other in zip(upward[0], of_more, strict=True):
            np.testing.assert_array_equal(one, other)
