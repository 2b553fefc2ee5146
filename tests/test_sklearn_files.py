"""Files of estimators: loading restores what was saved, training continues with the same bits, and nothing else loads."""

from __future__ import annotations

import copy
import json
import random
import re

import numpy as np
import pytest
from _helpers import config_of
from safetensors.numpy import load_file, save_file

import fastnn
from fastnn import MLP, Adam, Trainer, _custom, losses
from fastnn.losses._registry import CUSTOM_LOSSES
from fastnn.schedules import Cosine
from fastnn.sklearn import MLPClassifier, MLPRegressor, from_sklearn

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
rng = np.random.default_rng(0)
X, numbers = rng.normal(size=(60, 3)), rng.normal(size=(60, 2))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a file"


def assert_same(first, second):
    """Assert that two values are equal, NaN included, and of the same types."""
    if isinstance(first, np.ndarray):
        assert (first.dtype, first.shape) == (second.dtype, second.shape)
        np.testing.assert_array_equal(first, second)
    elif isinstance(first, dict):
        assert first.keys() == second.keys()
        for key in first:
            assert_same(first[key], second[key])
    elif isinstance(first, list | tuple):
        assert (type(first), len(first)) == (type(second), len(second))
        for one, other in zip(first, second, strict=True):
            assert_same(one, other)
    elif isinstance(first, np.random.RandomState):
        assert_same(first.get_state(legacy=False), second.get_state(legacy=False))
    else:
        assert first == second or (first != first and second != second)


def assert_equal(one, other):
    """Assert that two estimators have the same parameters, attributes and network, and the same state for the next fit."""
    assert type(one) is type(other)
    assert_same(one.get_params(), other.get_params())
    public = [{n: v for n, v in vars(e).items() if n.endswith("_") and n != "network_"} for e in (one, other)]
    assert_same(*public)
    assert one.network_.to_vector().tobytes() == other.network_.to_vector().tobytes()
    assert (repr(one.network_), one.network_.dropout) == (repr(other.network_), other.network_.dropout)
    assert_same(one._random_state, other._random_state)
    assert one.predict(X).tobytes() == other.predict(X).tobytes()


def again(estimator, path):
    """Return the estimator from its file, after checking that both are equal."""
    before = copy.deepcopy(estimator)
    estimator.save(path)
    loaded = type(estimator).load(path)
    for saved in (before, estimator):
        assert_equal(loaded, saved)
    np.testing.assert_array_equal(MLP.load(path).to_vector(), estimator.network_.to_vector())
    return loaded


# ---- Saving and loading ----


