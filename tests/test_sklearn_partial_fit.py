"""partial_fit of few rows takes fast paths, which give the same bits, checks and attributes as the general one."""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import sklearn.neural_network as theirs

import fastnn
from fastnn import sklearn as ours
from fastnn.sklearn import MLPClassifier, MLPRegressor
from fastnn.sklearn._stochastic import BatchFit

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
LABELS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
TEXTS = np.array(["low", "mid", "high"])[LABELS]

SETTINGS: dict[str, dict[str, Any]] = {
    "adam": {},
    "sgd": {"solver": "sgd"},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.1},
    "adaptive": {
        "solver": "sgd",
        "learning_rate": "adaptive",
        "n_iter_no_change": 2,
        "tol": 10.0,
        "learning_rate_init": 0.1,
    },
    "no momentum": {"solver": "sgd", "momentum": 0.0},
    "momentum 1": {"solver": "sgd", "momentum": 1.0},
    "adamw": {"solver": "adamw"},
    "rmsprop": {"solver": "rmsprop"},
    "clipped": {"clip_norm": 0.01, "clip_value": 0.005},
    "optimizer": {"solver": fastnn.SGD(0.1, momentum=0.5)},
    "schedule": {"learning_rate": fastnn.schedules.Cosine(0.1, 20)},
    "alpha": {"alpha": 0.5, "activation": "tanh"},
    "two layers": {"hidden_layer_sizes": (5, 4), "activation": ["gelu", "sin"]},
    "no layer": {"hidden_layer_sizes": ()},
    "in order": {"shuffle": False},
    "dropout": {"dropout": 0.3},
    "no seed": {"random_state": np.random.RandomState(3)},
}


def made(kind: Any, **parameters: Any) -> Any:
    return kind(**{"hidden_layer_sizes": (6,), "random_state": 0, **copy.deepcopy(parameters)})


def state(estimator: Any) -> dict[str, Any]:
    """Return everything that a fit leaves, except the trainer's number of epochs in its last run."""
    found = dict(estimator.__getstate__())
    found["_random_state"] = found["_random_state"].get_state(legacy=False)
    found.pop("random_state")
    found.pop("solver")
    return found


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if hasattr(one, "__dict__") and not isinstance(one, np.random.Generator | np.random.RandomState):
        return type(one) is type(other) and same(vars(one), vars(other))
    return np.array_equal(one, other) if isinstance(one, np.ndarray) else bool(one == other)


