"""Learning rates, and other settings, that change with the number of updates.

A schedule is any callable that maps an integer array of step numbers to an array of rates. The number of a step is the
number of updates before it: 0, 1, 2, and so on. This module contains the usual schedules. Pass one as the
`learning_rate` of an optimizer, or as its `momentum`, `beta_1` or `weight_decay`, or as `l2`, `dropout_factor` or
`label_smoothing_factor` of a trainer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastnn._checks.option_classes import option_class
from fastnn._cycles import CosineRestarts, CosLog4, FlatCosine, OneCycle
from fastnn._rates import LearningRate, check_learning_rate, evaluate
from fastnn._rates import rates as rates  # private: the trainers import it from here
from fastnn._schedule import Schedule, half_cosine

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "CosLog4",
    "Cosine",
    "CosineRestarts",
    "Exponential",
    "FlatCosine",
    "InverseScaling",
    "InverseTime",
    "OneCycle",
    "Step",
    "Warmup",
]
__dir__ = __all__.copy


@option_class
class InverseTime(Schedule):
    """The schedule of Robbins and Monro: learning_rate / (1 + decay * t) at step t.

    The sum of the rates diverges, and the sum of their squares converges, as stochastic approximation requires.

    Parameters
    ----------
    learning_rate : float
        The rate at step 0, >= 0.
    decay : float
        The speed of the decay, >= 0. At step 1 / decay, the rate has halved.

    References
    ----------
    H. Robbins and S. Monro, "A stochastic approximation method", Annals of Mathematical Statistics 22, 1951.

    Examples
    --------
    >>> InverseTime(1.0, decay=0.5)([0, 2, 6])
    array([1.  , 0.5 , 0.25])
    """

    learning_rate: float
    decay: float

    def __post_init__(self) -> None:
        """Check every parameter."""
        self._check_real("learning_rate")
        self._check_real("decay")

    def __call__(self, steps: ArrayLike) -> NDArray[np.float64]:
        """Return the rates at `steps`, as an array of the same shape."""
        return np.asarray(self.learning_rate / (1.0 + self.decay * np.asarray(steps, dtype=np.float64)))


@option_class
class InverseScaling(Schedule):
    """An inverse power: learning_rate / (t + 1)**power at step t, like `learning_rate="invscaling"` in scikit-learn.

    Parameters
    ----------
    learning_rate : float
        The rate at step 0, >= 0.
    power : float, default 0.5
        The exponent, >= 0.

    Examples
    --------
    >>> InverseScaling(1.0)([0, 3, 15])
    array([1.  , 0.5 , 0.25])
    """

    learning_rate: float
    power: float = 0.5

    def __post_init__(self) -> None:
        """Check every parameter."""
        self._check_real("learning_rate")
        self._check_real("power")

    def __call__(self, steps: ArrayLike) -> NDArray[np.float64]:
        """Return the rates at `steps`, as an array of the same shape."""
        with np.errstate(over="ignore"):  # the rate is then 0, as it should be
            return np.asarray(self.learning_rate / np.power(np.asarray(steps, dtype=np.float64) + 1.0, self.power))


@option_class
class Step(Schedule):
    """A staircase: learning_rate * factor**(t // every) at step t.

    Parameters
    ----------
    learning_rate : float
        The rate of the first `every` steps, >= 0.
    every : int
        The number of steps between changes, >= 1.
    factor : float
        The factor by which each change multiplies the rate, >= 0.

    Examples
    --------
    >>> Step(1.0, every=10, factor=0.5)([0, 9, 10, 25])
    array([1.  , 1.  , 0.5 , 0.25])
    """

    learning_rate: float
    every: int
    factor: float

    def __post_init__(self) -> None:
        """Check every parameter."""
        self._check_real("learning_rate")
        self._check_count("every")
        self._check_real("factor")

    def __call__(self, steps: ArrayLike) -> NDArray[np.float64]:
        """Return the rates at `steps`, as an array of the same shape."""
        stairs = np.floor_divide(np.asarray(steps, dtype=np.float64), self.every)
        with np.errstate(over="ignore"):  # an infinite rate is reported where the rate is used
            return np.asarray(self.learning_rate * _power(self.factor, stairs))


@option_class
class Exponential(Schedule):
    """Exponential decay: learning_rate * decay**t at step t.

    Parameters
    ----------
    learning_rate : float
        The rate at step 0, >= 0.
    decay : float
        The factor by which each step multiplies the rate, >= 0.

    Examples
    --------
    >>> Exponential(1.0, decay=0.5)([0, 1, 2])
    array([1.  , 0.5 , 0.25])
    """

    learning_rate: float
    decay: float

    def __post_init__(self) -> None:
        """Check every parameter."""
        self._check_real("learning_rate")
        self._check_real("decay")

    def __call__(self, steps: ArrayLike) -> NDArray[np.float64]:
        """Return the rates at `steps`, as an array of the same shape."""
        with np.errstate(over="ignore"):  # an infinite rate is reported where the rate is used
            return np.asarray(self.learning_rate * _power(self.decay, np.asarray(steps, dtype=np.float64)))


@option_class
class Cosine(Schedule):
    """Half a cosine, which falls from `learning_rate` to `minimum` within `steps` steps. The rate then stays there.

    Until then, the rate at step t is minimum + (learning_rate - minimum) * (1 + cos(pi * t / steps)) / 2.

    Parameters
    ----------
    learning_rate : float
        The rate at step 0, >= 0.
    steps : int
        The step at which the minimum is reached, >= 1.
    minimum : float, default 0.0
        The final rate, from 0 to `learning_rate`.

    References
    ----------
    I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017.

    Examples
    --------
    >>> Cosine(1.0, steps=10, minimum=0.5)([0, 5, 10, 99])
    array([1.  , 0.75, 0.5 , 0.5 ])
    """

    learning_rate: float
    steps: int
    minimum: float = 0.0

    def __post_init__(self) -> None:
        """Check every parameter."""
        self._check_real("learning_rate")
        self._check_count("steps")
        self._check_real("minimum", high=self.learning_rate)

    def __call__(self, steps: ArrayLike) -> NDArray[np.float64]:
        """Return the rates at `steps`, as an array of the same shape."""
        done = np.minimum(np.asarray(steps, dtype=np.float64) / self.steps, 1.0)
        return half_cosine(self.learning_rate, self.minimum, done)


@option_class
class Warmup(Schedule):
    """Another schedule whose first `steps` rates are scaled up linearly.

    The rate at step t is schedule(t) * min(1, (t + 1) / steps).

    Parameters
    ----------
    schedule : float or callable
        The rate without the warmup: a number >= 0, or a schedule.
    steps : int
        The number of the first step with the full rate, counted from 1; >= 1.

    Raises
    ------
    TypeError, ValueError
        If a parameter has the wrong type or is out of range. A call also raises them if `schedule` returns
        something other than one finite rate >= 0 per step number.

    Examples
    --------
    >>> Warmup(1.0, steps=4)([0, 1, 3, 9])
    array([0.25, 0.5 , 1.  , 1.  ])
    """

    schedule: LearningRate
    steps: int

    def __post_init__(self) -> None:
        """Check every parameter."""
        object.__setattr__(self, "schedule", check_learning_rate("schedule", self.schedule))
        self._check_count("steps")

    def __call__(self, steps: ArrayLike) -> NDArray[np.float64]:
        """Return the rates at `steps`, as an array of the same shape."""
        number = np.asarray(steps, dtype=np.int64)
        scale = np.minimum((number + 1.0) / self.steps, 1.0)
        return np.asarray(evaluate(self.schedule, number) * scale)


def _power(base: float, exponents: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return base**exponents, with the same bits for a single step as for that step among others.

    If the exponent is a scalar 2, NumPy squares the base instead, with other bits.
    """
    return np.power(base, np.atleast_1d(exponents)).reshape(np.shape(exponents))
