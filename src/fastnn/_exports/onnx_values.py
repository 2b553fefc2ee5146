"""The values between two matrix products of an ONNX graph, and the activations that they are."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._checks.scalars import shown
from fastnn._exports.layers import Layer
from fastnn._exports.onnx_constants import applied
from fastnn._exports.onnx_operators import OPERATORS, affine_step
from fastnn._exports.onnx_reader import label
from fastnn.reference.activations import ACTIVATIONS
from fastnn.reference.arguments import WITHOUT_ALPHAS
from fastnn.reference.parametric import parametric

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Above this size, formulas that are right in theory may overflow.
_OVERFLOW = 80.0
_TOLERANCE, _SMALLEST = 2e-6, 1e-9


@dataclass(eq=False)
class Base:
    """The outcome of a matrix product, or the input of the network.

    Attributes
    ----------
    width : int or None
        The number of units, if known.
    rank : int
        The number of dimensions.
    weights, bias : ndarray or None
        The product's parameters. The input of the network has none.
    layers : list of Layer
        The layers before.
    scales : ndarray or None
        The factors of the inputs, before the first product.
    ends : list of Value
        The values on which the products before and this one work: the inputs, and the outputs of each layer.
    settled : dict
        Of layers in which residual connections begin: the place of their normalization, which must be that for all of these.
    sum : Sum or None
        The sum in which a residual connection ends. The base is then that sum, and the weights and bias stand for none.
    counter : iterator
        Numbers for the values that are computed from this one.
    """

    width: int | None
    rank: int
    weights: Any = None
    bias: Any = None
    layers: list[Layer] = field(default_factory=list)
    scales: Any = None
    ends: list[Value] = field(default_factory=list)
    settled: dict[int, str] = field(default_factory=dict)
    sum: Any = None
    counter: Iterator[int] = field(default_factory=lambda: itertools.count(1))


@dataclass(frozen=True, eq=False)
class Value:
    """An elementwise function of a base: the base itself if there is no node."""

    base: Base
    node: Any = None
    inputs: tuple[Any, ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict)
    number: int = 0


def is_row(constant: NDArray[Any], width: int | None) -> bool:
    """Return whether a constant has one element for all units, or one for each."""
    return all(n == 1 for n in constant.shape[:-1]) and constant.ndim <= 2 and constant.shape[-1:] in ((), (1,), (width,))


def recognised(value: Value, place: str) -> Layer:
    """Return the layer that ends with a value.

    Steps ``factor * z + summand`` directly after the matrix product become part of its weights and bias: all of them if the
    rest is an activation, or else as many as possible.
    """
    chain = between(value)
    steps = affine_steps(chain, value)
    for count in range(len(steps), -1, -1):
        start = steps[count - 1][0] if count else chain[0]
        found = activation_between(start, value, [one for one in chain if one.number > start.number])
        if found is not None:
            weights, bias = with_steps(value.base, [step for _, step in steps[:count]])
            return Layer(weights, bias, **found, scales=value.base.scales)
    operators = ", ".join(dict.fromkeys(_described(one) for one in chain[1:]))
    names = ", ".join((*ACTIVATIONS, "prelu"))
    raise ValueError(
        f"{label(value.node)}: expected one of the activations {names} before {place}, got another function, of {operators}"
    )


def _described(value: Value) -> str:
    """Return the operator of a value with its attributes."""
    texts = {name: each.decode() if isinstance(each, bytes) else each for name, each in value.attributes.items()}
    options = ", ".join(f"{name}={shown(each)}" for name, each in texts.items())
    return f"{value.node.op_type}({options})" if options else value.node.op_type


def between(value: Value) -> list[Value]:
    """Return the values from the base to this one, in the order of their computation."""
    found, pending = {id(value): value}, [value]
    while pending:
        for one in pending.pop().inputs:
            if isinstance(one, Value) and id(one) not in found:
                found[id(one)] = one
                pending.append(one)
    return sorted(found.values(), key=lambda one: one.number)


# ---- Affine steps ----


def affine_steps(chain: list[Value], end: Value) -> list[tuple[Value, tuple[Any, Any]]]:
    """Return the affine steps that directly follow the matrix product: each with the value after it."""
    users: dict[int, list[Value]] = {}
    for one in chain:
        for before in {id(before) for before in one.inputs if isinstance(before, Value)}:
            users.setdefault(before, []).append(one)
    steps: list[tuple[Value, tuple[Any, Any]]] = []
    start = chain[0]
    while start is not end and len(users[id(start)]) == 1:
        user = users[id(start)][0]
        step = step_of(user)
        if step is None or not np.isfinite(1.0 if step[0] is None else step[0]).all():
            break
        steps.append((user, step))
        start = user
    return steps


def step_of(value: Value) -> tuple[Any, Any] | None:
    """Return the factor and the summand of an affine step, each perhaps None, or None for another function."""
    inputs = value.inputs
    if value.node.op_type == "BatchNormalization":
        return _normalization(value)
    if len(inputs) > 2 or sum(isinstance(one, Value) for one in inputs) != 1:
        return None
    place = 0 if isinstance(inputs[0], Value) else 1
    return affine_step(value.node.op_type, place, inputs[1 - place] if len(inputs) == 2 else None)


def _normalization(value: Value) -> tuple[Any, Any]:
    constant = all(isinstance(one, np.ndarray) for one in value.inputs[1:])
    if len(value.inputs) != 5 or value.attributes.get("training_mode", 0) or not constant:
        raise ValueError(f"{label(value.node)}: expected training_mode = 0 and constant parameters")
    scale, bias, mean, variance = (np.asarray(one, np.float64) for one in value.inputs[1:])
    factor = scale / np.sqrt(variance + value.attributes.get("epsilon", 1e-5))
    return factor, bias - mean * factor


def with_steps(base: Base, steps: list[tuple[Any, Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return weights and bias after affine steps. A first summand alone is the bias, to the bit."""
    weights, bias = base.weights, base.bias
    for factor, summand in steps:
        if factor is not None:
            factor = np.asarray(factor, np.float64).ravel()
            weights = (weights * factor).astype(weights.dtype)
            bias = None if bias is None else bias * factor
        if summand is not None:
            bias = summand if bias is None else np.asarray(bias, np.float64) + summand
    bias = np.zeros((), weights.dtype) if bias is None else bias
    return weights, np.broadcast_to(np.ravel(bias), weights.shape[1:])


