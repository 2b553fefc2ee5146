"""The estimators against scikit-learn's: kinds of data, random states, fits that continue, and refused data."""

from __future__ import annotations

import builtins

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.7")

from _sklearn_pairs import DATA, assert_equal, assert_same, estimator, outcomes, snapshot
from scipy import sparse

X, y = DATA["iris"]
X_numbers, y_numbers = DATA["diabetes"]


def fitted(library, inputs, targets, data="iris", **options):
    return snapshot(estimator(library, data, **{"max_iter": 5} | options).fit(inputs, targets), inputs)


# ---- Inputs ----


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("data", ["iris", "cancer", "multilabel", "diabetes"])
def test_fits_in_float32_are_the_same(data, early_stopping, solver):
    inputs, targets = DATA[data]
    options = {"solver": solver, "early_stopping": early_stopping}
    got = assert_same(lambda library: fitted(library, inputs.astype(np.float32), targets, data, **options), 1e-4)
    assert got["coefs_"][0].dtype == np.float32


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_predictions_in_another_precision_are_the_same(precision):
    def predict(library):
        trained = estimator(library, "iris", max_iter=5).fit(X.astype(precision), y)
        return [trained.predict_proba(X.astype(other)) for other in (np.float16, np.float32, np.float64)]

    assert_same(predict, 1e-4)


INPUTS = {
    "list": lambda a: a.tolist(),
    "integers": lambda a: (5 * a).astype(int),
    "bool": lambda a: a > 0,
    "object": lambda a: a.astype(object),
    "big-endian": lambda a: a.astype(">f8"),
    "long double": lambda a: a.astype(np.longdouble),
    "column-major": np.asfortranarray,
    "backwards": lambda a: np.ascontiguousarray(a[:, ::-1])[:, ::-1],
    "every other row": lambda a: np.repeat(a, 2, axis=0)[::2],
    "constant": np.ones_like,
    "csr": sparse.csr_matrix,
    "csc": sparse.csc_matrix,
    "coo": sparse.coo_matrix,
    "csr array": sparse.csr_array,
    "sparse integers": lambda a: sparse.csr_matrix((5 * a).astype(int)),
    "no element": lambda a: sparse.csr_matrix(a.shape),
}


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("kind", INPUTS)
def test_every_kind_of_input_gives_the_same(kind, solver):
    inputs = INPUTS[kind](X)
    assert_same(lambda library: fitted(library, inputs, y, solver=solver))


def test_read_only_and_memory_mapped_inputs_give_the_same(tmp_path):
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert_same(lambda library: fitted(library, mapped, y, early_stopping=True))


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_sparse_inputs_with_few_nonzeros_give_the_same(solver, early_stopping):
    rows = sparse.random(200, 50, 0.05, "csr", random_state=0)
    targets = np.arange(200) % 3
    assert_same(lambda library: fitted(library, rows, targets, solver=solver, early_stopping=early_stopping))


@pytest.mark.parametrize("rows", [1, 2, 3, 20])
@pytest.mark.parametrize("data", ["iris", "diabetes"])
def test_few_rows_give_the_same(data, rows):
    assert_same(lambda library: fitted(library, X[::7][:rows], np.arange(rows) % 2, data))


@pytest.mark.parametrize("fraction", [0.02, 0.5])
@pytest.mark.parametrize("data", ["cancer", "diabetes"])
def test_any_validation_fraction_gives_the_same(data, fraction):
    options = {"early_stopping": True, "validation_fraction": fraction}
    assert_same(lambda library: fitted(library, *DATA[data], data, **options))


# ---- Targets ----

LABELS = {
    "strings": np.array(["ab", "c", "d"])[y],
    "objects": np.array(["ab", "c", "d"], object)[y],
    "floats": y.astype(float),
    "bool": y > 0,
    "list": y.tolist(),
    "int8": y.astype(np.int8),
    "uint64": y.astype(np.uint64),
    "negative": 3 * y - 5,
    "two signs": np.where(y > 0, 1, -1),
    "one string": np.array(["a"])[0 * y],
    "many": np.arange(150) % 30,
    "a column": y[:, None],
    "labels as bool": np.column_stack([y > 0, y > 1]),
    "labels as floats": np.column_stack([y > 0, y > 1]).astype(float),
    "a label that is never set": np.column_stack([y > 0, y > 1, y > 2]).astype(int),
}


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("kind", LABELS)
def test_every_kind_of_label_gives_the_same(kind, early_stopping):
    assert_same(lambda library: fitted(library, X, LABELS[kind], early_stopping=early_stopping))


NUMBERS = {
    "integers": (10 * y_numbers).astype(int),
    "int8": (10 * y_numbers).astype(np.int8),
    "bool": y_numbers > 0,
    "objects": y_numbers.astype(object),
    "list": y_numbers.tolist(),
    "big-endian": y_numbers.astype(">f8"),
    "a column": y_numbers[:, None],
    "two columns of integers": np.column_stack([y_numbers, 2 * y_numbers]).astype(int),
    "constant": 0 * y_numbers + 3,
}


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("kind", NUMBERS)
def test_every_kind_of_numeric_target_gives_the_same(kind, early_stopping):
    assert_same(lambda library: fitted(library, X_numbers, NUMBERS[kind], "diabetes", early_stopping=early_stopping))


