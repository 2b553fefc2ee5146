"""Instruction sets, threads and speed. The fallback leaves them to NumPy and Numba."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from fastnn._checks.limits import MAX_THREADS
from fastnn._engine.portable._elementwise import _check_alike
from fastnn._engine.portable._rows import Array

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

_CHAINS = 4096  # elements per call of a multiplication and an addition


def built_instruction_sets() -> tuple[str, ...]:
    """Return the only instruction set of the fallback."""
    return ("portable",)


def usable_instruction_sets() -> tuple[str, ...]:
    """Return the instruction sets that this machine can run."""
    return built_instruction_sets()


def current_instruction_set() -> tuple[str, int]:
    """Return the instruction set in use, and 0 as the number of bytes per vector, which NumPy and Numba choose."""
    return "portable", 0


class _Threads:
    """The number of threads that users ask for. It has no effect: except in BLAS, one thread does everything."""

    def __init__(self) -> None:
        # OpenMP's variables only lower the number of threads, and the fallback has just one.
        self.chosen, self.n, self.decided_by = 0, 1, "the portable backend"
        self.error: str | None = None
        text = os.environ.get("FASTNN_NUM_THREADS", "")
        if text.isdecimal() and 1 <= int(text) < 2**63:
            self.n, self.decided_by = min(int(text), MAX_THREADS), "FASTNN_NUM_THREADS"
        elif text:
            self.error = f"FASTNN_NUM_THREADS must be a positive integer, got '{text[:100]}'"


_THREADS = _Threads()


def get_max_threads() -> int:
    """Return the number of threads that the user asked for."""
    return _THREADS.chosen or _THREADS.n


def set_max_threads_(n: int) -> None:
    """Store a number of threads, or 0 for the default."""
    _THREADS.chosen = max(0, min(n, MAX_THREADS))


def threads_decided() -> tuple[str, str | None]:
    """Return the origin of the number of threads, and the error in FASTNN_NUM_THREADS, or None."""
    return "set_num_threads" if _THREADS.chosen else _THREADS.decided_by, _THREADS.error


def fma_chain(dtype: DTypeLike, rounds: int) -> float:
    """Multiply and add within the first cache, and return the number of operations."""
    sums, factors = np.zeros(_CHAINS, dtype), np.full(_CHAINS, 0.5, dtype)
    calls = max(1, rounds // _CHAINS)
    for _ in range(calls):
        np.multiply(sums, factors, out=sums)
        np.add(sums, factors, out=sums)
    return 2.0 * calls * _CHAINS


def copy_vectors(out: Array, x: Array) -> None:
    """Copy x to out."""
    _check_alike(out, x, "out must be like x")
    out.reshape(-1)[:] = x.reshape(-1)
