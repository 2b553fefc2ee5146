"""`coefs_` and `intercepts_` behave as in scikit-learn: estimators compute with the values that are written there."""

from __future__ import annotations

import copy
import io
import itertools
import pickle

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.7")

import joblib
from sklearn import neural_network
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import LabelBinarizer

import fastnn.sklearn

LIBRARIES = (neural_network, fastnn.sklearn)
WIDTHS = (3, 4, 5, 8, 16, 100)
KINDS = ("MLPRegressor", "MLPClassifier")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 3))
LABELS = np.digitize(X[:, 0] + X[:, 1], [-0.5, 0.5])
TARGETS = {"MLPRegressor": X[:, 0] - X[:, 1] ** 2, "MLPClassifier": LABELS}

# Changes that a program may make to an array in place.
WRITES = {
    "ravel": lambda a: a.ravel().__setitem__(slice(None), 0.25),
    "reshape": lambda a: a.reshape(-1).__setitem__(slice(1, None, 2), -0.5),
    "flat": lambda a: a.flat.__setitem__(slice(None), np.linspace(-1, 1, a.size)),
    "copyto": lambda a: np.copyto(a, 0.125),
    "times": lambda a: np.multiply(a, -2, out=a),
    "memoryview": lambda a: memoryview(a).cast("B").__setitem__(slice(None), np.full_like(a, 0.5).tobytes()),
    "element": lambda a: a.__setitem__((0,) * a.ndim, 3.0),
    "transposed": lambda a: a.T.__setitem__(..., 0.75),
    "negative zero": lambda a: a.fill(-0.0),
}


def pair(kind, width=5, dtype=np.float64, **options):
    """Return scikit-learn's estimator and fastnn's, fitted to the same rows."""
    options = {"hidden_layer_sizes": (width, width), "max_iter": 3, "random_state": 0} | options
    return [getattr(lib, kind)(**options).fit(X.astype(dtype), TARGETS[kind]) for lib in LIBRARIES]


def answers(estimator, dtype=np.float64):
    return getattr(estimator, "predict_proba", estimator.predict)(X.astype(dtype))


def assert_alike(pair, dtype=np.float64):
    """Assert that two estimators have the same parameters and answers, to rounding."""
    theirs, ours = pair
    tolerance = {"rtol": 1e-9, "atol": 1e-12} if dtype == np.float64 else {"rtol": 2e-4, "atol": 1e-5}
    for name in ("coefs_", "intercepts_"):
        for a, b in zip(getattr(theirs, name), getattr(ours, name), strict=True):
            np.testing.assert_allclose(b, a, **tolerance)
    np.testing.assert_allclose(answers(ours, dtype), answers(theirs, dtype), **tolerance)


def arrays_of(estimator):
    return [*estimator.coefs_, *estimator.intercepts_]


# ---- Writing in place ----


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", KINDS)
def test_values_written_in_place_take_effect(kind, width, dtype):
    estimators = pair(kind, width, dtype)
    for i in range(6):
        for name, write in WRITES.items():
            before = answers(estimators[1], dtype)
            for estimator in estimators:
                write(arrays_of(estimator)[i])
            assert_alike(estimators, dtype)
            assert i or name == "negative zero" or (answers(estimators[1], dtype) != before).any(), name


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", KINDS)
def test_arrays_are_contiguous_and_of_the_dtype(kind, width, dtype):
    for theirs, ours in zip(*map(arrays_of, pair(kind, width, dtype)), strict=True):
        assert ours.flags.c_contiguous
        assert ours.flags.writeable
        assert ours.dtype == theirs.dtype
        assert ours.shape == theirs.shape


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("kind", KINDS)
def test_values_written_before_a_step_take_effect(kind, write):
    estimators = pair(kind)
    for estimator in estimators:
        for array in arrays_of(estimator):
            write(array)
        estimator.partial_fit(X, TARGETS[kind])
    assert_alike(estimators)


