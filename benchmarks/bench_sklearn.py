"""The estimators of fastnn.sklearn against scikit-learn's: the same numbers, and the speedup.

Both are fitted to the same data with the same parameters and `random_state`; parameters and numbers of epochs are compared
before the clock starts. Then they take turns, and the best of each counts.
"""

from __future__ import annotations

import math
import warnings
from collections import defaultdict
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from libraries import checks_only

pytest.importorskip("sklearn", minversion="1.7")

from scipy import sparse
from sklearn import neural_network
from sklearn.datasets import load_diabetes, load_digits, load_iris
from sklearn.exceptions import ConvergenceWarning

from fastnn import sklearn as fastnn_sklearn
from fastnn._bench.clock import get_ready, race, rest_of, seconds_of

DATA = {"iris": load_iris, "diabetes": load_diabetes, "digits": load_digits}
ACTIVATIONS = ("identity", "logistic", "tanh", "relu")
OPTIONS: dict[str, dict[str, Any]] = {
    "adam": {},
    "adam, batches of 32": {"batch_size": 32},
    "adam, early stopping": {"early_stopping": True},
    "adam, alpha=0": {"alpha": 0.0},
    "sgd": {"solver": "sgd"},
    "sgd, invscaling": {"solver": "sgd", "learning_rate": "invscaling"},
    "sgd, adaptive": {"solver": "sgd", "learning_rate": "adaptive"},
    "sgd, no momentum": {"solver": "sgd", "momentum": 0.0},
    "sgd, no nesterov": {"solver": "sgd", "nesterovs_momentum": False},
    "sgd, no shuffle": {"solver": "sgd", "shuffle": False},
    "lbfgs": {"solver": "lbfgs"},
}
EPOCHS = 15
CHECKED_ONLY = 3  # options
FITS = 4
SECONDS = 0.06

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.parametrize("n_threads", [1, None], ids=["1 thread", "all threads"], indirect=True),
]


def data(name: str) -> tuple[Any, Any]:
    """Return standardized inputs, and classes or standardized numbers."""
    X, y = DATA[name](return_X_y=True)
    X = (X - X.mean(axis=0)) / (X.std(axis=0) + 1e-9)
    return X, (y - y.mean()) / y.std() if name == "diabetes" else y


def fits(name: str, X: Any, y: Any, **options: Any) -> dict[str, Callable[[], Any]]:
    """Return a function for each library that fits its estimator."""
    kind = "MLPRegressor" if name == "diabetes" else "MLPClassifier"

    def fit(library: Any) -> Callable[[], Any]:
        made = getattr(library, kind)
        return lambda: made(random_state=0, **options).fit(X, y)

    return {"fastnn": fit(fastnn_sklearn), "scikit-learn": fit(neural_network)}


def check(works: dict[str, Callable[[], Any]], rtol: float = 1e-6) -> None:
    """Assert that both estimators reach the same parameters after the same number of epochs."""
    ours, theirs = works["fastnn"](), works["scikit-learn"]()
    assert ours.n_iter_ == theirs.n_iter_
    for got, wanted in zip(ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True):
        assert np.abs(got - wanted).max() <= rtol * np.abs(wanted).max()


def times_as_fast(
    works: dict[str, Callable[[], Any]], n_threads: int, seconds: float = SECONDS, turns: int = 3
) -> tuple[float, float, float]:
    """Return the seconds of both, and fastnn's speedup."""
    timings = race(works, seconds=seconds, turns=turns, rest=rest_of(n_threads))
    ours, theirs = timings["fastnn"].minimum, timings["scikit-learn"].minimum
    return ours, theirs, theirs / ours


def quick_ratio(works: dict[str, Callable[[], Any]], n_threads: int) -> float:
    """Return fastnn's speedup, by the best of a few fits in turns."""
    best = dict.fromkeys(works, math.inf)
    for _ in range(FITS):
        for name, work in works.items():
            get_ready(work, rest_of(n_threads))
            best[name] = min(best[name], seconds_of(work))
    return best["scikit-learn"] / best["fastnn"]


