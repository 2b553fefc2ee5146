"""Conversion of scikit-learn's estimators to fastnn's and back: parameters, attributes and predictions are the same."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from scipy import sparse

pytest.importorskip("sklearn")

from sklearn import neural_network as theirs
from sklearn.base import clone
from sklearn.datasets import make_multilabel_classification
from sklearn.exceptions import NotFittedError

import fastnn
from fastnn import losses, optimizers, schedules
from fastnn import sklearn as ours
from fastnn.sklearn import from_sklearn, patched

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
THIRDS = np.digitize(X[:, 0], [-0.4, 0.4])
LABELS = make_multilabel_classification(60, 4, n_classes=3, random_state=0)[1]
ROOTS = np.sin(X[:, :2])

TARGETS = {
    "binary": ("MLPClassifier", THIRDS % 2),
    "binary of strings": ("MLPClassifier", np.array(["no", "yes"])[THIRDS % 2]),
    "binary of booleans": ("MLPClassifier", THIRDS == 1),
    "one class": ("MLPClassifier", np.full(60, 7)),
    "multiclass": ("MLPClassifier", THIRDS * 2 - 1),
    "multiclass of strings": ("MLPClassifier", np.array(["a", "bb", "ccc"], object)[THIRDS]),
    "multilabel": ("MLPClassifier", LABELS),
    "one output": ("MLPRegressor", ROOTS[:, 0]),
    "several outputs": ("MLPRegressor", ROOTS),
}
SETTINGS = {
    "adam": {},
    "sgd": {"solver": "sgd", "learning_rate": "invscaling", "activation": "tanh", "learning_rate_init": 0.1},
    "lbfgs": {"solver": "lbfgs", "activation": "logistic"},
    "early stopping": {"early_stopping": True, "validation_fraction": 0.3, "activation": "identity"},
    "no hidden layer": {"hidden_layer_sizes": ()},
}

each_target = pytest.mark.parametrize("target", TARGETS)
each_setting = pytest.mark.parametrize("setting", SETTINGS)
both_types = pytest.mark.parametrize("dtype", ["f4", "f8"])


def fitted(library, target, setting="adam", dtype="f8", **changes):
    """Return an estimator that was fitted, and its data."""
    name, y = TARGETS[target]
    parameters = {"hidden_layer_sizes": (5, 3), "max_iter": 20, "random_state": 0, "batch_size": 16}
    inputs = X.astype(dtype)
    estimator = getattr(library, name)(**parameters | SETTINGS[setting] | changes)
    return estimator.fit(inputs, y), inputs, y


def shown(estimator):
    """Return the public attributes that fitting sets, except fastnn's own."""
    attributes = {
        name: value
        for name, value in vars(estimator).items()
        if name.endswith("_") and not name.startswith("_") and name not in ("network_", "validation_loss_curve_")
    }
    return attributes | {name: getattr(estimator, name) for name in ("coefs_", "intercepts_")}  # fastnn's only


def assert_alike(one, other, inputs, rtol=1e-12):
    """Compare attributes and predictions."""
    first, second = shown(one), shown(other)
    assert first.keys() == second.keys()
    for name, value in first.items():
        if name in ("coefs_", "intercepts_"):
            for a, b in zip(value, second[name], strict=True):
                assert a.dtype == b.dtype
                np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_array_equal(value, second[name], err_msg=name)
            assert type(value) is type(second[name])
    tolerance = rtol if inputs.dtype == np.float64 else 2e-6
    for method in ("predict", "predict_proba"):
        if hasattr(one, method):
            a, b = (getattr(e, method)(inputs) for e in (one, other))
            assert a.dtype == b.dtype
            if a.dtype.kind == "f":
                np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
            else:
                np.testing.assert_array_equal(a, b)


def go_on(estimator, inputs, y):
    """Train further in every possible way; return the results of each."""
    ways = []
    for parameters in ({"warm_start": True, "max_iter": 3}, {"warm_start": False, "max_iter": 3}):
        one = pickle.loads(pickle.dumps(estimator))
        ways.append(one.set_params(**parameters, random_state=1).fit(inputs, y))
    if estimator.solver != "lbfgs" and not estimator.early_stopping:
        one = pickle.loads(pickle.dumps(estimator)).set_params(random_state=1)
        ways.append(one.partial_fit(inputs, y).partial_fit(inputs, y))
    return ways


# ---- From scikit-learn ----


