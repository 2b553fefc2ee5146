"""The interface of the estimators against scikit-learn's: scikit-learn's own checks, parameters, signatures, errors."""

from __future__ import annotations

import copy
import inspect

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.7")

from _sklearn_pairs import DATA, LIBRARIES, assert_same, estimator, snapshot
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from fastnn.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

X, y = DATA["iris"]
X_numbers, y_numbers = DATA["diabetes"]
BOTH = pytest.mark.parametrize("data", ["iris", "diabetes"])
NAMES = ("MLPClassifier", "MLPRegressor")


@parametrize_with_checks([MLPClassifier(), MLPRegressor()])
def test_estimators_pass_the_checks_of_scikit_learn(estimator, check):
    """Run scikit-learn's checks."""
    check(estimator)


# ---- Parameters ----


@pytest.mark.parametrize("name", NAMES)
def test_signatures_begin_like_those_of_scikit_learn(name):
    """Positional parameters are the same; keywords have the same names and defaults, and more may follow."""
    theirs, ours = (inspect.signature(getattr(library, name)).parameters for library in LIBRARIES)
    assert list(ours)[: len(theirs)] == list(theirs)
    for parameter in theirs.values():
        assert (ours[parameter.name].kind, ours[parameter.name].default) == (parameter.kind, parameter.default)
    assert all(ours[name].kind is inspect.Parameter.KEYWORD_ONLY for name in list(ours)[len(theirs) :])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", ["fit", "partial_fit", "predict", "score", "predict_proba", "predict_log_proba"])
def test_signatures_of_methods_are_those_of_scikit_learn(name, method):
    if not hasattr(getattr(LIBRARIES[0], name), method):
        assert not hasattr(getattr(LIBRARIES[1], name), method)
        return
    theirs, ours = (list(inspect.signature(getattr(getattr(lib, name), method)).parameters) for lib in LIBRARIES)
    assert ours[: len(theirs)] == theirs


@BOTH
def test_get_params_returns_all_parameters(data):
    theirs, ours = (estimator(library, data) for library in LIBRARIES)
    assert ours.get_params().items() >= theirs.get_params().items()
    assert repr(ours) == repr(theirs)
    assert clone(ours).get_params() == ours.get_params()
    assert ours.set_params(alpha=3.0).alpha == 3.0


_NUMBER = (None, "auto", "", [], [1.0], np.array([1.0]), {}, 1j, object, np.nan, np.inf, -np.inf)
_COUNT = (*_NUMBER, 0, -1, 1.0, 0.5, np.float64(2))
_FLAG = (None, "auto", "True", 0, 1, 0.0, [], np.array([True]), object)
_NAME = (None, "", "bogus", "RELU", 0, True, b"adam", object())
REFUSED = {
    "hidden_layer_sizes": (None, "auto", 0, -1, 2.5, (3, 0), (3, -1), (2.5,), ("a",), [None], object),
    "activation": (*_NAME, "softmax", "exp"),
    "solver": (*_NAME, "cg"),
    "alpha": (*_NUMBER, -1.0, -1),
    "batch_size": (None, "", "Auto", 0, -1, 1.0, 2.5, [], np.nan, object),
    "learning_rate": (*_NAME, 0.1),
    "learning_rate_init": (*_NUMBER, 0, 0.0, -0.1),
    "power_t": (*_NUMBER, -0.5),
    "max_iter": _COUNT,
    "shuffle": _FLAG,
    "random_state": ("auto", 0.5, -1, 2**32, [1], np.array([1]), object, np.random.default_rng(0)),
    "tol": (*_NUMBER, -1e-9),
    "verbose": (None, "yes", -1, 1.0, []),
    "warm_start": _FLAG,
    "momentum": (*_NUMBER, -0.1, 1.1, 2),
    "nesterovs_momentum": _FLAG,
    "early_stopping": _FLAG,
    "validation_fraction": (*_NUMBER, -0.1, 1.0, 1),
    "beta_1": (*_NUMBER, -0.1, 1.0, 1),
    "beta_2": (*_NUMBER, -0.1, 1.0, 1),
    "epsilon": (*_NUMBER, 0, 0.0, -1e-8),
    "n_iter_no_change": (None, "auto", 0, -1, 1.0, 2.5, [], np.nan, -np.inf, object),
    "max_fun": _COUNT,
}
ACCEPTED = {
    "hidden_layer_sizes": (2, np.int64(2), [2], (2, 3), np.array([2, 3]), (np.int8(2),), range(2, 4), ()),
    "activation": (np.str_("tanh"),),
    "alpha": (0, 1, np.float32(0.5), np.int64(1), 1e300),
    "batch_size": (np.int64(20), 7, np.str_("auto")),
    "learning_rate_init": (np.float32(0.01), 1e-12, np.float64(0.1)),
    "power_t": (0, 3, np.float32(0.5)),
    "max_iter": (1, np.int64(2)),
    "shuffle": (np.True_, np.False_),
    "random_state": (0, np.int64(3), 2**32 - 1, np.random.RandomState(0), None),
    "tol": (0, 1, np.float32(0.5)),
    "verbose": (0, np.False_),
    "momentum": (0, 1, 1.0, np.float32(0.5)),
    "validation_fraction": (0.5, np.float64(0.2)),
    "beta_1": (0, 0.0, np.float32(0.5)),
    "beta_2": (0, 0.0, np.float32(0.5)),
    "epsilon": (1, 1e-300, np.float32(0.5)),
    "n_iter_no_change": (1, np.int64(2), np.inf, 10**12),
    "max_fun": (1, np.int64(2)),
}