def by_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train single rows by the general path."""
    monkeypatch.setattr(BatchFit, "_step", BatchFit._run)


def train(estimator: Any, y: Any, weight: Any = None, sparse: bool = False) -> Any:
    rows = scipy.sparse.csr_matrix(X) if sparse else X
    options = {"classes": np.unique(y)} if isinstance(estimator, MLPClassifier) and y.ndim == 1 else {}
    for i in range(25):
        size = 3 if i in (7, 15) else 1
        given = {} if weight is None else {"sample_weight": weight[i : i + size]}
        estimator.partial_fit(rows[i : i + size], y[i : i + size], **options, **given)
    return estimator


TARGETS = {
    "values": (MLPRegressor, X[:, 0]),
    "several values": (MLPRegressor, X[:, :2]),
    "classes": (MLPClassifier, LABELS),
    "two classes": (MLPClassifier, LABELS > 0),
    "texts": (MLPClassifier, TEXTS),
    "labels": (MLPClassifier, (X > 0).astype(int)),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("setting", SETTINGS)
def test_the_fast_path_has_the_bits_of_the_general_one(setting: str, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, y = TARGETS[target]
    found = train(made(kind, **SETTINGS[setting]), y)
    by_runs(monkeypatch)
    assert same(comparable(found), comparable(train(made(kind, **SETTINGS[setting]), y)))


def comparable(estimator: Any) -> dict[str, Any]:
    found = state(estimator)
    parameters = [*estimator.coefs_, *estimator.intercepts_]
    moments = estimator._trainer._moments
    names = (
        "n_iter_",
        "t_",
        "loss_",
        "loss_curve_",
        "best_loss_",
        "_no_improvement_count",
        "_learning_rate",
        "_random_state",
    )
    return {name: found[name] for name in names} | {"p": parameters, "m": list(moments), "u": estimator._trainer.updates}


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_fast_path_has_the_bits_of_the_general_one_for_any_rows(
    sparse: bool, weighted: bool, dtype: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    weight = RNG.uniform(0.5, 2.0, 40) if weighted else None
    monkeypatch.setitem(globals(), "X", X.astype(dtype))
    found = train(made(MLPClassifier), LABELS, weight, sparse)
    by_runs(monkeypatch)
    assert same(comparable(found), comparable(train(made(MLPClassifier), LABELS, weight, sparse)))


@pytest.mark.parametrize("setting", ["adam", "sgd", "invscaling", "adaptive", "alpha", "in order"])
@pytest.mark.parametrize("target", TARGETS)
def test_single_rows_give_the_same_as_in_scikit_learn(setting: str, target: str) -> None:
    kind, y = TARGETS[target]
    found = made(kind, **SETTINGS[setting])
    expected = made(getattr(theirs, kind.__name__), **SETTINGS[setting])
    for i in range(25):
        options = {"classes": np.unique(y)} if isinstance(found, MLPClassifier) and (y.ndim == 1 or i == 0) else {}
        if y.ndim == 2 and kind is MLPClassifier:
            options = {"classes": [0, 1, 2]} if i == 0 else {}
        rows = slice(i, i + (4 if i in (0, 9) else 1))  # one row does not tell how many labels it may have
        for estimator in (found, expected):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                estimator.partial_fit(X[rows], y[rows], **options)
    for one, other in zip(found.coefs_ + found.intercepts_, expected.coefs_ + expected.intercepts_, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-7, atol=1e-12)
    assert (found.n_iter_, found.t_) == (expected.n_iter_, expected.t_)
    np.testing.assert_allclose(found.loss_curve_, expected.loss_curve_, rtol=1e-7, atol=1e-12)


def test_alpha_may_change_from_row_to_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def trained() -> Any:
        estimator = made(MLPRegressor, alpha=0.0)
        for i in range(10):
            estimator.set_params(alpha=float(i)).partial_fit(X[i : i + 1], X[i : i + 1, 0])
        return estimator

    found = trained()
    by_runs(monkeypatch)
    assert same(comparable(found), comparable(trained()))
    assert not same(comparable(found), comparable(train(made(MLPRegressor), X[:, 0])))


@pytest.mark.parametrize("seed", [0, np.int64(7), None])
def test_every_call_starts_from_the_seed(seed: Any) -> None:
    """This is as in scikit-learn; copies and estimators that continue have a random state of their own."""
    np.random.seed(5)  # noqa: NPY002
    estimator = made(MLPRegressor, random_state=seed, batch_size=5)
    estimator.partial_fit(X, X[:, 0]).partial_fit(X, X[:, 0])
    first = estimator._random_state
    assert seed is None or estimator.network_._rng.bit_generator is not first._bit_generator
    copied = copy.copy(estimator)
    before = first.get_state(legacy=False)["state"]["key"].copy()
    estimator.partial_fit(X, X[:, 0])
    if seed is not None:
        assert np.array_equal(copied._random_state.get_state(legacy=False)["state"]["key"], before)
        fresh = np.random.RandomState(seed)
        fresh.shuffle(np.arange(40))
        assert same(estimator._random_state.get_state(legacy=False), fresh.get_state(legacy=False))


def test_another_seed_takes_effect() -> None:
    estimator = made(MLPRegressor, batch_size=5).partial_fit(X, X[:, 0])
    states = []
    for seed in (0, 1, 0):
        estimator.set_params(random_state=seed).partial_fit(X, X[:, 0])
        states.append(estimator._random_state.get_state(legacy=False)["state"]["key"].copy())
    assert np.array_equal(states[0], states[2])
    assert not np.array_equal(states[0], states[1])


# ---- Checks ----


def fitted(kind: Any = MLPClassifier, y: Any = LABELS) -> Any:
    return kind((4,), random_state=0).partial_fit(X, y, classes=np.unique(y))


@pytest.mark.parametrize(
    "y",
    [
        [7],
        [-1],
        ["low"],
        [0.5],
        np.array([7]),
        np.array([3], np.uint8),
        np.array(["a"]),
        np.array([np.nan]),
        [None],
        [[0, 1]],
    ],
    ids=str,
)
def test_unknown_classes_raise(y: Any) -> None:
    estimator = fitted()
    before = pickle.dumps(estimator.coefs_)
    for rows in (X[:1], X[:1].tolist()):
        with pytest.raises(ValueError, match="classes|label|NaN"):
            estimator.partial_fit(rows, y)
    assert pickle.dumps(estimator.coefs_) == before
    assert estimator.t_ == 40


@pytest.mark.parametrize("y", ["aaa", "hi", "zzz", "lows", "lo", ""])
def test_unknown_texts_raise(y: str) -> None:
    estimator = fitted(y=TEXTS)
    for given in (np.array([y]), [y], np.array([y], object)):
        with pytest.raises(ValueError, match="classes not in"):
            estimator.partial_fit(X[:1], given)


@pytest.mark.parametrize(
    "y", [LABELS, TEXTS, LABELS > 0, LABELS.astype(float), TEXTS.astype(object)], ids=lambda y: str(y.dtype)
)
def test_known_classes_are_accepted_in_any_form(y: Any) -> None:
    """A class may be a number, in a list, an array of its own or of another width, a view, or come after others."""
    forms = [
        lambda i: (X[i : i + 1], y[i : i + 1]),
        lambda i: (X[i : i + 1].tolist(), y[i : i + 1].tolist()),
        lambda i: (np.asfortranarray(X)[i : i + 1], y[i : i + 1].tolist()),
        lambda i: (X[i : i + 1].copy(), np.array(y[i : i + 1].tolist(), y.dtype)),
        lambda i: (X[::-1][39 - i : 40 - i], y[::-1][39 - i : 40 - i]),
    ]
    results = []
    for form in forms:
        estimator = fitted(y=y)
        for i in range(10):
            estimator.partial_fit(*form(i))
        results.append([w.copy() for w in estimator.coefs_])
    assert all(same(results[0], result) for result in results[1:])


def test_integers_are_accepted_as_numbers() -> None:
    """This includes rows and values too large for any array of integers."""
    rows = np.arange(12).reshape(4, 3)
    expected = made(MLPRegressor).partial_fit(rows.astype(float), rows[:, 0].astype(float))
    for form in (
        np.array(rows, np.uint8),
        rows.tolist(),
        [[0.0, *row[1:]] for row in rows.tolist()][:1] + rows[1:].tolist(),
    ):
        found = made(MLPRegressor).partial_fit(form, rows[:, 0].tolist())
        assert same(found.coefs_, expected.coefs_)
        assert found.coefs_[0].dtype == np.float64
    large = [[2**70, 1.0, 2.0], [2**65, 3, 4]]
    found = made(MLPRegressor, max_iter=1).partial_fit([[10**400 // 10**380, 1, 2]], [1])
    assert np.isfinite(found.coefs_[0]).all()
    one, other = (made(MLPRegressor).partial_fit(form, [1, 2]) for form in (large, np.array(large, float)))
    assert same(one.coefs_, other.coefs_)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_wrong_rows_raise(kind: Any) -> None:
    y = LABELS if kind is MLPClassifier else X[:, 0]
    estimator = kind((4,)) if kind is MLPClassifier else kind(hidden_layer_sizes=(4,))
    estimator.partial_fit(X, y, *([None, [0, 1, 2]] if kind is MLPClassifier else []))
    for wrong, message in (
        ([[0.0, np.nan, 1.0]], "NaN"),
        ([[0.0, np.inf, 1.0]], "infinity"),
        ([[0.0, 1.0]], "2 features, but .* is expecting 3"),
        ([0.0, 1.0, 2.0], "Expected 2D"),
        ([], "Expected 2D"),
        ([[0.0, 1.0, 2.0], [1.0, 2.0]], "inhomogeneous|sequence"),
        ([["a", "b", "c"]], "could not convert|dtype='numeric'"),
        ([[None, 1.0, 2.0]], "NaN|None|float"),
    ):
        for rows in (wrong, np.array(wrong)) if "inhom" not in message else (wrong,):
            with pytest.raises((ValueError, TypeError), match=message):
                estimator.partial_fit(rows, y[:1].tolist())
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        estimator.partial_fit(X[:1].tolist(), y[:2].tolist())


def test_wrong_values_raise() -> None:
    estimator = MLPRegressor(hidden_layer_sizes=(4,)).partial_fit(X, X[:, 0])
    for wrong in ([np.nan], np.array([np.inf]), ["a"], [None]):
        with pytest.raises((ValueError, TypeError)):
            estimator.partial_fit(X[:1].tolist(), wrong)
    with pytest.raises(ValueError, match="Poisson|poisson"):
        MLPRegressor(loss="poisson").partial_fit([[1.0]], [-1.0])


def test_progress_is_shown_for_a_single_row(capsys: pytest.CaptureFixture[str]) -> None:
    MLPRegressor(progress=True).partial_fit(X[:1], X[:1, 0])
    assert "epoch 1/1" in capsys.readouterr().err


def test_a_step_that_diverges_changes_nothing() -> None:
    for rows in (X[:1], X[:2]):
        estimator = MLPRegressor(hidden_layer_sizes=(4,), solver="sgd", random_state=0).partial_fit(X, X[:, 0])
        before = copy.deepcopy(estimator)
        with pytest.raises(ValueError, match="non-finite parameter weights"):
            estimator.partial_fit(1e200 * rows, 1e200 * rows[:, 0])
        assert all(np.array_equal(a, b) for a, b in zip(estimator.coefs_, before.coefs_, strict=True))
        assert estimator.t_ == before.t_
        assert estimator.loss_curve_ == before.loss_curve_


def test_many_classes_in_few_rows_give_the_warning_of_scikit_learn() -> None:
    rows, y = RNG.normal(size=(60, 2)), np.arange(60)
    for size in (19, 20, 21, 22, 40):
        found, expected = (made(module.MLPClassifier) for module in (ours, theirs))
        said = []
        for estimator in (found, expected):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                estimator.partial_fit(rows[:2], y[:2], classes=y)
                estimator.partial_fit(rows[:size], y[:size])
            said.append(any("unique classes" in str(one.message) for one in caught))
        assert said[0] == said[1], size


def test_names_of_features_are_compared() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b", "c"])
    estimator = made(MLPRegressor).partial_fit(frame, X[:, 0])
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        estimator.partial_fit(X[:1].tolist(), [0.5])
    with pytest.raises(ValueError, match="feature names"):
        estimator.partial_fit(frame[["c", "b", "a"]][:1], [0.5])


@pytest.mark.parametrize(
    ("first", "later"),
    [
        ([0, 1, 2], [[0, 1, 2], [2, 1, 0], np.array([0, 1, 2]), np.array([0, 1, 2], np.uint8), (0, 1, 2), [0, 1, 2, 2]]),
        (["low", "mid", "high"], [["high", "low", "mid"], ["mid", "low", "high"], np.array(["high", "low", "mid"], object)]),
    ],
)
def test_the_same_classes_may_be_given_again(first: Any, later: Any) -> None:
    y = LABELS if first[0] == 0 else TEXTS
    estimator = MLPClassifier((4,)).partial_fit(X, y, classes=first)
    for classes in later:
        estimator.partial_fit(X[:1], y[:1], classes=classes)
    for classes in ([*first, 7 if first[0] == 0 else "very high"], first[:2], np.array(first[:2]), []):
        with pytest.raises(ValueError, match="is not the same as on last call|0 samples|at least one"):
            estimator.partial_fit(X[:1], y[:1], classes=classes)
