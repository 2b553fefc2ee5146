"""Optimizers: the rules that update parameters from gradients.

These classes hold the hyperparameters and do no arithmetic. The compiled trainer does it, and `fastnn.reference` shows
it in plain NumPy. All definitions are PyTorch's, where it has them, so that you can compare training curves.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar

from fastnn._checks import spellings as _spellings
from fastnn._checks.lookup import resolve as _resolve
from fastnn._checks.option_classes import option_class
from fastnn._checks.scalars import flag
from fastnn._lbfgs import LBFGS
from fastnn._optimizer import Optimizer, number
from fastnn._rates import LearningRate, Scheduled

__all__ = ["LBFGS", "OPTIMIZERS", "SGD", "AdaGrad", "Adam", "AdamW", "Lion", "Muon", "NAdam", "Optimizer", "RMSProp"]
__dir__ = __all__.copy


@option_class
class SGD(Optimizer):
    """Stochastic gradient descent, optionally with momentum.

    With momentum m, gradient g and velocity v (zero at first), an update computes v = m v + g, and then
    w = w - learning_rate * v, or w = w - learning_rate * (g + m v) with `nesterov`.

    Parameters
    ----------
    learning_rate : float or callable, default 0.01
        A number >= 0, or a schedule.
    momentum : float or callable, default 0.0
        The factor by which each update multiplies the velocity, in [0, 1), or a schedule of it.
    nesterov : bool, default False
        Look ahead along the velocity. This requires momentum > 0.

    Raises
    ------
    TypeError, ValueError
        If a parameter has the wrong type or is out of range.

    References
    ----------
    B. T. Polyak, "Some methods of speeding up the convergence of iteration methods", 1964.
    I. Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013.

    Examples
    --------
    >>> SGD(0.1, momentum=0.9)
    SGD(learning_rate=0.1, momentum=0.9, nesterov=False)
    """

    name: ClassVar[str] = "sgd"
    learning_rate: LearningRate = 0.01
    momentum: Scheduled = number(0.0, "beta_1", high=1.0, scheduled=True)
    nesterov: bool = False

    def __post_init__(self) -> None:
        """Check every parameter."""
        super().__post_init__()
        object.__setattr__(self, "nesterov", flag("nesterov", self.nesterov))
        if self.nesterov and self.momentum == 0.0:
            raise ValueError("nesterov: expected momentum > 0, got True with momentum 0.0")

    @property
    def rule(self) -> str:
        """The engine's name for the update: "sgd", "momentum" or "nesterov"."""
        return "nesterov" if self.nesterov else "momentum" if self.momentum else "sgd"


@option_class
class AdaGrad(Optimizer):
    """AdaGrad, which divides each step by the square root of the sum of all squared gradients so far.

    An update computes s = s + g**2 (zero at first), and then w = w - learning_rate * g / (sqrt(s) + epsilon).

    Parameters
    ----------
    learning_rate : float or callable, default 0.01
        A number >= 0, or a schedule.
    epsilon : float, default 1e-10
        A number > 0 that keeps the divisor above zero.

    Raises
    ------
    TypeError, ValueError
        If a parameter has the wrong type or is out of range.

    References
    ----------
    J. Duchi, E. Hazan and Y. Singer, "Adaptive subgradient methods for online learning and stochastic optimization",
    JMLR 12, 2011.

    Examples
    --------
    >>> AdaGrad(0.1)
    AdaGrad(learning_rate=0.1, epsilon=1e-10)
    """

    name: ClassVar[str] = "adagrad"
    learning_rate: LearningRate = 0.01
    epsilon: float = number(1e-10, "epsilon", exclude_low=True)


@option_class
class RMSProp(Optimizer):
    """RMSProp, which divides each step by the square root of a running mean of squared gradients.

    An update computes v = decay * v + (1 - decay) * g**2 (zero at first), and then
    w = w - learning_rate * g / (sqrt(v) + epsilon).

    Parameters
    ----------
    learning_rate : float or callable, default 0.01
        A number >= 0, or a schedule.
    decay : float, default 0.99
        The factor by which each update multiplies the running mean, in [0, 1).
    epsilon : float, default 1e-8
        A number > 0 that keeps the divisor above zero.

    Raises
    ------
    TypeError, ValueError
        If a parameter has the wrong type or is out of range.

    References
    ----------
    T. Tieleman and G. Hinton, "Lecture 6.5 - rmsprop", Neural Networks for Machine Learning, 2012.

    Examples
    --------
    >>> RMSProp(0.001)
    RMSProp(learning_rate=0.001, decay=0.99, epsilon=1e-08)
    """

    name: ClassVar[str] = "rmsprop"
    learning_rate: LearningRate = 0.01
    decay: float = number(0.99, "beta_1", high=1.0)
    epsilon: float = number(1e-8, "epsilon", exclude_low=True)


