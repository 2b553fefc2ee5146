"""The optimizers' formulas on one array, the state that each keeps, and their updates of lists of arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastnn._checks.updates import Arrays, State, new_moments
from fastnn.optimizers import SGD, AdaGrad, Adam, AdamW, NAdam, Optimizer, RMSProp

__all__ = ["RULES", "UPDATES", "Coefficients", "Rule", "correction", "momentum_at", "momentum_product", "rule_of", "update"]
__dir__ = __all__.copy


class Coefficients(NamedTuple):
    """The numbers of one update; a formula uses those that it names."""

    learning_rate: Any
    beta_1: Any = 0.0  # of the first moment: momentum, decay
    gradient_factor: Any = 1.0  # of what is added to it
    beta_2: Any = 0.0
    one_minus_beta_2: Any = 1.0
    root: Any = 1.0  # that the square root of the second moment is divided by
    epsilon: Any = 0.0
    decay_factor: Any = 1.0  # of the parameters
    gradient_rate: Any = 0.0  # of the gradient itself, beside that of its mean


_Formula: TypeAlias = Callable[[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], Any], None]


# Each changes the parameters w and its moments, m and then v, in place by the gradient g.


def _descent(w: NDArray[Any], g: NDArray[Any], m: NDArray[Any], v: NDArray[Any], c: Coefficients) -> None:
    w -= c.learning_rate * g


def _momentum(w: NDArray[Any], g: NDArray[Any], m: NDArray[Any], v: NDArray[Any], c: Coefficients) -> None:
    m[...] = c.beta_1 * m + c.gradient_factor * g
    w -= c.learning_rate * m


def _nesterov(w: NDArray[Any], g: NDArray[Any], m: NDArray[Any], v: NDArray[Any], c: Coefficients) -> None:
    m[...] = c.beta_1 * m + c.gradient_factor * g
    w -= c.learning_rate * (c.gradient_factor * g + c.beta_1 * m)


def _adagrad(w: NDArray[Any], g: NDArray[Any], m: NDArray[Any], v: NDArray[Any], c: Coefficients) -> None:
    m += g * g
    w -= c.learning_rate * g / (np.sqrt(m) + c.epsilon)


def _rmsprop(w: NDArray[Any], g: NDArray[Any], m: NDArray[Any], v: NDArray[Any], c: Coefficients) -> None:
    m[...] = c.beta_1 * m + c.gradient_factor * (g * g)
    w -= c.learning_rate * g / (np.sqrt(m) + c.epsilon)


def _adam(w: NDArray[Any], g: NDArray[Any], m: NDArray[Any], v: NDArray[Any], c: Coefficients) -> None:
    m[...] = c.beta_1 * m + c.gradient_factor * g
    v[...] = c.beta_2 * v + c.one_minus_beta_2 * (g * g)
    w[...] = c.decay_factor * w - c.learning_rate * m / (np.sqrt(v) / c.root + c.epsilon)


def _nadam(w: NDArray[Any], g: NDArray[Any], m: NDArray[Any], v: NDArray[Any], c: Coefficients) -> None:
    m[...] = c.beta_1 * m + c.gradient_factor * g
    v[...] = c.beta_2 * v + c.one_minus_beta_2 * (g * g)
    w -= (c.learning_rate * m + c.gradient_rate * g) / (np.sqrt(v) / c.root + c.epsilon)


@dataclass(frozen=True)
class Rule:
    """A formula, and the names in the state that it keeps: lists of moments, then perhaps "step", the number of updates."""

    formula: _Formula
    state: tuple[str, ...] = ()

    @property
    def moments(self) -> tuple[str, ...]:
        """Return the names of the lists of arrays."""
        return tuple(kept for kept in self.state if kept != "step")


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "sgd": Rule(_descent),
        "momentum": Rule(_momentum, ("velocity",)),
        "nesterov": Rule(_nesterov, ("velocity",)),
        "adagrad": Rule(_adagrad, ("sum",)),
        "rmsprop": Rule(_rmsprop, ("v",)),
        "adam": Rule(_adam, ("m", "v", "step")),
        "adamw": Rule(_adam, ("m", "v", "step")),
        "nadam": Rule(_nadam, ("m", "v", "step")),
    }
)
"""By the formula's name: that of the function that makes the update, but "nesterov" for momentum's other formula."""


def correction(beta: float, updates: int) -> float:
    """Return 1 - beta**t: a mean that started at zero is, after t updates of a constant g, that factor times g.

    D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015, section 3.
    """
    return 1.0 - beta**updates


def momentum_at(optimizer: NAdam, t: int) -> float:
    """Return NAdam's momentum at update t (T. Dozat, "Incorporating Nesterov momentum into Adam", 2016)."""
    return float(optimizer.beta_1 * (1.0 - 0.5 * 0.96 ** (t * optimizer.momentum_decay)))


