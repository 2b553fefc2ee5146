"""Copies, pickles, skops files and ONNX models of estimators: other tools accept fastnn's estimators as they are."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.ensemble import BaggingClassifier, StackingClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastnn
from fastnn.sklearn import MLPClassifier, MLPRegressor, patched

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer", "ignore:lbfgs failed")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
LABELS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
TEXTS = np.array(["low", "mid", "high"])[LABELS]
SEVERAL = (X > 0).astype(int)
VALUES = 3.0 * X[:, :2] + 1.0


def classifier(**parameters: Any) -> MLPClassifier:
    return MLPClassifier((7, 5), **{"max_iter": 6, "random_state": 0, **parameters})


def regressor(**parameters: Any) -> MLPRegressor:
    return MLPRegressor(hidden_layer_sizes=(7, 5), **{"max_iter": 6, "random_state": 0, **parameters})


# ---- Copies ----


def by_skops(estimator: Any) -> Any:
    io = pytest.importorskip("skops.io")
    data = io.dumps(estimator)
    return io.loads(data, trusted=io.get_untrusted_types(data=data))


def by_joblib(estimator: Any) -> Any:
    import io

    buffer = io.BytesIO()
    joblib.dump(estimator, buffer)
    buffer.seek(0)
    return joblib.load(buffer)


def by_cloudpickle(estimator: Any) -> Any:
    return pickle.loads(pytest.importorskip("cloudpickle").dumps(estimator))


WAYS: Mapping[str, Callable[[Any], Any]] = {
    "skops": by_skops,
    "pickle": lambda estimator: pickle.loads(pickle.dumps(estimator)),
    "pickle 2": lambda estimator: pickle.loads(pickle.dumps(estimator, protocol=2)),
    "deepcopy": copy.deepcopy,
    "joblib": by_joblib,
    "cloudpickle": by_cloudpickle,
}

# These are functions, because a fit changes the random state that an estimator was given.
FITTED: Mapping[str, tuple[Callable[[], Any], Any]] = {
    "multiclass": (lambda: classifier().fit(X, LABELS), LABELS),
    "binary": (lambda: classifier().fit(X, LABELS > 0), LABELS > 0),
    "texts": (lambda: classifier(dropout=0.2).fit(X, TEXTS), TEXTS),
    "several labels": (lambda: classifier().fit(X, SEVERAL), SEVERAL),
    "partial_fit": (lambda: classifier().partial_fit(X, LABELS, classes=[0, 1, 2]), LABELS),
    "random state": (lambda: classifier(random_state=np.random.RandomState(3), dropout=0.2).fit(X, LABELS), LABELS),
    "early stopping": (lambda: classifier(early_stopping=True, dropout=[0.1, 0.2]).fit(X, LABELS), LABELS),
    "regressor": (lambda: regressor().fit(X, VALUES[:, 0]), VALUES[:, 0]),
    "several outputs": (lambda: regressor(activation=["gelu", "sin"]).fit(X, VALUES), VALUES),
    "float32": (lambda: regressor().fit(X.astype(np.float32), VALUES[:, 0]), VALUES[:, 0]),
    "quantile": (lambda: regressor(loss=fastnn.losses.Quantile(0.9)).fit(X, VALUES), VALUES),
    "invscaling": (lambda: regressor(solver="sgd", learning_rate="invscaling").fit(X, VALUES), VALUES),
    "adaptive": (lambda: regressor(solver="sgd", learning_rate="adaptive").fit(X, VALUES), VALUES),
    "optimizer": (lambda: regressor(solver=fastnn.AdamW(0.01, weight_decay=0.1)).fit(X, VALUES), VALUES),
    "schedule": (lambda: regressor(learning_rate=fastnn.schedules.Cosine(0.01, 100)).fit(X, VALUES), VALUES),
    "resume": (lambda: regressor(resume=True, dropout=0.1).fit(X, VALUES), VALUES),
    "resume, early stopping": (lambda: classifier(resume=True, early_stopping=True).fit(X, LABELS), LABELS),
    "lbfgs": (lambda: regressor(solver="lbfgs").fit(X, VALUES), VALUES),
}


def assert_same(one: Any, other: Any) -> None:
    assert all(
        np.array_equal(a, b) for a, b in zip(one.coefs_ + one.intercepts_, other.coefs_ + other.intercepts_, strict=True)
    )
    assert np.array_equal(one.predict(X), other.predict(X))


def fitted_attributes(estimator: Any) -> set[str]:
    return {name for name in dir(estimator) if name.endswith("_") and not name.startswith("_")}


def go_on(estimator: Any, y: Any) -> Any:
    """Train further in every way that an estimator supports."""
    estimator.set_params(warm_start=True, max_iter=3).fit(X, y)
    if estimator.solver != "lbfgs":
        estimator.set_params(early_stopping=False).partial_fit(X, y).partial_fit(X[:9], y[:9])
    return estimator


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", FITTED)
def test_fitted_copies_predict_and_train_to_the_same_bits(case: str, way: str) -> None:
    make, y = FITTED[case]
    estimator = make()
    before = [w.copy() for w in estimator.coefs_]
    copied = WAYS[way](estimator)
    assert type(copied) is type(estimator)
    assert fitted_attributes(copied) == fitted_attributes(estimator)
    assert_same(copied, estimator)
    go_on(copied, y)
    assert all(np.array_equal(now, w) for now, w in zip(estimator.coefs_, before, strict=True))  # the copies share nothing
    assert_same(copied, go_on(estimator, y))


@pytest.mark.parametrize("way", WAYS)
def test_weights_of_copies_may_be_written_to(way: str) -> None:
    estimator = regressor().fit(X, VALUES)
    copied = WAYS[way](estimator)
    copied.coefs_[2][...] *= 2.0
    copied.intercepts_[2] = 2.0 * copied.intercepts_[2]
    np.testing.assert_allclose(copied.predict(X), 2.0 * estimator.predict(X), rtol=1e-12)


@pytest.mark.parametrize("way", WAYS)
def test_unfitted_copies_fit_to_the_same_bits(way: str) -> None:
    for estimator in (classifier(), classifier(random_state=np.random.RandomState(3)), classifier(warm_start=True)):
        copied = WAYS[way](estimator)
        assert_same(copied.fit(X, LABELS), estimator.fit(X, LABELS))


@pytest.mark.parametrize("way", WAYS)
def test_random_states_stay_shared(way: str) -> None:
    """Training draws from the user's random state, and a generator of the estimator's own stays separate."""
    copied = WAYS[way](classifier(random_state=np.random.RandomState(3)).fit(X, LABELS))
    assert copied.random_state is copied._random_state
    assert copied.network_._rng.bit_generator is copied.random_state._bit_generator

    estimator = classifier().fit(X, LABELS)
    estimator.network_._rng = np.random.default_rng(5)
    copied = WAYS[way](estimator)
    assert copied.network_._rng.random() == np.random.default_rng(5).random()


@pytest.mark.parametrize("way", WAYS)
def test_copies_within_other_estimators_predict_the_same(way: str) -> None:
    pipeline = make_pipeline(StandardScaler(), classifier()).fit(X, TEXTS)
    search = GridSearchCV(classifier(), {"alpha": [0.1, 0.01]}, cv=2).fit(X, TEXTS)
    for estimator in (pipeline, search):
        assert np.array_equal(WAYS[way](estimator).predict_proba(X), estimator.predict_proba(X))


def test_pickles_hold_weights_once() -> None:
    """A pickle holds the network's weights and Adam's two moments, and no other arrays of that size."""
    estimator = MLPRegressor(hidden_layer_sizes=(200,), max_iter=1).fit(RNG.normal(size=(20, 200)), np.arange(20.0))
    assert len(pickle.dumps(estimator)) < 3.5 * estimator.coefs_[0].nbytes


def test_skops_files_can_be_written_under_the_patch() -> None:
    with patched():
        from sklearn.neural_network import MLPClassifier as Patched

        assert_same(by_skops(estimator := Patched((5,), max_iter=5).fit(X, LABELS)), estimator)


def test_skops_files_have_no_private_types_of_training(tmp_path: Any) -> None:
    io = pytest.importorskip("skops.io")
    io.dump(classifier(solver="lbfgs").fit(X, LABELS), tmp_path / "model.skops")
    types = io.get_untrusted_types(file=tmp_path / "model.skops")
    assert types == ["fastnn.sklearn._classes.Classes", "fastnn.sklearn._classifier.MLPClassifier"]
    assert io.load(tmp_path / "model.skops", trusted=types).score(X, LABELS) > 0.3


def test_stopping_rules_may_change_between_fits() -> None:
    """Each rule starts afresh after a fit with the other one."""
    model = classifier(warm_start=True).fit(X, LABELS)
    model.set_params(early_stopping=True, max_iter=3).fit(X, LABELS)
    assert len(model.validation_scores_) == 3
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert model.best_loss_ is None
    model.set_params(early_stopping=False).fit(X, LABELS)
    assert model.best_loss_ == min(model.loss_curve_[-3:])
    assert model.validation_scores_ is None


# ---- ONNX ----


def onnx_outputs(model: Any, rows: Any, options: Any = None, opset: Any = None) -> list[Any]:
    skl2onnx = pytest.importorskip("skl2onnx")
    runtime = pytest.importorskip("onnxruntime")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings from skl2onnx and onnx themselves
        exported = skl2onnx.to_onnx(model, rows[:1], options=options, target_opset=opset)
    session = runtime.InferenceSession(exported.SerializeToString(), providers=["CPUExecutionProvider"])
    outputs = session.run(None, {"X": rows})
    # Outputs have the declared shape, if one is declared.
    for declared, output in zip(session.get_outputs(), outputs, strict=True):
        if isinstance(output, np.ndarray):
            assert len(declared.shape) == output.ndim
            assert declared.shape[1:] == list(output.shape[1:])
    return outputs


def assert_close(output: Any, expected: Any) -> None:
    assert output.shape == expected.shape
    assert np.abs(output - expected).max() <= 1e-6 * np.abs(expected).max()


DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
ACTIVATIONS = [
    "identity",
    "logistic",
    "tanh",
    "relu",
    "leaky_relu",
    "elu",
    "gelu",
    "silu",
    "softplus",
    "sin",
    "selu",
    "mish",
]


@DTYPES
@pytest.mark.parametrize("activation", [*ACTIVATIONS, ["tanh", "gelu"]], ids=str)
def test_onnx_models_of_regressors_give_the_same_predictions(activation: Any, dtype: Any) -> None:
    rows = (10.0 * X).astype(dtype)
    for y in (VALUES[:, 0], VALUES):
        model = regressor(activation=activation).fit(rows, y)
        (outputs,) = onnx_outputs(model, rows)
        assert outputs.dtype == dtype
        assert_close(outputs, model.predict(rows).reshape(len(X), -1))


@pytest.mark.parametrize("loss", ["squared_error", "poisson", "huber"])
def test_onnx_models_of_every_loss_give_the_same_predictions(loss: str) -> None:
    model = regressor(loss=loss).fit(X, np.abs(VALUES))
    assert_close(onnx_outputs(model, X)[0], model.predict(X))


def test_onnx_models_take_integers_and_any_opset() -> None:
    model = MLPRegressor(hidden_layer_sizes=(), max_iter=5, random_state=0).fit(X, VALUES)
    integers = np.arange(12).reshape(4, 3)
    for opset in (None, 13, 15):
        assert_close(onnx_outputs(model, integers, opset=opset)[0], model.predict(integers))


CLASSES: Mapping[str, Any] = {
    "integers": 2 * LABELS,
    "two integers": 3 * (LABELS > 0),
    "texts": TEXTS,
    "two texts": np.array(["no", "yes"], dtype=object)[(LABELS > 0).astype(int)],
    "booleans": LABELS > 0,
    "floats": LABELS.astype(float),
    "large": LABELS + 10**12,
    "one": np.full(60, 4),
    "several": SEVERAL,
    "two of several": SEVERAL[:, :2],
}


def probabilities_of(model: MLPClassifier, rows: Any) -> Any:
    """Return probabilities in skl2onnx's form, which for a single class is the network's output."""
    probabilities = model.predict_proba(rows)
    return probabilities[:, 1:] if len(model.classes_) == 1 else probabilities


@DTYPES
@pytest.mark.parametrize("classes", CLASSES)
def test_onnx_models_of_classifiers_give_the_same_predictions(classes: str, dtype: Any) -> None:
    rows = X.astype(dtype)
    model = classifier().fit(rows, CLASSES[classes])
    expected, names = probabilities_of(model, rows), model.classes_.tolist()
    labels, probabilities = onnx_outputs(model, rows, {"zipmap": False})
    assert probabilities.dtype == dtype
    assert np.array_equal(labels, model.predict(rows))
    assert_close(probabilities, expected)

    labels, maps = onnx_outputs(model, rows)
    assert np.array_equal(labels, model.predict(rows))
    assert all(list(one) == names for one in maps)
    assert_close(np.array([list(one.values()) for one in maps]), expected)

    labels, *columns = onnx_outputs(model, rows, {"zipmap": "columns"})
    assert np.array_equal(labels, model.predict(rows))
    assert_close(np.column_stack(columns), expected)


@pytest.mark.parametrize("classes", ["integers", "two texts", "large", "several"])
def test_onnx_models_return_labels_of_every_type(classes: str) -> None:
    model = classifier().fit(X, CLASSES[classes])
    names = onnx_outputs(model, X, {"zipmap": False, "output_class_labels": True})[2]
    assert names.tolist() == model.classes_.tolist()

    labels, probabilities = onnx_outputs(model, X, {"zipmap": False, "nocl": True})
    numbers = model.predict(X) if classes == "several" else np.searchsorted(model.classes_, model.predict(X))
    assert np.array_equal(labels, numbers)
    assert_close(probabilities, model.predict_proba(X))


@DTYPES
def test_onnx_conversion_works_within_other_estimators(dtype: Any) -> None:
    rows = X.astype(dtype)
    pipeline = make_pipeline(StandardScaler(), classifier()).fit(rows, TEXTS)
    for model in (
        pipeline,
        GridSearchCV(pipeline, {"mlpclassifier__alpha": [0.1, 0.01]}, cv=2).fit(rows, TEXTS),
        GridSearchCV(classifier(), {"alpha": [0.1, 0.01]}, cv=2).fit(rows, TEXTS),
        StackingClassifier([("a", classifier())]).fit(rows, TEXTS),
        BaggingClassifier(classifier(), 2, random_state=0).fit(rows, LABELS),
    ):
        labels, probabilities = onnx_outputs(model, rows, {id(model): {"zipmap": False}})
        assert np.array_equal(labels, model.predict(rows))
        assert_close(probabilities, model.predict_proba(rows))
    assert isinstance(onnx_outputs(pipeline, rows)[1], list)
    several = MultiOutputRegressor(regressor()).fit(rows, VALUES)
    assert_close(onnx_outputs(several, rows)[0], several.predict(rows))


def test_onnx_models_have_assigned_weights() -> None:
    model = regressor().fit(X, VALUES)
    model.coefs_[2] = 2 * model.coefs_[2]
    assert_close(onnx_outputs(model, X)[0], model.predict(X))


def test_onnx_conversion_refuses_custom_functions() -> None:
    pytest.importorskip("numba")
    from _jit_activations import leaky

    model = regressor(activation=["relu", leaky]).fit(X, VALUES)
    with pytest.raises(ValueError, match="^activation: expected one of .*got .*fastnn.jit"):
        onnx_outputs(model, X)


def test_onnx_conversion_refuses_options_unknown_to_scikit_learns_converter() -> None:
    with pytest.raises(NameError, match="raw_scores"):
        onnx_outputs(classifier().fit(X, LABELS), X, {"raw_scores": True})


ORDERS = {
    "before": "import skl2onnx, fastnn.sklearn as ours",
    "after": "import fastnn.sklearn as ours; assert not {'skl2onnx', 'onnx'} & sys.modules.keys(); import skl2onnx",
    "under the patch": (
        "import fastnn.sklearn as ours; import sklearn.neural_network; own = [sklearn.neural_network.MLPClassifier]\n"
        "ours.patch(); import skl2onnx; skl2onnx.to_onnx(own[0](max_iter=2).fit(X, y), X)"
    ),
    "again, after a failure": (
        "import fastnn.sklearn as ours; sys.modules['onnx'] = None\n"
        "try: import skl2onnx\n"
        "except ImportError: del sys.modules['onnx']\n"
        "import skl2onnx"
    ),
}


@pytest.mark.parametrize("order", ORDERS)
def test_skl2onnx_may_be_imported_before_or_after_fastnn(order: str) -> None:
    pytest.importorskip("skl2onnx")
    program = f"""
import sys, warnings
warnings.simplefilter("ignore")
import numpy as np
X, y = np.eye(4, dtype=np.float32), [0, 1, 0, 1]
{ORDERS[order]}
from sklearn.neural_network import MLPClassifier
for one in (ours.MLPClassifier, MLPClassifier):
    assert len(skl2onnx.to_onnx(one(max_iter=2).fit(X, y), X).graph.output) == 2
assert type(skl2onnx.__spec__.loader) is type(skl2onnx.__loader__) is type(np.__spec__.loader)
assert not any(type(finder).__module__.startswith("fastnn.sklearn") for finder in sys.meta_path)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_missing_skl2onnx_stays_missing() -> None:
    """Importing it raises the usual error."""
    program = """
import sys, importlib.util
sys.path_importer_cache.clear()
import fastnn.sklearn
sys.path = [path for path in sys.path if "site-packages" not in path]
assert importlib.util.find_spec("skl2onnx") is None
try:
    import skl2onnx
except ModuleNotFoundError as error:
    assert error.name == "skl2onnx"
else:
    raise SystemExit("found")
"""
    subprocess.run([sys.executable, "-c", program], check=True)