@option_class
class _WithMeans(Optimizer):
    """The parameters of optimizers that keep running means of the gradient and of its square."""

    learning_rate: LearningRate = 0.001
    beta_1: Scheduled = number(0.9, "beta_1", high=1.0, scheduled=True)
    beta_2: float = number(0.999, "beta_2", high=1.0)
    epsilon: float = number(1e-8, "epsilon", exclude_low=True)


@option_class
class Adam(_WithMeans):
    """Adam, which keeps running means of the gradient and of its square, and corrects them for their start at zero.

    Update t = 1, 2, ... computes m = beta_1 * m + (1 - beta_1) * g and v = beta_2 * v + (1 - beta_2) * g**2, and then
    w = w - learning_rate * m' / (sqrt(v') + epsilon) with m' = m / (1 - beta_1**t) and v' = v / (1 - beta_2**t).

    Parameters
    ----------
    learning_rate : float or callable, default 0.001
        A number >= 0, or a schedule.
    beta_1 : float or callable, default 0.9
        The factor by which each update multiplies the running mean of the gradient, in [0, 1), or a schedule of it. The
        correction m' at update t is that of its present value, as in PyTorch.
    beta_2 : float, default 0.999
        The factor for the running mean of the squared gradient, in [0, 1).
    epsilon : float, default 1e-8
        A number > 0 that keeps the divisor above zero.

    Raises
    ------
    TypeError, ValueError
        If a parameter has the wrong type or is out of range.

    References
    ----------
    D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.

    Examples
    --------
    >>> Adam(0.01)
    Adam(learning_rate=0.01, beta_1=0.9, beta_2=0.999, epsilon=1e-08)
    """

    name: ClassVar[str] = "adam"


@option_class
class AdamW(_WithMeans):
    """AdamW: Adam with weight decay that does not pass through the gradient. Biases decay too.

    An update first computes w = w * (1 - learning_rate * weight_decay), and then makes the update of `Adam`.

    Parameters
    ----------
    learning_rate : float or callable, default 0.001
        A number >= 0, or a schedule.
    beta_1 : float or callable, default 0.9
        The factor by which each update multiplies the running mean of the gradient, in [0, 1), or a schedule of it. The
        correction m' at update t is that of its present value, as in PyTorch.
    beta_2 : float, default 0.999
        The factor for the running mean of the squared gradient, in [0, 1).
    epsilon : float, default 1e-8
        A number > 0 that keeps the divisor above zero.
    weight_decay : float or callable, default 0.01
        The strength of the decay, >= 0, or a schedule of it.

    Raises
    ------
    TypeError, ValueError
        If a parameter has the wrong type or is out of range.

    References
    ----------
    I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019.

    Examples
    --------
    >>> AdamW(0.01, weight_decay=0.1)
    AdamW(learning_rate=0.01, beta_1=0.9, beta_2=0.999, epsilon=1e-08, weight_decay=0.1)
    """

    name: ClassVar[str] = "adamw"
    weight_decay: Scheduled = number(0.01, "decay", scheduled=True)


@option_class
class NAdam(_WithMeans):
    """NAdam: Adam with Nesterov's look-ahead, which steps along the mean as it will be after the next update.

    At update t = 1, 2, ..., the momentum is mu(t) = beta_1 * (1 - 0.96**(t * momentum_decay) / 2), and p(t) is the
    product of mu(1) to mu(t). With m, v and v' as in `Adam`, the update computes
    w = w - learning_rate * m' / (sqrt(v') + epsilon), where
    m' = mu(t + 1) * m / (1 - p(t + 1)) + (1 - mu(t)) * g / (1 - p(t)).

    Parameters
    ----------
    learning_rate : float or callable, default 0.002
        A number >= 0, or a schedule.
    beta_1, beta_2 : float, default 0.9 and 0.999
        The factors by which each update multiplies the two running means, in [0, 1).
    epsilon : float, default 1e-8
        A number > 0 that keeps the divisor above zero.
    momentum_decay : float, default 0.004
        The speed at which the momentum grows from beta_1 / 2 to beta_1, >= 0. With 0, it stays at beta_1 / 2.

    Raises
    ------
    TypeError, ValueError
        If a parameter has the wrong type or is out of range.

    References
    ----------
    T. Dozat, "Incorporating Nesterov momentum into Adam", ICLR workshop 2016.

    Examples
    --------
    >>> NAdam(0.01)
    NAdam(learning_rate=0.01, beta_1=0.9, beta_2=0.999, epsilon=1e-08, momentum_decay=0.004)
    """

    name: ClassVar[str] = "nadam"
    learning_rate: LearningRate = 0.002
    # The product of all momenta has no schedule for beta_1.
    beta_1: float = number(0.9, "beta_1", high=1.0)
    momentum_decay: float = number(0.004, "decay")


