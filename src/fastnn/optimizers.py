"""Optimizers: what to do with a gradient, by name and parameters.

These classes hold numbers and no mathematics. The arithmetic is in the compiled trainer, and in plain NumPy in
`fastnn.reference`. All definitions are PyTorch's, so that training curves can be compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from fastnn._checks import spellings as _spellings
from fastnn._checks.lookup import resolve as _resolve
from fastnn._checks.options import explained_fields
from fastnn._checks.scalars import real
from fastnn._rates import LearningRate, check_learning_rate

__all__ = ["OPTIMIZERS", "SGD", "AdaGrad", "Adam", "AdamW", "NAdam", "Optimizer", "RMSProp"]
__dir__ = __all__.copy


@dataclass(frozen=True)
class Optimizer:
    """Base class of the optimizers: a learning rate.

    Parameters
    ----------
    learning_rate : float or callable
        A number >= 0, or a schedule (see `fastnn.schedules`).
    """

    name: ClassVar[str] = ""
    learning_rate: LearningRate

    def __post_init__(self) -> None:
        """Check the learning rate."""
        if type(self) is Optimizer:
            raise TypeError(f"Optimizer is a base class, expected one of {', '.join(OPTIMIZERS)}")
        object.__setattr__(self, "learning_rate", check_learning_rate("learning_rate", self.learning_rate))

    def _check(self, field: str, *, high: float = np.inf, exclude_low: bool = False) -> None:
        """Make `field` a float in [0, high), or in (0, high) with `exclude_low`."""
        value = real(field, getattr(self, field), low=0.0, high=high, exclude_low=exclude_low, exclude_high=True)
        object.__setattr__(self, field, value)


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
    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        """Check every parameter."""
        super().__post_init__()
        self._check("momentum", high=1.0)
        if not isinstance(self.nesterov, bool | np.bool_):
            kind = type(self.nesterov).__name__
            raise TypeError(f"nesterov: got {self.nesterov!r} of type {kind}, expected True or False")
        object.__setattr__(self, "nesterov", bool(self.nesterov))
        if self.nesterov and self.momentum == 0.0:
            raise ValueError("nesterov: got True with momentum 0.0, expected momentum > 0")


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
    epsilon: float = 1e-10

    def __post_init__(self) -> None:
        """Check every parameter."""
        super().__post_init__()
        self._check("epsilon", exclude_low=True)


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
    decay: float = 0.99
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        """Check every parameter."""
        super().__post_init__()
        self._check("decay", high=1.0)
        self._check("epsilon", exclude_low=True)


@explained_fields
@dataclass(frozen=True)
class Adam(Optimizer):
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
    learning_rate: LearningRate = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        """Check every parameter."""
        super().__post_init__()
        self._check("beta_1", high=1.0)
        self._check("beta_2", high=1.0)
        self._check("epsilon", exclude_low=True)


@explained_fields
@dataclass(frozen=True)
class AdamW(Optimizer):
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
    learning_rate: LearningRate = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        """Check every parameter."""
        super().__post_init__()
        self._check("beta_1", high=1.0)
        self._check("beta_2", high=1.0)
        self._check("epsilon", exclude_low=True)
        self._check("weight_decay")


@explained_fields
@dataclass(frozen=True)
class NAdam(Optimizer):
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
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    momentum_decay: float = 0.004

    def __post_init__(self) -> None:
        """Check every parameter."""
        super().__post_init__()
        self._check("beta_1", high=1.0)
        self._check("beta_2", high=1.0)
        self._check("epsilon", exclude_low=True)
        self._check("momentum_decay")


OPTIMIZERS: Mapping[str, type[Optimizer]] = MappingProxyType(
    {optimizer.name: optimizer for optimizer in (SGD, AdaGrad, RMSProp, Adam, AdamW, NAdam)}
)
"""The optimizers by name."""

# From a name or an optimizer to an optimizer; private.
resolve = partial(_resolve, "optimizer", Optimizer, OPTIMIZERS, spellings=_spellings.OPTIMIZERS)