@each_target
@each_setting
@both_types
def test_estimators_from_scikit_learn_have_the_same_attributes_and_predictions(target, setting, dtype):
    original, inputs, y = fitted(theirs, target, setting, dtype)
    before = pickle.dumps(original)
    estimator = from_sklearn(original)
    assert type(estimator) is getattr(ours, TARGETS[target][0])
    assert original.get_params().items() <= estimator.get_params().items()
    assert estimator.network_.dtype == original.coefs_[0].dtype  # with lbfgs, scikit-learn always uses float64
    assert_alike(estimator, original, inputs)
    assert_alike(pickle.loads(pickle.dumps(estimator)), original, inputs)
    for one in go_on(estimator, inputs, y):
        one.predict(inputs)
    estimator.coefs_[0][...] = 0.0
    estimator.intercepts_[0][...] = 0.0
    getattr(estimator, "loss_curve_", []).append(0.0)
    assert pickle.dumps(original) == before


@pytest.mark.parametrize("target", ["binary", "multiclass of strings", "multilabel", "several outputs"])
@pytest.mark.parametrize("setting", ["sgd", "lbfgs", "no hidden layer"])
def test_training_continues_with_the_same_numbers(target, setting):
    """Scikit-learn's plain SGD and L-BFGS keep no state after a fit."""
    changes = {"momentum": 0.0, "solver": "lbfgs" if setting == "lbfgs" else "sgd", "learning_rate": "constant"}
    original, inputs, y = fitted(theirs, target, setting, **changes)
    for ours_now, theirs_now in zip(go_on(from_sklearn(original), inputs, y), go_on(original, inputs, y), strict=True):
        for a, b in zip(ours_now.coefs_ + ours_now.intercepts_, theirs_now.coefs_ + theirs_now.intercepts_, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9)
        assert len(getattr(ours_now, "loss_curve_", [])) == len(getattr(theirs_now, "loss_curve_", []))


def test_estimators_can_be_converted_after_partial_fit():
    original = theirs.MLPClassifier((3,), random_state=0).partial_fit(X[:10], np.zeros(10, int), classes=[0, 1, 2])
    estimator = from_sklearn(original)
    assert_alike(estimator, original, X)
    estimator.partial_fit(X, THIRDS)
    assert list(estimator.classes_) == [0, 1, 2]
    with pytest.raises(ValueError, match="classes"):
        estimator.partial_fit(X, THIRDS + 1)


def test_estimators_can_be_converted_before_fit():
    estimator = from_sklearn(theirs.MLPRegressor(alpha=0.5, loss="poisson"))
    assert estimator.get_params() == ours.MLPRegressor(alpha=0.5, loss="poisson").get_params()
    with pytest.raises(NotFittedError):
        estimator.predict(X)


def test_names_of_features_are_kept():
    frame = pytest.importorskip("pandas").DataFrame(X, columns=list("abcd"))
    original = theirs.MLPRegressor(hidden_layer_sizes=(3,), max_iter=2).fit(frame, ROOTS)
    estimator = from_sklearn(original)
    assert list(estimator.feature_names_in_) == list("abcd")
    np.testing.assert_allclose(estimator.predict(frame), original.predict(frame), rtol=1e-12)
    back = estimator.to_sklearn()
    np.testing.assert_array_equal(back.predict(frame), original.predict(frame))
    with pytest.raises(ValueError, match="feature names"):
        back.predict(frame.rename(columns={"a": "z"}))


def test_assigned_arrays_are_converted():
    original, inputs, _ = fitted(theirs, "binary")
    original.coefs_ = [np.asfortranarray(2 * w) for w in original.coefs_]
    np.testing.assert_allclose(from_sklearn(original).predict_proba(inputs), original.predict_proba(inputs), rtol=1e-12)
    estimator, inputs, _ = fitted(ours, "binary")
    estimator.coefs_[0] = np.zeros((4, 5))
    np.testing.assert_allclose(estimator.to_sklearn().predict_proba(inputs), estimator.predict_proba(inputs), rtol=1e-12)


def test_converting_draws_nothing_from_the_random_state():
    state = np.random.RandomState(3)
    original = theirs.MLPRegressor(hidden_layer_sizes=(3,), max_iter=2, random_state=state).fit(X, ROOTS)
    before = state.get_state()[1].tobytes(), state.get_state()[2]
    estimator = from_sklearn(original)
    assert estimator.random_state is state
    assert estimator.to_sklearn().random_state is state
    assert (state.get_state()[1].tobytes(), state.get_state()[2]) == before


