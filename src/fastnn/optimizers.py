"""Optimizers, which update parameters by gradients: their names, parameters and traits.

These classes hold numbers and no mathematics. The arithmetic is in the compiled trainer, and in plain NumPy in
`fastnn.reference`. All definitions are PyTorch's, so that training curves can be compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar

from fastnn._checks import spellings as _spellings
from fastnn._checks.lookup import resolve as _resolve
from fastnn._checks.options import explained_fields
from fastnn._checks.scalars import flag
from fastnn._lbfgs import LBFGS
from fastnn._optimizer import Optimizer, number
from fastnn._rates import LearningRate

__all__ = ["LBFGS", "OPTIMIZERS", "SGD", "AdaGrad", "Adam", "AdamW", "NAdam", "Optimizer", "RMSProp"]
__dir__ = __all__.copy


@explained_fields
@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if wanted.

    With momentum m, gradient g and velocity v (zero at first): v = m v + g, then w = w - learning_rate * v, or
    w = w - learning_rate * (g + m v) with `nesterov`.

    Parameters
    ----------
    learning_rate : float or callable, default 0.01
        A number >= 0, or a schedule.
    momentum : float, default 0.0
        In [0, 1).
    nesterov : bool, default False
        Look ahead along the velocity; needs momentum > 0.

    Raises
    ------
    TypeError, ValueError
        If a parameter is of the wrong type or outside of its range.

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
    momentum: float = number(0.0, "beta_1", high=1.0)
    nesterov: bool = False

    def __post_init__(self) -> None:
        """Check every parameter."""
        super().__post_init__()
        object.__setattr__(self, "nesterov", flag("nesterov", self.nesterov))
        if self.nesterov and self.momentum == 0.0:
            raise ValueError("nesterov: expected momentum > 0, got True with momentum 0.0")

    @property
    def rule(self) -> str:
        """The name of the update in the engine's terms: "sgd", "momentum" or "nesterov"."""
        return "nesterov" if self.nesterov else "momentum" if self.momentum else "sgd"


@explained_fields
@dataclass(frozen=True)
class AdaGrad(Optimizer):
    """Steps divided by the root of the sum of all squared gradients so far.

    s = s + g**2, then w = w - learning_rate * g / (sqrt(s) + epsilon).

    Parameters
    ----------
    learning_rate : float or callable, default 0.01
        A number >= 0, or a schedule.
    epsilon : float, default 1e-10
        A number > 0.

    Raises
    ------
    TypeError, ValueError
        If a parameter is of the wrong type or outside of its range.

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


@explained_fields
@dataclass(frozen=True)
class RMSProp(Optimizer):
    """Steps divided by the root of a running mean of squared gradients.

    v = decay * v + (1 - decay) * g**2, then w = w - learning_rate * g / (sqrt(v) + epsilon).

    Parameters
    ----------
    learning_rate : float or callable, default 0.01
        A number >= 0, or a schedule.
    decay : float, default 0.99
        In [0, 1).
    epsilon : float, default 1e-8
        A number > 0.

    Raises
    ------
    TypeError, ValueError
        If a parameter is of the wrong type or outside of its range.

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


@dataclass(frozen=True)
class _WithMeans(Optimizer):
    """The parameters of optimizers that keep running means of the gradient and of its square."""

    learning_rate: LearningRate = 0.001
    beta_1: float = number(0.9, "beta_1", high=1.0)
    beta_2: float = number(0.999, "beta_2", high=1.0)
    epsilon: float = number(1e-8, "epsilon", exclude_low=True)


@explained_fields
@dataclass(frozen=True)
class Adam(_WithMeans):
    """Running means of the gradient and of its square, corrected for their start at zero.

    At update t = 1, 2, ...: m = beta_1 * m + (1 - beta_1) * g, v = beta_2 * v + (1 - beta_2) * g**2, then
    w = w - learning_rate * m' / (sqrt(v') + epsilon) with m' = m / (1 - beta_1**t) and v' = v / (1 - beta_2**t).

    Parameters
    ----------
    learning_rate : float or callable, default 0.001
        A number >= 0, or a schedule.
    beta_1, beta_2 : float, default 0.9 and 0.999
        In [0, 1).
    epsilon : float, default 1e-8
        A number > 0.

    Raises
    ------
    TypeError, ValueError
        If a parameter is of the wrong type or outside of its range.

    References
    ----------
    D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.

    Examples
    --------
    >>> Adam(0.01)
    Adam(learning_rate=0.01, beta_1=0.9, beta_2=0.999, epsilon=1e-08)
    """

    name: ClassVar[str] = "adam"


@explained_fields
@dataclass(frozen=True)
class AdamW(_WithMeans):
    """Adam with weight decay apart from the gradient; every parameter decays, biases too.

    First w = w * (1 - learning_rate * weight_decay), then the update of `Adam`.

    Parameters
    ----------
    learning_rate : float or callable, default 0.001
        A number >= 0, or a schedule.
    beta_1, beta_2 : float, default 0.9 and 0.999
        In [0, 1).
    epsilon : float, default 1e-8
        A number > 0.
    weight_decay : float, default 0.01
        A number >= 0.

    Raises
    ------
    TypeError, ValueError
        If a parameter is of the wrong type or outside of its range.

    References
    ----------
    I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019.

    Examples
    --------
    >>> AdamW(0.01, weight_decay=0.1)
    AdamW(learning_rate=0.01, beta_1=0.9, beta_2=0.999, epsilon=1e-08, weight_decay=0.1)
    """

    name: ClassVar[str] = "adamw"
    weight_decay: float = number(0.01, "decay")


@explained_fields
@dataclass(frozen=True)
class NAdam(_WithMeans):
    """Adam with Nesterov's look ahead: the step follows the mean as it will be after the next update.

    At update t = 1, 2, ...: the momentum is mu(t) = beta_1 * (1 - 0.96**(t * momentum_decay) / 2), and p(t) is the
    product of mu(1) to mu(t). With m, v and v' as in `Adam`, w = w - learning_rate * m' / (sqrt(v') + epsilon) with
    m' = mu(t + 1) * m / (1 - p(t + 1)) + (1 - mu(t)) * g / (1 - p(t)).

    Parameters
    ----------
    learning_rate : float or callable, default 0.002
        A number >= 0, or a schedule.
    beta_1, beta_2 : float, default 0.9 and 0.999
        In [0, 1).
    epsilon : float, default 1e-8
        A number > 0.
    momentum_decay : float, default 0.004
        A number >= 0: how fast the momentum grows from beta_1 / 2 to beta_1. 0 keeps it at beta_1 / 2.

    Raises
    ------
    TypeError, ValueError
        If a parameter is of the wrong type or outside of its range.

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
    momentum_decay: float = number(0.004, "decay")


OPTIMIZERS: Mapping[str, type[Optimizer]] = MappingProxyType(
    {optimizer.name: optimizer for optimizer in (SGD, AdaGrad, RMSProp, Adam, AdamW, NAdam)}
)
"""The optimizers by name."""

# From a name or an optimizer to an optimizer; private. Of these, lbfgs alone makes no steps by batches.
_NAMES: Mapping[str, Any] = MappingProxyType({**OPTIMIZERS, LBFGS.name: LBFGS})
resolve = partial(_resolve, "optimizer", Optimizer, _NAMES, spellings=_spellings.OPTIMIZERS)