CLASSES = {
    "int": [3, 7, 11],
    "negative": [-1, 1],
    "text": ["no", "yes", "a long name"],
    "bool": [False, True],
    "float": [0.0, 1.0, 2.0],
    "int8": np.array([1, 2], np.int8),
    "uint64": np.array([1, 2**63 + 1], np.uint64),
    "wide text": np.array(["a", "b"], "<U10"),
    "object": np.array(["a", "bc", "d"], object),
    "one": [5],
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", CLASSES)
def test_classes_of_all_types_load_as_they_were_saved(kind, dtype, path):
    classes = np.asarray(CLASSES[kind])
    y = classes[np.arange(60) % len(classes)]
    fitted = MLPClassifier((4,), max_iter=3, random_state=0).fit(X.astype(dtype), y)
    loaded = again(fitted, path)
    assert loaded.predict_proba(X).tobytes() == fitted.predict_proba(X).tobytes()
    for estimator in (fitted, loaded):
        estimator.partial_fit(X.astype(dtype), y)
    assert_equal(loaded, fitted)


@pytest.mark.parametrize("sparse", [False, True])
def test_several_labels_load_as_they_were_saved(sparse, path):
    from scipy.sparse import csr_matrix

    labels = (numbers > 0).astype(int)
    fitted = MLPClassifier((4,), max_iter=3, random_state=0).fit(X, csr_matrix(labels) if sparse else labels)
    fitted.save(path)
    loaded = MLPClassifier.load(path)
    assert_same(loaded.classes_, fitted.classes_)
    predictions = [e.predict(X) for e in (loaded, fitted)]
    assert type(predictions[0]) is type(predictions[1])
    assert abs(predictions[0] - predictions[1]).sum() == 0


def test_names_of_columns_load_as_they_were_saved(path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b", "ü"])
    fitted = MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, random_state=0).fit(frame, numbers)
    fitted.save(path)
    loaded = MLPRegressor.load(path)
    assert_same(loaded.feature_names_in_, fitted.feature_names_in_)
    assert loaded.predict(frame).tobytes() == fitted.predict(frame).tobytes()
    with pytest.raises(ValueError, match="feature names"):
        loaded.predict(frame[["b", "a", "ü"]])


PARAMETERS = [
    {},
    {"solver": "sgd", "learning_rate": "invscaling"},
    {"solver": "sgd", "learning_rate": "adaptive", "n_iter_no_change": 1, "tol": 0.1},
    {"solver": "sgd", "momentum": 1.0, "nesterovs_momentum": False},
    {"solver": "sgd", "momentum": 0.0},
    {"solver": "nadam", "clip_norm": 0.5, "clip_value": np.float32(0.1)},
    {"solver": fastnn.SGD(0.01, 0.9, nesterov=True)},
    {"solver": Adam(Cosine(0.01, 20))},
    {"learning_rate": Cosine(0.01, 20)},
    {"solver": "lbfgs"},
    {"hidden_layer_sizes": 5, "activation": "prelu", "shuffle": np.bool_(False)},
    {"hidden_layer_sizes": [6, 5], "activation": ["tanh", "gelu"], "dropout": [0.2, 0.1], "batch_size": 7},
    {"hidden_layer_sizes": np.array([6, 5]), "activation": ("silu", "logistic"), "dropout": np.array([0.2, 0.1])},
    {"hidden_layer_sizes": (), "alpha": 1},
    {"early_stopping": True, "n_iter_no_change": np.inf},
    {"early_stopping": True, "scoring": "r2", "validation_fraction": 0.3},
    {"random_state": None},
    {"random_state": np.random.RandomState(5)},
    {"random_state": np.random.RandomState(5), "early_stopping": True, "dropout": 0.3},
    {"loss": "absolute_error"},
    {"loss": losses.Huber(0.5)},
    {"loss": losses.Quantile(0.9)},
]


# The processes of a parallel run must find the same names, so without addresses.
@pytest.mark.parametrize("parameters", PARAMETERS, ids=lambda each: re.sub(" at 0x[0-9A-F]+", "", str(each)))
@pytest.mark.parametrize("then", ["partial_fit", "warm_start", "resume"])
def test_training_continues_with_the_same_bits(parameters, then, path):
    options = {"hidden_layer_sizes": (6,), "max_iter": 4, "random_state": 0} | copy.deepcopy(parameters)
    fitted = MLPRegressor(**options)
    if then == "partial_fit" and (fitted.solver == "lbfgs" or fitted.early_stopping):
        pytest.skip("there is no partial_fit")
    if then != "partial_fit":
        fitted.set_params(warm_start=True, resume=then == "resume")
    if isinstance(fitted.random_state, np.random.RandomState):
        fitted.random_state.normal()  # which leaves a second number for the next call
    fitted.fit(X, numbers)
    loaded = again(fitted, path)
    for estimator in (fitted, loaded):
        state = np.random.get_state()  # noqa: NPY002
        for _ in range(2):
            estimator.partial_fit(X, numbers) if then == "partial_fit" else estimator.fit(X, numbers)
        if then != "resume":  # then only the saved estimator draws from NumPy's global state
            np.random.set_state(state)  # noqa: NPY002 - in case random_state is None
    assert_equal(loaded, fitted)


def test_a_resumed_fit_equals_a_longer_one(path):
    options = {
        "random_state": 0,
        "early_stopping": True,
        "warm_start": True,
        "resume": True,
        "dropout": 0.2,
        "n_iter_no_change": 99,
    }
    y = np.where(X[:, 0] > 0, "yes", "no")
    longer = MLPClassifier((6,), max_iter=8, **options).fit(X, y)
    MLPClassifier((6,), max_iter=3, **options).fit(X, y).save(path)
    loaded = MLPClassifier.load(path)
    assert_same(loaded.set_params(max_iter=5).fit(X, y).coefs_, longer.coefs_)


def test_class_weights_keep_the_types_of_classes(path):
    for classes, weight in (([0, 1], {0: 1.0, 1: 2}), (["a", "b"], {"a": 0.5, "b": 1.5}), ([False, True], "balanced")):
        y = np.asarray(classes)[np.arange(60) % 2]
        again(MLPClassifier((4,), max_iter=2, class_weight=weight, random_state=0).fit(X, y), path).fit(X, y)


def test_estimators_that_were_not_fitted_by_batches_load(path):
    from sklearn.neural_network import MLPClassifier as Original

    again(from_sklearn(Original((4,), max_iter=2, random_state=0).fit(X, np.arange(60) % 3)), path).partial_fit(
        X, np.arange(60) % 3
    )
    by_hand = MLPRegressor(hidden_layer_sizes=(4,), random_state=0)
    by_hand.coefs_, by_hand.intercepts_ = [np.ones((3, 4)), np.ones((4, 1))], [np.zeros(4), np.zeros(1)]
    by_hand.predict(X)
    again(by_hand, path).partial_fit(X, numbers[:, 0])


def test_assigned_parameters_and_weights_are_saved(path):
    fitted = MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, random_state=0).fit(X, numbers)
    fitted.coefs_[0][...] = 0.5
    fitted.set_params(activation="tanh")
    loaded = again(fitted, path)
    assert (loaded.coefs_[0] == 0.5).all()
    assert loaded.network_.activations[0] == "tanh"