def test_subclasses_are_converted_to_the_estimator_of_fastnn():
    class Mine(theirs.MLPRegressor):
        pass

    original = Mine(hidden_layer_sizes=(3,), max_iter=2, random_state=0)
    assert_alike(from_sklearn(original.fit(X, ROOTS)), original, X)


def test_conversion_works_under_the_patch():
    original, inputs, _ = fitted(theirs, "multiclass")
    with patched():
        estimator = from_sklearn(original)
        assert type(estimator) is ours.MLPClassifier
        swapped_in, _, _ = fitted(theirs, "multiclass")
        for one in (estimator, swapped_in):
            back = one.to_sklearn()
            assert type(back) is type(original)
            assert_alike(one, back, inputs)


@pytest.mark.parametrize("given", [None, theirs.BernoulliRBM(), theirs.MLPClassifier, ours.MLPRegressor()], ids=str)
def test_other_objects_are_refused(given):
    with pytest.raises(TypeError, match="fitted: expected scikit-learn's MLPClassifier or MLPRegressor.*got .*"):
        from_sklearn(given)


# ---- To scikit-learn ----


@each_target
@each_setting
@both_types
def test_estimators_to_scikit_learn_have_the_same_attributes_and_predictions(target, setting, dtype):
    estimator, inputs, y = fitted(ours, target, setting, dtype)
    before = estimator.network_.to_vector()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        converted = estimator.to_sklearn()
    assert type(converted) is getattr(theirs, TARGETS[target][0])
    assert converted.get_params().items() <= estimator.get_params().items()
    assert_alike(converted, estimator, inputs)
    expected, _, _ = fitted(theirs, target, setting, dtype)
    assert vars(converted).keys() == vars(expected).keys()
    for one in go_on(converted, inputs, y):
        one.predict(inputs)
    converted.coefs_[0][...] = 0.0
    np.testing.assert_array_equal(estimator.network_.to_vector(), before)


@each_target
def test_converting_there_and_back_changes_nothing(target):
    original, inputs, _ = fitted(theirs, target)
    back = from_sklearn(original).to_sklearn()
    assert back.get_params() == original.get_params()
    assert_alike(back, original, inputs, rtol=0)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("target", ["binary of strings", "multilabel", "one output"])
