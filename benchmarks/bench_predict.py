"""Predictions, of one row and of many: checked against the oracle, then timed from Python."""

from __future__ import annotations

import contestants
import numpy as np
import pytest
from shapes import CASES


@pytest.mark.parametrize("contestant", contestants.CONTESTANTS)
@pytest.mark.parametrize("rows", [1, 1000])
@pytest.mark.parametrize("case", list({case.layer_sizes: case for case in CASES}.values()), ids=str)
def test_predict(benchmark, record, case, n_threads, rows, contestant):
    threads = "1 thread" if n_threads == 1 else "all threads"
    name = "-".join(map(str, case.layer_sizes))
    benchmark.group = f"prediction {name}, {rows} row{'s' * (rows > 1)}, float32, {threads}"
    made = contestants.CONTESTANTS[contestant](case, np.float32)
    contestants.check(made, case, np.float32)
    X = np.random.default_rng(1).standard_normal((rows, case.layer_sizes[0])).astype(np.float32)
    benchmark(made.predict, X if rows > 1 else X[0])
    if benchmark.stats is not None:
        title = f"microseconds a prediction, float32, {threads}"
        record(title, f"{name}, {rows} row{'s' * (rows > 1)}", contestant, benchmark.stats.stats.min * 1e6)
