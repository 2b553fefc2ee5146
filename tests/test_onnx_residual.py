"""Residual connections in ONNX files: what `to_onnx` writes comes back, and other graphs are read or refused by name."""

from __future__ import annotations

import numpy as np
import pytest
from _residual import RESIDUAL, data_for, residual_model

from fastnn import MLP

onnx = pytest.importorskip("onnx")
NAMES = [name for name in RESIDUAL if name != "embedded"]
# Networks whose sums may be in either place: their ends have no activation.
EITHER = ("simba",)


@pytest.mark.parametrize("opset", [13, 20, 23])
@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_models_come_back_as_they_were(name, dtype, place, opset, tmp_path):
    model = residual_model(name, dtype=dtype, residual_place=place)
    model.to_onnx(tmp_path / "model.onnx", opset=opset)
    again = MLP.from_onnx(tmp_path / "model.onnx")
    assert again.residual == model.residual
    assert again.residual_place == ("after" if name in EITHER else place)
    assert again.to_vector().tobytes() == model.to_vector().tobytes()
    X, _, _ = data_for(model)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    again.to_onnx(tmp_path / "again.onnx", opset=opset)
    assert MLP.from_onnx(tmp_path / "again.onnx").to_vector().tobytes() == model.to_vector().tobytes()


RNG = np.random.default_rng(0)
ARRAYS = {
    **{name: RNG.normal(size=(4, 4)).astype("f4") for name in ("A", "B", "C", "P")},
    **{name: RNG.normal(size=4).astype("f4") for name in ("a", "b", "c")},
    "zeros": np.zeros(4, "f4"),
    "wide": RNG.normal(size=(4, 5)).astype("f4"),
    "five": np.zeros(5, "f4"),
    "narrow": RNG.normal(size=(5, 4)).astype("f4"),
    "gains": np.ones(4, "f4"),
}


def written(path, nodes):
    """Write a graph from X to y."""
    for part, text in PARTS.items():
        nodes = nodes.replace(part, text)
    made = []
    for node in nodes.split("; "):
        operator, *inputs, output = node.split()
        made.append(onnx.helper.make_node(operator, inputs, [output]))
    used = {name for node in made for name in node.input}
    tensors = [onnx.numpy_helper.from_array(array, name) for name, array in ARRAYS.items() if name in used]
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None, 4]) for name in ("X", "y")]
    graph = onnx.helper.make_graph(made, "graph", values[:1], values[1:], tensors)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)])
    path.write_bytes(model.SerializeToString())
    return path


def computed(path, X):
    """Return what the graph computes by ONNX's own reference."""
    from onnx.reference import ReferenceEvaluator

    return ReferenceEvaluator(str(path)).run(None, {"X": X})[0]


# Graphs as texts, whose nodes have an operator, inputs and an output. FIRST and LAST stand for a layer each.
PARTS = {"FIRST": "Gemm X A a z1; Relu z1 h1", "WIDE": "Gemm X wide five z1; Relu z1 h1", "LAST": "Gemm h2 C c y"}

READ = {
    "after": ("FIRST; Gemm h1 B b z2; Tanh z2 t2; Add t2 h1 h2; LAST", "after", ((1, 2),)),
    "swapped": ("FIRST; Gemm h1 B b z2; Tanh z2 t2; Add h1 t2 h2; LAST", "after", ((1, 2),)),
    "before": ("FIRST; Gemm h1 B b z2; Add h1 z2 s2; Relu s2 h2; LAST", "before", ((1, 2),)),
    "bias as a node": ("FIRST; MatMul h1 B m2; Add m2 b z2; Add z2 h1 s2; Relu s2 h2; LAST", "before", ((1, 2),)),
    "from the inputs": ("Gemm X A a z1; Relu z1 r1; Add r1 X h2; LAST", "after", ((0, 1),)),
    "to the outputs": ("FIRST; Gemm h1 B b z2; Add z2 X y", "after", ((0, 2),)),
    "normalized": ("FIRST; LayerNormalization h1 gains zeros n1; Gemm n1 B b z2; Add z2 h1 h2; LAST", "after", ((1, 2),)),
    "normalized sums": (
        (
            "Gemm X A a z1; LayerNormalization z1 gains zeros n1; Relu n1 h1; Gemm h1 B b z2; "
            "Add z2 h1 s2; LayerNormalization s2 gains zeros h2; LAST"
        ),
        "after",
        ((1, 2),),
    ),
    "projected": (
        "WIDE; Gemm h1 narrow b z2; MatMul h1 narrow p; Add p z2 y",
        "after",
        ((1, 2),),
    ),
    "factors before the next layer": ("FIRST; Gemm h1 B b z2; Add z2 h1 s2; Mul s2 c h2; LAST", "after", ((1, 2),)),
    "silu": ("FIRST; Gemm h1 B b z2; Add z2 h1 s2; Sigmoid s2 g2; Mul s2 g2 h2; LAST", "before", ((1, 2),)),
}


