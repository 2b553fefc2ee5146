"""Shared ensembles in ONNX's operators: row ``i * n_members + m`` of hidden layers is row i as member m sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._exports.layers import Layer
from fastnn._exports.onnx_graph import Graph
from fastnn._exports.onnx_package import TensorProto

if TYPE_CHECKING:
    from numpy.typing import NDArray


def add_scales(graph: Graph, scales: NDArray[Any], number: int, inputs: str) -> str:
    """Add the scales (n_members, n_in) of a layer's inputs, and return the name of the scaled rows of all members.

    The inputs are rows of all members, or those of the data before the first layer.
    """
    n_members, n_in = scales.shape
    rows = _reshaped(graph, inputs, (-1, n_members if number else 1, n_in))
    return _reshaped(graph, graph.node("Mul", rows, graph.constant(scales, name=f"scales.{number}")), (-1, n_in))


def add_scaled_sums(graph: Graph, layer: Layer, number: int, inputs: str) -> str:
    """Add the sums of a layer in which each member has scales and biases of its own, given its inputs after their scales."""
    assert layer.output_scales is not None
    products = graph.node("MatMul", inputs, graph.constant(layer.weights, name=f"weights.{number}"))
    rows = _reshaped(graph, products, (-1, *layer.output_scales.shape))
    scaled = graph.node("Mul", rows, graph.constant(layer.output_scales, name=f"output_scales.{number}"))
    z = graph.node("Add", scaled, graph.constant(layer.bias, name=f"biases.{number}"))
    return _reshaped(graph, z, (-1, layer.weights.shape[1]))


def add_separate_outputs(graph: Graph, layer: Layer, number: int, n_members: int, inputs: str) -> str:
    """Add the sums of the last layer, in which each member has weights and biases of its own."""
    n_in = len(layer.weights)
    weights = layer.weights.reshape(n_in, n_members, -1).swapaxes(0, 1)
    biases = layer.bias.reshape(n_members, 1, -1)
    rows = _reshaped(graph, inputs, (-1, n_members, 1, n_in))
    products = graph.node("MatMul", rows, graph.constant(weights, name=f"weights.{number}"))
    z = graph.node("Add", products, graph.constant(biases, name=f"biases.{number}"))
    return _reshaped(graph, z, (-1, weights.shape[2]))


def add_mean(graph: Graph, n_members: int, n_out: int, outputs: str) -> str:
    """Add the mean over members, and return its name."""
    shares = graph.constant(np.full((1, n_members), 1 / n_members), name="shares")
    return _reshaped(graph, graph.node("MatMul", shares, _reshaped(graph, outputs, (-1, n_members, n_out))), (-1, n_out))


def _reshaped(graph: Graph, values: str, shape: Sequence[int]) -> str:
    return graph.node("Reshape", values, graph.constant(list(shape), TensorProto.INT64, "shape"))
