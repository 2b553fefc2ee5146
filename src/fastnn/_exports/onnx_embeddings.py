"""Embeddings of columns of X in ONNX's operators."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._exports.layers import Stage
from fastnn._exports.onnx_graph import Graph
from fastnn._exports.onnx_package import TensorProto

if TYPE_CHECKING:
    from numpy.typing import NDArray


def add_stage(graph: Graph, stage: Stage, inputs: str) -> str:
    """Add the embeddings of rows `inputs`, and return the name of the first layer's inputs."""
    outputs = []
    for i, (embedding, parameters) in enumerate(stage.embeddings):
        outputs.append(FORMULAS[embedding.name](graph, embedding, parameters, inputs, f".{i}"))
    if stage.passed:
        outputs.append(columns_of(graph, stage.passed, inputs))
    return graph.node("Concat", *outputs, axis=1)


def columns_of(graph: Graph, columns: Sequence[int] | NDArray[np.int64], inputs: str) -> str:
    """Return the name of some columns, (n, columns)."""
    return graph.node("Gather", inputs, graph.constant(columns, TensorProto.INT64, "columns"), axis=1)


def _repeated(graph: Graph, embedding: Any, inputs: str) -> str:
    """Return the name of the column of each output, (n, outputs)."""
    return columns_of(graph, np.repeat(embedding.columns, embedding.widths), inputs)


def _flat(graph: Graph, embedding: Any, values: str) -> str:
    """Return the name of values (n, columns, outputs per column) as (n, outputs)."""
    return graph.node("Reshape", values, graph.constant([0, sum(embedding.widths)], TensorProto.INT64, "shape"))


# Each of these functions adds an embedding of the rows `inputs`, and returns the name of its outputs, (n, outputs).


def _add_pbld(graph: Graph, embedding: Any, parameters: NDArray[Any], inputs: str, number: str) -> str:
    parts, values = embedding.parts(parameters), _as_last(graph, columns_of(graph, embedding.columns, inputs))
    phases = graph.constant(parts["phases"], name=f"phases{number}")
    angles = graph.node("Add", _angles(graph, parts, values, number), phases)
    linear = _columns_second(graph, _linear(graph, parts, graph.node("Cos", angles), number))
    return _flat(graph, embedding, graph.node("Concat", linear, values, axis=2))


def _add_plr(graph: Graph, embedding: Any, parameters: NDArray[Any], inputs: str, number: str) -> str:
    parts, values = embedding.parts(parameters), _as_last(graph, columns_of(graph, embedding.columns, inputs))
    angles = _angles(graph, parts, values, number)
    waves = graph.node("Concat", graph.node("Cos", angles), graph.node("Sin", angles), axis=2)
    linear = graph.node("Relu", _linear(graph, parts, waves, number))
    return _flat(graph, embedding, _columns_second(graph, linear))


def _add_one_hot(graph: Graph, embedding: Any, parameters: None, inputs: str, number: str) -> str:
    codes = graph.constant(np.concatenate([np.arange(n) for n in embedding.categories]), name=f"codes{number}")
    return graph.node("Cast", graph.node("Equal", _repeated(graph, embedding, inputs), codes), to=graph.real)


def _add_categorical(graph: Graph, embedding: Any, parameters: NDArray[Any], inputs: str, number: str) -> str:
    x = columns_of(graph, embedding.columns, inputs)
    n = graph.constant(np.array(embedding.categories), name=f"categories{number}")
    in_range = graph.node("And", graph.node("GreaterOrEqual", x, graph.constant(0.0)), graph.node("Less", x, n))
    known = graph.node("And", in_range, graph.node("Equal", graph.node("Floor", x), x))
    codes = graph.node("Cast", graph.node("Where", known, x, n), to=TensorProto.INT64)
    rows = graph.node("Add", codes, graph.constant(list(embedding.first_rows), TensorProto.INT64, "first_rows"))
    table = graph.constant(parameters, name=f"table{number}")
    return _flat(graph, embedding, graph.node("Gather", table, rows, axis=0))


def _add_piecewise_linear(graph: Graph, embedding: Any, parameters: None, inputs: str, number: str) -> str:
    real = np.float64 if graph.real == TensorProto.DOUBLE else np.float32
    edges = [np.array(each, real) for each in embedding.edges]
    lowest = np.concatenate([[-np.inf] + [0.0] * (n - 1) for n in embedding.widths])
    highest = np.concatenate([[1.0] * (n - 1) + [np.inf] for n in embedding.widths])
    left = graph.constant(np.concatenate([each[:-1] for each in edges]), name=f"edges{number}")
    widths = graph.constant(np.concatenate([np.diff(each) for each in edges]), name=f"bin_widths{number}")
    shares = graph.node("Div", graph.node("Sub", _repeated(graph, embedding, inputs), left), widths)
    limits = graph.constant(lowest, name=f"lowest{number}"), graph.constant(highest, name=f"highest{number}")
    return graph.node("Min", graph.node("Max", shares, limits[0]), limits[1])


def _as_last(graph: Graph, x: str) -> str:
    """Return the name of columns with another axis, (n, columns, 1)."""
    return graph.node("Unsqueeze", x, graph.constant([2], TensorProto.INT64, "axes"))


def _angles(graph: Graph, parts: Mapping[str, NDArray[Any]], values: str, number: str) -> str:
    """Return the name of 2 pi w x, (n, columns, frequencies)."""
    frequencies = parts["frequencies"] * parts["frequencies"].dtype.type(2 * math.pi)
    return graph.node("Mul", values, graph.constant(frequencies, name=f"frequencies{number}"))


def _linear(graph: Graph, parts: Mapping[str, NDArray[Any]], waves: str, number: str) -> str:
    """Return the name of the linear map of each column's waves, (columns, n, outputs)."""
    weights = graph.constant(parts["weights"], name=f"embedding_weights{number}")
    products = graph.node("MatMul", _columns_second(graph, waves), weights)
    return graph.node("Add", products, graph.constant(parts["biases"][:, np.newaxis], name=f"embedding_biases{number}"))


def _columns_second(graph: Graph, values: str) -> str:
    """Return the name of values whose first two axes, rows and columns, have changed places."""
    return graph.node("Transpose", values, perm=[1, 0, 2])


FORMULAS: Mapping[str, Callable[[Graph, Any, Any, str, str], str]] = {
    "pbld": _add_pbld,
    "plr": _add_plr,
    "one_hot": _add_one_hot,
    "categorical": _add_categorical,
    "piecewise_linear": _add_piecewise_linear,
}
"""The functions that add embeddings, by name."""
