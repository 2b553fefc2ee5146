"""Estimators whose networks are shared ensembles."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn")
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from fastnn import SharedEnsemble
from fastnn.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 5))
Y = X[:, 0] * X[:, 1] + X[:, 2]
LABELS = np.array(["a", "b", "c"])[np.digitize(Y, [-0.7, 0.7])]
DEFAULTS = {"hidden_layer_sizes": (16, 8), "max_iter": 20, "tol": 0.0, "random_state": 0}
SHARED = [SharedEnsemble(4), SharedEnsemble(4, kind="full")]
KINDS = ["mini", "full"]


def regressor(shared, **options):
    return MLPRegressor(
        hidden_layer_sizes=(16, 8), **{"shared": shared, "max_iter": 20, "tol": 0.0, "random_state": 0} | options
    )


def classifier(shared, **options):
    return MLPClassifier(
        hidden_layer_sizes=(16, 8), **{"shared": shared, "max_iter": 20, "tol": 0.0, "random_state": 0} | options
    )


@pytest.mark.parametrize("shared", SHARED, ids=KINDS)
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_regressors_learn(shared, solver):
    estimator = regressor(shared, solver=solver, max_iter=150, learning_rate_init=0.01).fit(X, Y)
    assert estimator.score(X, Y) > (0.6 if solver == "sgd" else 0.8)
    assert estimator.network_.shared == shared
    np.testing.assert_array_equal(estimator.predict(X), estimator.network_.predict(X)[:, 0])
    both = regressor(shared, solver=solver).fit(X, np.stack([Y, -Y], axis=1))
    assert both.predict(X).shape == (120, 2)


@pytest.mark.parametrize("shared", SHARED, ids=KINDS)
@pytest.mark.parametrize("labels", [LABELS, LABELS == "a"], ids=["three", "two"])
def test_probabilities_are_means_of_the_members(shared, labels):
    estimator = classifier(shared, learning_rate_init=0.02).fit(X, labels)
    assert estimator.score(X, labels) > 0.7
    hidden, (*_, weights), (*_, biases) = estimator.hidden_activations(X)[-1], estimator.coefs_, estimator.intercepts_
    n_out = len(biases) // 4
    z = np.stack([hidden[:, k] @ weights[:, k * n_out : (k + 1) * n_out] for k in range(4)], axis=1) + biases.reshape(
        4, n_out
    )
    exp = np.exp(z)
    members = exp / exp.sum(axis=2, keepdims=True) if n_out > 1 else 1 / (1 + np.exp(-z))
    expected = members.mean(axis=1)
    expected = expected if n_out > 1 else np.hstack([1 - expected, expected])
    np.testing.assert_allclose(estimator.predict_proba(X), expected, rtol=1e-9)


@pytest.mark.parametrize("shared", SHARED, ids=KINDS)
def test_members_begin_with_output_layers_and_scales_of_their_own(shared):
    begun = regressor(shared, max_iter=1, learning_rate_init=1e-12).fit(X, Y)
    last, scales = begun.coefs_[-1], begun.network_.scales[0]
    assert len(np.unique(last.round(9))) == last.size
    np.testing.assert_allclose(np.abs(scales), 1.0, rtol=1e-9)
    assert abs(scales.mean()) < 1.0
    bound = np.sqrt(6.0 / (8 + 1))
    assert np.abs(last).max() <= bound
    other = regressor(shared, max_iter=1, learning_rate_init=1e-12).fit(X, Y)
    np.testing.assert_array_equal(other.network_.to_vector(), begun.network_.to_vector())


@pytest.mark.parametrize("shared", SHARED, ids=KINDS)
@pytest.mark.parametrize("make", [regressor, classifier])
def test_copies_and_files_keep_members(make, shared, tmp_path):
    y = Y if make is regressor else LABELS
    estimator = make(shared, early_stopping=True, warm_start=True, resume=True).fit(X, y)
    assert clone(estimator).get_params()["shared"] == shared
    estimator.save(tmp_path / "estimator")
    kinds = [pickle.loads(pickle.dumps(estimator)), type(estimator).load(tmp_path / "estimator")]
    for copied in kinds:
        assert copied.get_params()["shared"] == shared
        np.testing.assert_array_equal(copied.predict(X), estimator.predict(X))
    estimator.fit(X, y)
    for copied in kinds:
        np.testing.assert_array_equal(copied.fit(X, y).network_.to_vector(), estimator.network_.to_vector())


def test_a_search_finds_the_best_ensemble():
    search = GridSearchCV(regressor(None), {"shared": [None, *SHARED], "alpha": [0.0, 0.1]}, cv=3).fit(X, Y)
    alone = [clone(regressor(**params)).fit(X[:80], Y[:80]) for params in search.cv_results_["params"]]
    scores = [estimator.score(X[80:], Y[80:]) for estimator in alone]
    np.testing.assert_allclose(search.cv_results_["split2_test_score"], scores, rtol=1e-9)
    assert search.best_estimator_.predict(X).shape == (120,)


@pytest.mark.parametrize("shared", SHARED, ids=KINDS)
def test_several_networks_of_members_have_the_mean(shared):
    estimator = regressor(shared, n_members=3).fit(X, Y)
    mean = np.mean([member.predict(X) for member in estimator.members_], axis=0)
    np.testing.assert_allclose(estimator.predict(X), mean, rtol=1e-9)


@pytest.mark.parametrize("shared", SHARED, ids=KINDS)
def test_partial_fit_and_warm_start_go_on(shared):
    estimator = regressor(shared, learning_rate_init=0.01)
    for _ in range(60):
        estimator.partial_fit(X, Y)
    assert estimator.score(X, Y) > 0.3
    before = estimator.loss_curve_[-1]
    estimator.set_params(warm_start=True).fit(X, Y)
    assert estimator.loss_curve_[-1] < before


@pytest.mark.parametrize("shared", SHARED, ids=KINDS)
def test_arrays_of_the_same_shapes_can_be_assigned(shared):
    estimator = regressor(shared).fit(X, Y)
    estimator.coefs_ = [0 * each for each in estimator.coefs_]
    estimator.intercepts_[-1][...] = np.arange(4)
    np.testing.assert_allclose(estimator.predict(X), 1.5)
    estimator.intercepts_ = [np.zeros(16), np.zeros(8), np.zeros(3)]
    with pytest.raises(ValueError, match="coefs_, intercepts_: expected the shapes of the network"):
        estimator.predict(X)


def test_settings_that_change_no_shape_follow():
    estimator = regressor(SHARED[1]).fit(X, Y)
    before = estimator.predict(X)
    np.testing.assert_array_equal(estimator.set_params(dropout=0.5).predict(X), before)
    estimator.set_params(shared=SharedEnsemble(5))
    with pytest.raises(ValueError, match=r"shared: expected SharedEnsemble\(n_members=4.*got SharedEnsemble\(n_m"):
        estimator.predict(X)
    assert estimator.fit(X, Y).network_.shared == SharedEnsemble(5)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"shared": 8}, ValueError, "The 'shared' parameter of MLPRegressor must be a fastnn.SharedEnsemble, or None"),
        ({"input_scale": True}, ValueError, "input_scale: expected False"),
        ({"residual": 1}, ValueError, "residual: expected no residual connections"),
    ],
)
def test_wrong_parameters_are_named(options, error, message):
    estimator = MLPRegressor(hidden_layer_sizes=(8, 8), **{"shared": SHARED[0]} | options)
    with pytest.raises(error, match=message):
        estimator.fit(X, Y)
    assert not hasattr(estimator, "network_")


def test_sparse_features_are_refused_before_anything_changes():
    estimator = regressor(SHARED[0])
    rows = csr_matrix(X)
    for call in (lambda: estimator.fit(rows, Y), lambda: estimator.fit(X, Y, X_val=rows, y_val=Y)):
        with pytest.raises(TypeError, match="X(_val)?.*: expected a dense array for shared=SharedEnsemble"):
            call()
        assert not hasattr(estimator, "network_")
    with pytest.raises(TypeError, match="expected a dense array for a shared ensemble"):
        estimator.fit(X, Y).predict(rows)


def test_other_doors_name_members():
    estimator = regressor(SHARED[0]).fit(X, Y)
    with pytest.raises(ValueError, match="shared: expected None: scikit-learn has no such parameter"):
        estimator.to_sklearn()
    unfitted = regressor(SHARED[0])
    unfitted.coefs_, unfitted.intercepts_ = [np.ones((5, 1))], [np.zeros(1)]
    with pytest.raises(ValueError, match="coefs_, intercepts_: expected an estimator with one network, got shared="):
        unfitted.predict(X)