def test_fits_of_15_epochs(request, record, n_threads):
    """These are 132 fits: three data sets, four activations, and eleven solvers with options."""
    options = dict(list(OPTIONS.items())[:CHECKED_ONLY]) if checks_only(request) else OPTIONS
    ratios = defaultdict(list)
    for (name, activation), option in product(product(DATA, ACTIVATIONS), options):
        works = fits(name, *data(name), activation=activation, max_iter=EPOCHS, **options[option])
        check(works)
        if not checks_only(request):
            ratios[option, name].append(quick_ratio(works, n_threads))
    if checks_only(request):
        return
    title = (
        f"fits of {EPOCHS} epochs, times as fast as scikit-learn, {n_threads} thread(s), geometric means over activations"
    )
    for (option, name), found in ratios.items():
        record(title, option, name, geometric_mean(found))
    everything = [ratio for found in ratios.values() for ratio in found]
    record(title, "all", "geometric mean", geometric_mean(everything))
    record(title, "all", "least", min(everything))
    assert geometric_mean(everything) >= 2.5


def geometric_mean(values: list[float]) -> float:
    return math.exp(math.fsum(map(math.log, values)) / len(values))


def test_digits_to_convergence(request, record, n_threads):
    """The default classifier learns the unscaled digits."""
    works = fits("digits", *load_digits(return_X_y=True))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        check(works)
    if checks_only(request):
        return
    ours, theirs, ratio = times_as_fast(works, n_threads, seconds=1.0)
    title = f"digits to convergence, {n_threads} thread(s)"
    for column, value in (("fastnn, ms", 1e3 * ours), ("scikit-learn, ms", 1e3 * theirs), ("times as fast", ratio)):
        record(title, "MLPClassifier()", column, value)
    assert ratio >= 1.8


@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_one_row(request, record, n_threads, method):
    X, y = load_digits(return_X_y=True)
    made = {name: fit() for name, fit in fits("digits", X, y, max_iter=3).items()}
    row = X[:1]
    works = {name: lambda one=one: getattr(one, method)(row) for name, one in made.items()}
    np.testing.assert_allclose(works["fastnn"](), works["scikit-learn"](), rtol=1e-9)
    if checks_only(request):
        return
    ours, theirs, ratio = times_as_fast(works, n_threads, turns=10)
    network = made["fastnn"].network_
    inside = race({"network_": lambda: network.predict(row)}, seconds=SECONDS)["network_"].minimum
    title = f"one row of the digits, µs, {n_threads} thread(s)"
    for column, value in (("fastnn", ours), ("scikit-learn", theirs), ("network_.predict", inside)):
        record(title, method, column, 1e6 * value)
    assert ratio >= 4


SPARSE = {
    "adam": {},
    "sgd": {"solver": "sgd"},
    "sgd, no momentum, alpha=0": {"solver": "sgd", "momentum": 0.0, "alpha": 0.0},
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("options", SPARSE)
def test_sparse(request, record, n_threads, options, dtype):
    """The data are 10 000 rows of 50 000 features, of which one in a thousand is not zero; the best epoch of some counts."""
    rows, features = (400, 2000) if checks_only(request) else (10_000, 50_000)
    rng = np.random.default_rng(0)
    X = sparse.random(rows, features, 0.001, format="csr", dtype=dtype, rng=rng)
    y = np.asarray(X[:, : features // 2].sum(axis=1)).ravel() > features / 4000
    check(fits("text", X, y, max_iter=1, **SPARSE[options]), 1e-9 if dtype == "float64" else 1e-3)
    if checks_only(request):
        return
    works = {}
    for name, library in (("fastnn", fastnn_sklearn), ("scikit-learn", neural_network)):
        one = library.MLPClassifier(random_state=0, **SPARSE[options])
        one.partial_fit(X, y, classes=[False, True])
        works[name] = lambda one=one: one.partial_fit(X, y)
    ours, theirs, ratio = times_as_fast(works, n_threads, seconds=2.0, turns=2)
    title = f"an epoch of sparse rows, 10 000 × 50 000 at 0.1 %, hidden 100, {n_threads} thread(s)"
    row = f"{options}, {dtype}"
    for column, value in (("fastnn, ms", 1e3 * ours), ("scikit-learn, ms", 1e3 * theirs), ("times as fast", ratio)):
        record(title, row, column, value)
    assert ratio >= 3
