"""Make `_helpers` importable: with --import-mode=importlib, pytest puts no test directory on the path.

And keep what Numba compiles for tests and examples, in all their processes, in one place.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import fastnn

HERE = Path(__file__).parent
sys.path.append(str(HERE))
os.environ.setdefault("NUMBA_CACHE_DIR", str(HERE / "__pycache__" / "numba"))


@pytest.fixture
def three_threads() -> Iterator[None]:
    """Use three threads wherever the work pays for them, on any machine."""
    before = fastnn.get_num_threads()
    fastnn.set_num_threads(3)
    yield
    fastnn.set_num_threads(before)


@pytest.fixture(scope="module")
def small_benchmarks():
    """Make ``fastnn bench --quick`` so small that it takes almost no time."""
    from _bench_runs import EXTENT

    from fastnn._bench import clock, jobs

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jobs, "QUICK", EXTENT)
        patch.setattr(clock, "MIN_ROUND", 1e-4)
        patch.setattr(clock, "_REST", 1e-4)
        yield


@pytest.fixture
def torch():
    """PyTorch on one thread, with float64 where it has a choice: NAdam's product of momenta would be float32."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    yield torch
    torch.set_default_dtype(torch.float32)


@pytest.fixture(params=["in one slice", "in many slices"])
def slices(request, monkeypatch):
    """Let runs that nothing watches end a slice after each batch, or not."""
    if request.param == "in many slices":
        monkeypatch.setattr("fastnn._unwatched.SLICE_SECONDS", 0.0)
