"""The layers of a network in an ONNX graph.

The graph must be a chain: each Gemm or MatMul works on a function of the one before, which is an activation, perhaps with a
normalization. The function may consist of any operators. It is evaluated, and compared with fastnn's activations. Residual
connections may lead from layers to later ones.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._checks.layers import OUTPUT_ONLY
from fastnn._exports.layers import Layer
from fastnn._exports.onnx_constants import FOLDABLE, folded
from fastnn._exports.onnx_normalizations import OVER_ROWS
from fastnn._exports.onnx_operators import OPERATORS
from fastnn._exports.onnx_package import TensorProto
from fastnn._exports.onnx_reader import OnnxGraph, array_of, attributes_of, is_standard, label
from fastnn._exports.onnx_residual import completed_layer, summed, with_places
from fastnn._exports.onnx_values import Base, Value, between, is_row, step_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

_REALS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
Known = dict[str, Any]  # the Value or the array of each name


@np.errstate(all="ignore")
def layers_of(graph: OnnxGraph) -> list[Layer]:
    """Return the layers of a network.

    Raises
    ------
    ValueError
        If the graph is not that of a network that fastnn has. The message names the node.
    """
    known: Known = {**graph.constants, graph.input_name: Value(_input(graph))}
    for node in graph.nodes:
        if not is_standard(node) or node.op_type not in _SUPPORTED:
            supported = ", ".join(sorted(_SUPPORTED))
            raise ValueError(f"{label(node)}: expected one of the operators {supported}{_way(node, known)}")
        inputs = [_input_named(name, known, node) for name in node.input]
        if node.op_type == "Constant":
            result: Any = _constant(node)
        elif all(one is None or isinstance(one, np.ndarray) for one in inputs):
            result = folded(node, inputs, attributes_of(node))
        else:
            result = _result(node, inputs, graph.opset)
        known[node.output[0]] = result
    output = known.get(graph.output)
    if not isinstance(output, Value) or output.base.weights is None:
        raise ValueError(f"expected a Gemm or MatMul between the input {graph.input_name!r} and {graph.output!r}, got none")
    layers = _finished(output, "the output")
    if layers[-1].normalization is not None:
        raise ValueError(f"{label(output.node)}: expected normalizations between layers, got one after the last of them")
    layers = with_places(layers)
    dtype = np.float64 if any(layer.weights.dtype == np.float64 for layer in layers) else np.float32
    return [layer.astype(dtype) for layer in layers]


def _way(node: Any, known: Known) -> str:
    """Return the end of a message about a node that nothing can replace, or an empty text."""
    names = [name for name in node.input if isinstance(known.get(name), Value)]
    return f"; output={names[-1]!r} ends the network before it" if names else ""


def feature_names_of(graph: OnnxGraph) -> list[str] | None:
    """Return the names of the inputs that `to_onnx` has stored, or None."""
    content = json.loads(graph.metadata.get("fastnn", "{}"))
    names: list[str] | None = content.get("feature_names")
    return names


def _input_named(name: str, known: Known, node: Any) -> Any:
    """Return the input of a node, or None for one that it leaves out."""
    if name and name not in known:
        raise ValueError(f"{label(node)}: expected the first output of another node, got {name!r}")
    return known[name] if name else None


def _input(graph: OnnxGraph) -> Base:
    shape = graph.input_shape
    return Base(width=None if shape is None or len(shape) != 2 else shape[1] or None, rank=len(shape or [0, 0]))


def _result(node: Any, inputs: list[Any], opset: int) -> Value:
    """Return the value that a node makes of at least one other value."""
    if node.op_type in _LAYERS:
        return _next_layer(node, inputs)
    if node.op_type in _WITHOUT_EFFECT:
        if not isinstance(inputs[0], Value):
            raise ValueError(f"{label(node)}: expected the network's values as its first input, got a constant")
        _WITHOUT_EFFECT[node.op_type](node, inputs[0], inputs[1:])
        return inputs[0]
    if node.op_type not in (*OPERATORS, *OVER_ROWS, "BatchNormalization", "Softmax"):
        raise ValueError(f"{label(node)}: expected constants as inputs, got the network's values")
    if node.op_type == "Softmax" and attributes_of(node).get("axis", -1 if opset >= 13 else 1) not in (-1, 1):
        raise ValueError(f"{label(node)}: expected the last axis, got axis {attributes_of(node)['axis']}")
    bases = {id(one.base): one.base for one in inputs if isinstance(one, Value)}
    if len(bases) > 1:
        return summed(node, inputs)
    base = next(iter(bases.values()))
    for one in inputs:
        if base.width and isinstance(one, np.ndarray) and not is_row(one, base.width):
            raise ValueError(f"{label(node)}: expected a constant per unit, of shape ({base.width},), got {one.shape}")
    return Value(base, node, tuple(inputs), attributes_of(node), next(base.counter))


# ---- Layers ----


def _next_layer(node: Any, inputs: list[Any]) -> Value:
    weights, bias = _LAYERS[node.op_type](node, inputs)
    if not isinstance(inputs[0], Value) or not isinstance(weights, np.ndarray):
        raise ValueError(f"{label(node)}: expected the network's values as its first input, and constant weights")
    if weights.ndim != 2 or weights.dtype.kind != "f" or 0 in weights.shape:
        raise ValueError(
            f"{label(node)}: expected weights of shape (n_in, n_out) and real numbers, got {weights.dtype} {weights.shape}"
        )
    before, n_out = inputs[0], weights.shape[1]
    if before.base.width not in (None, len(weights)):
        raise ValueError(f"{label(node)}: expected weights for {before.base.width} inputs, got shape {weights.shape}")
    if bias is not None and not (isinstance(bias, np.ndarray) and is_row(bias, n_out)):
        got = bias.shape if isinstance(bias, np.ndarray) else "the network's values"
        raise ValueError(f"{label(node)}: expected a bias of shape ({n_out},), got {got}")
    layers: list[Layer] = []
    scales = None
    if before.base.weights is not None:
        layers, weights, bias = _with_steps_before(before, weights, bias, label(node))
    else:
        scales = _scales(before, node, len(weights))
    if layers and layers[-1].activation in OUTPUT_ONLY:
        raise ValueError(f"{label(node)}: expected the end of the network after {layers[-1].activation}")
    base = before.base
    return Value(Base(n_out, 2, weights, bias, layers, scales, [*base.ends, before], base.settled))


def _scales(before: Value, node: Any, n_in: int) -> NDArray[Any] | None:
    """Return the factors (n_in,) of the inputs, or None if the product works on the inputs themselves."""
    if before.base.rank not in (1, 2):
        raise ValueError(f"{label(node)}: expected inputs of shape (rows, columns), got {before.base.rank} dimensions")
    if before.node is None:
        return None
    step = step_of(before) if len(between(before)) == 2 else None
    if step is None or step[0] is None or step[1] is not None or not np.isfinite(step[0]).all():
        raise ValueError(
            f"{label(before.node)}: expected a Gemm or MatMul on the inputs themselves, or on products of them and "
            "constants; make this step on the data instead"
        )
    return np.broadcast_to(np.ravel(step[0]), (n_in,))


def _with_steps_before(
    value: Value, weights: NDArray[Any], bias: NDArray[Any] | None, place: str
) -> tuple[list[Layer], NDArray[Any], NDArray[Any] | None]:
    """Return the layers up to a value, and the parameters of the product after it.

    These absorb steps ``factor * z + summand`` that follow an activation, such as a batch normalization.
    """
    failure: ValueError | None = None
    while True:
        try:
            return _finished(value, place), weights, bias
        except ValueError as error:
            failure = failure or error
        step = step_of(value) if value.node is not None else None
        if step is None or not all(np.isfinite(1.0 if one is None else one).all() for one in step):
            raise failure
        rows = weights.astype(np.float64)
        factor, summand = (None if one is None else np.broadcast_to(np.ravel(one), len(weights)) for one in step)
        if summand is not None:
            bias = (summand @ rows if bias is None else bias + summand @ rows).astype(weights.dtype)
        if factor is not None:
            weights = (factor[:, None] * rows).astype(weights.dtype)
        value = next(one for one in value.inputs if isinstance(one, Value))


def _finished(value: Value, place: str) -> list[Layer]:
    """Return the layers up to a value."""
    return [*value.base.layers, completed_layer(value, place)]


def _of_gemm(node: Any, inputs: list[Any]) -> tuple[Any, Any]:
    attributes = attributes_of(node)
    if attributes.get("transA", 0):
        raise ValueError(f"{label(node)}: expected transA = 0, got {attributes['transA']}")
    weights, bias = inputs[1], inputs[2] if len(inputs) > 2 else None
    alpha, beta = attributes.get("alpha", 1.0), attributes.get("beta", 1.0)
    if isinstance(weights, np.ndarray):
        weights = weights.T if attributes.get("transB", 0) else weights
        weights = weights if alpha == 1.0 else weights * weights.dtype.type(alpha)
    if isinstance(bias, np.ndarray) and beta != 1.0:
        bias = bias * bias.dtype.type(beta)
    return weights, bias


_LAYERS: Mapping[str, Callable[[Any, list[Any]], tuple[Any, Any]]] = {
    "Gemm": _of_gemm,
    "MatMul": lambda node, inputs: (inputs[1], None),
}


# ---- Operators without effect ----


def _check_cast(node: Any, value: Value, others: list[Any]) -> None:
    kind = attributes_of(node)["to"]
    if kind not in _REALS:
        raise ValueError(f"{label(node)}: expected a type of real numbers, got {TensorProto.DataType.Name(kind)}")


def _check_dropout(node: Any, value: Value, others: list[Any]) -> None:
    training = others[1] if len(others) > 1 else None
    if isinstance(training, Value) or (training is not None and np.any(training)):
        raise ValueError(f"{label(node)}: expected training_mode = False")


def _check_flatten(node: Any, value: Value, others: list[Any]) -> None:
    if attributes_of(node).get("axis", 1) not in (1, 1 - value.base.rank):
        raise ValueError(f"{label(node)}: expected axis 1, got {attributes_of(node)['axis']}")
    value.base.rank = 2


def _check_reshape(node: Any, value: Value, others: list[Any]) -> None:
    shape = others[0].tolist() if others and isinstance(others[0], np.ndarray) else None
    base = value.base
    columns = shape[1] if isinstance(shape, list) and len(shape) == 2 else 0
    keeps = columns == base.width if columns > 0 and base.width else columns > 0 or (columns == -1 and shape != [-1, -1])
    if not keeps:
        raise ValueError(f"{label(node)}: expected a shape that keeps the rows, such as (-1, {base.width}), got {shape}")
    base.rank, base.width = 2, base.width or max(columns, 0) or None


_WITHOUT_EFFECT: Mapping[str, Callable[[Any, Value, list[Any]], None]] = {
    "Cast": _check_cast,
    "Dropout": _check_dropout,
    "Flatten": _check_flatten,
    "Identity": lambda node, value, others: None,
    "Reshape": _check_reshape,
}


# ---- Constants ----


def _constant(node: Any) -> NDArray[Any]:
    for one in node.attribute:
        if one.name == "value":
            return array_of(one.t, label(node))
        if one.name in ("value_float", "value_floats"):
            return np.asarray(attributes_of(node)[one.name], np.float32)
        if one.name in ("value_int", "value_ints"):
            return np.asarray(attributes_of(node)[one.name], np.int64)
    raise ValueError(f"{label(node)}: expected a constant of numbers")


_SUPPORTED = {*_LAYERS, *_WITHOUT_EFFECT, *OPERATORS, *FOLDABLE, *OVER_ROWS, "BatchNormalization", "Constant", "Softmax"}