@pytest.mark.parametrize("parameter", REFUSED)
@BOTH
def test_parameters_refused_by_scikit_learn_raise(data, parameter):
    inputs, targets = DATA[data]
    for value in REFUSED[parameter]:
        for library in LIBRARIES:
            with pytest.raises((ValueError, TypeError)) as caught:
                estimator(library, data, **{parameter: value}).fit(inputs, targets)
            if library is LIBRARIES[1] and parameter not in ("hidden_layer_sizes", "random_state"):
                assert isinstance(caught.value, ValueError)
                assert str(caught.value).startswith(f"The {parameter!r} parameter of {NAMES[data == 'diabetes']} must be ")


def test_every_parameter_is_checked():
    assert REFUSED.keys() | {"loss"} == set(LIBRARIES[0].MLPRegressor().get_params())


@pytest.mark.parametrize("parameter", ACCEPTED)
@BOTH
def test_parameters_accepted_by_scikit_learn_are_accepted(data, parameter):
    """These include NumPy's numbers and strings, and the limits of the ranges."""
    inputs, targets = DATA[data]
    solver = "sgd" if parameter in ("momentum", "power_t") else "lbfgs" if parameter == "max_fun" else "adam"
    options = {"max_iter": 2, "solver": solver, "early_stopping": parameter == "validation_fraction"}
    for value in ACCEPTED[parameter]:

        def fit(library, value=value):
            value = copy.deepcopy(value)  # a fit changes a random state
            return snapshot(estimator(library, data, **options | {parameter: value}).fit(inputs, targets), inputs)

        assert_same(fit, 1e-6)


# ---- Errors ----


@BOTH
def test_methods_of_estimators_that_are_not_fitted_raise(data):
    ours = estimator(LIBRARIES[1], data)
    for call in (ours.predict, getattr(ours, "predict_proba", ours.predict), lambda inputs: ours.score(inputs, y)):
        with pytest.raises(NotFittedError, match="This MLP(Classifier|Regressor) instance is not fitted yet"):
            call(X)


_NAN, _INF = np.where(X > 1.5, np.nan, X), np.where(X > 1.5, np.inf, X)
WRONG_INPUTS = {
    **{"1-d": X[:, 0], "3-d": X[:, :, None], "no rows": X[:0], "no features": X[:, :0], "NaN": _NAN, "infinite": _INF},
    **{"text": np.full(X.shape, "x"), "complex": X.astype(complex), "None": None, "short": X[:-1], "one string": "abc"},
}


@pytest.mark.parametrize("kind", WRONG_INPUTS)
@BOTH
def test_wrong_inputs_raise(data, kind):
    errors = []
    for library in LIBRARIES:
        with pytest.raises((ValueError, TypeError)) as caught:
            estimator(library, data).fit(WRONG_INPUTS[kind], y)
        errors.append(caught.value)
    assert type(errors[1]) is type(errors[0])
    assert str(errors[1]) == str(errors[0])


@pytest.mark.parametrize("kind", [kind for kind in WRONG_INPUTS if kind != "short"])
@BOTH
def test_wrong_inputs_of_predict_raise(data, kind):
    messages = []
    for library in LIBRARIES:
        fitted = estimator(library, data, max_iter=1).fit(X, y)
        with pytest.raises((ValueError, TypeError)) as caught:
            fitted.predict(WRONG_INPUTS[kind])
        messages.append(str(caught.value))
    assert messages[1] == messages[0]
    with pytest.raises(ValueError, match="X has 3 features, but MLP(Classifier|Regressor) is expecting 4 features as input"):
        fitted.predict(X[:, :3])


def test_fits_that_continue_check_the_features():
    for one in (estimator(LIBRARIES[1], "iris", warm_start=True, max_iter=1).fit(X, y), MLPRegressor().partial_fit(X, y)):
        for call in (one.fit, one.partial_fit) if isinstance(one, MLPClassifier) else (one.partial_fit,):
            with pytest.raises(ValueError, match="X has 3 features, but MLP(Classifier|Regressor) is expecting 4"):
                call(X[:, :3], y)


