"""Sample weights of the estimators: weights of either sign as in scikit-learn, and rows of weight zero without effect."""

from __future__ import annotations

import numpy as np
import pytest
from _sklearn_pairs import DATA, LIBRARIES, assert_same, estimator, snapshot

from fastnn.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

NAMES = ("iris", "strings", "multilabel", "diabetes", "two outputs", "counts")


def signed(n, negative, seed=0):
    """Return weights of which a share is negative."""
    rng = np.random.default_rng(seed)
    return np.where(rng.uniform(size=n) < negative, -0.45, 0.2) * rng.uniform(0.5, 1, n)


def options_of(name):
    return {"loss": "poisson"} if name == "counts" else {}


@pytest.mark.parametrize("negative", [0.1, 0.7, 1.0])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("name", NAMES)
def test_weights_of_either_sign_give_the_same_as_in_scikit_learn(name, solver, negative):
    """scikit-learn divides the gradient of a batch by the sum of its weights, even if that is negative; so does lbfgs."""
    X, y = DATA[name]
    weight = signed(len(X), negative)
    kind = {"max_iter": 3} if solver == "lbfgs" else {"max_iter": 4, "batch_size": 16}

    def fit(library):
        return snapshot(estimator(library, name, solver=solver, alpha=0.01, **kind, **options_of(name)).fit(X, y, weight), X)

    assert_same(fit, rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_scores_and_partial_fits_with_weights_of_either_sign_are_the_same(name):
    X, y = DATA[name]
    weight = signed(len(X), 0.6)

    def stop(library):
        options = {"early_stopping": True, "n_iter_no_change": 2, "max_iter": 6, "batch_size": 16}
        return snapshot(estimator(library, name, **options, **options_of(name)).fit(X, y, weight), X)

    def partial(library):
        fitted = estimator(library, name, batch_size=16, **options_of(name))
        for part in (slice(0, 50), slice(40, 100), slice(0, 100)):
            if name in ("iris", "strings", "multilabel"):
                classes = np.arange(y.shape[1]) if y.ndim == 2 else np.unique(y)
                fitted.partial_fit(X[part], y[part], weight[part], classes=classes)
            else:
                fitted.partial_fit(X[part], y[part], weight[part])
        return snapshot(fitted, X)

    assert_same(stop, rtol=1e-6)
    assert_same(partial, rtol=1e-6)


def sums_to_zero(n):
    """Return weights that cancel in pairs."""
    return np.resize([0.3, -0.3], n)


@pytest.mark.parametrize("options", [{"solver": "lbfgs"}, {"batch_size": 10}, {"batch_size": 60}])
@pytest.mark.parametrize("backend", ["compiled", "portable"])
def test_weights_that_sum_to_zero_are_refused(options, backend, monkeypatch):
    """np.average raises this in scikit-learn. It includes sums that are zero up to rounding, and batches without weight."""
    X, y = (part[:60] for part in DATA["diabetes"])
    no_row = np.repeat([1.0, 0.0], 30)
    if backend == "portable":
        from fastnn._engine import portable as _portable

        for module in (
            "_model",
            "_evaluated",
            "_settings",
            "_configured",
            "_prepared",
            "_trainer",
            "_minimize",
            "sklearn._fitted",
        ):
            monkeypatch.setattr(f"fastnn.{module}._core", _portable)
    for library in LIBRARIES:
        with pytest.raises(ZeroDivisionError):
            estimator(library, "diabetes", shuffle=False, **options).fit(X, y, sums_to_zero(60))
        with pytest.raises(ZeroDivisionError):
            estimator(library, "diabetes", shuffle=False, batch_size=30).fit(X, y, no_row)
    for weight in (sums_to_zero(60), np.resize([0.1, 0.2, -0.3], 60)):
        with pytest.raises(ZeroDivisionError, match="^sample_weight: .*got weights that sum to 0"):
            estimator(LIBRARIES[1], "diabetes", **{**options, "batch_size": 60}).fit(X, y, weight)


def test_a_batch_that_sums_to_zero_keeps_the_parameters_of_the_step_before():
    X, y = (part[:40] for part in DATA["diabetes"])
    weight = np.concatenate([np.ones(20), sums_to_zero(20)])
    fitted = [estimator(library, "diabetes", shuffle=False, batch_size=20) for library in LIBRARIES]
    for each in fitted:
        with pytest.raises(ZeroDivisionError):
            each.fit(X, y, weight)
    theirs, ours = fitted
    for a, b in zip(ours.coefs_, theirs.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)
        assert np.isfinite(a).all()


def test_held_out_weights_that_sum_to_zero_are_refused_before_anything_is_trained():
    X, y = (part[:60] for part in DATA["diabetes"])
    model = MLPRegressor(hidden_layer_sizes=(5,), max_iter=3, random_state=0).fit(X, y)
    before = [w.copy() for w in model.coefs_]
    with pytest.raises(ZeroDivisionError, match="^sample_weight_val: .*got weights that sum to 0"):
        model.fit(X, y, X_val=X[:20], y_val=y[:20], sample_weight_val=sums_to_zero(20))
    for a, b in zip(model.coefs_, before, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("options", [{}, {"solver": "lbfgs", "max_iter": 3}, {"early_stopping": True}, {"solver": "sgd"}])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_of_weight_zero_may_hold_any_finite_number(dtype, options):
    """Their values may overflow; scikit-learn's checks refuse only NaN and infinity."""
    options = {"max_iter": 4, "random_state": 0, "batch_size": 16} | options
    X, y = DATA["diabetes"]
    weight = np.where(np.random.default_rng(0).random(len(X)) < 0.2, 0.0, 1.0)
    huge = np.finfo(dtype).max
    X, y = X.astype(dtype), y.astype(dtype)
    X_huge, y_huge = X.copy(), y.copy()
    X_huge[weight == 0], y_huge[weight == 0] = huge, -huge
    for kind, a, b in ((MLPRegressor, y_huge, y), (MLPClassifier, y > 0, y > 0)):
        spoiled, clean = (kind(hidden_layer_sizes=(6,), **options).fit(x, t, weight) for x, t in ((X_huge, a), (X, b)))
        for found, expected in zip(spoiled.coefs_ + spoiled.intercepts_, clean.coefs_ + clean.intercepts_, strict=True):
            np.testing.assert_array_equal(found, expected)
        assert spoiled.loss_ == clean.loss_
    counts = np.where(weight == 0, -1, np.floor(np.abs(y)))
    assert np.isfinite(MLPRegressor("poisson", **options).fit(X, counts, weight).loss_)
    with pytest.raises(ValueError, match=r"y: expected values >= 0 for loss='poisson'.*got -1.0"):
        MLPRegressor("poisson", **options).fit(X, counts, np.ones(len(y)))


def test_a_batch_that_sums_to_zero_leaves_sparse_weights_up_to_date():
    """This includes weights whose features were in none of the last batches."""
    sparse = pytest.importorskip("scipy.sparse")
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 70)) * (rng.random((60, 70)) < 0.1), rng.normal(size=60)
    weight = np.concatenate([np.ones(40), sums_to_zero(20)])
    fitted = []
    for inputs in (sparse.csr_matrix(X), X):
        fitted.append(MLPRegressor(hidden_layer_sizes=(33,), batch_size=10, shuffle=False, alpha=0.1, random_state=0))
        with pytest.raises(ZeroDivisionError):
            fitted[-1].fit(inputs, y, weight)
    for a, b in zip(fitted[0].coefs_, fitted[1].coefs_, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("hidden", [(3,), (30,)])
def test_a_batch_that_sums_to_zero_hides_no_divergence(hidden):
    X, y = (part[:16] for part in DATA["diabetes"])
    weight = np.concatenate([np.ones(8), sums_to_zero(8)])
    options = {"solver": "sgd", "learning_rate_init": 1e308, "shuffle": False, "batch_size": 8, "random_state": 0}
    model = MLPRegressor(hidden_layer_sizes=hidden, **options)
    with pytest.raises(ValueError, match="Solver produced non-finite parameter weights"):
        model.fit(1e3 * X, 1e3 * y, weight)
    assert all(np.isfinite(w).all() for w in model.coefs_)


def test_a_step_on_weights_that_sum_to_zero_changes_nothing():
    X, y = (part[:8] for part in DATA["diabetes"])
    trainer = MLPRegressor(max_iter=1, random_state=0).fit(X, y)._trainer
    before = trainer.model.to_vector()
    for n_rows in (1, 8):
        with pytest.raises(ZeroDivisionError, match="^sample_weight: .*got weights that sum to 0"):
            trainer.step(X[:n_rows], y[:n_rows, None], np.zeros(1) if n_rows == 1 else sums_to_zero(8))
    np.testing.assert_array_equal(trainer.model.to_vector(), before)
