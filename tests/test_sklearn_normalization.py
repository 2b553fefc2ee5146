"""Estimators with normalizations: solvers, copies, files, exports, several networks, and parameters set after a fit."""

from __future__ import annotations

import pickle
from pathlib import Path
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
OPTIONS: dict[str, Any] = {"hidden_layer_sizes": (8, 6), "max_iter": 20, "random_state": 0}


@pytest.mark.parametrize("solver", ["lbfgs", "sgd", "adam", "adamw"])
@pytest.mark.parametrize("place", ["before", "after"])
def test_solvers_train_gains_and_shifts(solver: str, place: str) -> None:
    for estimator, y in ((MLPRegressor, VALUES), (MLPClassifier, LABELS)):
        given = {"normalization": "layer_norm", "normalization_place": place, "solver": solver}
        fitted = estimator(**OPTIONS, **given).fit(X, y)
        gains, shifts = fitted.network_.gains[0], fitted.network_.shifts[1]
        assert (gains != 1.0).all()
        assert (shifts != 0.0).any()
        for again in (pickle.loads(pickle.dumps(fitted)), clone(fitted).fit(X, y)):
            np.testing.assert_array_equal(again.network_.gains[0], gains)
            np.testing.assert_array_equal(again.predict(X), fitted.predict(X))


def test_lbfgs_uses_the_gradients_of_gains_and_shifts() -> None:
    given = {"normalization": "layer_norm", "activation": "tanh", "solver": "lbfgs", "alpha": 0.0, "tol": 1e-7}
    fitted = MLPRegressor(hidden_layer_sizes=(6,), max_iter=2000, random_state=0, **given).fit(X, VALUES[:, 0])
    _, gradients = fitted.network_.gradient(X, VALUES[:, :1])
    assert max(np.abs(g).max() for g in gradients) < 1e-3


@pytest.mark.parametrize("given", [["layer_norm", None], ("rms_norm", "layer_norm"), np.array(["rms_norm", "rms_norm"])])
def test_lists_have_one_per_hidden_layer(given: Any, tmp_path: Path) -> None:
    fitted = MLPRegressor(**OPTIONS, normalization=given, normalization_place=["after", "before"]).fit(X, VALUES)
    assert fitted.network_.normalization == tuple(given)
    fitted.save(tmp_path / "model")
    loaded = MLPRegressor.load(tmp_path / "model")
    assert repr(loaded.network_) == repr(fitted.network_)
    np.testing.assert_array_equal(loaded.predict(X), fitted.predict(X))
    for estimator in (fitted, loaded):
        estimator.partial_fit(X, VALUES)
    np.testing.assert_array_equal(loaded.predict(X), fitted.predict(X))


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize(("before", "after"), [(None, "rms_norm"), ("layer_norm", None), ("layer_norm", "rms_norm")])
def test_a_normalization_set_after_a_fit_takes_effect(before: Any, after: Any, early_stopping: bool) -> None:
    options = OPTIONS | {"early_stopping": early_stopping, "warm_start": True, "max_iter": 5}
    estimator = MLPRegressor(**options, normalization=before).fit(X, VALUES)
    coefs = [w.copy() for w in estimator.coefs_]
    estimator.set_params(normalization=after)
    estimator.predict(X)
    for got, wanted in zip(estimator.coefs_, coefs, strict=True):
        np.testing.assert_array_equal(got, wanted)
    estimator.fit(X, VALUES)
    assert estimator.network_.normalization == (after, after)
    assert np.isfinite(estimator.predict(X)).all()


def test_assigning_weights_keeps_gains() -> None:
    estimator = MLPRegressor(**OPTIONS, normalization="rms_norm").fit(X, VALUES)
    gains = estimator.network_.gains[0].copy()
    estimator.coefs_[0] = np.ones((3, 8))
    estimator.predict(X)
    np.testing.assert_array_equal(estimator.network_.gains[0], gains)
    estimator.coefs_ = [np.ones((3, 4)), np.ones((4, 6)), np.ones((6, 2))]
    estimator.intercepts_ = [np.zeros(4), np.zeros(6), np.zeros(2)]
    estimator.predict(X)
    assert estimator.network_.normalization == ("rms_norm", "rms_norm")


def test_members_have_normalizations() -> None:
    fitted = MLPClassifier(**OPTIONS, normalization="layer_norm", n_members=3).fit(X, LABELS)
    assert [member.network_.normalization for member in fitted.members_] == [("layer_norm",) * 2] * 3
    probabilities = np.mean([member.predict_proba(X) for member in fitted.members_], axis=0)
    np.testing.assert_allclose(fitted.predict_proba(X), probabilities, rtol=1e-6)


def test_onnx_models_have_the_normalization() -> None:
    pytest.importorskip("skl2onnx")
    runtime = pytest.importorskip("onnxruntime")
    from skl2onnx import to_onnx

    for normalization in ("layer_norm", "rms_norm"):
        estimator = MLPRegressor(**OPTIONS, normalization=normalization, normalization_place="after").fit(X, VALUES)
        for dtype in (np.float32, np.float64):
            rows = X.astype(dtype)
            session = runtime.InferenceSession(to_onnx(estimator, rows[:1]).SerializeToString())
            (outputs,) = session.run(None, {session.get_inputs()[0].name: rows})
            np.testing.assert_allclose(outputs, estimator.predict(rows), rtol=1e-4, atol=1e-5)


def test_scikit_learn_has_no_normalization() -> None:
    with pytest.raises(ValueError, match="normalization: expected None: scikit-learn has no such parameter"):
        MLPRegressor(**OPTIONS, normalization="layer_norm").fit(X, VALUES).to_sklearn()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"normalization": "batch_norm"},
            "'normalization' parameter of MLPRegressor must be one of 'layer_norm', 'rms_norm'",
        ),
        ({"normalization": ["layer_norm"]}, "normalization: expected 2: one per hidden layer.*got a list of 1"),
        ({"normalization_place": None}, "'normalization_place' parameter of MLPRegressor must be one of 'before', 'after'"),
        ({"normalization_place": ["after"]}, "normalization_place: expected 2: one per hidden layer"),
    ],
)
def test_wrong_parameters_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MLPRegressor(**OPTIONS, **options).fit(X, VALUES)