def momentum_product(optimizer: NAdam, t: int) -> float:
    """Return the product of NAdam's momenta at updates 1 to t, or 0 where it is too small to change 1 - product."""
    if optimizer.beta_1**t < 2.0**-60:  # the momenta are at most beta_1
        return 0.0
    return math.prod(momentum_at(optimizer, i) for i in range(1, t + 1))


def update(rule: Rule, optimizer: Optimizer, params: Arrays, grads: Arrays, state: State, learning_rate: float) -> None:
    """Make one update of a list of parameters, and of the state."""
    if "step" in rule.state:
        state["step"] = state.get("step", 0) + 1
    c = _coefficients(optimizer, learning_rate, state.get("step", 0))
    for name in rule.moments:
        if name not in state:
            state[name] = new_moments(params)
    for param, grad, *moments in zip(params, grads, *(state[name] for name in rule.moments), strict=True):
        m, v = [*moments, param, param][:2]
        rule.formula(param, grad, m, v, c)


def _coefficients(optimizer: Optimizer, learning_rate: float, updates: int) -> Coefficients:
    match optimizer:
        case SGD(momentum=momentum):
            return Coefficients(learning_rate, momentum)
        case AdaGrad(epsilon=epsilon):
            return Coefficients(learning_rate, epsilon=epsilon)
        case RMSProp(decay=decay, epsilon=epsilon):
            return Coefficients(learning_rate, decay, 1.0 - decay, epsilon=epsilon)
        case Adam(beta_1=beta_1, beta_2=beta_2, epsilon=epsilon) | AdamW(beta_1=beta_1, beta_2=beta_2, epsilon=epsilon):
            return Coefficients(
                learning_rate / correction(beta_1, updates),
                beta_1,
                1.0 - beta_1,
                beta_2,
                1.0 - beta_2,
                math.sqrt(correction(beta_2, updates)),
                epsilon,
                1.0 - learning_rate * optimizer.weight_decay if isinstance(optimizer, AdamW) else 1.0,
            )
        case NAdam(beta_1=beta_1, beta_2=beta_2, epsilon=epsilon):
            now, ahead = momentum_at(optimizer, updates), momentum_at(optimizer, updates + 1)
            return Coefficients(
                learning_rate * ahead / (1.0 - momentum_product(optimizer, updates + 1)),
                beta_1,
                1.0 - beta_1,
                beta_2,
                1.0 - beta_2,
                math.sqrt(correction(beta_2, updates)),
                epsilon,
                gradient_rate=learning_rate * (1.0 - now) / (1.0 - momentum_product(optimizer, updates)),
            )
    raise TypeError(f"optimizer: got {optimizer!r}, expected one of fastnn.optimizers")


def rule_of(optimizer: Optimizer) -> Rule:
    """Return the rule that an optimizer of `fastnn.optimizers` names."""
    match optimizer:
        case SGD(momentum=0.0):
            return RULES["sgd"]
        case SGD(nesterov=nesterov):
            return RULES["nesterov" if nesterov else "momentum"]
    return RULES[optimizer.name]


def _by_rule(optimizer: Optimizer, params: Arrays, grads: Arrays, state: State, learning_rate: float) -> None:
    update(rule_of(optimizer), optimizer, params, grads, state, learning_rate)


UPDATES: Mapping[str, Callable[[Any, Arrays, Arrays, State, float], None]] = MappingProxyType(
    {optimizer.name: _by_rule for optimizer in (SGD, AdaGrad, RMSProp, Adam, AdamW, NAdam)}
)
"""By the optimizer's name: a function of optimizer, params, grads, state and this step's learning rate."""
