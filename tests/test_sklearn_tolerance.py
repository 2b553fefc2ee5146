"""Stopping rules for a score or loss that stays the same: fits end in the same epoch as in scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.7")

from sklearn import neural_network

import fastnn.sklearn

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

LIBRARIES = (neural_network, fastnn.sklearn)
RULES = ("n_iter_", "_no_improvement_count", "best_loss_", "best_validation_score_", "loss_curve_", "validation_scores_")
X = np.random.default_rng(0).normal(size=(60, 3))
# A learning rate of 0 is refused; this one changes no bit of a weight.
STILL = {"solver": "sgd", "learning_rate_init": 1e-300, "alpha": 0.0, "shuffle": False, "momentum": 0.0}


def pair(kind, y, **options):
    options = {"hidden_layer_sizes": (4,), "max_iter": 60, "random_state": 0, "tol": 0.0} | options
    return [getattr(library, kind)(**options).fit(X, y) for library in LIBRARIES]


def assert_same_end(estimators):
    theirs, ours = estimators
    for name in RULES:
        expected = getattr(theirs, name)
        if expected is None:
            assert getattr(ours, name) is None, name
        else:
            np.testing.assert_allclose(getattr(ours, name), expected, rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("n_iter_no_change", [1, 3, 10])
@pytest.mark.parametrize("learning_rate", ["constant", "adaptive", "invscaling"])
@pytest.mark.parametrize("kind", ["MLPRegressor", "MLPClassifier"])
def test_constant_losses_stop_as_in_scikit_learn(kind, learning_rate, n_iter_no_change):
    """An equal loss is no increase: with tol=0 it counts as an improvement, and the fit runs to its end."""
    y = X[:, 0] if kind == "MLPRegressor" else (X[:, 0] > 0).astype(int)
    options = STILL | {"learning_rate": learning_rate, "n_iter_no_change": n_iter_no_change}
    estimators = pair(kind, y, **options)
    assert_same_end(estimators)
    assert len(set(estimators[1].loss_curve_)) == 1
    assert estimators[1].n_iter_ == 60


@pytest.mark.parametrize("tol", [0.0, 1e-12])
@pytest.mark.parametrize("n_iter_no_change", [1, 3, 10])
@pytest.mark.parametrize("learning_rate", ["constant", "adaptive", "invscaling"])
@pytest.mark.parametrize("kind", ["MLPRegressor", "MLPClassifier"])
def test_constant_scores_stop_as_in_scikit_learn(kind, learning_rate, n_iter_no_change, tol):
    y = X[:, 0] if kind == "MLPRegressor" else (X[:, 0] > 0).astype(int)
    options = STILL | {
        "learning_rate": learning_rate,
        "n_iter_no_change": n_iter_no_change,
        "early_stopping": True,
        "tol": tol,
    }
    estimators = pair(kind, y, **options)
    assert_same_end(estimators)
    assert len(set(estimators[1].validation_scores_)) == 1
    assert (estimators[1].n_iter_ == 60) == (tol == 0)


@pytest.mark.parametrize("tol", [0.0, 1e-12])
@pytest.mark.parametrize("learning_rate", ["constant", "adaptive"])
def test_losses_that_fall_to_zero_stop_as_in_scikit_learn(learning_rate, tol):
    estimators = pair("MLPRegressor", np.zeros(60), solver="sgd", learning_rate=learning_rate, alpha=0.0, tol=tol)
    assert_same_end(estimators)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("tol", [0.0, 1e-9, 1e-4])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_separable_classes_with_a_score_of_one_stop_as_in_scikit_learn(solver, tol, early_stopping):
    options = {"solver": solver, "learning_rate_init": 0.05, "early_stopping": early_stopping, "n_iter_no_change": 3}
    estimators = pair("MLPClassifier", (X[:, 0] > 0).astype(int), tol=tol, **options)
    assert_same_end(estimators)


@pytest.mark.parametrize("tol", [0.0, 1e-12])
@pytest.mark.parametrize("learning_rate", ["constant", "adaptive"])
def test_steps_of_partial_fit_count_as_in_scikit_learn(learning_rate, tol):
    estimators = [
        library.MLPRegressor(hidden_layer_sizes=(4,), random_state=0, tol=tol, **STILL | {"learning_rate": learning_rate})
        for library in LIBRARIES
    ]
    for estimator in estimators:
        for _ in range(30):
            estimator.partial_fit(X, X[:, 0])
    assert_same_end(estimators)
    assert estimators[1]._no_improvement_count == (0 if tol == 0 else estimators[0]._no_improvement_count)


def test_the_first_of_equal_scores_is_the_best():
    options = {"hidden_layer_sizes": (4,), "random_state": 0, "early_stopping": True, "scoring": lambda *_: 0.5}
    once, often = (fastnn.sklearn.MLPRegressor(max_iter=n, **options).fit(X, X[:, 0]) for n in (1, 5))
    np.testing.assert_array_equal(often.coefs_[0], once.coefs_[0])


@pytest.mark.parametrize("rate", [9e-7, 4e-6, 6e-6, 4e-5])
def test_the_smallest_adaptive_learning_rate_is_that_of_scikit_learn(rate):
    options = {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": rate, "n_iter_no_change": 2}
    assert_same_end(pair("MLPRegressor", X[:, 0], tol=1e9, **options))
