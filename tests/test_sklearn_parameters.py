"""Errors about parameters and data of the estimators: they use names that users know, and come before anything changes."""

from __future__ import annotations

import copy
import inspect
import re
from typing import Any

import numpy as np
import pytest
import sklearn
import sklearn.neural_network as theirs
from sklearn.utils._param_validation import InvalidParameterError

from fastnn import LBFGS
from fastnn import sklearn as ours

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer", "ignore:lbfgs failed", "ignore:Got .batch_size")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(20, 3))
CLASSES = (X[:, 0] > 0).astype(int)
NAMES = ["MLPClassifier", "MLPRegressor"]
ESTIMATORS = pytest.mark.parametrize("name", NAMES)
# Internal names.
INNER = re.compile(r"\b(layer_sizes|epochs|n_threads|l2|power|learning_rate_schedule|test_size)\b")

VALUES: list[Any] = [
    *(None, True, False, np.True_, 0, 1, -1, 2, np.int64(2), 2**32, 2**40, 0.0, 0.5, 1.0, 1.5, -0.5, np.nan, np.inf),
    *("x", "auto", "1", "(10, 5)", b"x", (), [], [1], (2, 3), (20.0,), (0,), (-3,), (True,), (2**40,), [3] * 70),
    *({"a": 1}, {1}, np.array(2), np.array([2]), np.array([2.0]), np.array(["relu"]), range(2, 4), 1 + 2j, object()),
    *(["relu"], ["relu", "tanh"], [None], (0.5,), [0.5, 0.5], [1.5], [True], [[2, 3]], np.float32(0.5)),
    *(np.datetime64(1, "s"), np.random.default_rng(0)),
]


def outcome(estimator: Any) -> Exception | None:
    try:
        estimator.fit(X, CLASSES)
    except (TypeError, ValueError, MemoryError) as error:
        return error
    return None


def settings(parameter: str) -> dict[str, Any]:
    """Return other parameters that give this one an effect."""
    if parameter in ("momentum", "power_t", "nesterovs_momentum", "learning_rate"):
        return {"solver": "sgd", "learning_rate": "invscaling"}
    return {"early_stopping": True} if parameter in ("validation_fraction", "scoring", "ties") else {}


def matters(parameter: str, value: Any) -> bool:
    if parameter in ("verbose", "progress"):
        return value not in (1, 2, True) if isinstance(value, int | np.bool_) else True  # these print to the terminal
    return not (parameter in ("max_iter", "power_t") and value in (2**32, 2**40))  # scikit-learn does not end with this one


PARAMETERS = [(name, parameter) for name in NAMES for parameter in inspect.signature(getattr(ours, name)).parameters]


@pytest.mark.parametrize(("name", "parameter"), PARAMETERS)
def test_wrong_parameters_are_named(name: str, parameter: str) -> None:
    """The error has the type of scikit-learn's, and names the parameter, not fastnn's internal name for it."""
    kind, original = getattr(ours, name), getattr(theirs, name)
    for value in VALUES:
        if not (np.ndim(value) or matters(parameter, value)):
            continue
        given = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0} | settings(parameter) | {parameter: value}
        estimator = kind(**given)
        error = outcome(estimator)
        if error is not None:
            assert re.search(rf"\b{parameter}\b", str(error)), (value, error)
            others = str(error).replace("hidden_layer_sizes", "").replace("learning_rate_init", "")
            assert not INNER.search(others), (value, error)
            assert not hasattr(estimator, "network_")
            assert not hasattr(estimator, "n_iter_")
        if parameter not in inspect.signature(original).parameters:
            continue
        expected = outcome(original(**given))
        if expected is None:
            assert error is None or value == [3] * 70, (value, error)  # more layers than fastnn allows
        elif error is not None:
            assert isinstance(error, TypeError if type(expected) is TypeError else ValueError), (value, error)


