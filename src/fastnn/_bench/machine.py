"""The highest rates of a machine's cores and memory, and the versions installed on it."""

from __future__ import annotations

import functools
import importlib.metadata
import platform
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._bench.clock import Work, calls_of_a_round, seconds_of
from fastnn._engine import core as _core

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

# There are enough rounds for one of them to run while nothing else does.
_ROUNDS = 20
_CHAIN = 10_000
# Rounds per call: they take tenths of a millisecond, or milliseconds if threads must be woken.
_ROUNDS_ALONE, _ROUNDS_TOGETHER = 100_000, 2_000_000

_DISTRIBUTIONS = (
    "fastnn-cpu",
    "numpy",
    "scikit-learn",
    "torch",
    "jax",
    "onnxruntime",
    "numba",
    "scipy",
)


def peak_gflops(dtype: DTypeLike) -> float:
    """Return the highest rate of one core in GFLOP/s, for independent chains of fused multiply-adds."""
    return _peak(np.dtype(dtype))


@functools.cache
def _peak(dtype: np.dtype[Any]) -> float:
    flop = _core.fma_chain(dtype, _CHAIN)
    return flop / _best(lambda: _core.fma_chain(dtype, _CHAIN)) / 1e9


@functools.cache
def copy_gigabytes_per_second(nbytes: int) -> float:
    """Return the highest rate at which one core copies this many bytes, counting both reading and writing."""
    x = np.ones(max(1, nbytes // 4), np.float32)
    out = np.empty_like(x)
    return 2 * x.nbytes / _best(lambda: _core.copy_vectors(out, x)) / 1e9


@dataclass(frozen=True)
class Ceiling:
    """A workload that the machine runs at its highest rate, to be timed in turns with others."""

    work: Work
    amount: float  # operations or bytes per call


@contextmanager
def multiply_adds(dtype: DTypeLike, n_threads: int) -> Iterator[Ceiling]:
    """Yield a workload of multiply-adds in registers, on this many threads at once."""
    if n_threads == 1:
        yield Ceiling(partial(_core.fma_chain, dtype, _ROUNDS_ALONE), _core.fma_chain(dtype, _ROUNDS_ALONE))
        return
    flop = n_threads * _core.fma_chain(dtype, _ROUNDS_TOGETHER)
    with ThreadPoolExecutor(n_threads - 1) as others:

        def together() -> None:
            started = [others.submit(_core.fma_chain, dtype, _ROUNDS_TOGETHER) for _ in range(n_threads - 1)]
            _core.fma_chain(dtype, _ROUNDS_TOGETHER)
            for one in started:
                one.result()

        yield Ceiling(together, flop)


@contextmanager
def copies(out: NDArray[Any], x: NDArray[Any]) -> Iterator[Ceiling]:
    """Yield a workload that copies x to out on one thread, counting both reading and writing."""
    yield Ceiling(partial(_core.copy_vectors, out, x), 2 * x.nbytes)


def _best(work: Work) -> float:
    calls = calls_of_a_round(work)
    return min(seconds_of(work, calls) for _ in range(_ROUNDS))


def versions() -> dict[str, str]:
    """Return the versions of Python, fastnn, and the peers that are installed."""
    found = {"Python": platform.python_version()}
    for name in _DISTRIBUTIONS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def cpu_name() -> str:
    """Return the name of the processor."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    if names:
        return names[0]
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()
    return platform.processor() or platform.machine()