@option_class
class Lion(Optimizer):
    """Lion, which steps by the sign of a mean of gradients: every parameter changes by the learning rate.

    An update computes w = w * (1 - learning_rate * weight_decay) - learning_rate * sign(beta_1 * m + (1 - beta_1) * g),
    and then m = beta_2 * m + (1 - beta_2) * g (zero at first). The sign of 0 is 0. It keeps one array per parameter, half
    of what Adam keeps. Its learning rate should be 3 to 10 times smaller than Adam's, and its weight decay as many times
    larger. Biases decay too. PyTorch has no such optimizer; the definition is the paper's.

    Parameters
    ----------
    learning_rate : float or callable, default 0.0001
        A number >= 0, or a schedule.
    beta_1 : float or callable, default 0.9
        The weight of the mean in the direction of a step, in [0, 1), or a schedule of it.
    beta_2 : float, default 0.99
        The weight of the mean in the next mean, in [0, 1).
    weight_decay : float or callable, default 0.0
        The strength of the decay, >= 0, or a schedule of it.

    Raises
    ------
    TypeError, ValueError
        If a parameter has the wrong type or is out of range.

    References
    ----------
    X. Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023.

    Examples
    --------
    >>> Lion(0.001, weight_decay=0.1)
    Lion(learning_rate=0.001, beta_1=0.9, beta_2=0.99, weight_decay=0.1)
    """

    name: ClassVar[str] = "lion"
    learning_rate: LearningRate = 0.0001
    beta_1: Scheduled = number(0.9, "beta_1", high=1.0, scheduled=True)
    beta_2: float = number(0.99, "beta_2", high=1.0)
    weight_decay: Scheduled = number(0.0, "decay", scheduled=True)


@option_class
class Muon(Optimizer):
    """Muon, which steps along orthogonal matrices: all directions of a hidden layer's weights change alike.

    It updates the weights of the hidden layers behind the first: the matrices between hidden layers. With the mean of
    gradients m (zero at first), an update computes m = momentum * m + (1 - momentum) * g, u = momentum * m +
    (1 - momentum) * g, and w = w * (1 - learning_rate * weight_decay) - learning_rate * 0.2 * sqrt(max(n_in, n_out)) * o.
    Here, o is u with singular values near 1: x = u / max(norm(u), 1e-7), and five times x = 3.4445 x - 4.7750 (x x') x +
    2.0315 (x x')**2 x. The factor 0.2 * sqrt(max(n_in, n_out)) gives these updates the size of AdamW's, which updates all
    other parameters with the same learning rate: biases, the first and the last layer, projections, and other kinds.

    The definition is that of PyTorch's Muon with ``adjust_lr_fn="match_rms_adamw"``, which computes o in bfloat16, while
    fastnn does in the dtype of the model. A network without two hidden layers is trained by AdamW, and has no use for
    `momentum`. There is no function of arrays in `fastnn.ops`, because an update depends on the place of a matrix in its
    network.

    Parameters
    ----------
    learning_rate : float or callable, default 0.001
        A number >= 0, or a schedule.
    momentum : float, default 0.95
        The weight of the mean in the next mean of hidden matrices, in [0, 1).
    beta_1, beta_2 : float or callable, default 0.9; and float, default 0.999
        The decay rates of the two means for other parameters, in [0, 1). beta_1 may be a schedule.
    epsilon : float, default 1e-8
        A number > 0 that keeps the divisor for other parameters above zero.
    weight_decay : float or callable, default 0.01
        The strength of the decay of all of these, >= 0, or a schedule of it.

    Raises
    ------
    TypeError, ValueError
        If a parameter has the wrong type or is out of range.

    References
    ----------
    K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024.
    J. Liu et al., "Muon is scalable for LLM training", 2025.

    Examples
    --------
    >>> Muon(0.002, weight_decay=0.1)
    Muon(learning_rate=0.002, momentum=0.95, beta_1=0.9, beta_2=0.999, epsilon=1e-08, weight_decay=0.1)
    """

    name: ClassVar[str] = "muon"
    learning_rate: LearningRate = 0.001
    momentum: float = number(0.95, "momentum", high=1.0)
    beta_1: Scheduled = number(0.9, "beta_1", high=1.0, scheduled=True)
    beta_2: float = number(0.999, "beta_2", high=1.0)
    epsilon: float = number(1e-8, "epsilon", exclude_low=True)
    weight_decay: Scheduled = number(0.01, "decay", scheduled=True)

    @classmethod
    def is_orthogonal(cls, layer: int, kind: str, n_layers: int) -> bool:
        """Return whether the updates of a kind of parameters are orthogonal: those of weights between hidden layers."""
        return kind == "weights" and 0 < layer < n_layers - 1


OPTIMIZERS: Mapping[str, type[Optimizer]] = MappingProxyType(
    {optimizer.name: optimizer for optimizer in (SGD, AdaGrad, RMSProp, Adam, AdamW, NAdam, Lion, Muon)}
)
"""The optimizers by name."""

# Private: return the optimizer that a name or an object stands for. Only lbfgs makes no steps with batches.
_NAMES: Mapping[str, Any] = MappingProxyType({**OPTIMIZERS, LBFGS.name: LBFGS})
resolve = partial(_resolve, "optimizer", Optimizer, _NAMES, spellings=_spellings.OPTIMIZERS)