def test_partial_fit_continues_with_a_new_optimizer(solver, target):
    """The made-up rows of the conversion leave no trace: a step is that of an estimator without a past."""
    estimator, inputs, y = fitted(ours, target, solver=solver, learning_rate="constant", learning_rate_init=0.01, alpha=0.01)
    converted = estimator.to_sklearn()
    fresh = clone(converted).set_params(max_iter=1, warm_start=True)
    fresh.fit(inputs, y)
    for own, taken in ((fresh.coefs_, estimator.coefs_), (fresh.intercepts_, estimator.intercepts_)):
        for array, values in zip(own, taken, strict=True):
            array[...] = values
    fresh.set_params(random_state=5).fit(inputs, y)
    converted.set_params(random_state=5).partial_fit(inputs, y)
    for a, b in zip(converted.coefs_, fresh.coefs_, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_early_stopping_without_improvement_restores_the_converted_parameters():
    """scikit-learn restores the network's parameters, not those fitted to the made-up rows."""
    estimator, inputs, y = fitted(ours, "binary", "early stopping")
    converted = estimator.to_sklearn()
    converted.best_validation_score_ = 2.0
    converted.set_params(warm_start=True, max_iter=1, learning_rate_init=1e-9).fit(inputs, y)
    for a, b in zip(converted.coefs_, estimator.coefs_, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-7)


def test_converting_many_features_and_classes_needs_little_memory():
    estimator = ours.MLPClassifier((2,), max_iter=1, random_state=0)
    y = np.arange(400)
    inputs = np.eye(400, 20_000)
    converted = estimator.fit(inputs, y).to_sklearn()
    np.testing.assert_allclose(converted.predict_proba(inputs[:5]), estimator.predict_proba(inputs[:5]), rtol=1e-12)


@pytest.mark.parametrize("alpha", [1e300, 0.0])
@pytest.mark.parametrize("solver", ["lbfgs", "adam", "sgd"])
def test_estimators_with_unusual_parameters_can_be_converted(solver, alpha):
    estimator, inputs, _ = fitted(ours, "multiclass", solver=solver)
    extreme = {"alpha": alpha, "learning_rate_init": 1e300, "tol": 0.0, "batch_size": 10**6, "validation_fraction": 0.0}
    converted = estimator.set_params(**extreme).to_sklearn()
    assert converted.get_params().items() >= extreme.items()
    np.testing.assert_allclose(converted.predict_proba(inputs), estimator.predict_proba(inputs), rtol=1e-12)


def test_estimators_can_be_converted_to_scikit_learn_before_fit():
    estimator = ours.MLPClassifier((5,), "sigmoid", alpha=0.5).to_sklearn()
    assert estimator.get_params() == theirs.MLPClassifier((5,), "logistic", alpha=0.5).get_params()
    with pytest.raises(NotFittedError):
        estimator.predict(X)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"activation": "sigmoid"}, {"activation": "logistic"}),
        ({"activation": ["sigmoid", "logistic"]}, {"activation": "logistic"}),
        ({"activation": ("tanh", "tanh")}, {"activation": "tanh"}),
        ({"loss": losses.MSE()}, {"loss": "squared_error"}),
        ({"loss": losses.Poisson()}, {"loss": "poisson"}),
        ({"dropout": [0.0, 0.0]}, {}),
        ({"dropout": np.zeros(2)}, {}),
        ({"dropout": 0}, {}),
        ({"hidden_layer_sizes": (), "activation": []}, {"activation": "relu"}),
    ],
    ids=str,
)
def test_values_with_another_name_in_scikit_learn_are_translated(given, expected):
    estimator = ours.MLPRegressor(**{"hidden_layer_sizes": (3, 3), "max_iter": 2, "random_state": 0} | given)
    for one in (estimator.to_sklearn(), estimator.fit(X, np.abs(ROOTS)).to_sklearn()):
        assert one.get_params().items() >= expected.items()
    np.testing.assert_allclose(one.predict(X), estimator.predict(X), rtol=1e-12)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("activation", "gelu"),
        ("activation", ["relu", "tanh"]),
        ("solver", "adamw"),
        ("solver", optimizers.SGD(0.1)),
        ("learning_rate", schedules.InverseTime(0.1, 10)),
        ("loss", "huber"),
        ("loss", losses.Quantile(0.9)),
        ("dropout", 0.5),
        ("dropout", [0.0, 0.5]),
        ("dropout", np.array([0.0, 0.5])),
        ("clip_norm", 1.0),
        ("clip_value", 1.0),
        ("scoring", "r2"),
        ("resume", True),
        ("lazy_updates", True),
    ],
    ids=str,
)
def test_values_unknown_to_scikit_learn_raise(parameter, value):
    options = {"hidden_layer_sizes": (3, 3), "max_iter": 1, "random_state": 0, "early_stopping": parameter == "scoring"}
    estimator = ours.MLPRegressor(**options, **{parameter: value})
    rows = sparse.csr_matrix(X) if parameter == "lazy_updates" else X
    for one in (estimator, clone(estimator).fit(rows, ROOTS)):
        with pytest.raises(ValueError, match=f"^{parameter}: expected .*(one of scikit-learn's|scikit-learn has).*got .*"):
            one.to_sklearn()


def test_class_weights_raise():
    with pytest.raises(ValueError, match="^class_weight: expected None: scikit-learn has no such parameter.*got 'balanced'"):
        ours.MLPClassifier(class_weight="balanced").to_sklearn()


def test_custom_activations_raise():
    pytest.importorskip("numba")
    from _jit_activations import leaky

    estimator = ours.MLPRegressor(hidden_layer_sizes=(3,), activation=leaky, max_iter=1).fit(X, ROOTS)
    with pytest.raises(ValueError, match="^activation: .*got "):
        estimator.to_sklearn()


def test_an_activation_set_after_the_fit_is_converted():
    estimator = ours.MLPRegressor(hidden_layer_sizes=(3,), activation="tanh", max_iter=1).fit(X, ROOTS)
    converted = estimator.set_params(activation="relu").to_sklearn()
    assert converted.activation == "relu"
    np.testing.assert_allclose(converted.predict(X), estimator.predict(X), rtol=1e-12)


def test_a_parameter_of_a_newer_release_raises(monkeypatch):
    class MLPRegressor(theirs.MLPRegressor):
        def __init__(self, loss="squared_error", hidden_layer_sizes=(100,), gadget=None):
            super().__init__(loss, hidden_layer_sizes)
            self.gadget = gadget

    monkeypatch.setattr(fastnn.sklearn._from_sklearn, "ORIGINALS", {"MLPRegressor": MLPRegressor})
    assert from_sklearn(MLPRegressor()).hidden_layer_sizes == (100,)
    with pytest.raises(ValueError, match="^gadget: expected None: fastnn has no such parameter.*got 3"):
        from_sklearn(MLPRegressor(gadget=3))