@ESTIMATORS
@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"hidden_layer_sizes": (20.0,)}, "'hidden_layer_sizes' parameter of .* must be an int .*Got \\(20.0,\\)"),
        ({"hidden_layer_sizes": "(10, 5)"}, "'hidden_layer_sizes' parameter of .* must be an int .*Got '\\(10, 5\\)'"),
        ({"hidden_layer_sizes": (3, True)}, "'hidden_layer_sizes' parameter"),
        ({"hidden_layer_sizes": True}, "'hidden_layer_sizes' parameter"),
        ({"hidden_layer_sizes": None}, "'hidden_layer_sizes' parameter"),
        ({"hidden_layer_sizes": 0}, "'hidden_layer_sizes' parameter"),
        ({"hidden_layer_sizes": (5, 0)}, "hidden_layer_sizes must be > 0, got \\[5, 0\\]"),
        ({"hidden_layer_sizes": [2] * 64}, "hidden_layer_sizes: expected at most 63 layers .*got 64 layers"),
        ({"hidden_layer_sizes": 2**31}, "hidden_layer_sizes: expected .* units, got .* 2147483648$"),
        ({"activation": ["tanh"]}, "activation: expected 2: one per hidden layer.*got a list of 1"),
        ({"dropout": [0.1, 0.1, 0.1]}, "dropout: expected 2: one per hidden layer.*got a list of 3"),
        ({"dropout": True}, "'dropout' parameter"),
        ({"clip_norm": True}, "'clip_norm' parameter"),
        ({"scoring": "acuracy", "early_stopping": True}, "'scoring' parameter .*get_scorer_names"),
        ({"scoring": "acuracy"}, "'scoring' parameter"),
        ({"random_state": np.random.default_rng(0)}, "'random_state' parameter .*RandomState\\(generator.bit_generator\\)"),
        (
            {"early_stopping": True, "validation_fraction": 0.0},
            "validation_fraction: expected .* for early_stopping=True, got 0.0",
        ),
        ({"solver": "lbfgs", "dropout": 0.1}, "dropout: .*got 0.1 for solver='lbfgs'"),
        ({"solver": "lbfgs", "dropout": [0.0, 0.1]}, "dropout: expected .*got"),
        ({"solver": "lbfgs", "clip_norm": 1.0}, "clip_norm: .*got 1.0 for solver='lbfgs'"),
        ({"solver": "lbfgs", "clip_value": 1.0}, "clip_value: .*got 1.0 for solver='lbfgs'"),
        ({"solver": LBFGS(), "dropout": 0.1}, r"dropout: .*got 0.1 for solver=LBFGS\(history_size=10"),
        ({"solver": LBFGS(), "tol": 1e-5}, r"tol: expected the default 0.0001 .*use LBFGS\(tolerance_grad=1e-05\)"),
        ({"solver": LBFGS(), "max_fun": 20}, r"max_fun: expected the default 15000 .*use LBFGS\(max_evaluations=20\)"),
        ({"solver": "lbfgs", "lazy_updates": True}, "lazy_updates: .*got True for solver='lbfgs'"),
    ],
)
def test_messages_name_the_parameter_and_what_was_expected(name: str, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        getattr(ours, name)(**{"hidden_layer_sizes": (3, 3), **parameters}).fit(X, CLASSES)


@ESTIMATORS
@pytest.mark.parametrize("solver", ["adam", "sgd", "adamw", "lbfgs"])
def test_flags_may_be_numbers_as_in_scikit_learn(name: str, solver: str) -> None:
    flags = {"alpha": True, "max_iter": True, "tol": False, "epsilon": True, "beta_1": False, "beta_2": False}
    flags |= {"power_t": True, "momentum": True, "learning_rate": "invscaling", "n_jobs": True, "random_state": True}
    if solver == "lbfgs":
        flags["max_fun"] = True
    numbers = {key: value if isinstance(value, str) else int(value) for key, value in flags.items()}
    one = getattr(ours, name)((3,) if name == "MLPClassifier" else "squared_error", solver=solver, **flags).fit(X, CLASSES)
    other = getattr(ours, name)((3,) if name == "MLPClassifier" else "squared_error", solver=solver, **numbers).fit(
        X, CLASSES
    )
    assert all(np.array_equal(a, b) for a, b in zip(one.coefs_, other.coefs_, strict=True))


def test_wrong_class_weights_raise() -> None:
    for wrong in ([1], [], "balance", 1.0, [{0: 1.0}, 2]):
        with pytest.raises(InvalidParameterError, match="'class_weight' parameter of MLPClassifier"):
            ours.MLPClassifier((3,), class_weight=wrong).fit(X, CLASSES)


@ESTIMATORS
def test_parameters_are_checked_whenever_they_change(name: str) -> None:
    """This includes elements of lists, and calls after scikit-learn's checks were switched off."""
    sizes, options = [3], {"max_iter": 1, "warm_start": True}
    estimator = getattr(ours, name)(hidden_layer_sizes=sizes, **options).fit(X, CLASSES)
    sizes[0] = 0
    with pytest.raises(ValueError, match="hidden_layer_sizes must be > 0"):
        estimator.fit(X, CLASSES)

    estimator = getattr(ours, name)(hidden_layer_sizes=(3,), **options).fit(X, CLASSES)
    for parameter, wrong in (("alpha", -1.0), ("hidden_layer_sizes", (3.0,)), ("shuffle", "yes"), ("random_state", -1)):
        before = getattr(estimator, parameter)
        for change in (estimator.set_params, lambda **new: vars(estimator).update(new)):
            change(**{parameter: wrong})
            for method in (estimator.fit, estimator.partial_fit):
                with pytest.raises(ValueError, match=parameter):
                    method(X, CLASSES)
        estimator.set_params(**{parameter: before}).partial_fit(X, CLASSES)

    estimator = getattr(ours, name)(hidden_layer_sizes=(3,), tol=-1.0, **options)
    with sklearn.config_context(skip_parameter_validation=True):
        estimator.fit(X, CLASSES)
    with pytest.raises(ValueError, match="'tol' parameter"):
        estimator.fit(X, CLASSES)


@ESTIMATORS
def test_sizes_that_change_within_a_tuple_are_checked(name: str) -> None:
    inner = np.array([3])
    estimator = getattr(ours, name)(hidden_layer_sizes=inner, max_iter=1, warm_start=True).fit(X, CLASSES)
    inner[0] = 4
    with pytest.raises(ValueError, match="hidden_layer_sizes: expected those of the fitted network, .*got"):
        estimator.fit(X, CLASSES)


@ESTIMATORS
def test_cached_checks_are_in_no_copy_pickle_or_parameters(name: str) -> None:
    """The cache belongs to one estimator."""
    estimator = getattr(ours, name)(max_iter=1, random_state=0)
    public = vars(copy.copy(estimator)).keys()
    estimator.fit(X, CLASSES).partial_fit(X, CLASSES)
    assert "_cache" not in vars(copy.copy(estimator))
    assert vars(sklearn.clone(estimator)).keys() == public


# ---- Data ----

VALIDATION = [
    ({"X_val": X * np.nan, "y_val": CLASSES}, "^X_val, .*NaN"),
    ({"X_val": X[:, :2], "y_val": CLASSES}, "^X_val, .*2 features"),
    ({"X_val": X, "y_val": CLASSES[:3]}, "^X_val, y_val.*numbers of samples"),
    ({"X_val": X, "y_val": CLASSES, "sample_weight_val": [1.0]}, "^X_val, y_val, sample_weight_val.*shape"),
    ({"X_val": X, "y_val": None}, "^X_val, y_val: .*got one of them"),
    ({"X_val": None, "y_val": CLASSES}, "^X_val, y_val: .*got one of them"),
    ({"sample_weight_val": CLASSES}, "^sample_weight_val: .*got it without X_val and y_val"),
]


@ESTIMATORS
@pytest.mark.parametrize(("arguments", "message"), VALIDATION, ids=str)
def test_errors_name_the_validation_data(name: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        getattr(ours, name)(max_iter=1).fit(X, CLASSES, **arguments)


def test_validation_targets_must_be_like_those_of_training() -> None:
    with pytest.raises(ValueError, match="^y_val: expected shape .* the network has 1 output, got "):
        ours.MLPRegressor(max_iter=1).fit(X, X[:, 0], X_val=X, y_val=X)
    with pytest.raises(ValueError, match="^X_val, y_val, sample_weight_val: `y` has classes not in"):
        ours.MLPClassifier(max_iter=1).fit(X, CLASSES, X_val=X, y_val=CLASSES + 1)


@pytest.mark.parametrize("warm_start", [True, False])
def test_later_targets_must_have_as_many_columns(warm_start: bool) -> None:
    for first, then in ((X[:, 0], X), (X, X[:, 0]), (X, X[:, :2])):
        estimator = ours.MLPRegressor(max_iter=2, warm_start=warm_start).fit(X, first)
        before = copy.deepcopy(estimator)
        for method in [estimator.partial_fit] + [estimator.fit] * warm_start:
            with pytest.raises(ValueError, match="^y: expected (shape )?.*: the network has .*got .*"):
                method(X, then)
        assert estimator.n_iter_ == before.n_iter_
        assert all(np.array_equal(a, b) for a, b in zip(estimator.coefs_, before.coefs_, strict=True))


def test_targets_without_classes_raise() -> None:
    with pytest.raises(ValueError, match="^classes: expected at least one class.*got \\[\\]"):
        ours.MLPClassifier().partial_fit(X, CLASSES, classes=[])
