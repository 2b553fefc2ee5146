"""A fit that is refused leaves an estimator as it was, fitted or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.7")

from fastnn import SWA
from fastnn.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer", "ignore:lbfgs failed to converge")

X = np.random.default_rng(0).normal(size=(60, 3))
Y = (X[:, 0] > 0).astype(int)

# Parameters, and the arguments of `fit` or `partial_fit`, of which one is wrong.
REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "few rows": ({"early_stopping": True}, {"X": X[:5], "y": Y[:5]}),
    "a late average": ({"averaging": SWA(start=50)}, {}),
    "the score of others": ({"early_stopping": True, "scoring": "no such score"}, {}),
    "no progress bar": ({"progress": object()}, {}),
    "a large factor": ({"dropout": 0.1, "dropout_factor": lambda step: np.full(np.shape(step), 7.0)}, {}),
    "NaN": ({}, {"X": X * np.nan}),
    "weights of other rows": ({}, {"sample_weight": np.ones(3)}),
    "masked targets": ({}, {"y": np.ma.masked_array(Y, mask=Y > 0)}),
    "masked inputs": ({}, {"X": np.ma.masked_array(X, mask=X > 0)}),
    "times as weights": ({}, {"sample_weight": np.full(60, "2020", "M8[s]")}),
    "text as weights": ({}, {"sample_weight": ["1"] * 60}),
    "large weights": ({}, {"sample_weight": np.full(60, 1e308)}),
}
STATES: dict[str, Callable[[Any], Any]] = {
    "unfitted": lambda estimator: estimator,
    "fitted": lambda estimator: estimator.fit(X, Y),
    "with members": lambda estimator: estimator.set_params(n_members=2).fit(X, Y),
    "members before": lambda estimator: estimator.set_params(n_members=2).fit(X, Y).set_params(n_members=1),
    "going on": lambda estimator: estimator.set_params(warm_start=True).fit(X, Y),
    "by lbfgs": lambda estimator: estimator.set_params(solver="lbfgs", warm_start=True).fit(X, Y),
    "resuming": lambda estimator: estimator.set_params(warm_start=True, resume=True).fit(X, Y),
}


def state_of(estimator: Any) -> list[tuple[str, str]]:
    """Return the attributes of a fit, and the predictions, of an estimator and its members."""
    others = ("members_", "network_")  # a network follows the parameter `dropout`
    found = {name: repr(value) for name, value in vars(estimator).items() if name.endswith("_") and name not in others}
    if found:
        found["predictions"] = repr(estimator.predict(X).tolist())
    members = vars(estimator).get("members_", ())
    return sorted(found.items()) + [pair for member in members for pair in state_of(member)]


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("refused", REFUSED)
def test_a_refused_fit_changes_nothing(kind: Any, state: str, refused: str) -> None:
    parameters, arguments = REFUSED[refused]
    if state == "by lbfgs" and "dropout" in parameters:
        return  # even predictions are refused
    estimator = STATES[state](kind(hidden_layer_sizes=(4,), max_iter=3, random_state=0))
    estimator.set_params(**parameters)
    before = state_of(estimator)
    try:
        estimator.fit(**{"X": X, "y": Y} | arguments)
    except (TypeError, ValueError):
        assert state_of(estimator) == before
    else:
        # L-BFGS ignores the parameters of batches, like scikit-learn's, and a later run may reach the epoch of the average.
        assert parameters
        assert state == "by lbfgs" or (state, refused) == ("resuming", "a late average")


@pytest.mark.parametrize("refused", [name for name in REFUSED if "early_stopping" not in REFUSED[name][0]])
@pytest.mark.parametrize("state", ["unfitted", "fitted", "with members"])
def test_a_refused_partial_fit_changes_nothing(state: str, refused: str) -> None:
    if refused == "a late average":
        return  # partial_fit has no last epoch
    estimator = STATES[state](MLPClassifier((4,), max_iter=3, random_state=0))
    parameters, arguments = REFUSED[refused]
    estimator.set_params(**parameters)
    before = state_of(estimator)
    with pytest.raises((TypeError, ValueError)):
        estimator.partial_fit(**{"X": X, "y": Y, "classes": [0, 1]} | arguments)
    assert state_of(estimator) == before
    if state == "unfitted":  # the classes are not recorded either
        estimator.set_params(averaging=None, progress=False, dropout=0.0, dropout_factor=1.0)
        estimator.partial_fit(X, Y, classes=[0, 1, 2])


def test_the_classes_of_columns_are_their_numbers() -> None:
    several = np.column_stack([Y, 1 - Y])
    estimator = MLPClassifier((4,), random_state=0)
    for classes in ([5, 6], [0, 1, 2]):
        with pytest.raises(ValueError, match=r"classes: expected array\(\[0, 1\]\), the columns of y, or None, got"):
            estimator.partial_fit(X, several, classes=classes)
    for classes in ([0, 1], None, [0, 1]):
        estimator.partial_fit(X, several, classes=classes)
