"""Optimizers: one update of a list of parameters, in place.

All definitions are PyTorch's, except that of `lion`, which PyTorch lacks. A state is a dict that is empty at first. The
first update fills it.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._checks.masks import unmasked
from fastnn._checks.scalars import real
from fastnn._checks.updates import Arrays, State, apart, check_state, checked_grads, checked_params
from fastnn.optimizers import OPTIMIZERS, SGD, AdaGrad, Adam, AdamW, Lion, NAdam, Optimizer, RMSProp
from fastnn.reference.docstrings import documented
from fastnn.reference.updates import RULES, UPDATES, Constants, update

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["UPDATES", "adagrad", "adam", "adamw", "lion", "momentum", "nadam", "rmsprop", "sgd"]
__dir__ = __all__.copy

STATES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {name: rule.state for name, rule in RULES.items() if name in __all__}
)
"""The names in the state of each function. All except "step" are lists with one array per parameter."""

# The default learning rates by optimizer, which are also the defaults of the functions.
_RATES: Mapping[str, Any] = {
    name: inspect.signature(optimizer).parameters["learning_rate"].default for name, optimizer in OPTIMIZERS.items()
}

# The defaults of their fields are numbers, although these may also be schedules.
_ADAM: Any = Adam
_ADAMW: Any = AdamW
_LION: Any = Lion


@documented
def sgd(params: Arrays, grads: Sequence[ArrayLike], learning_rate: float) -> None:
    """Make one update of gradient descent, in place.

    With gradient g, the update computes w = w - learning_rate * g.

    Parameters
    ----------
    learning_rate : float
        The learning rate, >= 0.

    References
    ----------
    H. Robbins and S. Monro, "A stochastic approximation method", Annals of Mathematical Statistics 22, 1951.

    Examples
    --------
    >>> w = np.array([1.0, 2.0])
    >>> sgd([w], [np.array([1.0, -1.0])], 0.5)
    >>> w
    array([0.5, 2.5])
    """
    _update("sgd", SGD(0.0), params, grads, {}, learning_rate)


@documented
def momentum(
    params: Arrays,
    grads: Sequence[ArrayLike],
    state: State,
    learning_rate: float = _RATES["sgd"],
    momentum: float = 0.9,
    nesterov: bool = SGD.nesterov,
) -> None:
    """Make one update of gradient descent with momentum, in place.

    With gradient g and velocity v (zero at first), the update computes v = momentum * v + g, and then
    w = w - learning_rate * v, or w = w - learning_rate * (g + momentum * v) with `nesterov`.

    Parameters
    ----------
    state : dict
        Empty before the first update. Afterwards it has "velocity", a list of arrays. It is changed in place.
    learning_rate, momentum : float
    nesterov : bool
        As in `fastnn.optimizers.SGD`.

    References
    ----------
    B. T. Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.
    I. Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013.

    Examples
    --------
    >>> w, state = np.array([1.0, 2.0]), {}
    >>> for _ in range(2):
    ...     momentum([w], [np.array([1.0, -1.0])], state, learning_rate=0.5, momentum=0.5)
    >>> w, state["velocity"]
    (array([-0.25,  3.25]), [array([ 1.5, -1.5])])
    """
    _update("momentum", SGD(0.0, momentum, nesterov), params, grads, state, learning_rate)


@documented
def adagrad(
    params: Arrays,
    grads: Sequence[ArrayLike],
    state: State,
    learning_rate: float = _RATES["adagrad"],
    epsilon: float = AdaGrad.epsilon,
) -> None:
    """Make one update of AdaGrad, in place.

    It divides each step by the square root of the sum of all squared gradients so far: s = s + g**2, then
    w = w - learning_rate * g / (sqrt(s) + epsilon).

    Parameters
    ----------
    state : dict
        Empty before the first update. Afterwards it has "sum", a list of arrays. It is changed in place.
    learning_rate, epsilon : float
        As in `fastnn.optimizers.AdaGrad`.

    References
    ----------
    J. Duchi, E. Hazan and Y. Singer, "Adaptive subgradient methods for online learning and stochastic optimization",
    JMLR 12, 2011.

    Examples
    --------
    >>> w, state = np.array([1.0, 2.0]), {}
    >>> adagrad([w], [np.array([3.0, -4.0])], state, learning_rate=0.5)
    >>> w.round(6), state["sum"]
    (array([0.5, 2.5]), [array([ 9., 16.])])
    """
    _update("adagrad", AdaGrad(0.0, epsilon), params, grads, state, learning_rate)


@documented
def rmsprop(
    params: Arrays,
    grads: Sequence[ArrayLike],
    state: State,
    learning_rate: float = _RATES["rmsprop"],
    decay: float = RMSProp.decay,
    epsilon: float = RMSProp.epsilon,
) -> None:
    """Make one update of RMSProp, in place.

    It divides each step by the square root of a running mean of squared gradients: v = decay * v + (1 - decay) * g**2,
    then w = w - learning_rate * g / (sqrt(v) + epsilon).

    Parameters
    ----------
    state : dict
        Empty before the first update. Afterwards it has "v", a list of arrays. It is changed in place.
    learning_rate, decay, epsilon : float
        As in `fastnn.optimizers.RMSProp`.

    References
    ----------
    T. Tieleman and G. Hinton, "Lecture 6.5 - rmsprop", Neural Networks for Machine Learning, 2012.

    Examples
    --------
    >>> w, state = np.array([1.0, 2.0]), {}
    >>> rmsprop([w], [np.array([3.0, -4.0])], state, learning_rate=0.5, decay=0.75)
    >>> w.round(6), state["v"]
    (array([0., 3.]), [array([2.25, 4.  ])])
    """
    _update("rmsprop", RMSProp(0.0, decay, epsilon), params, grads, state, learning_rate)


@documented
def adam(
    params: Arrays,
    grads: Sequence[ArrayLike],
    state: State,
    learning_rate: float = _RATES["adam"],
    beta_1: float = _ADAM.beta_1,
    beta_2: float = Adam.beta_2,
    epsilon: float = Adam.epsilon,
) -> None:
    """Make one update of Adam, in place.

    Update t = 1, 2, ... computes m = beta_1 * m + (1 - beta_1) * g and v = beta_2 * v + (1 - beta_2) * g**2, and then
    w = w - learning_rate * m' / (sqrt(v') + epsilon) with m' = m / (1 - beta_1**t) and v' = v / (1 - beta_2**t).

    Parameters
    ----------
    state : dict
        Empty before the first update. Afterwards it has "step", the number of updates, and "m" and "v", lists of arrays.
        It is changed in place.
    learning_rate, beta_1, beta_2, epsilon : float
        As in `fastnn.optimizers.Adam`.

    References
    ----------
    D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.

    Examples
    --------
    >>> w, state = np.array([1.0, 2.0]), {}
    >>> adam([w], [np.array([3.0, -4.0])], state, learning_rate=0.5)
    >>> w.round(6), state["step"]
    (array([0.5, 2.5]), 1)
    """
    _update("adam", Adam(0.0, beta_1, beta_2, epsilon), params, grads, state, learning_rate)


@documented
def adamw(
    params: Arrays,
    grads: Sequence[ArrayLike],
    state: State,
    learning_rate: float = _RATES["adamw"],
    beta_1: float = _ADAMW.beta_1,
    beta_2: float = AdamW.beta_2,
    epsilon: float = AdamW.epsilon,
    weight_decay: float = _ADAMW.weight_decay,
) -> None:
    """Make one update of AdamW, in place: Adam with weight decay that does not pass through the gradient.

    Every parameter first decays, w = w * (1 - learning_rate * weight_decay). The update of `adam` follows.

    Parameters
    ----------
    state : dict
        As for `adam`. It is changed in place.
    learning_rate, beta_1, beta_2, epsilon, weight_decay : float
        As in `fastnn.optimizers.AdamW`.

    References
    ----------
    I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019.

    Examples
    --------
    >>> w, state = np.array([1.0, 2.0]), {}
    >>> adamw([w], [np.array([3.0, -4.0])], state, learning_rate=0.5, weight_decay=0.5)
    >>> w.round(6), state["step"]
    (array([0.25, 2.  ]), 1)
    """
    _update("adamw", AdamW(0.0, beta_1, beta_2, epsilon, weight_decay), params, grads, state, learning_rate)


@documented
def nadam(
    params: Arrays,
    grads: Sequence[ArrayLike],
    state: State,
    learning_rate: float = _RATES["nadam"],
    beta_1: float = NAdam.beta_1,
    beta_2: float = NAdam.beta_2,
    epsilon: float = NAdam.epsilon,
    momentum_decay: float = NAdam.momentum_decay,
) -> None:
    """Make one update of NAdam, in place: Adam along the mean as it will be after the next update.

    At update t = 1, 2, ..., the momentum is mu(t) = beta_1 * (1 - 0.96**(t * momentum_decay) / 2), and p(t) is the
    product of mu(1) to mu(t). With m, v and v' as for `adam`, w = w - learning_rate * m' / (sqrt(v') + epsilon), where
    m' = mu(t + 1) * m / (1 - p(t + 1)) + (1 - mu(t)) * g / (1 - p(t)).

    Parameters
    ----------
    state : dict
        As for `adam`. It is changed in place.
    learning_rate, beta_1, beta_2, epsilon, momentum_decay : float
        As in `fastnn.optimizers.NAdam`.

    References
    ----------
    T. Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop 2016.

    Examples
    --------
    >>> w, state = np.array([1.0, 2.0]), {}
    >>> nadam([w], [np.array([3.0, -4.0])], state, learning_rate=0.5)
    >>> w.round(6), state["step"]
    (array([0.471774, 2.528226]), 1)
    """
    _update("nadam", NAdam(0.0, beta_1, beta_2, epsilon, momentum_decay), params, grads, state, learning_rate)


@documented
def lion(
    params: Arrays,
    grads: Sequence[ArrayLike],
    state: State,
    learning_rate: float = _RATES["lion"],
    beta_1: float = _LION.beta_1,
    beta_2: float = Lion.beta_2,
    weight_decay: float = _LION.weight_decay,
) -> None:
    """Make one update of Lion, in place: a step by the sign of a mean of gradients.

    The update computes w = w * (1 - learning_rate * weight_decay) - learning_rate * sign(beta_1 * m + (1 - beta_1) * g),
    and then m = beta_2 * m + (1 - beta_2) * g (zero at first).

    Parameters
    ----------
    state : dict
        Empty before the first update. Afterwards it has "m", a list of arrays. It is changed in place.
    learning_rate, beta_1, beta_2, weight_decay : float
        As in `fastnn.optimizers.Lion`.

    References
    ----------
    X. Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023.

    Examples
    --------
    >>> w, state = np.array([1.0, 2.0]), {}
    >>> lion([w], [np.array([3.0, -4.0])], state, learning_rate=0.5, beta_2=0.75)
    >>> w, state["m"]
    (array([0.5, 2.5]), [array([ 0.75, -1.  ])])
    """
    _update("lion", Lion(0.0, beta_1, beta_2, weight_decay), params, grads, state, learning_rate)


def _update(
    name: str, optimizer: Optimizer, params: Arrays, grads: Sequence[ArrayLike], state: State, learning_rate: float
) -> None:
    """Check all arguments, and make one update by the formula of that name."""
    learning_rate, constants = real("learning_rate", learning_rate, low=0.0), Constants(**optimizer.coefficients)
    arrays = checked_params(params)
    gradients = checked_grads(grads, arrays, unmasked)
    check_state(state, name, STATES[name], arrays)
    written = [*arrays, *(moment for kept in RULES[name].moments for moment in state.get(kept, []))]
    # Squares of gradients must fit into their type.
    gradients = [
        grad.astype(np.result_type(grad, array, np.float32), copy=False)
        for grad, array in zip(apart(gradients, written), arrays, strict=True)
    ]
    with np.errstate(all="ignore"):  # infinities and NaN raise no warnings, as in the compiled functions
        rule = "nesterov" if isinstance(optimizer, SGD) and optimizer.nesterov and name == "momentum" else name
        update(RULES[rule], constants, arrays, gradients, state, learning_rate)
