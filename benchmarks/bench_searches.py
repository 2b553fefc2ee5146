"""Searches of fastnn.sklearn against scikit-learn's: the same scores, and the speedup.

100 settings of small networks, 5 folds, 1000 rows. scikit-learn's search runs over fastnn's estimator in two processes that
start before the clock, and, on a tenth of the settings, over its own estimator in this process.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from libraries import checks_only

pytest.importorskip("sklearn", minversion="1.7")

from sklearn import model_selection, neural_network
from sklearn.datasets import make_classification

from fastnn import sklearn as fastnn_sklearn

GRID: dict[str, Any] = {
    "hidden_layer_sizes": [(4,), (8,), (12,), (16,), (8, 8)],
    "alpha": np.logspace(-5, -1, 5),
    "learning_rate_init": [1e-3, 3e-3, 1e-2, 3e-2],
}
TENTH = {"hidden_layer_sizes": [(8,), (16,)], "alpha": np.logspace(-5, -1, 5)}
CASES: dict[str, dict[str, Any]] = {
    "20 epochs": {"max_iter": 20},
    "200 epochs": {"max_iter": 200},
    "early stopping": {"max_iter": 60, "early_stopping": True},
}

pytestmark = pytest.mark.filterwarnings("ignore")


def timed(search: Any, X: Any, y: Any) -> tuple[float, Any]:
    """Return the seconds of a search, and its scores."""
    begun = time.perf_counter()
    search.fit(X, y)
    return time.perf_counter() - begun, search.cv_results_["mean_test_score"]


@pytest.mark.parametrize("options", CASES.values(), ids=list(CASES))
def test_searches(options: Any, request: pytest.FixtureRequest) -> None:
    """Compare the scores, and print the times."""
    X, y = make_classification(1000, 20, n_informative=8, random_state=0)
    ours = fastnn_sklearn.MLPClassifier(random_state=0, **options)
    theirs = neural_network.MLPClassifier(random_state=0, **options)
    few = checks_only(request)
    grid = TENTH if few else GRID
    given: dict[str, Any] = {"cv": 2 if few else 5, "refit": False}
    model_selection.GridSearchCV(ours, {"alpha": [0.0, 1.0]}, n_jobs=2, **given).fit(
        X[:100], y[:100]
    )  # starts the processes
    seconds, scores = timed(fastnn_sklearn.GridSearchCV(ours, grid, **given), X, y)
    by_processes, expected = timed(model_selection.GridSearchCV(ours, grid, n_jobs=2, **given), X, y)
    np.testing.assert_array_equal(scores, expected)
    if few:
        return
    of_theirs, _ = timed(model_selection.GridSearchCV(theirs, TENTH, **given), X, y)
    of_theirs *= 10
    print(
        f"\n{seconds:.2f} s; scikit-learn's search over fastnn's estimator, n_jobs=2: {by_processes:.2f} s "
        f"({by_processes / seconds:.1f} times); over its own estimator: {of_theirs:.0f} s ({of_theirs / seconds:.0f} times)"
    )