@pytest.mark.parametrize("width", WIDTHS)
def test_nan_in_weights_spreads_as_in_scikit_learn(width):
    estimators = pair("MLPRegressor", width)
    for estimator in estimators:
        estimator.coefs_[1][0, 0] = np.nan
    assert np.isnan(estimators[1].predict(X)).all() == np.isnan(estimators[0].predict(X)).all()
    estimators[1].coefs_[1][0, 0] = 1.0
    assert np.isfinite(estimators[1].predict(X)).all()


@pytest.mark.parametrize("width", WIDTHS)
def test_network_and_arrays_show_changes_of_each_other(width):
    fitted = pair("MLPRegressor", width)[1]
    held = fitted.coefs_
    for i, weights in enumerate(fitted.network_.weights):
        weights[...] = i + 1
        assert (fitted.coefs_[i] == i + 1).all()
        assert (held[i] == i + 1).all()
        fitted.coefs_[i].ravel()[:] = 7
        fitted.predict(X)
        assert (fitted.network_.weights[i] == 7).all()


@pytest.mark.parametrize("width", WIDTHS)
def test_the_values_written_last_count_even_if_nan_or_negative_zero(width):
    fitted = pair("MLPRegressor", width)[1]
    fitted.coefs_[1][0, 0] = np.nan
    fitted.predict(X)
    fitted.network_.weights[1][...] = 1.0
    assert (fitted.coefs_[1] == 1.0).all()
    for zero in (0.0, -0.0):
        fitted.coefs_[1].fill(zero)
        fitted.predict(X)
        assert (np.signbit(fitted.network_.weights[1]) == np.signbit(zero)).all()


# ---- The arrays that a fit writes to ----


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", KINDS)
def test_training_that_continues_writes_to_the_same_arrays(kind, width, dtype):
    y = TARGETS[kind]
    estimators = pair(kind, width, dtype, warm_start=True)
    held = [arrays_of(estimator) for estimator in estimators]
    for train in ("partial_fit", "fit"):
        before = [array.copy() for array in held[1]]
        for estimator in estimators:
            getattr(estimator, train)(X.astype(dtype), y)
        for theirs, ours, was, shown in zip(*held, before, arrays_of(estimators[1]), strict=True):
            assert ours is shown
            assert (ours != was).any()
            np.testing.assert_allclose(ours, theirs, rtol=1e-9 if dtype == np.float64 else 1e-3, atol=1e-5)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_new_fit_does_not_change_old_arrays(kind, width):
    for estimator in pair(kind, width):
        held = arrays_of(estimator)
        before = [array.copy() for array in held]
        estimator.set_params(random_state=1).fit(X, TARGETS[kind])
        for array, was, new in zip(held, before, arrays_of(estimator), strict=True):
            np.testing.assert_array_equal(array, was)
            assert not np.shares_memory(array, new)


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_show_the_network_after_a_fit_that_raises(kind):
    fitted = pair(kind, warm_start=True)[1]
    held = arrays_of(fitted)
    with pytest.raises(ValueError, match="non-finite"), np.errstate(all="ignore"):
        fitted.set_params(learning_rate_init=1e300, max_iter=50, solver="sgd").fit(1e200 * X, TARGETS[kind])
    for array, view in zip(held, [*fitted.network_.weights, *fitted.network_.biases], strict=True):
        np.testing.assert_array_equal(array, view)


# ---- Assigning ----


def lists(estimator):
    estimator.coefs_ = [0.5 * w for w in estimator.coefs_]
    estimator.intercepts_ = [b - 1 for b in estimator.intercepts_]


def single_elements(estimator):
    estimator.coefs_[1] = np.ones_like(estimator.coefs_[1])
    estimator.intercepts_[-1] = np.full_like(estimator.intercepts_[-1], 2.0)


