"""Estimators of tables: columns of categories, embeddings of others, and factors of dropout and label smoothing."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_predict

from fastnn.embeddings import PBLD, Categorical, OneHot
from fastnn.losses import CrossEntropy
from fastnn.schedules import Cosine
from fastnn.sklearn import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer", "ignore:lbfgs failed")

RNG = np.random.default_rng(0)
N = 120
NUMBERS = RNG.normal(size=(N, 2))
COLORS = RNG.choice(np.array(["red", "green", "blue"], object), N)
SHOPS = RNG.integers(100, 112, N)
VALUES = NUMBERS[:, 0] + 2.0 * (COLORS == "red") + SHOPS / 6.0
LABELS = (np.median(VALUES) < VALUES).astype(int) + (COLORS == "blue")
TABLE = np.column_stack([NUMBERS[:, 0].astype(object), COLORS, SHOPS.astype(object), NUMBERS[:, 1].astype(object)])
CODES = np.column_stack(
    [
        NUMBERS[:, 0],
        np.searchsorted(["blue", "green", "red"], COLORS),
        np.searchsorted(np.unique(SHOPS), SHOPS),
        NUMBERS[:, 1],
    ]
)
EXPLICIT = [OneHot([1], n_categories=[3]), Categorical([2], n_categories=[12])]
OPTIONS: dict[str, Any] = {"hidden_layer_sizes": (8,), "max_iter": 15, "random_state": 0, "learning_rate_init": 0.01}


def pandas_frame() -> Any:
    pandas = pytest.importorskip("pandas")
    columns = {"x": NUMBERS[:, 0], "color": pandas.Categorical(COLORS), "shop": SHOPS, "z": NUMBERS[:, 1]}
    return pandas.DataFrame(columns).astype({"shop": "category"})


def polars_frame() -> Any:
    polars = pytest.importorskip("polars")
    columns = {"x": NUMBERS[:, 0], "color": COLORS.tolist(), "shop": SHOPS, "z": NUMBERS[:, 1]}
    return polars.DataFrame(columns, schema_overrides={"shop": polars.Int32})


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("given", [[1, 2], [-3, 2], np.array([False, True, True, False]), (2, 1)])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_categories_train_as_their_codes_do(kind: Any, given: Any, solver: str) -> None:
    y = LABELS if kind is MLPClassifier else VALUES
    fitted = kind(**OPTIONS, solver=solver, categorical_features=given).fit(TABLE, y)
    by_codes = kind(**OPTIONS, solver=solver, embeddings=EXPLICIT).fit(CODES, y)
    assert fitted.network_.embeddings == by_codes.network_.embeddings == tuple(EXPLICIT)
    np.testing.assert_array_equal(fitted.predict(TABLE), by_codes.predict(CODES))
    np.testing.assert_array_equal(fitted.input_gradients(TABLE), by_codes.input_gradients(CODES))
    assert [each.tolist() for each in fitted.categories_] == [["blue", "green", "red"], sorted(set(SHOPS.tolist()))]
    assert fitted.is_categorical_.tolist() == [False, True, True, False]
    np.testing.assert_array_equal(fitted.predict(TABLE.tolist()), fitted.predict(TABLE))


@pytest.mark.parametrize("frame", [pandas_frame, polars_frame])
@pytest.mark.parametrize("given", ["from_dtype", ["shop", "color"], [1, 2]])
def test_frames_have_the_results_of_arrays(frame: Any, given: Any) -> None:
    table = frame()
    if frame is polars_frame and given == "from_dtype":  # of which the shops are numbers
        given, explicit = "from_dtype", [OneHot([1], n_categories=[3])]
    else:
        explicit = EXPLICIT
    fitted = MLPRegressor(**OPTIONS, categorical_features=given).fit(table, VALUES)
    assert fitted.network_.embeddings == tuple(explicit)
    assert fitted.feature_names_in_.tolist() == ["x", "color", "shop", "z"]
    codes = np.column_stack([CODES[:, :2], SHOPS, CODES[:, 3]]) if len(explicit) == 1 else CODES
    expected = MLPRegressor(**OPTIONS, embeddings=explicit).fit(codes, VALUES)
    np.testing.assert_array_equal(fitted.predict(table), expected.predict(codes))


def test_from_dtype_finds_no_categories_in_arrays() -> None:
    fitted = MLPRegressor(**OPTIONS, categorical_features="from_dtype").fit(CODES, VALUES)
    assert fitted.network_.embeddings == ()
    np.testing.assert_array_equal(fitted.predict(CODES), MLPRegressor(**OPTIONS).fit(CODES, VALUES).predict(CODES))


def test_missing_and_unknown_categories_have_one_place() -> None:
    table = TABLE.copy()
    table[:10, 1], table[5:15, 2] = None, np.nan
    fitted = MLPRegressor(**OPTIONS, categorical_features=[1, 2]).fit(table, VALUES)
    assert fitted.categories_[0].tolist() == ["blue", "green", "red"]
    missing, unknown = TABLE.copy(), TABLE.copy()
    missing[:, 1], unknown[:, 1] = None, "violet"
    missing[:, 2], unknown[:, 2] = float("nan"), 7
    np.testing.assert_array_equal(fitted.predict(missing), fitted.predict(unknown))
    assert (fitted.predict(missing) != fitted.predict(TABLE)).any()
    codes = CODES.copy()
    codes[:, 1:3] = np.nan
    np.testing.assert_array_equal(fitted.network_.predict(codes)[:, 0], fitted.predict(missing))


def test_a_column_without_any_category_trains() -> None:
    table = TABLE.copy()
    table[:, 1] = None
    fitted = MLPRegressor(**OPTIONS, categorical_features=[1]).fit(table, VALUES)
    assert len(fitted.categories_[0]) == 0
    assert np.isfinite(fitted.predict(TABLE)).all()


def test_widths_and_kinds_follow_parameters() -> None:
    given = {"categorical_features": [1, 2], "one_hot_max_size": 2, "embedding_width": 5}
    network = MLPRegressor(**OPTIONS, **given, embeddings=PBLD(n_frequencies=3)).fit(TABLE, VALUES).network_
    assert network.embeddings == (PBLD((0, 3), n_frequencies=3), Categorical((1, 2), n_categories=(3, 12), width=5))


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("options", [{}, {"embeddings": PBLD([0], n_frequencies=3), "early_stopping": True}])
def test_files_and_pickles_continue_with_the_same_bits(kind: Any, options: dict[str, Any], tmp_path: Path) -> None:
    y = LABELS if kind is MLPClassifier else VALUES
    more = {"warm_start": True, "resume": True, "max_iter": 4, "dropout": 0.2, "dropout_factor": Cosine(1.0, 99)}
    fitted = kind(**OPTIONS | more, categorical_features=[1, 2], **options).fit(TABLE, y)
    fitted.save(tmp_path / "estimator")
    others = [kind.load(tmp_path / "estimator"), pickle.loads(pickle.dumps(fitted))]
    before = fitted.predict(TABLE)
    fitted.fit(TABLE, y)
    for other in others:
        np.testing.assert_array_equal(other.predict(TABLE), before)
        assert [each.tolist() for each in other.categories_] == [each.tolist() for each in fitted.categories_]
        np.testing.assert_array_equal(other.fit(TABLE, y).predict(TABLE), fitted.predict(TABLE))


@pytest.mark.parametrize("frame", [pandas_frame, lambda: TABLE])
def test_members_have_the_categories(frame: Any) -> None:
    table = frame()
    fitted = clone(MLPRegressor(**OPTIONS, categorical_features=[1, 2], n_members=2, bootstrap=True)).fit(table, VALUES)
    each = [member.predict(table) for member in fitted.members_]
    np.testing.assert_allclose(fitted.predict(table), np.mean(each, axis=0), rtol=1e-12)
    gradients = [member.input_gradients(table) for member in fitted.members_]
    np.testing.assert_allclose(fitted.input_gradients(table), np.mean(gradients, axis=0), rtol=1e-12)


def test_searches_keep_settings_apart() -> None:
    grid = {"categorical_features": [[1], [1, 2]], "embedding_width": [2, 8], "alpha": [0.1, 0.2]}
    codes_of_shops = np.column_stack([TABLE[:, :2], CODES[:, 2].astype(object), TABLE[:, 3]])
    search = GridSearchCV(MLPRegressor(**OPTIONS), grid, cv=2, error_score="raise").fit(codes_of_shops, VALUES)
    for given, score in zip(search.cv_results_["params"], search.cv_results_["split0_test_score"], strict=True):
        alone = MLPRegressor(**OPTIONS, **given).fit(codes_of_shops[60:], VALUES[60:])
        assert score == alone.score(codes_of_shops[:60], VALUES[:60])
    assert cross_val_predict(search.best_estimator_, TABLE, VALUES, cv=2).shape == (N,)


def test_scorers_of_users_predict_held_out_rows() -> None:
    seen = []

    def score(estimator: Any, X: Any, y: Any) -> float:
        seen.append(np.shape(X))
        return -float(np.abs(estimator.predict(X) - y).mean())

    given = {"categorical_features": [1, 2], "early_stopping": True, "scoring": score}
    fitted = MLPRegressor(**OPTIONS, **given).fit(TABLE, VALUES)
    assert seen[0] == (12, 4)
    assert len(fitted.validation_scores_) == fitted.n_iter_
    own = MLPRegressor(**OPTIONS | given).fit(TABLE[:100], VALUES[:100], X_val=TABLE[100:], y_val=VALUES[100:])
    assert seen[-1] == (20, 4)
    np.testing.assert_allclose(own.best_validation_score_, score(own, TABLE[100:], VALUES[100:]), rtol=1e-12)


def test_partial_fit_keeps_the_categories_of_the_first_call() -> None:
    estimator = MLPClassifier(**OPTIONS, categorical_features=[1, 2]).partial_fit(TABLE[:60], LABELS[:60], classes=[0, 1, 2])
    table = TABLE.copy()
    table[:5, 1] = "violet"
    estimator.partial_fit(table, LABELS)
    assert estimator.categories_[0].tolist() == ["blue", "green", "red"]


def test_a_refused_fit_leaves_the_estimator_as_it_was() -> None:
    fitted = MLPClassifier(**OPTIONS, categorical_features=[1, 2]).fit(TABLE, LABELS)
    before = fitted.predict_proba(TABLE)
    other = TABLE.copy()
    other[:, 1] = "violet"
    with pytest.raises(ValueError, match="sample_weight"):
        fitted.fit(other, LABELS + 5, sample_weight=[1.0])
    np.testing.assert_array_equal(fitted.predict_proba(TABLE), before)
    assert fitted.classes_.tolist() == [0, 1, 2]
    fitted.set_params(warm_start=True, embedding_width=3)
    with pytest.raises(ValueError, match="embeddings: expected those of the fitted network"):
        fitted.fit(TABLE, LABELS)
    np.testing.assert_array_equal(fitted.predict_proba(TABLE), before)


def test_weights_can_be_assigned() -> None:
    fitted = MLPRegressor(**OPTIONS, categorical_features=[1, 2]).fit(TABLE, VALUES)
    fitted.coefs_ = [np.zeros_like(array) for array in fitted.coefs_]
    np.testing.assert_array_equal(fitted.predict(TABLE), np.full(N, fitted.intercepts_[-1][0]))
    width = len(fitted.coefs_[0])
    fitted.coefs_, fitted.intercepts_ = [np.ones((width, 3)), np.ones((3, 1))], [np.zeros(3), np.zeros(1)]
    table = fitted.network_.embedding_parameters[1]
    assert table.any()
    fitted.predict(TABLE)
    np.testing.assert_array_equal(fitted.network_.embedding_parameters[1], table)
    assert fitted.network_.layer_sizes == (4, 3, 1)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"categorical_features": [4]}, ValueError, "categorical_features: expected columns from 0 to 3, got 4"),
        ({"categorical_features": [True]}, ValueError, "categorical_features: expected 4, one per column of X, got 1"),
        ({"categorical_features": ["color"]}, ValueError, "categorical_features: expected numbers or a mask"),
        ({"categorical_features": "color"}, ValueError, "'categorical_features' parameter"),
        ({"categorical_features": [1.5]}, ValueError, "'categorical_features' parameter"),
        ({"categorical_features": [1], "one_hot_max_size": -1}, ValueError, "'one_hot_max_size' parameter"),
        ({"categorical_features": [1], "embedding_width": True}, ValueError, "'embedding_width' parameter"),
        ({"embedding_width": 9}, ValueError, "embedding_width: expected 8 without categorical_features, got 9"),
        ({"embeddings": 3}, ValueError, "'embeddings' parameter"),
        ({"embeddings": PBLD([1]), "categorical_features": [1, 2]}, ValueError, "embeddings: expected columns that are not"),
        ({"embeddings": PBLD([9]), "categorical_features": [1, 2]}, ValueError, "expected columns from 0 to 3, got 9"),
        ({"dropout_factor": 0.5}, ValueError, "dropout_factor: expected 1.0 without dropout, got 0.5"),
        ({"dropout": 0.1, "dropout_factor": 1.5}, ValueError, "'dropout_factor' parameter"),
        ({"label_smoothing_factor": 0.5}, ValueError, "label_smoothing_factor: expected 1.0 without label_smoothing"),
        ({"label_smoothing": 2.0}, ValueError, "'label_smoothing' parameter"),
        ({"label_smoothing": 0.1, "label_smoothing_factor": 0.5, "solver": "lbfgs"}, ValueError, "label_smoothing_factor"),
    ],
)
def test_wrong_parameters_are_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    estimator = MLPClassifier(**OPTIONS | options)
    with pytest.raises(error, match=message):
        estimator.fit(TABLE, LABELS)
    with pytest.raises(NotFittedError):
        estimator.predict(TABLE)


def test_wrong_inputs_are_refused() -> None:
    fitted = MLPRegressor(**OPTIONS, categorical_features=[1, 2]).fit(TABLE, VALUES)
    numbers, text, odd = TABLE.copy(), TABLE.copy(), TABLE.copy()
    numbers[0, 1], text[0, 2], odd[0, 1] = 3, "100", [1]
    for X, message in [
        (numbers, "X: expected text, as in fit, in column 1 of categories, got 3"),
        (text, "X: expected numbers, as in fit, in column 2 of categories, got '100'"),
        (odd, "X: expected text or numbers in column 1 of categories"),
        (csr_matrix(CODES), "X: expected a dense array or a data frame for categorical_features"),
    ]:
        with pytest.raises(TypeError, match=message):
            fitted.predict(X)
        if X is not text and X is not numbers:
            with pytest.raises(TypeError, match="X: expected"):
                clone(fitted).fit(X, VALUES)
    text = TABLE.copy()
    text[0, 0] = "1.5"  # a number, as scikit-learn reads it
    text[1, 3] = "x"
    for call in (fitted.predict, lambda X: clone(fitted).fit(X, VALUES)):
        with pytest.raises(ValueError, match="X: .* column 3, which is not in categorical_features, got 'x'"):
            call(text)
    with pytest.raises(ValueError, match="expecting 4 features"):
        fitted.predict(TABLE[:, :3])
    for X in (np.where(np.arange(4) == 3, np.nan, TABLE), TABLE[0]):
        with pytest.raises(ValueError, match="NaN|shape"):
            fitted.predict(X)
    by_codes = MLPRegressor(**OPTIONS, embeddings=EXPLICIT).fit(CODES, VALUES)
    for call in (by_codes.predict, by_codes.input_gradients, lambda X: clone(by_codes).fit(X, VALUES)):
        with pytest.raises(TypeError, match="X: expected a dense array"):
            call(csr_matrix(CODES))


def test_exports_without_embeddings_name_them() -> None:
    fitted = MLPRegressor(**OPTIONS, categorical_features=[1, 2]).fit(TABLE, VALUES)
    with pytest.raises(ValueError, match="to_sklearn: expected an estimator without embeddings"):
        fitted.to_sklearn()


def test_label_smoothing_trains_as_that_of_the_loss() -> None:
    smooth = MLPClassifier(**OPTIONS, label_smoothing=0.2, alpha=0.0, solver="adam").fit(CODES, LABELS)
    plain = MLPClassifier(**OPTIONS, alpha=0.0).fit(CODES, LABELS)
    assert smooth.predict_proba(CODES).max() < plain.predict_proba(CODES).max()
    off = MLPClassifier(**OPTIONS, alpha=0.0, label_smoothing=0.2, label_smoothing_factor=0.0).fit(CODES, LABELS)
    np.testing.assert_array_equal(off.predict_proba(CODES), plain.predict_proba(CODES))
    searches = {"solver": "lbfgs", "max_iter": 2000, "tol": 1e-9, "random_state": 0}
    lbfgs = MLPClassifier(hidden_layer_sizes=(), label_smoothing=0.2, alpha=0.0, **searches).fit(CODES, LABELS)
    _, gradients = lbfgs.network_.gradient(CODES, LABELS, loss=CrossEntropy(label_smoothing=0.2))
    assert max(np.abs(gradient).max() for gradient in gradients) < 1e-3


def test_dropout_factors_follow_schedules() -> None:
    options = OPTIONS | {"dropout": 0.5, "max_iter": 5}
    off = MLPRegressor(**options, dropout_factor=lambda steps: 0.0 * steps).fit(CODES, VALUES)
    full = MLPRegressor(**options).fit(CODES, VALUES)
    half = MLPRegressor(**options, dropout_factor=0.5).fit(CODES, VALUES)
    assert len({each.predict(CODES)[0] for each in (off, full, half)}) == 3


@pytest.mark.parametrize("how", ["warm_start", "partial_fit"])
@pytest.mark.parametrize(("first", "then"), [(None, [0]), ([0], [1]), ([0], None), ([0], [0, 1])])
def test_other_columns_of_categories_are_refused_when_a_fit_goes_on(how, first, then):
    X = np.arange(60.0).reshape(20, 3) % 4
    y = X.sum(axis=1)
    model = MLPRegressor(max_iter=2, warm_start=True, categorical_features=first, random_state=0).fit(X, y)
    go_on = model.fit if how == "warm_start" else model.partial_fit
    go_on(X, y)
    model.set_params(categorical_features=then)
    with pytest.raises(ValueError, match="^categorical_features: expected the columns .*, as fitted, got"):
        go_on(X, y)
    model.set_params(categorical_features=first)
    go_on(X, y)


def test_sparse_targets_are_refused():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match="^y: expected an array, got a sparse matrix; .toarray"):
        MLPRegressor().fit(np.ones((6, 2)), sparse.csr_matrix(np.ones((6, 2))))


@pytest.mark.parametrize(
    "pair", [(2**63 + 1, 5), (2**63 + 1, 2**64 - 1), (-1, 2**63 + 5), (0.5, 2**60 + 1), (2**60, 2**60 + 1), (1, 10**400)]
)
def test_large_integers_are_categories_of_their_own(pair):
    """NumPy would round some of them to floats, which equal none of them."""
    codes = np.arange(40) % 2
    rows = np.array([[0.1 * i, pair[code]] for i, code in enumerate(codes)], dtype=object)
    fitted = MLPRegressor(hidden_layer_sizes=(3,), max_iter=2, categorical_features=[1], random_state=0).fit(rows, codes)
    assert sorted(fitted.categories_[0].tolist()) == sorted(pair)
    one, other = fitted.predict([[1.0, pair[0]], [1.0, pair[1]]])
    assert one != other


def test_scorers_see_encoded_rows_and_pass_others_on_as_they_are():
    rows = np.column_stack([np.arange(60) % 3 * 10.0, np.linspace(-1, 1, 60)])
    y, kept = rows[:, 0] / 5, []

    def scorer(estimator, X, y_true):
        kept.append((copy.deepcopy(estimator), estimator.predict(rows), estimator.predict(X[:2]), X[:2]))
        return estimator.score(X, y_true)

    options = {"hidden_layer_sizes": (4,), "max_iter": 2, "categorical_features": [0], "early_stopping": True}
    fitted = MLPRegressor(**options, scoring=scorer, random_state=0).fit(rows, y)
    for estimator, of_all, of_some, encoded in kept:
        np.testing.assert_array_equal(estimator.predict(rows), of_all)
        raw = np.column_stack([fitted.categories_[0][encoded[:, 0].astype(int)], encoded[:, 1]])
        np.testing.assert_array_equal(estimator.predict(raw), of_some)