@pytest.mark.parametrize("name", READ)
def test_graphs_in_other_forms_are_read(name, tmp_path):
    nodes, place, connections = READ[name]
    path = written(tmp_path / "model.onnx", nodes)
    model = MLP.from_onnx(path)
    assert (model.residual, model.residual_place) == (connections, place)
    X = np.random.default_rng(1).normal(size=(20, 4)).astype("f4")
    np.testing.assert_allclose(model.predict(X), computed(path, X), rtol=1e-4, atol=1e-4)


REFUSED = {
    "expected Add as the only operator that combines several layers": "FIRST; Gemm h1 B b z2; Mul z2 h1 h2; LAST",
    "expected at most one residual connection to each layer": "FIRST; Gemm h1 B b z2; Add z2 h1 s2; Add s2 X h2; LAST",
    "expected one activation, before or after a resid": "FIRST; Gemm h1 B b z2; Tanh z2 t2; Add t2 h1 s2; Relu s2 h2; LAST",
    "before a normalization of outputs, got another value": "FIRST; Gemm h1 B b z2; Add z2 z1 h2; LAST",
    "expected the inputs of the first layer, got another function": "FIRST; Gemm h1 B b z2; Relu X r; Add z2 r h2; LAST",
    "expected no projection between layers of 4 units each": "FIRST; Gemm h1 B b z2; MatMul h1 P p; Add z2 p h2; LAST",
    "as they are or times a matrix without bias": "WIDE; Gemm h1 narrow b z2; Gemm h1 narrow c p; Tanh p q; Add z2 q y",
    "expected a projection from 5 to 4 units, got none": "WIDE; Gemm h1 narrow b z2; Add z2 h1 y",
    "to the last layer before its activation": "FIRST; Gemm h1 B b z2; Tanh z2 t2; Add t2 h1 y",
    "all residual connections to end before activations, or all after": (
        "FIRST; Gemm h1 B b z2; Tanh z2 t2; Add t2 h1 h2; Gemm h2 P c z3; Add z3 h2 s3; Relu s3 h3; Gemm h3 C c y"
    ),
    "expected no normalization between a residual connection and an activation": (
        "FIRST; Gemm h1 B b z2; Add z2 h1 s2; LayerNormalization s2 gains zeros n2; Relu n2 h2; LAST"
    ),
    "got another one": "FIRST; Gemm h1 B b z2; Relu z2 r2; LayerNormalization r2 gains zeros n2; Add n2 h1 h2; LAST",
}


@pytest.mark.parametrize("message", REFUSED)
def test_graphs_that_no_network_computes_are_refused(message, tmp_path):
    with pytest.raises(ValueError, match=message):
        MLP.from_onnx(written(tmp_path / "model.onnx", REFUSED[message]))


def test_a_normalization_of_identities_is_not_in_two_places(tmp_path):
    nodes = "Gemm X A a z1; LayerNormalization z1 gains zeros n1; Gemm n1 B b z2"
    for begin in ("z1", "n1"):
        MLP.from_onnx(written(tmp_path / "model.onnx", f"{nodes}; Add z2 {begin} h2; LAST"))
    with pytest.raises(ValueError, match="before a normalization of outputs, got another value"):
        MLP.from_onnx(written(tmp_path / "model.onnx", f"{nodes}; Add z2 z1 h2; Gemm h2 C c z3; Add z3 n1 y"))
