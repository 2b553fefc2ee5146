"""The activations as operators of ONNX.

ONNX Runtime has Elu, Gelu, LeakyRelu, Mish, PRelu, Selu, Softplus and Erf only in float32. In float64, these activations are
composed of other operators, by formulas without cancellation.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev

from fastnn._exports.onnx_graph import Graph
from fastnn._exports.onnx_package import TensorProto
from fastnn.reference.rectifiers import SELU_ALPHA, SELU_SCALE

# From here on, tanh(log(1 + exp(z))) rounds to 1.
_SATURATED = 20.0
# The scale of the argument, the largest argument and the degree of the polynomial for the complementary error function. With
# them, the relative error of gelu is below 1e-14 for z > -5. Beyond the largest argument, the function is below 1e-295.
_ERFC_SCALE, _ERFC_END, _ERFC_DEGREE = 3.0, 26.0, 20


@dataclass(frozen=True)
class Formula:
    """An activation in ONNX.

    Attributes
    ----------
    compose : callable
        Adds the operators to a graph, for an input and the slopes if there are any, and returns the name of the output.
    operator : str, optional
        A single operator that replaces them in float32.
    since : int
        The first opset that has this operator.
    attributes : mapping
        The operator's attributes.
    """

    compose: Callable[..., str]
    operator: str | None = None
    since: int = 1
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def add(self, graph: Graph, *inputs: str) -> str:
        """Add the activation to a graph, and return the name of its output."""
        if self.operator is None or graph.real == TensorProto.DOUBLE or graph.opset < self.since:
            return self.compose(graph, *inputs)
        return graph.node(self.operator, *inputs, **self.attributes)


def _one(operator: str, **attributes: Any) -> Formula:
    """Return an activation that is one operator in both types."""
    return Formula(lambda graph, z: graph.node(operator, z, **attributes))


def _above(graph: Graph, z: str) -> str:
    return graph.node("Max", z, graph.constant(0.0))


def _below(graph: Graph, z: str) -> str:
    return graph.node("Min", z, graph.constant(0.0))


def _expm1(graph: Graph, z: str) -> str:
    """Add exp(z) - 1 = tanh(z / 2) * (exp(z) + 1), which does not lose the digits of small z."""
    half = graph.node("Tanh", graph.node("Mul", z, graph.constant(0.5)))
    return graph.node("Mul", half, graph.node("Add", graph.node("Exp", z), graph.constant(1.0)))


def _elu(graph: Graph, z: str) -> str:
    return graph.node("Add", _above(graph, z), _expm1(graph, _below(graph, z)))


def _selu(graph: Graph, z: str) -> str:
    above = graph.node("Mul", _above(graph, z), graph.constant(SELU_SCALE))
    below = graph.node("Mul", _expm1(graph, _below(graph, z)), graph.constant(SELU_SCALE * SELU_ALPHA))
    return graph.node("Add", above, below)


def _leaky_relu(graph: Graph, z: str) -> str:
    return graph.node("Max", z, graph.node("Mul", z, graph.constant(0.01)))


def _prelu(graph: Graph, z: str, slopes: str) -> str:
    return graph.node("Add", _above(graph, z), graph.node("Mul", _below(graph, z), slopes))


def _softplus(graph: Graph, z: str) -> str:
    """Add max(z, 0) + log(1 + u) with u = exp(-abs(z)).

    With w the rounded 1 + u, the logarithm is u * log(w) / (w - 1), or u where w is 1. The rounding of w cancels.
    """
    one = graph.constant(1.0)
    u = graph.node("Exp", graph.node("Neg", graph.node("Abs", z)))
    w = graph.node("Add", one, u)
    ratio = graph.node("Div", graph.node("Log", w), graph.node("Sub", w, one))
    bend = graph.node("Where", graph.node("Equal", w, one), u, graph.node("Mul", u, ratio))
    return graph.node("Add", _above(graph, z), bend)


def _mish(graph: Graph, z: str) -> str:
    """Add z * n / (n + 2) with n = e * (e + 2) and e = exp(z); the quotient is tanh(log(1 + e))."""
    two = graph.constant(2.0)
    e = graph.node("Exp", graph.node("Min", z, graph.constant(_SATURATED)))
    n = graph.node("Mul", e, graph.node("Add", e, two))
    return graph.node("Mul", z, graph.node("Div", n, graph.node("Add", n, two)))


def _gelu(graph: Graph, z: str) -> str:
    if graph.real == TensorProto.DOUBLE:
        return _gelu_without_erf(graph, z)
    erf = graph.node("Erf", graph.node("Mul", z, graph.constant(math.sqrt(0.5))))
    share = graph.node("Mul", graph.node("Add", erf, graph.constant(1.0)), graph.constant(0.5))
    return graph.node("Mul", z, share)


def _gelu_without_erf(graph: Graph, z: str) -> str:
    """Add max(z, 0) - abs(z) * erfc(x) / 2 with x = abs(z) / sqrt(2).

    erfc(x) is exp(-x**2) * t * p(s), with a polynomial p, t = c / (c + x), and s = t scaled to [-1, 1].
    """
    size = graph.node("Abs", z)
    x = graph.node("Mul", size, graph.constant(math.sqrt(0.5)))
    shifted = graph.node("Add", x, graph.constant(_ERFC_SCALE))
    t = graph.node("Div", graph.constant(_ERFC_SCALE), shifted)
    middle, half = _erfc_interval()
    s = graph.node("Div", graph.node("Sub", t, graph.constant(middle)), graph.constant(half))
    *lower, highest = _erfc_polynomial()
    p = graph.constant(highest)
    for coefficient in reversed(lower):
        p = graph.node("Add", graph.node("Mul", p, s), graph.constant(coefficient))
    bell = graph.node("Exp", graph.node("Neg", graph.node("Mul", x, x)))
    erfc = graph.node("Mul", bell, graph.node("Mul", t, p))
    tail = graph.node("Mul", size, graph.node("Mul", erfc, graph.constant(0.5)))
    return graph.node("Sub", _above(graph, z), tail)


def _erfc_interval() -> tuple[float, float]:
    """Return middle and half the width of the interval of t."""
    lowest = _ERFC_SCALE / (_ERFC_SCALE + _ERFC_END)
    return (1.0 + lowest) / 2, (1.0 - lowest) / 2


@functools.cache
def _erfc_polynomial() -> tuple[float, ...]:
    """Return the coefficients of p, from the lowest power on, by interpolation of the exact function."""
    middle, half = _erfc_interval()

    def exact(s: Any) -> Any:
        t = middle + half * s
        x = _ERFC_SCALE * (1.0 - t) / t
        return np.array([math.erfc(value) * math.exp(value * value) for value in x]) / t

    return tuple(map(float, chebyshev.cheb2poly(chebyshev.chebinterpolate(exact, _ERFC_DEGREE))))


FORMULAS: Mapping[str, Formula] = MappingProxyType(
    {
        "identity": Formula(lambda graph, z: z),
        "tanh": _one("Tanh"),
        "sigmoid": _one("Sigmoid"),
        "relu": _one("Relu"),
        "leaky_relu": Formula(_leaky_relu, "LeakyRelu", attributes={"alpha": 0.01}),
        "elu": Formula(_elu, "Elu"),
        "gelu": Formula(_gelu, "Gelu", since=20),
        "silu": Formula(lambda graph, z: graph.node("Mul", z, graph.node("Sigmoid", z))),
        "softplus": Formula(_softplus, "Softplus"),
        "sin": _one("Sin"),
        "exp": _one("Exp"),
        "softmax": _one("Softmax", axis=1),
        "selu": Formula(_selu, "Selu"),
        "mish": Formula(_mish, "Mish", since=18),
        "prelu": Formula(_prelu, "PRelu"),
    }
)
"""The activations by name."""
