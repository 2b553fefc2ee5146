"""The number of threads on which ``fastnn bench`` runs."""

from __future__ import annotations

import importlib.util
import os
import sys

from fastnn._bench.peers import _threads
from fastnn._config import get_num_threads


def thread_counts(asked: int | None) -> list[int]:
    """Return the numbers of threads to measure with: the one asked for, or 1 and then all.

    Only threadpoolctl can change the number of threads of NumPy's BLAS. Without it, there is only one number, that
    with which BLAS was loaded; to change it, the process starts again.
    """
    if can_change():
        return [asked] if asked else sorted({1, get_num_threads()})
    count = asked or 1
    environment = {**os.environ, **_threads.environment(count)}
    if environment != os.environ:
        sys.stdout.flush()
        os.execve(sys.executable, sys.orig_argv, environment)
    return [count]


def can_change() -> bool:
    """Return whether the number of threads of NumPy's BLAS can be changed while it runs."""
    return importlib.util.find_spec("threadpoolctl") is not None
