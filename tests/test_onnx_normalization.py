"""Normalizations in ONNX files: ONNX Runtime gives the same predictions, and files of many forms are read."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastnn import MLP

onnx = pytest.importorskip("onnx")
OPSETS = (13, 17, 18, 20, 21)
FORMS = list(itertools.product(("layer_norm", "rms_norm"), ("before", "after")))
RNG = np.random.default_rng(0)


def model_with(normalization: Any, place: Any, dtype: Any, activation: Any = ("relu", "gelu")) -> MLP:
    options = {"normalization": normalization, "normalization_place": place}
    model = MLP((3, 6, 5, 2), activation, **options, dtype=dtype, random_state=0)
    model.set_vector(np.random.default_rng(1).normal(size=model.n_parameters))
    return model


def assert_same_model(one: MLP, other: MLP) -> None:
    assert repr(one) == repr(other)
    assert one.to_vector().tobytes() == other.to_vector().tobytes()


@pytest.mark.parametrize(("normalization", "place"), FORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_onnx_runtime_gives_the_same_predictions(normalization: str, place: str, dtype: Any, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    from _onnx_graphs import outputs_of

    model = model_with(normalization, place, dtype)
    for opset, scale in itertools.product(OPSETS, (1e-3, 1.0, 20.0)):
        rows = (scale * RNG.normal(size=(50, 3))).astype(dtype)
        model.to_onnx(tmp_path / "a", opset=opset)
        (outputs,) = outputs_of(tmp_path / "a", rows)
        tolerance = 1e-5 if dtype == np.float32 else 1e-12
        np.testing.assert_allclose(outputs, model.predict(rows), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("normalization", "place"), [*FORMS, (["layer_norm", None], ["after", None])])
@pytest.mark.parametrize("activation", [("relu", "prelu"), ("identity", "tanh"), ("softplus", "sin")])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_round_trip_gives_the_same_model(
    activation: Any, normalization: Any, place: Any, dtype: Any, tmp_path: Path
) -> None:
    if activation[0] == "identity" and place != "before":
        place = ["before", "after"] if normalization in ("layer_norm", "rms_norm") else ["before", None]
    model = model_with(normalization, place, dtype, activation)
    for opset in OPSETS:
        model.to_onnx(tmp_path / "a", opset=opset)
        assert_same_model(MLP.from_onnx(tmp_path / "a"), model)


@pytest.mark.parametrize("value", [0.0, 1.0, 1e-30, 1e30, np.nan, np.inf])
@pytest.mark.parametrize("opset", OPSETS)
def test_unusual_gains_survive(value: float, opset: int, tmp_path: Path) -> None:
    for normalization in ("layer_norm", "rms_norm"):
        model = model_with(normalization, "before", np.float64)
        model.gains[0][2:] = value
        model.gains[1][...] = value
        model.to_onnx(tmp_path / "a", opset=opset)
        assert_same_model(MLP.from_onnx(tmp_path / "a"), model)


# ---- Files of others ----


def node(operator: str, inputs: str, output: str, **attributes: Any) -> Any:
    return onnx.helper.make_node(operator, inputs.split(), [output], f"the {output}", **attributes)


ARRAYS = {
    "W": RNG.normal(size=(3, 4)),
    "b": RNG.normal(size=4),
    "V": RNG.normal(size=(4, 2)),
    "c": RNG.normal(size=2),
    "gain": RNG.normal(size=4),
    "shift": RNG.normal(size=4),
    "two": np.array(2.0),
    "eps": np.array(1e-5),
    "other": np.array(1e-6),
}


def saved(nodes: list[Any], path: Path) -> Path:
    """Write a graph from z, the outputs of a Gemm, to h, the inputs of another one."""
    arrays = [onnx.numpy_helper.from_array(array.astype(np.float32), name) for name, array in ARRAYS.items()]
    arrays.append(onnx.numpy_helper.from_array(np.array([-1]), "axes"))
    values = [onnx.helper.make_tensor_value_info(name, 1, ["n", size]) for name, size in (("x", 3), ("y", 2))]
    nodes = [node("Gemm", "x W b", "z"), *nodes, node("Gemm", "h V c", "y")]
    graph = onnx.helper.make_graph(nodes, "g", values[:1], values[1:], arrays)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=9), path)
    return path


def squared_mean(x: str) -> list[Any]:
    return [node("Pow", f"{x} two", "q"), node("ReduceMean", "q axes", "v")]


CENTERED = [node("ReduceMean", "z axes", "m"), node("Sub", "z m", "d")]
LAYER_NORM = [*CENTERED, *squared_mean("d"), node("Add", "v eps", "e"), node("Sqrt", "e", "s"), node("Div", "d s", "u")]
READ = {
    "of PyTorch": ("layer_norm", "before", "relu", [*LAYER_NORM, node("Mul", "u gain", "g"), node("Add", "g shift", "h0")]),
    "without parameters": ("layer_norm", "before", "relu", [*LAYER_NORM, node("Identity", "u", "h0")]),
    "by a reciprocal": (
        "rms_norm",
        "before",
        "relu",
        [
            *(*squared_mean("z"), node("Add", "v eps", "e"), node("Sqrt", "e", "s"), node("Reciprocal", "s", "r")),
            *(node("Mul", "z r", "u"), node("Mul", "gain u", "h0")),
        ],
    ),
    "scaled twice": (
        "layer_norm",
        "before",
        "relu",
        [*LAYER_NORM, node("Mul", "u gain", "g"), node("Mul", "two g", "i"), node("Add", "i shift", "h0")],
    ),
    "an operator": (
        "layer_norm",
        "before",
        "relu",
        [node("LayerNormalization", "z gain shift", "h0", axis=-1)],
    ),
    "an operator without a shift": (
        "layer_norm",
        "before",
        "relu",
        [node("LayerNormalization", "z gain", "h0", axis=1, epsilon=1e-5)],
    ),
    "after an affine step": (
        "layer_norm",
        "before",
        "relu",
        [node("Mul", "z two", "t"), node("LayerNormalization", "t gain shift", "h0")],
    ),
    "after": ("layer_norm", "after", "tanh", [node("Tanh", "z", "t"), node("LayerNormalization", "t gain shift", "h")]),
}


@pytest.mark.parametrize("form", READ)
def test_many_forms_are_read(form: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    from _onnx_graphs import outputs_of

    normalization, place, activation, nodes = READ[form]
    path = saved([*nodes, node("Relu", "h0", "h")] if place == "before" else nodes, tmp_path / "a")
    model = MLP.from_onnx(path)
    assert (model.normalization, model.normalization_place) == ((normalization,), (place,))
    assert model.activations[0] == activation
    if form not in ("without parameters", "scaled twice"):
        np.testing.assert_array_equal(model.gains[0], ARRAYS["gain"].astype(np.float32))
    rows = RNG.normal(size=(20, 3)).astype(np.float32)
    np.testing.assert_allclose(model.predict(rows), outputs_of(path, rows)[0], rtol=1e-5, atol=1e-5)


REFUSED = {
    "another epsilon": [node("LayerNormalization", "z gain shift", "h", epsilon=1e-3)],
    "an epsilon of RMS": [*squared_mean("z"), node("Add", "v other", "e"), node("Sqrt", "e", "s"), node("Div", "z s", "h")],
    "a mean alone": [*CENTERED, node("Relu", "d", "h")],
    "a variance alone": [*squared_mean("z"), node("Div", "z v", "h")],
    "two": [node("LayerNormalization", "z gain shift", "u"), node("LayerNormalization", "u gain shift", "h")],
    "two with an activation": [
        *(node("LayerNormalization", "z gain shift", "u"), node("Tanh", "u", "t")),
        node("LayerNormalization", "t gain shift", "h"),
    ],
    "between activations": [
        *(node("Tanh", "z", "t"), node("LayerNormalization", "t gain shift", "u"), node("Tanh", "u", "h")),
    ],
    "a whole mean": [node("ReduceMean", "z", "m", keepdims=1), node("Sub", "z m", "h")],
    "a gain of units": [node("Relu", "z", "t"), node("LayerNormalization", "z t", "h")],
    "a constant": [node("LayerNormalization", "gain z", "h")],
    "another axis": [node("LayerNormalization", "z gain shift", "h", axis=0)],
}


@pytest.mark.parametrize("form", REFUSED)
def test_other_forms_are_refused(form: str, tmp_path: Path) -> None:
    path = saved(REFUSED[form], tmp_path / "a")
    with pytest.raises(ValueError, match=r"node 'the .*expected"):
        MLP.from_onnx(path)


def test_a_normalization_at_the_end_is_refused(tmp_path: Path) -> None:
    path = saved([node("Relu", "z", "h")], tmp_path / "a")
    model = onnx.load(path)
    model.graph.node[-1].output[0] = "o"
    model.graph.node.append(node("LayerNormalization", "o c c", "y"))
    onnx.save(model, path)
    with pytest.raises(ValueError, match="expected normalizations between layers, got one after the last"):
        MLP.from_onnx(path)
