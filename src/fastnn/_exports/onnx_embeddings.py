"""Embeddings of columns of X in ONNX's operators."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._exports.layers import Stage
from fastnn._exports.onnx_graph import Graph
from fastnn._exports.onnx_package import TensorProto


def add_stage(graph: Graph, stage: Stage, inputs: str) -> str:
    """Add the embeddings of rows `inputs`, and return the name of the first layer's inputs."""
    outputs = []
    for i, (embedding, parameters) in enumerate(stage.embeddings):
        values = FORMULAS[embedding.name](graph, embedding, parameters, _columns(graph, embedding.columns, inputs), f".{i}")
        width = len(embedding.columns) * embedding.n_outputs
        outputs.append(graph.node("Reshape", values, graph.constant([0, width], TensorProto.INT64, "shape")))
    if stage.passed:
        outputs.append(_columns(graph, stage.passed, inputs))
    return graph.node("Concat", *outputs, axis=1)


def _columns(graph: Graph, columns: Sequence[int], inputs: str) -> str:
    """Return the name of some columns, (n, columns)."""
    return graph.node("Gather", inputs, graph.constant(list(columns), TensorProto.INT64, "columns"), axis=1)


# Each of these functions adds an embedding of columns x, (n, columns). It returns the name of the outputs,
# (n, columns, outputs per column).


def _add_pbld(graph: Graph, embedding: Any, parameters: NDArray[Any], x: str, number: str) -> str:
    parts, values = embedding.parts(parameters), _as_last(graph, x)
    angles = graph.node(
        "Add", _angles(graph, parts, values, number), graph.constant(parts["phases"], name=f"phases{number}")
    )
    linear = _linear(graph, parts, graph.node("Cos", angles), number)
    return graph.node("Concat", _columns_second(graph, linear), values, axis=2)


def _add_plr(graph: Graph, embedding: Any, parameters: NDArray[Any], x: str, number: str) -> str:
    parts = embedding.parts(parameters)
    angles = _angles(graph, parts, _as_last(graph, x), number)
    waves = graph.node("Concat", graph.node("Cos", angles), graph.node("Sin", angles), axis=2)
    return _columns_second(graph, graph.node("Relu", _linear(graph, parts, waves, number)))


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


FORMULAS: Mapping[str, Callable[[Graph, Any, Any, str, str], str]] = {"pbld": _add_pbld, "plr": _add_plr}
"""The functions that add embeddings, by name."""
