"""Helpers for the peers of single functions: libraries with limited threads, and functions compiled by JAX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastnn._bench.peers._jax_functions import make_client

DTYPES = [np.float32, np.float64]

Work = Callable[[], Any]


def torch_on(n_threads: int) -> Any:
    """Return PyTorch, limited to this many threads, or skip the test."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    torch.set_num_threads(n_threads)
    return torch


def jax_work(make: Callable[[Any], Callable[..., Any]], arrays: tuple[np.ndarray, ...], n_threads: int) -> Work:
    """Return a call of a function that JAX compiled for these arrays, or skip the test.

    `make` gets the module jax and returns the function. The arrays are converted to JAX before the clock starts, and a call
    ends when its result is available.
    """
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    make_client(n_threads, asynchronous=False)
    given = [jax.numpy.asarray(array) for array in arrays]
    compiled = jax.jit(make(jax)).lower(*given).compile()
    return lambda: jax.block_until_ready(compiled(*given))


def assert_close(ours: Any, theirs: Any, dtype: Any) -> None:
    """Assert that results, or tuples and lists of them, are equal up to rounding."""
    tolerance = 1e-4 if np.dtype(dtype) == np.float32 else 1e-10
    if isinstance(theirs, tuple | list):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            assert_close(a, b, dtype)
        return
    np.testing.assert_allclose(np.asarray(ours), theirs, rtol=tolerance, atol=tolerance)


def checks_only(request: pytest.FixtureRequest) -> bool:
    """Return whether nothing is timed, so that little has to be computed."""
    return bool(request.config.getoption("benchmark_disable"))


def threads_text(n_threads: int) -> str:
    return "1 thread" if n_threads == 1 else "all threads"