def shrunk(estimator):
    estimator.coefs_[0] = estimator.coefs_[0][:, :2]
    estimator.intercepts_[0] = estimator.intercepts_[0][:2]
    estimator.coefs_[1] = estimator.coefs_[1][:2]


def grown(estimator):
    estimator.coefs_ = [np.full((3, 9), 0.1), np.full((9, 9), -0.1), np.full((9, estimator.coefs_[2].shape[1]), 0.3)]
    estimator.intercepts_ = [np.ones(9), np.ones(9), estimator.intercepts_[2]]


def read_only(estimator):
    estimator.coefs_[0] = np.broadcast_to(np.float64(0.5), estimator.coefs_[0].shape)


def fortran_order(estimator):
    estimator.coefs_ = [np.asfortranarray(w[::-1]) for w in estimator.coefs_]


def one_array_twice(estimator):
    twice = np.full((5, 5), 0.25)
    estimator.coefs_[1] = twice
    estimator.coefs_[1] = twice
    estimator.intercepts_[0] = estimator.intercepts_[1]
    estimator.intercepts_[1][:] = 0.5


def swapped(estimator):
    estimator.intercepts_[0], estimator.intercepts_[1] = estimator.intercepts_[1], estimator.intercepts_[0]


def other_dtype(estimator):
    estimator.coefs_[0] = estimator.coefs_[0].astype(np.float32)
    estimator.intercepts_[0] = np.arange(5)


def transposed_view(estimator):
    estimator.coefs_[1] = estimator.coefs_[1].T


ASSIGNMENTS = (
    *(lists, single_elements, shrunk, grown, read_only, fortran_order, one_array_twice, swapped, other_dtype),
    transposed_view,
)


@pytest.mark.parametrize("assign", ASSIGNMENTS, ids=lambda function: function.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_assigned_arrays_take_effect(kind, assign):
    estimators = pair(kind)
    for estimator in estimators:
        assign(estimator)
    assert_alike(estimators)
    for estimator in estimators:  # an assigned array can be written to like any other
        if estimator.coefs_[2].flags.writeable:
            estimator.coefs_[2].flat[0] = 4.0
    assert_alike(estimators)


def test_lists_of_lists_can_be_assigned():
    fitted = pair("MLPRegressor")[1]
    expected = fitted.predict(X)
    fitted.coefs_, fitted.intercepts_ = [w.tolist() for w in fitted.coefs_], [b.tolist() for b in fitted.intercepts_]
    np.testing.assert_array_equal(fitted.predict(X), expected)
    fitted.coefs_[0][:] = 0.0
    fitted.intercepts_[0][:] = 0.0
    assert not np.array_equal(fitted.predict(X), expected)


def test_an_array_assigned_to_two_layers_is_replaced_when_trained():
    """One array cannot hold the trained values of two layers."""
    fitted = pair("MLPRegressor")[1]
    twice = np.full((5, 5), 0.25)
    fitted.set_params(hidden_layer_sizes=(5, 5, 5)).fit(X, TARGETS["MLPRegressor"])
    fitted.coefs_[1], fitted.coefs_[2] = twice, twice
    twice[0, 0] = 1.0
    fitted.predict(X)
    for i in (1, 2):
        np.testing.assert_array_equal(fitted.network_.weights[i], twice)
    for _ in range(3):
        fitted.partial_fit(X, TARGETS["MLPRegressor"])
    expected = fitted.network_.predict(X).ravel()
    np.testing.assert_array_equal(fitted.predict(X), expected)
    for weights, array in zip(fitted.network_.weights, fitted.coefs_, strict=True):
        np.testing.assert_array_equal(array, weights)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.float16, np.longdouble, ">f8"])
def test_assigned_arrays_of_another_dtype_are_trained(dtype):
    fitted = pair("MLPRegressor")[1]
    fitted.coefs_[0] = np.ones((3, 5), dtype)
    fitted.predict(X)
    fitted.partial_fit(X, TARGETS["MLPRegressor"])
    trained = fitted.network_.weights[0]
    assert (trained != 1).any()
    np.testing.assert_allclose(np.asarray(fitted.coefs_[0], float), trained, rtol=1e-2)
    expected = fitted.network_.predict(X)
    np.testing.assert_array_equal(fitted.predict(X), expected.ravel())