def test_subclasses_load_as_themselves(path):
    class Own(MLPRegressor):
        def twice(self, X):
            return 2 * self.predict(X)

    fitted = Own(hidden_layer_sizes=(4,), max_iter=2, random_state=0).fit(X, numbers)
    fitted.save(path)
    assert type(Own.load(path)) is Own
    np.testing.assert_array_equal(Own.load(path).twice(X), fitted.twice(X))


def test_parameters_that_a_file_lacks_have_their_defaults(path):
    MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, clip_norm=0.5).fit(X, numbers).save(path)
    config, arrays = config_of(path), load_file(path)
    del config["parameters"]["clip_norm"]
    save_file(arrays, path, {"fastnn": json.dumps(config)})
    assert MLPRegressor.load(path).clip_norm is None


# ---- Refusals ----


def function(*_):
    return 0.0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scoring", function),
        ("learning_rate", lambda steps: 0.001 / (1 + steps)),
        ("solver", Adam(lambda steps: 0.001 / (1 + steps))),
        ("progress", fastnn.callbacks.ProgressBar()),
        ("class_weight", {0: 1.0, 1: np.arange(3).sum}),
    ],
)
def test_parameters_that_files_cannot_hold_are_named(name, value, path):
    fitted = MLPClassifier((4,), max_iter=2).fit(X, np.arange(60) % 2).set_params(**{name: value})
    path.write_text("before")
    with pytest.raises((TypeError, ValueError), match=f"^{name}: expected"):
        fitted.save(path)
    assert path.read_text() == "before"


def test_invalid_parameters_are_refused_before_writing(path):
    fitted = MLPRegressor(hidden_layer_sizes=(4,), max_iter=2).fit(X, numbers).set_params(alpha=-1)
    with pytest.raises(ValueError, match="alpha"):
        fitted.save(path)
    assert not path.exists()


def test_unfitted_estimators_are_refused(path):
    from sklearn.exceptions import NotFittedError

    for estimator in (MLPClassifier(), MLPRegressor()):
        with pytest.raises(NotFittedError):
            estimator.save(path)
    assert not path.exists()


def test_files_of_other_kinds_are_refused(path):
    model = MLP((3, 2))
    saved = {
        "model": model,
        "trainer": Trainer(model),
        "classifier": MLPClassifier((4,), max_iter=2).fit(X, np.arange(60) % 2),
        "regressor": MLPRegressor(hidden_layer_sizes=(4,), max_iter=2).fit(X, numbers),
    }
    readers = {"trainer": Trainer, "classifier": MLPClassifier, "regressor": MLPRegressor}
    for kind, each in saved.items():
        each.save(path)
        MLP.load(path)
        for other, reader in readers.items():
            if other != kind:
                with pytest.raises(ValueError, match=rf"{path}: .*expected a {other}, got a {kind}, to be read by .*\.load"):
                    reader.load(path)


