"""Normalizations in ONNX: their operators in a graph that is written, and their recognition in one that is read.

A normalization that is read may be one operator, or be composed of others. It is evaluated, and compared with fastnn's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._checks.floats import Array
from fastnn._exports.layers import Layer, Normalization
from fastnn._exports.onnx_constants import applied
from fastnn._exports.onnx_graph import Graph
from fastnn._exports.onnx_operators import OPERATORS
from fastnn._exports.onnx_package import TensorProto
from fastnn._exports.onnx_reader import label
from fastnn._exports.onnx_values import (
    Value,
    activation_between,
    affine_steps,
    between,
    evaluated,
    recognised,
    step_of,
    with_steps,
)
from fastnn.reference.normalization import EPSILON, layer_norm, rms_norm

if TYPE_CHECKING:
    from numpy.typing import NDArray


_OPSET_OF_LAYER_NORM, _OPSET_OF_AXES_AS_INPUT = 17, 18
_TOLERANCE = 2e-6
_N_ROWS = 8


# ---- Writing ----


def add_normalization(graph: Graph, given: Normalization, layer: int, x: str) -> str:
    """Add a normalization to a graph, and return the name of its output.

    The operator LayerNormalization has its epsilon in float32, which is not enough for float64.
    """
    gains = graph.constant(given.gains, name=f"gains.{layer}")
    if given.shifts is None:
        return graph.node("Mul", _unit(graph, x), gains)
    shifts = graph.constant(given.shifts, name=f"shifts.{layer}")
    if graph.opset >= _OPSET_OF_LAYER_NORM and graph.real == TensorProto.FLOAT:
        return graph.node("LayerNormalization", x, gains, shifts, axis=-1, epsilon=EPSILON)
    centered = graph.node("Sub", x, _mean(graph, x))
    return graph.node("Add", graph.node("Mul", _unit(graph, centered), gains), shifts)


def _unit(graph: Graph, x: str) -> str:
    """Add the division of rows by the root of their mean square."""
    square = _mean(graph, graph.node("Mul", x, x))
    return graph.node("Div", x, graph.node("Sqrt", graph.node("Add", square, graph.constant(EPSILON))))


def _mean(graph: Graph, x: str) -> str:
    if graph.opset < _OPSET_OF_AXES_AS_INPUT:
        return graph.node("ReduceMean", x, axes=[-1], keepdims=1)
    return graph.node("ReduceMean", x, graph.constant(np.array([-1]), TensorProto.INT64, "axes"), keepdims=1)


# ---- Reading ----


def _reduce_mean(x: Any, axes: Any = None, keepdims: int = 1, noop_with_empty_axes: int = 0) -> Any:
    if axes is None or np.ravel(axes).tolist() not in ([-1], [1]) or keepdims != 1:
        raise ValueError("expected the mean over the last axis, which it keeps")
    return np.mean(x, axis=-1, keepdims=True)


def _layer_normalization(
    x: Any, scale: Any, bias: Any = None, axis: int = -1, epsilon: float = EPSILON, stash_type: int = 1
) -> Any:
    centered = x - np.mean(x, axis=-1, keepdims=True)
    result = _rms_normalization(centered, scale, axis, epsilon)
    return result if bias is None else result + bias


def _rms_normalization(x: Any, scale: Any, axis: int = -1, epsilon: float = EPSILON, stash_type: int = 1) -> Any:
    if axis not in (-1, 1):
        raise ValueError("expected a normalization over the last axis")
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + epsilon) * scale


OVER_ROWS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "LayerNormalization": _layer_normalization,
        "ReduceMean": _reduce_mean,
        "RMSNormalization": _rms_normalization,
    }
)
"""The operators over the units of a row that normalizations consist of."""

_FUNCTIONS = {**OPERATORS, **OVER_ROWS}
_OPERATORS = {"LayerNormalization": "layer_norm", "RMSNormalization": "rms_norm"}


def recognised_layer(value: Value, place: str) -> Layer:
    """Return the layer that ends with a value, with its normalization if it has one.

    Raises
    ------
    ValueError
        If it is another function.
    """
    chain = between(value)
    places = [i for i, one in enumerate(chain) if one.node is not None and one.node.op_type in OVER_ROWS]
    if not places:
        return recognised(value, place)
    cuts = _cuts(chain)
    start = chain[max(i for i in cuts if i < places[0])]
    for end in (chain[i] for i in cuts if i >= places[-1]):
        found = _normalization([one for one in chain if start.number < one.number <= end.number], start)
        if found is not None:
            layer = _layer_with(chain, start, end, value, found)
            if layer is not None:
                return layer
    raise ValueError(
        f"{label(value.node)}: expected an activation, with layer or root mean square normalization of epsilon {EPSILON!r} "
        f"before or after it, before {place}, got another function"
    )


def _cuts(chain: list[Value]) -> list[int]:
    """Return the places of the values through which everything after them depends on the values before them."""
    numbers = {id(one): i for i, one in enumerate(chain)}
    last_use = list(range(len(chain)))
    for i, one in enumerate(chain):
        for x in one.inputs:
            if isinstance(x, Value):
                last_use[numbers[id(x)]] = i
    furthest, cuts = 0, []
    for i in range(len(chain)):
        if furthest <= i:
            cuts.append(i)
        furthest = max(furthest, last_use[i])
    return cuts


def _layer_with(chain: list[Value], start: Value, end: Value, value: Value, found: Normalization) -> Layer | None:
    """Return the layer that ends with a value, and whose normalization leads from `start` to `end`, or None.

    Steps ``factor * x + summand`` after the normalization become part of its gains and shifts, as far as they can.
    """
    before = affine_steps([one for one in chain if one.number <= start.number], start)
    normalizes_sums = start is chain[0] or (len(before) > 0 and before[-1][0] is start)
    ends = [(end, found), *_with_affine_steps([one for one in chain if one.number > end.number], found)]
    for last, normalization in reversed(ends):
        after = activation_between(last, value, [one for one in chain if one.number > last.number])
        if normalizes_sums and after is not None:
            weights, bias = with_steps(chain[0].base, [step for _, step in before])
            return Layer(weights, bias, **after, normalization=normalization, scales=start.base.scales)
        if last is value:
            layer = recognised(start, label(end.node))
            return replace(layer, normalization=replace(normalization, place="after"))
    return None


def _with_affine_steps(chain: list[Value], found: Normalization) -> Iterator[tuple[Value, Normalization]]:
    """Yield the values after affine steps of units, and the normalization that includes these steps."""
    for one in chain:
        step = step_of(one)
        if step is None or (step[1] is not None and found.shifts is None):
            return
        factor, summand = (None if each is None else _row(each, len(found.gains)) for each in step)
        gains, shifts = found.gains, found.shifts
        if factor is not None:  # ones and zeros leave the bits of the graph's constants as they are
            gains = factor if np.all(gains == 1.0) else gains * factor
            shifts = shifts if shifts is None or np.all(shifts == 0.0) else shifts * factor
        if summand is not None:
            shifts = summand if np.all(shifts == 0.0) else shifts + summand
        found = replace(found, gains=gains, shifts=shifts)
        yield one, found


def _row(constant: Any, width: int) -> NDArray[Any]:
    return np.broadcast_to(np.ravel(constant), (width,))


def _normalization(chain: list[Value], start: Value) -> Normalization | None:
    """Return the normalization that a chain computes from `start`, before an activation, or None."""
    if any(one.node.op_type not in _FUNCTIONS for one in chain):
        return None
    width = start.base.weights.shape[1]
    only, constants = chain[0], [one for each in chain for one in each.inputs if isinstance(one, np.ndarray)]
    if len(chain) == 1 and only.node.op_type in _OPERATORS:
        return _of_operator(only, width)
    x = _rows(width)
    result = np.broadcast_to(evaluated(start, chain, x, _FUNCTIONS), x.shape)
    rows = [_row(one, width) for one in constants if one.dtype.kind == "f" and one.size in (1, width)]
    units = {"layer_norm": layer_norm(x, np.ones(width), np.zeros(width)), "rms_norm": rms_norm(x, np.ones(width))}
    candidates = [Normalization("rms_norm", "before", gains) for gains in (np.ones(width), *rows)]
    candidates += [replace(each, name="layer_norm", shifts=np.zeros(width)) for each in candidates]
    errors = [_error(units[each.name], result, each.gains) for each in candidates]
    best = int(np.argmin(errors))
    return candidates[best] if errors[best] <= _TOLERANCE else None


def _of_operator(value: Value, width: int) -> Normalization | None:
    """Return the normalization that is an operator of ONNX, or None if its epsilon or parameters are others."""
    if not isinstance(value.inputs[0], Value) or any(isinstance(one, Value) for one in value.inputs[1:]):
        return None
    name = _OPERATORS[value.node.op_type]
    applied(_FUNCTIONS[value.node.op_type], value.node, [np.ones((1, width)), *value.inputs[1:]], value.attributes)
    if abs(value.attributes.get("epsilon", EPSILON) - EPSILON) > 1e-6 * EPSILON:
        return None
    gains, *rest = (None if one is None else _row(one, width) for one in value.inputs[1:])
    shifts = rest[0] if rest and rest[0] is not None else np.zeros(width)
    assert gains is not None
    return Normalization(name, "before", gains, shifts if name == "layer_norm" else None)


def _rows(width: int) -> NDArray[np.float64]:
    """Return rows at which functions are compared: small ones, where epsilon matters, to large ones."""
    rng = np.random.default_rng(0)
    sizes = np.geomspace(1e-3, 1e2, _N_ROWS)[:, np.newaxis]
    return np.asarray(rng.normal(size=(_N_ROWS, width)) * sizes + rng.normal(size=(_N_ROWS, 1)) * sizes)


def _error(unit: Array, result: NDArray[np.float64], gains: NDArray[Any]) -> float:
    """Return the largest error of outputs with these gains, relative to the largest output of each unit."""
    expected = unit * gains.astype(np.float64)
    scale = np.maximum(np.max(np.abs(expected), axis=0), np.finfo(np.float64).tiny)
    errors = np.where(result == expected, 0.0, np.abs(result - expected) / scale)
    return float(np.max(np.where(np.isnan(errors), np.inf, errors)))
