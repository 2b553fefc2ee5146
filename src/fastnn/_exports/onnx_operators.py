"""The operators of ONNX that work element by element, in NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import reduce
from types import MappingProxyType
from typing import Any

import numpy as np

from fastnn.reference.arrays import Float64
from fastnn.reference.gated import gelu, mish
from fastnn.reference.rectifiers import SELU_ALPHA, SELU_SCALE
from fastnn.reference.sigmoids import sigmoid, softplus


def _elu(z: Float64, alpha: float = 1.0) -> Float64:
    return np.where(z > 0.0, z, alpha * np.expm1(np.minimum(z, 0.0)))


def _selu(z: Float64, alpha: float = SELU_ALPHA, gamma: float = SELU_SCALE) -> Float64:
    return np.asarray(gamma * _elu(z, alpha))


def _celu(z: Float64, alpha: float = 1.0) -> Float64:
    return np.where(z > 0.0, z, alpha * np.expm1(np.minimum(z, 0.0) / alpha))


def _prelu(z: Float64, slope: Float64) -> Float64:
    return np.where(z > 0.0, z, slope * z)


def _leaky_relu(z: Float64, alpha: float = 0.01) -> Float64:
    return np.asarray(_prelu(z, np.asarray(alpha)))


def _gelu(z: Float64, approximate: bytes = b"none") -> Float64:
    if approximate == b"none":
        return np.asarray(gelu(z))
    return np.asarray(0.5 * z * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (z + 0.044715 * z**3))))


def _clip(z: Float64, low: Any = None, high: Any = None, min: float = -math.inf, max: float = math.inf) -> Float64:
    low, high = (min if low is None else low), (max if high is None else high)  # inputs, or attributes before opset 11
    return np.asarray(np.minimum(np.maximum(z, low), high))


def _many(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    return lambda *values: reduce(function, values)


OPERATORS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "Abs": np.abs,
        "Add": np.add,
        "And": np.logical_and,
        "Celu": _celu,
        "Clip": _clip,
        "Div": np.divide,
        "Elu": _elu,
        "Equal": np.equal,
        "Erf": lambda z: np.vectorize(math.erf, otypes=[np.float64])(z),
        "Exp": np.exp,
        "Gelu": _gelu,
        "Greater": np.greater,
        "GreaterOrEqual": np.greater_equal,
        "LeakyRelu": _leaky_relu,
        "Less": np.less,
        "LessOrEqual": np.less_equal,
        "Log": np.log,
        "Max": _many(np.maximum),
        "Min": _many(np.minimum),
        "Mish": mish,
        "Mul": np.multiply,
        "Neg": np.negative,
        "Not": np.logical_not,
        "Or": np.logical_or,
        "Pow": np.power,
        "PRelu": _prelu,
        "Reciprocal": np.reciprocal,
        "Relu": lambda z: np.maximum(z, 0.0),
        "Selu": _selu,
        "Sigmoid": sigmoid,
        "Sin": np.sin,
        "Softplus": softplus,
        "Sqrt": np.sqrt,
        "Sub": np.subtract,
        "Sum": _many(np.add),
        "Swish": lambda z, alpha=1.0: z * sigmoid(alpha * z),
        "Tanh": np.tanh,
        "Where": np.where,
    }
)
"""Functions of arrays by operator; attributes are options. An input that a node leaves out is None."""


def affine_step(operator: str, place: int, constant: Float64 | None) -> tuple[Float64 | None, Float64 | None] | None:
    """Return the factor and the summand of an operator that has a value in this place and a constant in the other one.

    Each may be None, which means 1 and 0. The result is None for operators that are not affine.
    """
    if operator == "Neg":
        return np.asarray(-1.0), None
    if constant is None:
        return None
    if operator in ("Add", "Sum"):
        return None, constant
    if operator == "Sub":
        return (None, -constant) if place == 0 else (np.asarray(-1.0), constant)
    if operator == "Mul":
        return constant, None
    if operator == "Div" and place == 0:
        return 1.0 / constant.astype(np.float64), None
    return None