def test_read_only_arrays_are_replaced_when_trained():
    fitted = pair("MLPRegressor")[1]
    constant = np.broadcast_to(0.5, (3, 5))
    fitted.coefs_[0] = constant
    fitted.partial_fit(X, TARGETS["MLPRegressor"])
    assert (constant == 0.5).all()
    np.testing.assert_array_equal(fitted.coefs_[0], fitted.network_.weights[0])
    assert (fitted.coefs_[0] != 0.5).any()


@pytest.mark.parametrize("options", [{}, {"early_stopping": True}, {"early_stopping": True, "resume": True}], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_training_continues_from_arrays_of_other_shapes(kind, options):
    options = {"hidden_layer_sizes": (5, 5), "max_iter": 5, "random_state": 0, "warm_start": True} | options
    fitted = getattr(fastnn.sklearn, kind)(**options).fit(X, TARGETS[kind])
    shrunk(fitted)
    before = fitted.coefs_[1].copy()
    fitted.set_params(hidden_layer_sizes=(2, 5), learning_rate_init=1e-9).fit(X, TARGETS[kind])
    assert fitted.coefs_[0].shape == (3, 2)
    assert (fitted.coefs_[1] != before).any()
    np.testing.assert_allclose(fitted.coefs_[1], before, atol=1e-6)
    assert len(answers(fitted)) == len(X)


# ---- Callbacks ----


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", KINDS)
def test_scorers_see_the_parameters_of_the_epoch(kind, width):
    seen = []

    def scorer(estimator, X, y):
        for array, view in zip(arrays_of(estimator), [*estimator.network_.weights, *estimator.network_.biases], strict=True):
            np.testing.assert_array_equal(array, view)
        seen.append(arrays_of(estimator)[0].copy())
        assert answers(estimator).shape[0] == 60
        return -len(seen)  # the first epoch has the best score

    options = {"hidden_layer_sizes": (width, width), "max_iter": 4, "random_state": 0, "early_stopping": True}
    fitted = getattr(fastnn.sklearn, kind)(**options, scoring=scorer).fit(X, TARGETS[kind])
    assert len(seen) == 4
    assert all((a != b).any() for a, b in itertools.pairwise(seen))
    np.testing.assert_array_equal(fitted.coefs_[0], seen[0])


# ---- Copies ----


def through_joblib(estimator):
    buffer = io.BytesIO()
    joblib.dump(estimator, buffer)
    buffer.seek(0)
    return joblib.load(buffer)


COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda estimator: pickle.loads(pickle.dumps(estimator)),
    "joblib": through_joblib,
    "to_sklearn": lambda estimator: estimator.to_sklearn(),
}