def test_custom_functions_are_found_by_name(path):
    pytest.importorskip("numba")
    from fastnn import jit

    @jit.activation(derivative=lambda z: 1.0 / (1.0 + abs(z)) ** 2, uses="input")
    def bent(z):
        return z / (1.0 + abs(z))

    @jit.loss(gradient=lambda y, p: 4.0 * (p - y) ** 3)
    def quartic(y, p):
        return (p - y) ** 4

    for given in ({"activation": bent}, {"activation": "bent", "loss": "quartic"}, {"activation": [bent], "loss": quartic}):
        fitted = MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, random_state=0, **given).fit(X, numbers)
        loaded = again(fitted, path)
        assert loaded.activation == given["activation"]
        assert loaded.loss == given.get("loss", "squared_error")
        for estimator in (fitted, loaded):
            estimator.partial_fit(X, numbers)
        assert_equal(loaded, fitted)
    fitted.save(path)
    _custom.ACTIVATIONS.pop("bent")
    CUSTOM_LOSSES.pop("quartic")
    with pytest.raises(ValueError, match="custom_activations: expected one named 'bent'"):
        MLPRegressor.load(path)
    loaded = MLPRegressor.load(path, custom_activations=[bent], custom_losses=[quartic])
    assert loaded.predict(X).tobytes() == fitted.predict(X).tobytes()


# ---- Damaged files ----


REPLACEMENTS = [
    -1,
    0,
    3,
    1.5,
    1e400,
    2**70,
    None,
    True,
    "",
    "x",
    [],
    [1],
    {},
    {"class": "MSE"},
    {"array": [1], "dtype": "<U9"},
]


def leaves(value, prefix=()):
    """Yield the path to every value within JSON, but only to three of the numbers in a long list."""
    yield prefix
    for key, part in (
        value.items() if isinstance(value, dict) else list(enumerate(value))[:3] if isinstance(value, list) else ()
    ):
        yield from leaves(part, (*prefix, key))


@pytest.mark.filterwarnings("ignore:NumPy will stop allowing:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_damaged_metadata_are_refused_or_give_a_usable_estimator(path):
    y = np.array(["a", "b", "c"])[np.arange(60) % 3]
    options = {"early_stopping": True, "resume": True, "warm_start": True, "solver": "sgd", "learning_rate": "invscaling"}
    MLPClassifier((4,), max_iter=3, random_state=np.random.RandomState(0), class_weight={"a": 2.0}, **options).fit(
        X, y
    ).save(path)
    config, arrays = config_of(path), load_file(path)
    refused = loaded = 0
    places = [place for place in leaves(config) if place and "n_jobs" not in place]  # a prediction checks that one
    for place in random.Random(0).sample(places, 40):
        for replacement in [*REPLACEMENTS, KeyError]:
            changed = copy.deepcopy(config)
            part = changed
            for key in place[:-1]:
                part = part[key]
            if replacement is KeyError:
                del part[place[-1]]
            else:
                part[place[-1]] = replacement
            save_file(arrays, path, {"fastnn": json.dumps(changed)})
            try:
                estimator = MLPClassifier.load(path)
            except ValueError as error:
                assert str(path) in str(error)  # noqa: PT017
                refused += 1
                continue
            loaded += 1
            assert estimator.predict(X[:2]).shape == (2,)
    assert min(refused, loaded) > 50


@pytest.mark.parametrize("name", ["order", "best.weights.0", "last.biases.1", "moments.0.weights.1", "weights.0"])
def test_damaged_arrays_are_refused(name, path):
    options = {"early_stopping": True, "resume": True, "warm_start": True, "solver": "sgd"}
    MLPRegressor(hidden_layer_sizes=(4,), max_iter=3, **options).fit(X, numbers).save(path)
    config, arrays = config_of(path), load_file(path)
    for changed in (arrays[name] + 1 if name == "order" else arrays[name][:-1], arrays[name].astype(np.int64)[..., None]):
        save_file(arrays | {name: changed}, path, {"fastnn": json.dumps(config)})
        with pytest.raises(ValueError, match=str(path)):
            MLPRegressor.load(path)


def test_arrays_of_a_few_characters_do_not_fill_the_memory(path):
    MLPClassifier((4,), max_iter=2).fit(X, np.arange(60) % 2).save(path)
    config, arrays = config_of(path), load_file(path)
    wide = "<U1000000000"
    classes = config["classes"] | {"dtype": wide}
    parameters = config["parameters"] | {"hidden_layer_sizes": {"array": ["x"], "dtype": wide}}
    for changed in ({"classes": classes}, {"parameters": parameters}):
        save_file(arrays, path, {"fastnn": json.dumps(config | changed)})
        with pytest.raises(ValueError, match=wide):
            MLPClassifier.load(path)
