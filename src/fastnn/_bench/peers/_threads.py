"""The number of threads of NumPy's BLAS."""

from __future__ import annotations

import os

from fastnn._bench.peers import _modules

# Variables that BLAS libraries read when they are loaded: OpenBLAS, MKL, BLIS, Accelerate, and OpenMP's for any of them.
_VARIABLES = (
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "OMP_NUM_THREADS",
)


def environment(n_threads: int) -> dict[str, str]:
    """Return the variables that limit BLAS in a new process."""
    return dict.fromkeys(_VARIABLES, str(n_threads))


def missing() -> str | None:
    """Return None if the threads of BLAS can be limited or are limited already, else the reason."""
    return None if all(name in os.environ for name in _VARIABLES) else _modules.missing("threadpoolctl")


def limit(n_threads: int) -> None:
    """Limit BLAS to this many threads from now on."""
    if _modules.installed("threadpoolctl"):
        from threadpoolctl import threadpool_limits

        threadpool_limits(n_threads, user_api="blas")
