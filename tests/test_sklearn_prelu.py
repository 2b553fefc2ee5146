"""Estimators with PReLU: solvers, copies, exports, and parameters set after a fit."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from fastnn.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer", "ignore:lbfgs failed")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 3))
VALUES = np.abs(X[:, :2]) - 0.5 * X[:, 1:]
LABELS = (X[:, 0] * X[:, 1] > 0).astype(int)


def slopes_of(estimator: Any) -> Any:
    """Return the first hidden layer's slopes."""
    return estimator.network_.slopes[0]


@pytest.mark.parametrize("solver", ["lbfgs", "sgd", "adam", "adamw"])
def test_solvers_train_the_slopes(solver: str) -> None:
    for estimator, y in ((MLPRegressor, VALUES), (MLPClassifier, LABELS)):
        options = {"activation": "prelu", "solver": solver, "max_iter": 60, "random_state": 0}
        fitted = estimator(hidden_layer_sizes=(8,), **options).fit(X, y)
        assert (slopes_of(fitted) != 0.25).all()
        again = pickle.loads(pickle.dumps(fitted))
        np.testing.assert_array_equal(slopes_of(again), slopes_of(fitted))
        np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
        np.testing.assert_array_equal(slopes_of(clone(fitted).fit(X, y)), slopes_of(fitted))


def test_lbfgs_uses_the_gradient_of_the_slopes() -> None:
    fitted = MLPRegressor(
        hidden_layer_sizes=(6,), activation="prelu", solver="lbfgs", max_iter=2000, alpha=0.0, random_state=0, tol=1e-7
    ).fit(X, VALUES)
    _, gradients = fitted.network_.gradient(X, VALUES)
    assert max(np.abs(g).max() for g in gradients) < 1e-3


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize(("before", "after"), [("relu", "prelu"), ("prelu", "tanh"), ("prelu", "prelu")])
def test_an_activation_set_after_a_fit_adds_or_removes_slopes(before: str, after: str, early_stopping: bool) -> None:
    options = {"early_stopping": early_stopping, "max_iter": 5, "random_state": 0, "warm_start": True}
    estimator = MLPRegressor(hidden_layer_sizes=(8,), activation=before, **options).fit(X, VALUES)
    coefs = [w.copy() for w in estimator.coefs_]
    estimator.set_params(activation=after)
    estimator.predict(X)
    for got, wanted in zip(estimator.coefs_, coefs, strict=True):
        np.testing.assert_array_equal(got, wanted)
    estimator.fit(X, VALUES)
    assert (slopes_of(estimator) is not None) == (after == "prelu")
    assert np.isfinite(estimator.predict(X)).all()


def test_assigning_weights_keeps_the_slopes() -> None:
    estimator = MLPRegressor(hidden_layer_sizes=(8,), activation="prelu", max_iter=5, random_state=0).fit(X, VALUES)
    slopes = slopes_of(estimator).copy()
    estimator.coefs_[0] = np.ones((3, 8))
    estimator.predict(X)
    np.testing.assert_array_equal(slopes_of(estimator), slopes)


def test_onnx_models_have_the_slopes() -> None:
    pytest.importorskip("skl2onnx")
    runtime = pytest.importorskip("onnxruntime")
    from skl2onnx import to_onnx

    estimator = MLPRegressor(hidden_layer_sizes=(8, 5), activation=["prelu", "tanh"], max_iter=30, random_state=0).fit(
        X, VALUES
    )
    for dtype in (np.float32, np.float64):
        rows = X.astype(dtype)
        session = runtime.InferenceSession(
            to_onnx(estimator, rows[:1]).SerializeToString(), providers=["CPUExecutionProvider"]
        )
        (outputs,) = session.run(None, {session.get_inputs()[0].name: rows})
        np.testing.assert_allclose(outputs, estimator.predict(rows), rtol=1e-4, atol=1e-5)


def test_conversion_to_scikit_learn_refuses_prelu() -> None:
    with pytest.raises(ValueError, match="activation: expected one of.*got 'prelu'"):
        MLPRegressor(hidden_layer_sizes=(8,), activation="prelu", max_iter=2).fit(X, VALUES).to_sklearn()
