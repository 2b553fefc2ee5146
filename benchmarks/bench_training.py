"""A training step: checked against the oracle, then timed in whole epochs."""

from __future__ import annotations

import contestants
import numpy as np
import pytest
from shapes import CASES


@pytest.mark.parametrize("contestant", contestants.CONTESTANTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_step(benchmark, record, case, n_threads, dtype, contestant):
    threads = "1 thread" if n_threads == 1 else "all threads"
    benchmark.group = f"training {case}, {np.dtype(dtype)}, {threads}"
    made = contestants.CONTESTANTS[contestant](case, dtype)
    contestants.check(made, case, dtype)
    X, y = contestants.data(case, dtype)
    benchmark(made.train, X, y, case.epochs)
    if benchmark.stats is not None:
        seconds = benchmark.stats.stats.min / (case.epochs * case.steps)
        gflops = case.flop / seconds / 1e9
        benchmark.extra_info.update({"microseconds a step": seconds * 1e6, "GFLOP/s": gflops})
        title = f"microseconds a training step, {np.dtype(dtype)}, {threads}"
        record(title, str(case), contestant, seconds * 1e6)
        if contestant == "fastnn":
            record(title, str(case), "its GFLOP/s", gflops)
