"""A network as operators of an ONNX graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fastnn._exports.layers import Layer
from fastnn._exports.onnx_activations import FORMULAS
from fastnn._exports.onnx_graph import Graph
from fastnn._exports.onnx_members import add_mean, add_scaled_sums, add_scales, add_separate_outputs
from fastnn._exports.onnx_normalizations import add_normalization

if TYPE_CHECKING:
    from numpy.typing import NDArray


def check_activations(layers: Sequence[Layer]) -> None:
    """Raise ValueError if ONNX lacks an activation of the network."""
    for layer in layers:
        if not isinstance(layer.activation, str):
            known = ", ".join(FORMULAS)
            raise ValueError(
                f"activation: expected one of {known}, got {layer.activation!r}; ONNX has no functions of fastnn.jit"
            )


def _add_residual(graph: Graph, layer: Layer, index: int, values: str, streams: Sequence[str]) -> str:
    """Add the residual connection that ends in a layer, and return the name of the sum."""
    assert layer.residual is not None
    added, projection = streams[layer.residual.begin], layer.residual.projection
    if projection is not None:
        added = graph.node("MatMul", added, graph.constant(projection, name=f"projections.{index}"))
    return graph.node("Add", values, added)


def add_network(graph: Graph, layers: Sequence[Layer], inputs: str) -> str:
    """Add a network, and return the name of its outputs."""
    check_activations(layers)
    n_members = layers[0].n_members
    values = inputs if layers[0].scales is None else _scaled(graph, layers[0].scales, inputs)
    streams = [values]  # the values where residual connections begin
    for i, layer in enumerate(layers):
        if layer.output_scales is not None:
            assert layer.scales is not None
            z = add_scaled_sums(graph, layer, i, add_scales(graph, layer.scales, i, values) if i else values)
        elif n_members > 1 and i == len(layers) - 1:
            z = add_separate_outputs(graph, layer, i, n_members, values)
        else:
            weights = graph.constant(layer.weights, name=f"weights.{i}")
            z = graph.node("Gemm", values, weights, graph.constant(layer.bias, name=f"biases.{i}"))
        slopes = () if layer.slopes is None else (graph.constant(layer.slopes, name=f"slopes.{i}"),)
        normalization = layer.normalization
        if normalization is not None and normalization.place == "before":
            z = add_normalization(graph, normalization, i, z)
        if layer.adds("before"):
            z = _add_residual(graph, layer, i, z, streams)
        values = FORMULAS[str(layer.activation)].add(graph, z, *slopes)
        if layer.alphas is not None:
            alphas = graph.constant(layer.alphas, name=f"alphas.{i}")
            values = graph.node("Add", z, graph.node("Mul", alphas, graph.node("Sub", values, z)))
        if layer.adds("after"):
            values = _add_residual(graph, layer, i, values, streams)
        streams.append(values)
        if normalization is not None and normalization.place == "after":
            values = add_normalization(graph, normalization, i, values)
    return values if n_members == 1 else add_mean(graph, n_members, len(layers[-1].bias) // n_members, values)


def _scaled(graph: Graph, scales: NDArray[Any], inputs: str) -> str:
    if scales.ndim == 2:
        return add_scales(graph, scales, 0, inputs)
    return graph.node("Mul", inputs, graph.constant(scales, name="scales.0"))
