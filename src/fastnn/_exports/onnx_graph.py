"""A graph of ONNX operators that is being written, and a network in it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._exports.layers import Layer
from fastnn._exports.onnx_activations import FORMULAS
from fastnn._exports.onnx_members import add_mean, add_scaled_sums, add_scales, add_separate_outputs
from fastnn._exports.onnx_normalizations import add_normalization
from fastnn._exports.onnx_package import TensorProto, helper

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Graph(ABC):
    """A graph to which operators are added.

    Parameters
    ----------
    real : int
        The type of real numbers: FLOAT or DOUBLE of `onnx.TensorProto`.
    opset : int
        The version of the operators.
    """

    def __init__(self, real: int, opset: int) -> None:
        self.real, self.opset = real, opset

    @abstractmethod
    def node(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add an operator, and return the name of its output."""

    @abstractmethod
    def constant(self, values: Any, dtype: int | None = None, name: str = "constant") -> str:
        """Add an array, by default of real numbers, and return its name, which is similar to `name`."""


class FileGraph(Graph):
    """A graph for a file of its own.

    Parameters
    ----------
    real, opset : int
        As for `Graph`.
    taken : sequence of str
        The names of inputs and outputs, which nothing else in the graph gets.
    """

    def __init__(self, real: int, opset: int, taken: Sequence[str]) -> None:
        super().__init__(real, opset)
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._names, self._scalars = set(taken), dict[tuple[int, float], str]()

    def node(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add an operator, and return the name of its output."""
        name = self._new(f"{operator}_{len(self.nodes) + 1}")
        output = name if output is None else output
        self.nodes.append(helper.make_node(operator, inputs, [output], name=name, **attributes))
        return output

    def constant(self, values: Any, dtype: int | None = None, name: str = "constant") -> str:
        """Add an array, by default of real numbers, and return its name, which is similar to `name`."""
        dtype = self.real if dtype is None else dtype
        array, scalar = np.asarray(values), (dtype, values) if isinstance(values, float) else None
        if scalar in self._scalars:
            return self._scalars[scalar]
        name = self._new(name)
        if dtype == TensorProto.STRING:
            texts: Any = [str(text).encode() for text in array.flat]
            tensor = helper.make_tensor(name, dtype, array.shape, texts)
        else:
            content = array.astype(np.dtype(helper.tensor_dtype_to_np_dtype(dtype)).newbyteorder("<"))
            tensor = helper.make_tensor(name, dtype, array.shape, content.tobytes(), raw=True)
        self.initializers.append(tensor)
        if scalar is not None:
            self._scalars[scalar] = name
        return name

    def rename(self, old: str, new: str) -> None:
        """Give a value another name."""
        for node in self.nodes:
            for names in (node.input, node.output):
                names[:] = [new if name == old else name for name in names]

    def _new(self, wanted: str) -> str:
        name, number = wanted, 1
        while name in self._names:
            number += 1
            name = f"{wanted}_{number}"
        self._names.add(name)
        return name


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
