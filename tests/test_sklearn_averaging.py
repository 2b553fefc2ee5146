"""Averages, incomplete batches and ties in the estimators."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone

from fastnn import EMA, SWA
from fastnn._native import restore_parameters
from fastnn.sklearn import GridSearchCV, MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 4))
Y = X[:, 0] ** 2 + np.sin(X[:, 1])
OPTIONS = {"hidden_layer_sizes": (8,), "batch_size": 32, "tol": 0, "random_state": 0}
AVERAGES = pytest.mark.parametrize("averaging", [EMA(0.9), SWA(2), "ema"], ids=repr)


def regressor(**options):
    return MLPRegressor(**OPTIONS | {"max_iter": 6} | options)


def parameters_after_each_epoch(n, **options):
    """Return the parameters after each call of partial_fit without an average."""
    estimator, vectors = regressor(**options), []
    for _ in range(n):
        estimator.partial_fit(X, Y)
        vectors.append(estimator.network_.to_vector())
    return vectors


@AVERAGES
def test_a_fitted_estimator_has_the_average(averaging):
    estimator = regressor(averaging=averaging).fit(X, Y)
    averaged = estimator._trainer.averaged_model()
    np.testing.assert_array_equal(estimator.network_.to_vector(), averaged.to_vector())
    np.testing.assert_array_equal(estimator.predict(X), averaged.predict(X)[:, 0])
    np.testing.assert_array_equal(estimator.coefs_[0], averaged.weights[0])
    plain = regressor().fit(X, Y)
    assert estimator.loss_curve_ == plain.loss_curve_  # those of the batches
    assert not np.array_equal(estimator.coefs_[0], plain.coefs_[0])


def test_the_average_is_the_mean_over_epochs():
    found = regressor(averaging=SWA(3))
    for _ in range(5):
        found.partial_fit(X, Y)
    expected = np.mean(parameters_after_each_epoch(5)[2:], axis=0)
    np.testing.assert_allclose(found.network_.to_vector(), expected, rtol=1e-12)


def loaded(estimator, path):
    estimator.save(path)
    return MLPRegressor.load(path)


@AVERAGES
@pytest.mark.parametrize("how", ["same", "pickle", "copy", "file"])
def test_partial_fit_continues_without_the_average(averaging, how, tmp_path):
    estimator = regressor(averaging=averaging)
    vectors = parameters_after_each_epoch(5)
    for vector in vectors:
        estimator.partial_fit(X, Y)
        trained = copy.deepcopy(estimator.network_)
        restore_parameters(trained, estimator._last_parameters)
        np.testing.assert_array_equal(trained.to_vector(), vector)
        if how == "pickle":
            estimator = pickle.loads(pickle.dumps(estimator))
        elif how == "copy":
            estimator = copy.deepcopy(estimator)
        elif how == "file":
            estimator = loaded(estimator, tmp_path / "a")
    whole = regressor(averaging=averaging)
    for _ in range(5):
        whole.partial_fit(X, Y)
    np.testing.assert_array_equal(estimator.predict(X), whole.predict(X))


@AVERAGES
@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_resumed_fit_has_the_bits_of_a_longer_one(averaging, early_stopping):
    options = {"averaging": averaging, "early_stopping": early_stopping, "n_iter_no_change": np.inf}
    whole = regressor(**options).fit(X, Y)
    parts = regressor(warm_start=True, resume=True, **options | {"max_iter": 2})
    for _ in range(3):
        parts = pickle.loads(pickle.dumps(parts.fit(X, Y)))
    np.testing.assert_array_equal(parts.predict(X), whole.predict(X))
    assert parts.validation_scores_ == whole.validation_scores_


@AVERAGES
def test_early_stopping_judges_the_average(averaging):
    """A scorer that is called sees an estimator with the average; known scores are computed by the averaged network."""
    options = {"averaging": averaging, "early_stopping": True, "max_iter": 9}
    known = regressor(scoring="r2", **options).fit(X[:80], Y[:80], X_val=X[80:], y_val=Y[80:])
    seen = []

    def score(estimator, X, y):
        seen.append(estimator.network_.to_vector())
        return estimator.score(X, y)

    called = regressor(scoring=score, **options).fit(X[:80], Y[:80], X_val=X[80:], y_val=Y[80:])
    np.testing.assert_allclose(called.validation_scores_, known.validation_scores_, rtol=1e-12)
    np.testing.assert_array_equal(called.predict(X), known.predict(X))
    np.testing.assert_array_equal(called.network_.to_vector(), seen[int(np.argmax(called.validation_scores_))])
    assert called.score(X[80:], Y[80:]) == pytest.approx(called.best_validation_score_)
    by_hand = known.network_.loss(X[80:], Y[80:]) / 2  # scikit-learn's squared error is halved
    assert known.validation_loss_curve_[int(np.argmax(known.validation_scores_))] == pytest.approx(by_hand)


def test_assigned_parameters_begin_a_new_average():
    estimator = regressor(averaging=SWA())
    estimator.partial_fit(X, Y).partial_fit(X, Y)
    estimator.coefs_[0][...] = 0.0
    estimator.partial_fit(X, Y)
    assert estimator._trainer._average.counts.tolist() == [1, 3]
    np.testing.assert_array_equal(estimator.network_.to_vector(), estimator._trainer.model.to_vector())


def test_the_average_can_be_turned_off_between_calls():
    estimator = regressor(averaging=EMA(0.9))
    for _ in range(3):
        estimator.partial_fit(X, Y)
    estimator.set_params(averaging=None)
    estimator.partial_fit(X, Y)
    np.testing.assert_array_equal(estimator.network_.to_vector(), parameters_after_each_epoch(4)[-1])


def test_single_rows_are_epochs():
    for averaging in (EMA(0.9), SWA()):
        estimator = regressor(averaging=averaging, batch_size="auto")
        for i in range(4):
            estimator.partial_fit(X[i : i + 1], Y[i : i + 1])
        assert estimator._trainer._average.counts[0] == 4


def test_a_changed_network_keeps_the_average():
    estimator = regressor(averaging=EMA(0.9)).fit(X, Y)
    estimator.activation = "tanh"
    before = estimator.predict(X)
    averaged = estimator._trainer.averaged_model()
    np.testing.assert_array_equal(averaged.predict(X)[:, 0], before)
    estimator.partial_fit(X, Y)


def test_members_and_searches_have_averages():
    ensemble = regressor(averaging=EMA(0.9), n_members=3).fit(X, Y)
    for member in ensemble.members_:
        np.testing.assert_array_equal(member.network_.to_vector(), member._trainer.averaged_model().to_vector())
    search = GridSearchCV(regressor(), {"averaging": [None, EMA(0.9), SWA(2)]}, cv=3).fit(X, Y)
    for i, averaging in enumerate((None, EMA(0.9), SWA(2))):
        train, test = np.arange(40, 120), np.arange(40)
        alone = regressor(averaging=averaging).fit(X[train], Y[train])
        assert search.cv_results_["split0_test_score"][i] == pytest.approx(alone.score(X[test], Y[test]))


def test_drop_last():
    estimator = regressor(drop_last=True).fit(X, Y)  # 120 rows in batches of 32
    assert estimator.t_ == 6 * 96
    assert estimator._trainer.updates == 6 * 3
    scaled = regressor(drop_last=True, solver="sgd", learning_rate="invscaling", learning_rate_init=0.1).fit(X, Y)
    assert scaled._learning_rate == pytest.approx(0.1 / (6 * 96 + 1) ** 0.5)
    assert regressor(drop_last=True, batch_size="auto", max_iter=1).fit(X, Y).t_ == 120


@pytest.mark.parametrize("ties", ["first", "last"])
def test_ties_of_scores(ties):
    values = iter([0.5, 0.8, 0.1, 0.8, 0.2])
    vectors = []

    def score(estimator, X, y):
        vectors.append(estimator.network_.to_vector())
        return next(values)

    options = {"early_stopping": True, "n_iter_no_change": np.inf, "max_iter": 5}
    estimator = regressor(scoring=score, ties=ties, **options).fit(X, Y)
    np.testing.assert_array_equal(estimator.network_.to_vector(), vectors[1 if ties == "first" else 3])
    assert estimator.best_validation_score_ == 0.8


@pytest.mark.parametrize(
    "options", [{"averaging": 0.9}, {"averaging": EMA}, {"averaging": "mean"}, {"drop_last": 1}, {"ties": "best"}], ids=repr
)
def test_wrong_parameters_are_refused(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"The '{name}' parameter of MLPClassifier must be"):
        MLPClassifier(**options).fit(X, Y > 1)


@pytest.mark.parametrize("options", [{"averaging": "swa"}, {"drop_last": True}], ids=repr)
def test_lbfgs_refuses_options_of_batches(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"{name}: expected another solver"):
        MLPRegressor(solver="lbfgs", **options).fit(X, Y)


def test_a_fit_that_ends_before_its_average_is_refused():
    with pytest.raises(ValueError, match="averaging: expected SWA with start <= max_iter=6, got start=7"):
        regressor(averaging=SWA(7)).fit(X, Y)
    regressor(averaging=SWA(7)).partial_fit(X, Y)  # more epochs may follow


def test_clones_have_the_parameters():
    estimator = MLPClassifier(averaging=SWA(7), drop_last=True, ties="last")
    assert clone(estimator).get_params() == estimator.get_params()
