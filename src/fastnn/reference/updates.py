"""The formulas of the optimizers for one array, the contents of their states, and updates of lists of arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastnn._checks.floats import Array
from fastnn._checks.updates import Arrays, State, new_moments
from fastnn.optimizers import OPTIMIZERS, Optimizer

__all__ = ["RULES", "UPDATES", "Coefficients", "Constants", "Rule", "correction", "update"]
__dir__ = __all__.copy


class Constants(NamedTuple):
    """The constants of an optimizer. A rule uses those that it names."""

    beta_1: float = 0.0  # decay of the first moment
    beta_2: float = 0.0
    epsilon: float = 0.0
    decay: float = 0.0  # decay of the parameters in AdamW and Lion; growth to the full momentum in NAdam
    # Options for definitions of other libraries that differ from PyTorch's:
    epsilon_hat: bool = False  # Adam adds epsilon before v is corrected for its start at zero
    rate_in_velocity: bool = False  # momentum adds up steps, not gradients
    momentum: float = 0.0  # of hidden matrices in Muon


class Coefficients(NamedTuple):
    """The numbers of one update. A formula uses those that it names."""

    learning_rate: Any
    beta_1: Any = 0.0
    gradient_factor: Any = 1.0  # multiplies the term that is added to the first moment
    beta_2: Any = 0.0
    one_minus_beta_2: Any = 1.0
    root: Any = 1.0  # divides the square root of the second moment
    epsilon: Any = 0.0
    decay_factor: Any = 1.0  # multiplies the parameters
    gradient_rate: Any = 0.0  # the learning rate of the gradient itself, in addition to that of its mean


_Formula: TypeAlias = Callable[[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], Any], None]


# Each formula changes the parameters w and its moments, m and then v, in place by the gradient g. Each function of constants
# returns the coefficients of update t = 1, 2, ….


def _plain(constants: Constants, learning_rate: float, t: int) -> Coefficients:
    return Coefficients(learning_rate, epsilon=constants.epsilon)


def _descent(w: NDArray[Any], g: NDArray[Any], m: NDArray[Any], v: NDArray[Any], c: Coefficients) -> None:
    w -= c.learning_rate * g


def _with_velocity(constants: Constants, learning_rate: float, t: int) -> Coefficients:
    if constants.rate_in_velocity:
        return Coefficients(1.0, constants.beta_1, learning_rate)
    return Coefficients(learning_rate, constants.beta_1)


def _momentum(w: NDArray[Any], g: NDArray[Any], m: NDArray[Any], v: NDArray[Any], c: Coefficients) -> None:
    m[...] = c.beta_1 * m + c.gradient_factor * g
    w -= c.learning_rate * m


def _nesterov(w: NDArray[Any], g: NDArray[Any], m: NDArray[Any], v: NDArray[Any], c: Coefficients) -> None:
    m[...] = c.beta_1 * m + c.gradient_factor * g
    w -= c.learning_rate * (c.gradient_factor * g + c.beta_1 * m)


def _adagrad(w: NDArray[Any], g: NDArray[Any], m: NDArray[Any], v: NDArray[Any], c: Coefficients) -> None:
    m += g * g
    w -= c.learning_rate * g / (np.sqrt(m) + c.epsilon)


def _with_mean(constants: Constants, learning_rate: float, t: int) -> Coefficients:
    return Coefficients(learning_rate, constants.beta_1, 1.0 - constants.beta_1, epsilon=constants.epsilon)


def _rmsprop(w: NDArray[Any], g: NDArray[Any], m: NDArray[Any], v: NDArray[Any], c: Coefficients) -> None:
    m[...] = c.beta_1 * m + c.gradient_factor * (g * g)
    w -= c.learning_rate * g / (np.sqrt(m) + c.epsilon)


def _corrected(constants: Constants, learning_rate: float, t: int) -> Coefficients:
    beta_1, beta_2, epsilon, decay, epsilon_hat = constants[:5]
    root = math.sqrt(correction(beta_2, t))
    return Coefficients(
        learning_rate * (root if epsilon_hat else 1.0) / correction(beta_1, t),
        beta_1,
        1.0 - beta_1,
        beta_2,
        1.0 - beta_2,
        1.0 if epsilon_hat else root,
        epsilon,
        1.0 - learning_rate * decay,
    )


def _adam(w: NDArray[Any], g: NDArray[Any], m: NDArray[Any], v: NDArray[Any], c: Coefficients) -> None:
    m[...] = c.beta_1 * m + c.gradient_factor * g
    v[...] = c.beta_2 * v + c.one_minus_beta_2 * (g * g)
    w[...] = c.decay_factor * w - c.learning_rate * m / (np.sqrt(v) / c.root + c.epsilon)


def _with_look_ahead(constants: Constants, learning_rate: float, t: int) -> Coefficients:
    beta_1, decay = constants.beta_1, constants.decay
    corrected = _corrected(constants, learning_rate, t)
    rate = learning_rate * (math.sqrt(correction(constants.beta_2, t)) if constants.epsilon_hat else 1.0)
    ahead = momentum_at(beta_1, decay, t + 1) / (1.0 - momentum_product(beta_1, decay, t + 1))
    now = (1.0 - momentum_at(beta_1, decay, t)) / (1.0 - momentum_product(beta_1, decay, t))
    return corrected._replace(learning_rate=rate * ahead, gradient_rate=rate * now, decay_factor=1.0)


def _nadam(w: NDArray[Any], g: NDArray[Any], m: NDArray[Any], v: NDArray[Any], c: Coefficients) -> None:
    m[...] = c.beta_1 * m + c.gradient_factor * g
    v[...] = c.beta_2 * v + c.one_minus_beta_2 * (g * g)
    w -= (c.learning_rate * m + c.gradient_rate * g) / (np.sqrt(v) / c.root + c.epsilon)


def _with_two_means(constants: Constants, learning_rate: float, t: int) -> Coefficients:
    beta_1, beta_2 = constants.beta_1, constants.beta_2
    decay_factor = 1.0 - learning_rate * constants.decay
    return Coefficients(learning_rate, beta_1, 1.0 - beta_1, beta_2, 1.0 - beta_2, decay_factor=decay_factor)


def _lion(w: NDArray[Any], g: NDArray[Any], m: NDArray[Any], v: NDArray[Any], c: Coefficients) -> None:
    w[...] = c.decay_factor * w - c.learning_rate * np.sign(c.beta_1 * m + c.gradient_factor * g)
    m[...] = c.beta_2 * m + c.one_minus_beta_2 * g


def orthogonalized(u: NDArray[Any]) -> NDArray[Any]:
    """Return a matrix with the singular vectors of u, whose singular values are near 1.

    K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024: five steps of a Newton-Schulz
    iteration, whose polynomial moves singular values between 0 and 1 towards 1, and then lets them vary by about 0.3.

    Examples
    --------
    >>> orthogonalized(np.array([[3.0, 0.0, 0.0], [0.0, 2.0, 0.0]])).round(1) + 0.0
    array([[1.1, 0. , 0. ],
           [0. , 0.7, 0. ]])
    """
    scale = 2.0 ** -max(int(np.frexp(np.abs(u).max())[1]), 0)  # the squares of u * scale are finite
    u = u * scale
    x = u / max(float(np.sqrt(np.sum(u.astype(np.float64) ** 2))), 1e-7 * scale)
    x = x.T if u.shape[0] > u.shape[1] else x
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * (gram @ gram)) @ x
    result: NDArray[Any] = x.T if u.shape[0] > u.shape[1] else x
    return result.astype(u.dtype, copy=False)


def orthogonal_update(
    w: NDArray[Any], g: NDArray[Any], m: NDArray[Any], constants: Constants, learning_rate: float, decay: float
) -> None:
    """Change hidden weights w and the mean of gradients m in place by the gradient g, as Muon does."""
    momentum = constants.momentum
    m[...] = momentum * m + (1.0 - momentum) * g
    direction = orthogonalized(momentum * m + (1.0 - momentum) * g)
    w[...] = (1.0 - learning_rate * decay) * w - learning_rate * 0.2 * math.sqrt(max(w.shape)) * direction


def momentum_at(beta_1: float, decay: float, t: int) -> float:
    """Return the momentum of NAdam at update t (T. Dozat, "Incorporating Nesterov momentum into Adam", 2016)."""
    return beta_1 * (1.0 - 0.5 * float(0.96 ** (t * decay)))


def momentum_product(beta_1: float, decay: float, t: int) -> float:
    """Return the product of the momenta of NAdam at updates 1 to t, or 0 if it is too small to change 1 - product."""
    if beta_1**t < 2.0**-60:  # the momenta are at most beta_1
        return 0.0
    return math.prod(momentum_at(beta_1, decay, i) for i in range(1, t + 1))


def correction(beta: float, t: int) -> float:
    """Return 1 - beta**t. After t updates with a constant g, a mean that started at zero is this factor times g.

    D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015, section 3.
    """
    return 1.0 - beta**t


@dataclass(frozen=True)
class Rule:
    """A formula, its coefficients, and the names in its state: lists of moments, and "step" at the end if there is one."""

    formula: _Formula
    coefficients: Callable[[Constants, float, int], Coefficients]
    state: tuple[str, ...] = ()

    @property
    def moments(self) -> tuple[str, ...]:
        """Return the names of the lists of arrays."""
        return tuple(kept for kept in self.state if kept != "step")


RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "sgd": Rule(_descent, _plain),
        "momentum": Rule(_momentum, _with_velocity, ("velocity",)),
        "nesterov": Rule(_nesterov, _with_velocity, ("velocity",)),
        "adagrad": Rule(_adagrad, _plain, ("sum",)),
        "rmsprop": Rule(_rmsprop, _with_mean, ("v",)),
        "adam": Rule(_adam, _corrected, ("m", "v", "step")),
        "adamw": Rule(_adam, _corrected, ("m", "v", "step")),
        "nadam": Rule(_nadam, _with_look_ahead, ("m", "v", "step")),
        "lion": Rule(_lion, _with_two_means, ("m",)),
        "muon": Rule(_adam, _corrected, ("m", "v", "step")),  # of all parameters but hidden matrices
    }
)
"""The rules by name. A name is that of the function that makes the update; "nesterov" is the other formula of `momentum`."""


def update(rule: Rule, constants: Constants, params: Arrays, grads: Arrays, state: State, learning_rate: float) -> None:
    """Update a list of parameters and the state."""
    if "step" in rule.state:
        state["step"] = state.get("step", 0) + 1
    c = rule.coefficients(constants, learning_rate, state.get("step", 0))
    for name in rule.moments:
        if name not in state:
            state[name] = new_moments(params)
    for param, grad, *moments in zip(params, grads, *(state[name] for name in rule.moments), strict=True):
        m, v = [*moments, param, param][:2]
        rule.formula(param, grad, m, v, c)


def update_present(
    absent: NDArray[np.bool_] | None, rule: Rule, constants: Constants, param: Array, grad: Array, state: State, rate: float
) -> None:
    """Update a parameter and its state, but none of the rows that are absent from a batch, if they are given."""
    for name in rule.moments:
        if name not in state:
            state[name] = new_moments([param])
    arrays = [] if absent is None else [param, *(state[name][0] for name in rule.moments)]
    kept = [array[absent] for array in arrays]
    update(rule, constants, [param], [grad], state, rate)
    for array, values in zip(arrays, kept, strict=True):
        array[absent] = values


def _by_rule(optimizer: Optimizer, params: Arrays, grads: Arrays, state: State, learning_rate: float) -> None:
    update(RULES[optimizer.rule], Constants(**optimizer.coefficients), params, grads, state, learning_rate)


UPDATES: Mapping[str, Callable[[Any, Arrays, Arrays, State, float], None]] = MappingProxyType(
    {name: _by_rule for name in OPTIMIZERS if name != "muon"}
)
"""By the name of the optimizer, except for muon, whose update depends on the place of a matrix: a function of optimizer,
params, grads, state and the learning rate of this step."""
