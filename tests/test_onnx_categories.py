"""ONNX files of estimators with embeddings and columns of categories: ONNX Runtime predicts the same from the same table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pd = pytest.importorskip("pandas")

from _onnx_graphs import outputs_of  # noqa: E402

from fastnn import SharedEnsemble  # noqa: E402
from fastnn.embeddings import PBLD, PLR, PiecewiseLinear  # noqa: E402
from fastnn.sklearn import MLPClassifier, MLPRegressor  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")

rng = np.random.default_rng(0)
N = 80
FRAME = pd.DataFrame(
    {
        "size": rng.normal(size=N),
        "color": rng.choice(["blue", "rot", "grün"], N),
        "year": rng.choice([2001, 1999, 2024], N),
        "shop": rng.choice([f"shop {i}" for i in range(20)], N),
        "weight": rng.normal(size=N),
        "grade": rng.choice([0.5, 1.5, -2.0, np.nan], N),
    }
)
# Rows with missing and unknown categories.
NEW = FRAME.iloc[:12].assign(
    color=["blue", "pink", None, "grün", "rot", "", "blue", "ROT", "rot ", "x", "y", "grün"],
    year=[2001, 5, 1999, 2024, -1, 0, 1, 2, 2001, 1999, 2024, 3],
    grade=[np.nan, 0.5, 7.0, 1.5, -2.0, 0.0, 1.0, np.inf, 0.5, 1.5, np.nan, -0.0],
)
TEXTS, CATEGORIES = ["color", "shop"], ["color", "year", "shop", "grade"]
OPTIONS: dict[str, Any] = {"hidden_layer_sizes": (9,), "max_iter": 4, "random_state": 0}


def inputs(frame: Any, texts: list[str], dtype: Any = np.float64) -> dict[str, Any]:
    """Return the rows of a data frame in the form for a file whose texts are those of some columns."""
    given = {"X": frame.drop(columns=texts).to_numpy(dtype)} if len(texts) < frame.shape[1] else {}
    return given | ({"X_text": frame[texts].fillna("").to_numpy(object)} if texts else {})


@pytest.mark.parametrize("one_hot", [0, 3, 30])
@pytest.mark.parametrize("embeddings", [None, PBLD(n_frequencies=3), PLR(n_frequencies=3)], ids=str)
def test_estimators_of_tables_give_the_same(one_hot: int, embeddings: Any, tmp_path: Path) -> None:
    options = OPTIONS | {"categorical_features": CATEGORIES, "one_hot_max_size": one_hot, "embeddings": embeddings}
    y = FRAME["size"] + (FRAME["color"] == "rot")
    regressor = MLPRegressor(**options).fit(FRAME, y)
    regressor.to_onnx(tmp_path / "a")
    for frame in (FRAME, NEW):
        (values,) = outputs_of(tmp_path / "a", inputs(frame, TEXTS))
        np.testing.assert_allclose(values[:, 0], regressor.predict(frame), rtol=0, atol=1e-9)
    classes = np.array(["low", "mid", "high"])[np.digitize(y, [0, 1])]
    classifier = MLPClassifier(**options).fit(FRAME, classes)
    classifier.to_onnx(tmp_path / "b", input_name="rows")
    named = {name.replace("X", "rows"): rows for name, rows in inputs(NEW, TEXTS).items()}
    labels, probabilities = outputs_of(tmp_path / "b", named)
    np.testing.assert_array_equal(labels, classifier.predict(NEW))
    np.testing.assert_allclose(probabilities, classifier.predict_proba(NEW), rtol=0, atol=1e-9)


@pytest.mark.parametrize("columns", [["color"], ["color", "shop"], ["year"], ["grade", "year"], ["size", "year"]], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_table_may_have_any_of_the_columns(columns: list[str], dtype: Any, tmp_path: Path) -> None:
    texts = [name for name in columns if name in TEXTS]
    frame, new = (each[columns].astype({name: dtype for name in columns if name not in texts}) for each in (FRAME, NEW))
    fitted = MLPRegressor(**OPTIONS, categorical_features=[name for name in columns if name != "size"]).fit(
        frame, FRAME["size"]
    )
    real = fitted.network_.dtype
    fitted.to_onnx(tmp_path / "a", batch_size=len(new))
    (values,) = outputs_of(tmp_path / "a", inputs(new, texts, real))
    np.testing.assert_allclose(values[:, 0], fitted.predict(new), rtol=0, atol=1e-6)
    assert values.dtype == real


def test_a_column_without_categories_and_columns_without_names(tmp_path: Path) -> None:
    table = np.column_stack([FRAME["size"], np.full(N, np.nan), FRAME["weight"], FRAME["year"]])
    fitted = MLPRegressor(**OPTIONS, categorical_features=[1, 3]).fit(table, FRAME["size"])
    fitted.to_onnx(tmp_path / "a")
    table[:5, 1] = [0.0, 1.0, -1.0, np.inf, 1e300]
    (values,) = outputs_of(tmp_path / "a", table)
    np.testing.assert_allclose(values[:, 0], fitted.predict(table), rtol=0, atol=1e-9)


def test_embeddings_of_numbers_and_shared_ensembles(tmp_path: Path) -> None:
    rows = FRAME[["size", "weight"]].to_numpy()
    for options in (
        {"embeddings": PBLD(columns=(1,))},
        {"embeddings": PiecewiseLinear((0, 1), bins=[[-1.0, 0.0, 0.5], [-2.0, 2.0]])},
        {"shared": SharedEnsemble(4)},
        {"shared": SharedEnsemble(4), "embeddings": PLR()},
    ):
        fitted = MLPClassifier(**OPTIONS, **options).fit(rows, FRAME["year"])
        fitted.to_onnx(tmp_path / "a")
        labels, probabilities = outputs_of(tmp_path / "a", rows)
        np.testing.assert_array_equal(labels, fitted.predict(rows))
        np.testing.assert_allclose(probabilities, fitted.predict_proba(rows), rtol=0, atol=1e-9)


def test_metadata_tell_the_columns_of_each_input(tmp_path: Path) -> None:
    fitted = MLPRegressor(**OPTIONS, categorical_features=CATEGORIES).fit(FRAME, FRAME["size"])
    fitted.to_onnx(tmp_path / "a")
    model = onnx.load(tmp_path / "a")
    described = json.loads(model.metadata_props[0].value)
    assert described["inputs"] == {"X": ["size", "year", "weight", "grade"], "X_text": TEXTS}
    assert described["layer_sizes"] == [6, 9, 1]
    assert {(each.domain, each.version) for each in model.opset_import} == {("", 20), ("ai.onnx.ml", 2)}


INDISTINCT: list[list[Any]] = [[2**24, 2**24 + 1], [2**24 + 1, 5], [1.0, 1e300], [1, 10**400], [2.0, 2.00000001]]
INDISTINCT += [[2**24], [0.1, 0.1 + 1e-12], [0.9999999999], [1e-50]]  # the last two would stand for 1 and 0


@pytest.mark.parametrize("categories", INDISTINCT, ids=range(len(INDISTINCT)))
def test_numbers_that_the_graph_could_not_tell_apart_are_refused(categories: list[Any], tmp_path: Path) -> None:
    rows = pd.DataFrame({"a": FRAME["size"].astype(np.float32), "b": np.resize(np.array(categories, dtype=object), N)})
    fitted = MLPRegressor(**OPTIONS, categorical_features=["b"]).fit(rows, FRAME["size"])
    assert fitted.network_.dtype == np.float32
    with pytest.raises(ValueError, match="to_onnx: expected categories that float32, the type of the graph.* in column 1"):
        fitted.to_onnx(tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_texts_that_onnx_can_not_express_are_refused(tmp_path: Path) -> None:
    rows = np.resize(np.array(["a", "\ud800"], dtype=object), (N, 1))
    fitted = MLPRegressor(**OPTIONS, categorical_features=[0]).fit(rows, FRAME["size"])
    with pytest.raises(ValueError, match="to_onnx: expected texts that UTF-8 can express.*column 0"):
        fitted.to_onnx(tmp_path / "a")


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 9, 300])
def test_any_number_of_categories(n: int, tmp_path: Path) -> None:
    years = np.sort(np.random.default_rng(n).choice(5000, n, replace=False)).astype(float)
    rows = np.resize(years, (max(N, n), 1))
    fitted = MLPRegressor(**OPTIONS, categorical_features=[0]).fit(rows, np.arange(len(rows)) % 7)
    fitted.to_onnx(tmp_path / "a")
    new = np.array([*years, *(years + 0.5), *(years - 1), -np.inf, np.inf, np.nan, -0.0])[:, np.newaxis]
    (values,) = outputs_of(tmp_path / "a", new)
    np.testing.assert_allclose(values[:, 0], fitted.predict(new), rtol=0, atol=1e-9)


def test_names_of_outputs_differ_from_that_of_the_texts(tmp_path: Path) -> None:
    fitted = MLPRegressor(**OPTIONS, categorical_features=CATEGORIES).fit(FRAME, FRAME["size"])
    with pytest.raises(ValueError, match="expected different names"):
        fitted.to_onnx(tmp_path / "a", output_names=["X_text"])
    of_texts = MLPRegressor(**OPTIONS, categorical_features=TEXTS).fit(FRAME[TEXTS], FRAME["size"])
    for each in (fitted, of_texts):
        with pytest.raises(TypeError, match="input_name: expected text"):
            each.to_onnx(tmp_path / "a", input_name=3)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="input_name: expected a name, got an empty text"):
            each.to_onnx(tmp_path / "a", input_name="")
    assert not (tmp_path / "a").exists()


def test_skl2onnx_converts_categories_that_are_numbers() -> None:
    skl2onnx = pytest.importorskip("skl2onnx")
    import onnxruntime

    table = FRAME[["size", "year", "grade"]].to_numpy()
    for embeddings in (None, PBLD()):
        fitted = MLPClassifier(**OPTIONS, categorical_features=[1, 2], embeddings=embeddings).fit(table, FRAME["color"])
        converted = skl2onnx.to_onnx(fitted, table[:1], options={"zipmap": False})
        session = onnxruntime.InferenceSession(converted.SerializeToString())
        labels, probabilities = session.run(None, {"X": table})
        np.testing.assert_array_equal(labels, fitted.predict(table))
        np.testing.assert_allclose(probabilities, fitted.predict_proba(table), rtol=0, atol=1e-9)
    ids, new = np.resize([[2**24], [2**24 + 2]], (N, 1)), np.array([[2**24], [2**24 + 1], [2**24 + 2]])
    for estimator in (MLPRegressor, MLPClassifier):
        fitted = estimator(**OPTIONS, categorical_features=[0]).fit(ids, FRAME["year"])
        converted = skl2onnx.to_onnx(fitted, ids, options={"zipmap": False} if estimator is MLPClassifier else None)
        found = onnxruntime.InferenceSession(converted.SerializeToString()).run(None, {"X": new})[-1]
        expected = fitted.predict_proba(new) if estimator is MLPClassifier else fitted.predict(new)[:, np.newaxis]
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    floats = skl2onnx.common.data_types.FloatTensorType([None, 1])
    with pytest.raises(ValueError, match="convert_sklearn: expected categories that float32, the type of the graph"):
        skl2onnx.convert_sklearn(fitted, initial_types=[("X", floats)])
    fitted = MLPClassifier(**OPTIONS, categorical_features=["color"]).fit(FRAME[["color"]], FRAME["year"])
    with pytest.raises(ValueError, match="convert_sklearn: expected categories that are numbers, got texts in column 0"):
        skl2onnx.convert_sklearn(fitted, initial_types=[("X", floats)])