@pytest.mark.parametrize("make", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", KINDS)
def test_copies_share_no_arrays(kind, width, make):
    fitted = pair(kind, width)[1]
    for array in arrays_of(fitted):
        array.ravel()[:] *= 1.5
    made = make(fitted)
    assert_alike([fitted, made])
    expected = answers(made)
    made.coefs_[0].reshape(-1)[0] += 1
    assert (answers(made) != expected).any()
    if make is not copy.copy:
        np.testing.assert_allclose(answers(fitted), expected, rtol=1e-9, atol=1e-12)
    assert not hasattr(clone(fitted), "coefs_")


# ---- Attributes set before a fit ----


def weights(n_outputs, dtype=np.float64):
    generator = np.random.default_rng(1)
    coefs = [generator.normal(size=s).astype(dtype) for s in ((3, 5), (5, 4), (4, n_outputs))]
    return coefs, [generator.normal(size=w.shape[1]).astype(dtype) for w in coefs]


INDICATORS = np.column_stack([LABELS == 0, LABELS > 0, X[:, 2] > 0]).astype(int)
BY_HAND = {
    "regressor": ("MLPRegressor", TARGETS["MLPRegressor"], 1, "identity"),
    "two outputs": ("MLPRegressor", X[:, :2], 2, "identity"),
    "binary": ("MLPClassifier", (LABELS > 0).astype(int), 1, "logistic"),
    "strings": ("MLPClassifier", np.array(["no", "yes"])[(LABELS > 0).astype(int)], 1, "logistic"),
    "multiclass": ("MLPClassifier", LABELS, 3, "softmax"),
    "multilabel": ("MLPClassifier", INDICATORS, 3, "logistic"),
}


def by_hand(library, case, binarizer=True, dtype=np.float64, **options):
    """Return an estimator that was never fitted, and has a network from attributes that were set."""
    kind, y, n_outputs, activation = BY_HAND[case]
    estimator = getattr(library, kind)(hidden_layer_sizes=(5, 4), max_iter=5, random_state=0, **options)
    estimator.coefs_, estimator.intercepts_ = weights(n_outputs, dtype)
    estimator.n_layers_, estimator.n_outputs_, estimator.out_activation_ = 4, n_outputs, activation
    estimator.n_features_in_ = 3
    if kind == "MLPClassifier":
        estimator.classes_ = np.arange(3) if case == "multilabel" else np.unique(y)
        if binarizer:
            estimator._label_binarizer = LabelBinarizer().fit(y)
    return estimator, y


@pytest.mark.parametrize("binarizer", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("case", BY_HAND)
def test_estimators_predict_with_attributes_that_were_set(case, dtype, binarizer):
    theirs, _ = by_hand(neural_network, case, dtype=dtype)
    ours, _ = by_hand(fastnn.sklearn, case, binarizer=binarizer, dtype=dtype)
    rtol = 1e-9 if dtype == np.float64 else 1e-4
    if case not in ("regressor", "two outputs"):
        np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    np.testing.assert_allclose(answers(ours), answers(theirs), rtol=rtol, atol=rtol)
    assert ours.predict(X).dtype == theirs.predict(X).dtype
    ours.coefs_[0].ravel()[:] = theirs.coefs_[0].ravel()[:] = 0.125
    np.testing.assert_allclose(answers(ours), answers(theirs), rtol=rtol, atol=rtol)


@pytest.mark.parametrize("case", ["binary", "multiclass", "strings"])
def test_a_label_binarizer_without_classes_is_enough(case):
    theirs, ours = (by_hand(library, case)[0] for library in LIBRARIES)
    del ours.classes_
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


@pytest.mark.parametrize("train", ["fit", "partial_fit"])
@pytest.mark.parametrize("case", BY_HAND)
def test_training_continues_from_attributes_that_were_set(case, train):
    ours, y = by_hand(fastnn.sklearn, case, warm_start=True, learning_rate_init=1e-9)
    before = [array.copy() for array in arrays_of(ours)]
    held = arrays_of(ours)
    getattr(ours, train)(X, y)
    for array, was, shown in zip(held, before, arrays_of(ours), strict=True):
        assert shown is array
        assert (array != was).any()
        np.testing.assert_allclose(array, was, atol=1e-6)
    assert ours.n_iter_ == (5 if train == "fit" else 1)
    assert len(ours.loss_curve_) == ours.n_iter_


@pytest.mark.parametrize("solver", ["lbfgs", "sgd", "adam"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_fit_that_continues_from_a_perfect_network_begins_with_loss_zero(solver, early_stopping):
    """The loss of the first epoch is that of the weights that were set."""
    kind, _, n_outputs, _ = BY_HAND["regressor"]
    options = {"hidden_layer_sizes": (5, 4), "max_iter": 1, "alpha": 0, "warm_start": True, "random_state": 0}
    estimator = getattr(fastnn.sklearn, kind)(solver=solver, early_stopping=early_stopping, **options)
    estimator.coefs_, estimator.intercepts_ = weights(n_outputs)
    estimator.fit(X, estimator.predict(X))
    assert estimator.loss_ < 1e-20


@pytest.mark.parametrize("case", BY_HAND)
def test_a_fit_without_warm_start_ignores_attributes_that_were_set(case):
    ours, y = by_hand(fastnn.sklearn, case)
    before = [array.copy() for array in arrays_of(ours)]
    held = arrays_of(ours)
    ours.fit(X, y)
    fresh = clone(ours).fit(X, y)
    for array, was, shown, expected in zip(held, before, arrays_of(ours), arrays_of(fresh), strict=True):
        np.testing.assert_array_equal(array, was)
        np.testing.assert_array_equal(shown, expected)


@pytest.mark.parametrize("missing", ["coefs_", "intercepts_", "both", "classes"])
@pytest.mark.parametrize("case", BY_HAND)
def test_missing_attributes_raise(case, missing):
    for library in LIBRARIES:
        estimator, _ = by_hand(library, case)
        names = {"both": ("coefs_", "intercepts_"), "classes": ("classes_", "_label_binarizer")}.get(missing, (missing,))
        for name in names:
            vars(estimator).pop(name, None)
        if missing == "classes" and "MLPRegressor" in str(type(estimator)):
            continue
        with pytest.raises((AttributeError, NotFittedError)):
            estimator.predict(X)
        if missing != "classes":
            assert not hasattr(estimator, names[0])


@pytest.mark.parametrize("case", BY_HAND)
def test_wrong_shapes_of_attributes_raise(case):
    ours, y = by_hand(fastnn.sklearn, case, warm_start=True)
    ours.coefs_[1] = np.ones((2, 4))
    for call in (lambda: ours.predict(X), lambda: ours.fit(X, y), lambda: ours.partial_fit(X, y)):
        with pytest.raises(ValueError, match=r"coefs_, intercepts_: expected the shapes of .*, got \["):
            call()
    ours.coefs_[1] = np.ones((5, 4))
    assert len(ours.predict(X)) == len(X)


@pytest.mark.parametrize("make", COPIES.values(), ids=COPIES)
@pytest.mark.parametrize("asked", [True, False], ids=["after a prediction", "before any prediction"])
@pytest.mark.parametrize("case", BY_HAND)
def test_copies_keep_attributes_that_were_set(case, asked, make):
    expected = answers(by_hand(neural_network, case)[0])
    ours, _ = by_hand(fastnn.sklearn, case)
    if asked:
        ours.predict(X)
    np.testing.assert_allclose(answers(make(ours)), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("case", BY_HAND)
def test_parameters_may_be_set_after_attributes(case):
    ours, y = by_hand(fastnn.sklearn, case, warm_start=True)
    expected = answers(ours)
    ours.set_params(alpha=0.5, max_iter=2)
    np.testing.assert_array_equal(answers(ours), expected)
    ours.fit(X, y)
    assert ours.n_iter_ == 2


@pytest.mark.parametrize("by_attributes", [True, False])
def test_the_solver_may_change_from_lbfgs_to_one_with_epochs(by_attributes):
    y = TARGETS["MLPRegressor"]
    options = {"hidden_layer_sizes": (5, 4), "max_iter": 3, "random_state": 0, "solver": "lbfgs", "warm_start": True}
    estimator = fastnn.sklearn.MLPRegressor(**options)
    if by_attributes:
        estimator.coefs_, estimator.intercepts_ = weights(1)
        estimator.predict(X)
    else:
        estimator.fit(X, y)
    estimator.set_params(solver="adam").fit(X, y)
    assert len(estimator.loss_curve_) == 3
    estimator.set_params(early_stopping=True).fit(X, y)
    assert len(estimator.validation_scores_) == 3