# ---- Activations ----


def activation_between(start: Value, end: Value, chain: list[Value]) -> dict[str, Any] | None:
    """Return the activation that leads from one value to another, as arguments of `Layer`, or None."""
    if start is end:
        return {"activation": "identity"}
    if end.node.op_type == "Softmax":
        return {"activation": "softmax"} if end.inputs[0] is start else None
    inside = {id(start), *map(id, chain)}
    if any(isinstance(x, Value) and id(x) not in inside for one in chain for x in one.inputs):
        return None
    if any(one.node.op_type not in OPERATORS for one in chain):
        return None
    # Constants with an axis may have a number for each of many units, so that the points must be few.
    own = [one.ravel() for value in chain for one in value.inputs if isinstance(one, np.ndarray) and one.ndim]
    z = _places(few=bool(own))
    result = evaluated(start, chain, z)
    names = [name for name, each in ACTIVATIONS.items() if each.product is None]
    named = next((name for name in names if _same(result, ACTIVATIONS[name].value(z), z)), None)
    if named is not None and not own:
        return {"activation": named}
    n_out = end.base.weights.shape[1:]
    slopes = -result[list(z[:, 0]).index(-1.0)]
    if _same(result, np.where(z > 0.0, z, slopes * z), z):
        return {"activation": "prelu", "slopes": np.broadcast_to(_exact(slopes, own), n_out)}
    if named is not None:
        return {"activation": named}
    for name in (name for name in names if name not in (*WITHOUT_ALPHAS, "exp")):
        alphas = _alphas_of(name, result, z)
        if alphas is not None:
            return {"activation": name, "alphas": np.broadcast_to(_exact(alphas, own), n_out)}
    return None


def _exact(values: NDArray[np.float64], own: list[NDArray[Any]]) -> NDArray[Any]:
    """Return the constant that these values were computed from, or else the values."""
    return next(
        (one for one in own if one.size in (1, values.size) and np.allclose(one, values, rtol=1e-6, atol=1e-9)), values
    )


def _alphas_of(name: str, result: NDArray[np.float64], z: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the alphas with which a function is the activation in part, or None."""
    full, place = ACTIVATIONS[name].value(z), list(z[:, 0]).index(-1.0)
    alphas = (result[place] - z[place]) / (full[place] - z[place])
    with np.errstate(all="ignore"):
        expected = parametric(z, full, alphas)
    return alphas if np.isfinite(alphas).all() and _same(result, expected, z) else None


def _places(few: bool) -> NDArray[np.float64]:
    """Return points at which functions are compared, as a column: from tiny to huge ones of both signs."""
    sizes = [1.0, *np.geomspace(1e-8, 79.0, 16 if few else 300), *np.geomspace(1e2, 1e12, 2 if few else 11)]
    return np.array([0.0, *sizes, *(-size for size in sizes)])[:, None]


def evaluated(
    start: Value, chain: list[Value], z: NDArray[np.float64], functions: Mapping[str, Callable[..., Any]] = OPERATORS
) -> NDArray[np.float64]:
    """Return the last value of a chain for these values of `start`. `functions` has those of its operators."""
    results: dict[int, Any] = {id(start): z}
    for one in chain:
        inputs = [results[id(x)] if isinstance(x, Value) else _real(x) for x in one.inputs]
        results[id(one)] = applied(functions[one.node.op_type], one.node, inputs, one.attributes)
    return np.asarray(results[id(chain[-1])], np.float64)


def _real(constant: NDArray[Any] | None) -> Any:
    return constant if constant is None or constant.dtype == bool else constant.astype(np.float64)


def _same(result: NDArray[np.float64], expected: Any, z: NDArray[np.float64]) -> bool:
    close = np.abs(result - expected) <= _TOLERANCE * np.abs(expected) + _SMALLEST
    close |= (result == expected) | (~np.isfinite(result) & (np.abs(z) > _OVERFLOW))
    return bool(close.all())
