"""ONNX files of estimators: ONNX Runtime gives the same labels, probabilities and values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from _onnx_graphs import outputs_of  # noqa: E402
from sklearn.exceptions import NotFittedError  # noqa: E402

from fastnn import MLP  # noqa: E402
from fastnn.sklearn import MLPClassifier, MLPRegressor  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")

X = np.random.default_rng(0).normal(size=(60, 3))
LABELS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
SEVERAL = (X > 0).astype(int)
CLASSES: Mapping[str, Any] = {
    "integers": 2 * LABELS - 1,
    "two integers": 3 * (LABELS > 0),
    "texts": np.array(["low", "mid", "höher"])[LABELS],
    "two texts": np.array(["no", "yes"], dtype=object)[(LABELS > 0).astype(int)],
    "booleans": LABELS > 0,
    "floats": LABELS.astype(float),
    "large": LABELS + 10**12,
    "bytes": LABELS.astype(np.uint8),
    "one": np.full(60, 4),
    "several": SEVERAL,
    "two of several": SEVERAL[:, :2],
}
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def classifier(y: Any, rows: Any = X, **options: Any) -> MLPClassifier:
    return MLPClassifier((7, 5), max_iter=6, random_state=0, **options).fit(rows, y)


def regressor(y: Any, rows: Any = X, **options: Any) -> MLPRegressor:
    return MLPRegressor(hidden_layer_sizes=(7, 5), max_iter=6, random_state=0, **options).fit(rows, y)


@DTYPES
@pytest.mark.parametrize("classes", CLASSES)
def test_classifiers_give_the_same_labels_and_probabilities(classes: str, dtype: Any, tmp_path: Path) -> None:
    rows = X.astype(dtype)
    model = classifier(CLASSES[classes], rows)
    model.to_onnx(tmp_path / "a")
    labels, probabilities = outputs_of(tmp_path / "a", rows)
    expected = model.predict_proba(rows)
    assert np.array_equal(labels, model.predict(rows))
    assert probabilities.dtype == dtype
    assert probabilities.shape == expected.shape
    assert np.abs(probabilities - expected).max() <= 1e-6


@DTYPES
@pytest.mark.parametrize("activation", ["identity", "logistic", "prelu", "gelu", ["tanh", "mish"]], ids=str)
def test_regressors_give_the_same_values(activation: Any, dtype: Any, tmp_path: Path) -> None:
    rows = X.astype(dtype)
    for y in (X[:, 0], X[:, :2]):
        model = regressor(y, rows, activation=activation)
        model.to_onnx(tmp_path / "a")
        (values,) = outputs_of(tmp_path / "a", rows)
        assert values.dtype == dtype
        np.testing.assert_allclose(values, model.predict(rows).reshape(len(X), -1), rtol=0, atol=1e-6)


def test_assigned_weights_are_written(tmp_path: Path) -> None:
    model = regressor(X)
    model.coefs_[2] = 2 * model.coefs_[2]
    model.to_onnx(tmp_path / "a")
    np.testing.assert_allclose(outputs_of(tmp_path / "a", X)[0], model.predict(X), rtol=1e-9, atol=1e-12)


def test_options_name_ends_and_fix_the_batch(tmp_path: Path) -> None:
    options = {"input_name": "rows", "batch_size": 60, "opset": 15}
    classifier(LABELS).to_onnx(tmp_path / "a", output_names=["class", "p"], **options)
    proto = onnx.load(tmp_path / "a")
    assert [one.name for one in [*proto.graph.input, *proto.graph.output]] == ["rows", "class", "p"]
    lengths = [one.type.tensor_type.shape.dim[0].dim_value for one in [*proto.graph.input, *proto.graph.output]]
    assert lengths == [60, 60, 60]
    outputs_of(tmp_path / "a", X)
    regressor(X).to_onnx(tmp_path / "a", output_names=("z",))
    assert [one.name for one in onnx.load(tmp_path / "a").graph.output] == ["z"]


def test_metadata_tell_classes_and_names(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    model = classifier(CLASSES["texts"], pandas.DataFrame(X, columns=["a", "b", "c"]))
    model.to_onnx(tmp_path / "a")
    (entry,) = onnx.load(tmp_path / "a").metadata_props
    content = json.loads(entry.value)
    assert content["classes"] == ["höher", "low", "mid"]
    assert content["feature_names"] == ["a", "b", "c"]
    assert content["activations"] == ["relu", "relu", "softmax"]
    assert MLP.from_onnx(tmp_path / "a", output="probabilities").feature_names == ("a", "b", "c")


def test_the_same_estimator_gives_the_same_bytes(tmp_path: Path) -> None:
    model = classifier(CLASSES["texts"])
    for name in "ab":
        model.to_onnx(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("classes", ["integers", "two texts", "several"])
def test_the_network_can_be_read_back(classes: str, tmp_path: Path) -> None:
    model = classifier(CLASSES[classes])
    model.to_onnx(tmp_path / "a")
    output = "probabilities"
    if classes == "two texts":
        with pytest.raises(ValueError, match=r"\(Concat\): .*output='Sigmoid_6' ends the network before it"):
            MLP.from_onnx(tmp_path / "a", output=output)
        output = "Sigmoid_6"
    network = MLP.from_onnx(tmp_path / "a", output=output)
    assert network.activations == model.network_.activations
    assert network.to_vector().tobytes() == model.network_.to_vector().tobytes()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"output_names": "label"}, TypeError, "output_names: expected names such as .*, got 'label'"),
        ({"output_names": ["label"]}, ValueError, "output_names: expected 2 such as .*, got 1"),
        ({"output_names": ["p", "p"]}, ValueError, "expected different names, got 'X', 'p', 'p'"),
        ({"output_name": "p"}, TypeError, r"to_onnx\(\) got an unexpected keyword argument 'output_name'"),
        ({"opset": 3}, ValueError, "opset: expected an integer >= 13, got 3"),
    ],
)
def test_wrong_options_write_nothing(options: Any, error: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=message):
        classifier(LABELS).to_onnx(tmp_path / "a", **options)
    assert not (tmp_path / "a").exists()


def test_only_fitted_estimators_are_written(tmp_path: Path) -> None:
    for estimator in (MLPClassifier(), MLPRegressor()):
        with pytest.raises(NotFittedError):
            estimator.to_onnx(tmp_path / "a")


def test_classes_beyond_64_bits_are_refused(tmp_path: Path) -> None:
    model = classifier((LABELS > 0).astype(np.uint64) + np.uint64(2**63))
    with pytest.raises(ValueError, match="classes_: expected texts or 64-bit integers for ONNX"):
        model.to_onnx(tmp_path / "a")


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_files_of_skl2onnx_are_read(activation: str, tmp_path: Path) -> None:
    skl2onnx = pytest.importorskip("skl2onnx")
    from sklearn import neural_network

    rows = X.astype(np.float32)
    for model, y, output in (
        (neural_network.MLPRegressor(activation=activation, max_iter=5), X[:, 0], None),
        (neural_network.MLPClassifier(activation=activation, max_iter=5), LABELS, "probabilities"),
    ):
        model.set_params(hidden_layer_sizes=(5, 4)).fit(rows, y)
        options = None if output is None else {"zipmap": False}
        (tmp_path / "a").write_bytes(skl2onnx.to_onnx(model, rows[:1], options=options).SerializeToString())
        expected = model.predict(rows)[:, None] if output is None else model.predict_proba(rows)
        np.testing.assert_allclose(
            MLP.from_onnx(tmp_path / "a", output=output).predict(rows), expected, rtol=1e-5, atol=1e-6
        )
