"""Predictions of one row and of many: checked against the reference, then timed from Python, arrays in and arrays out."""

from __future__ import annotations

import numpy as np
import pytest
from shapes import LAYER_SIZES, PREDICT_ROWS

from fastnn._bench.checks import check_prediction
from fastnn._bench.peers import PREDICTORS
from fastnn._bench.works import DTYPES, PredictionWork, rows_of


@pytest.mark.parametrize("contestant", PREDICTORS)
@pytest.mark.parametrize(
    ("rows", "dtype"),
    [(rows, dtype) for dtype in DTYPES for rows in PREDICT_ROWS if dtype == np.float32 or rows == 1],
    ids=lambda value: f"{value} rows" if isinstance(value, int) else str(value),
)
@pytest.mark.parametrize("layer_sizes", LAYER_SIZES, ids=lambda sizes: "-".join(map(str, sizes)))
def test_predict(contest, layer_sizes, rows, dtype, n_threads, contestant):
    work = PredictionWork(layer_sizes, rows, dtype)
    reason = PREDICTORS[contestant].why_not(work)
    if reason:
        pytest.skip(reason)
    check_prediction(PREDICTORS[contestant], work, n_threads)
    X = rows_of(work)
    ours, theirs = (PREDICTORS[name](work, n_threads) for name in ("fastnn", contestant))
    threads = "1 thread" if n_threads == 1 else f"{n_threads} threads"
    contest(
        f"prediction {work}, {threads}",
        contestant,
        lambda: theirs.predict(X),
        None if contestant == "fastnn" else lambda: ours.predict(X),
        table=f"microseconds a prediction, {dtype}, {threads}",
        row=str(work).removesuffix(f", {dtype}"),
        flop=work.flop,
        dtype=dtype,
    )