_STRANGE = np.where(y == 2, np.nan, y)
WRONG_TARGETS = [
    *[
        ("iris", y / 2, "Unknown label type"),
        ("iris", y.astype(object), "Unknown label type"),
        ("iris", None, "requires y to be passed"),
    ],
    *[("iris", _STRANGE, "Input y contains NaN"), ("iris", y[:-1], "inconsistent numbers of samples"), ("iris", 3, None)],
    *[("iris", y[:, None, None], "Found array with dim 3"), ("iris", np.column_stack([y, y]), None), ("diabetes", 3, None)],
    *[
        ("diabetes", _STRANGE, "Input y contains NaN"),
        ("diabetes", np.where(y == 2, np.inf, y), "Input y contains infinity"),
    ],
    *[("diabetes", None, "requires y to be passed"), ("diabetes", y[:-1], "inconsistent numbers of samples")],
    *[("diabetes", y.astype(complex), "Complex data not supported"), ("diabetes", np.array(["a", "b", "c"])[y], None)],
]


@pytest.mark.parametrize(("data", "targets", "message"), WRONG_TARGETS)
def test_wrong_targets_raise(data, targets, message):
    for library in LIBRARIES:
        with pytest.raises((ValueError, TypeError), match=message):
            estimator(library, data).fit(X, targets)


WEIGHTS = [
    (np.ones(149), "149"),
    (np.ones((150, 1)), None),
    (np.zeros(150), "Sample weights must contain at least one non-zero"),
]


@pytest.mark.parametrize(("weight", "message"), [*WEIGHTS, (np.full(150, np.nan), "Input sample_weight contains NaN")])
@BOTH
def test_wrong_weights_raise(data, weight, message):
    for library in LIBRARIES:
        with pytest.raises(ValueError, match=message):
            estimator(library, data).fit(X, y, weight)


WRONG_CALLS = [
    (lambda one: one.partial_fit(X, y), "classes must be passed on the first call to partial_fit"),
    (lambda one: one.partial_fit(X, y, classes=[0, 1]), "`y` has classes not in `self.classes_`"),
    (lambda one: one.partial_fit(X, y, classes=[0.5, 1.5]), "Unknown label type"),
    (
        lambda one: one.partial_fit(X, y, classes=[0, 1, 2]).partial_fit(X, y, classes=[0, 1]),
        "is not the same as on last call",
    ),
    (lambda one: one.fit(X[:100], y[:100]).partial_fit(X, y), "`y` has classes not in `self.classes_`"),
    (
        lambda one: one.set_params(warm_start=True).fit(X, y).fit(X[:100], y[:100]),
        "warm_start can only be used where `y` has",
    ),
    (
        lambda one: one.set_params(early_stopping=True).partial_fit(X, y, classes=[0, 1, 2]),
        "does not support early_stopping",
    ),
    (
        lambda one: one.set_params(early_stopping=True).fit(X[:3], y[:3]),
        "test_size|only one class|least populated|too small",
    ),
    (lambda one: one.set_params(early_stopping=True, validation_fraction=1e-3).fit(X, y), "The validation set is too small"),
    (
        lambda one: one.set_params(early_stopping=True).fit(X[49:149], y[49:149] > 0),
        "The least populated classes? in y have only 1",
    ),
    (lambda one: one.set_params(foo=1), "Invalid parameter 'foo' for estimator MLPClassifier"),
]


@pytest.mark.parametrize(("call", "message"), WRONG_CALLS)
def test_wrong_calls_raise(call, message):
    for library in LIBRARIES:
        with pytest.raises(ValueError, match=message):
            call(estimator(library, "iris", max_iter=1))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("options", [{"solver": "sgd", "learning_rate_init": 1e10}, {"loss": "poisson"}], ids=repr)
def test_divergence_raises(options):
    inputs, targets = DATA["counts"]
    for library in LIBRARIES:
        with pytest.raises(
            ValueError, match="Solver produced non-finite parameter weights. The input data may contain large"
        ):
            estimator(library, "counts", **options).fit(1e4 * inputs, targets)


# ---- partial_fit by solver ----


def test_partial_fit_exists_only_for_solvers_with_epochs():
    for solver in ("adam", "sgd"):
        assert hasattr(MLPClassifier(solver=solver), "partial_fit")
        assert hasattr(MLPRegressor(solver=solver), "partial_fit")
    assert not hasattr(MLPClassifier(solver="lbfgs"), "partial_fit")
    with pytest.raises(AttributeError, match="has no attribute 'partial_fit'"):
        MLPClassifier(solver="lbfgs").partial_fit(X, y)