# ---- Random states ----


@pytest.mark.parametrize("random_state", [1, None, "instance", "PCG64"])
@pytest.mark.parametrize(
    "options", [{}, {"early_stopping": True}, {"shuffle": False}, {"solver": "lbfgs"}, {"solver": "sgd"}], ids=repr
)
def test_random_states_give_the_same_numbers(options, random_state):
    """Two fits draw the same numbers, and leave the random state at the same place."""

    def fit(library):
        state = random_state
        if isinstance(random_state, str):
            state = np.random.RandomState(5 if random_state == "instance" else np.random.PCG64(5))
        one = estimator(library, "iris", random_state=state, max_iter=5, **options)
        shown = [snapshot(one.fit(X, y), X), snapshot(one.fit(X, y), X)]
        following = state if isinstance(random_state, str) else np.random
        return shown, following.randint(1 << 30, size=5), following.normal(size=3)

    assert_same(fit, 1e-6)


# ---- Continuing ----


@pytest.mark.parametrize("data", ["iris", "diabetes", "multilabel"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tol": 0.05, "n_iter_no_change": 2, "max_iter": 40},
        {"solver": "sgd", "learning_rate": "invscaling"},
        {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.05, "n_iter_no_change": 2, "max_iter": 40},
        {"solver": "lbfgs"},
        {"random_state": None},
    ],
    ids=repr,
)
def test_warm_starts_are_the_same(data, options):
    inputs, targets = DATA[data]

    def fit(library):
        one = estimator(library, data, **{"warm_start": True, "max_iter": 4} | options)
        return [snapshot(one.fit(inputs, targets), inputs) for _ in range(3)]

    assert_same(fit, 1e-5)


PARTS = [slice(10 * i, 10 * i + 70) for i in range(8)]


@pytest.mark.parametrize("data", ["iris", "strings", "diabetes", "two outputs"])
@pytest.mark.parametrize("learning_rate", ["constant", "invscaling", "adaptive"])
@pytest.mark.parametrize(
    "options", [{}, {"solver": "sgd"}, {"solver": "sgd", "tol": 0.5, "n_iter_no_change": 1, "batch_size": 13}], ids=repr
)
def test_partial_fits_are_the_same(options, learning_rate, data):
    inputs, targets = DATA[data]
    first = {"classes": np.unique(targets)[::-1]} if data in ("iris", "strings") else {}

    def fit(library):
        one = estimator(library, data, learning_rate=learning_rate, **options)
        shown = []
        for i, part in enumerate(PARTS):
            one.partial_fit(inputs[part], targets[part], **(first if i == 0 else {}))
            shown.append(snapshot(one, inputs))
        return shown

    assert_same(fit)


@pytest.mark.parametrize("data", ["iris", "diabetes"])
@pytest.mark.parametrize("options", [{}, {"solver": "sgd", "learning_rate": "invscaling"}, {"shuffle": False}], ids=repr)
def test_fit_and_partial_fit_in_any_order_are_the_same(options, data):
    """They are called with a warm start and without."""
    inputs, targets = DATA[data]

    def fit(library):
        one = estimator(library, data, max_iter=4, **options)
        shown = []
        for call in ("fit", "partial_fit", "partial_fit", "fit", "partial_fit"):
            shown.append(snapshot(getattr(one, call)(inputs, targets), inputs))
        one.set_params(warm_start=True, learning_rate_init=0.01)
        for call in ("fit", "fit", "partial_fit"):
            shown.append(snapshot(getattr(one, call)(inputs, targets), inputs))
        return shown

    assert_same(fit, 1e-6)


def test_partial_fits_with_changing_inputs_are_the_same():
    """Weights are given and omitted, sparse rows follow dense ones, and rows come singly."""

    def fit(library):
        one = estimator(library, "iris").partial_fit(X, y, np.arange(150.0), [0, 1, 2])
        shown = [snapshot(one.partial_fit(rows, y), X) for rows in (X, sparse.csr_matrix(X), sparse.csc_matrix(X))]
        return [*shown, snapshot(one.partial_fit(X[:1], y[:1]), X), snapshot(one.partial_fit(X, y, 2.0), X)]

    assert_same(fit)


@pytest.mark.parametrize("options", [{}, {"early_stopping": True}, {"tol": 1.0, "n_iter_no_change": 1}], ids=repr)
@pytest.mark.parametrize("lines", [1, 2, 4])
def test_interrupted_fits_are_the_same(options, lines, monkeypatch):
    """Ctrl-C while an epoch is reported gives a warning, and the parameters at that time."""
    said = []

    def interrupt(*_):
        said.append(None)
        if len(said) == lines:
            raise KeyboardInterrupt

    def fit(library):
        said.clear()
        monkeypatch.setattr(builtins, "print", interrupt)
        one = estimator(library, "iris", verbose=True, **options).fit(X, y)
        monkeypatch.undo()
        return snapshot(one, X)

    (expected, warned), (got, warned_too) = outcomes(fit)
    assert_equal(got, expected, 1e-9)
    assert warned == warned_too == [(UserWarning, "Training interrupted by user.")]
