"""Schedules that rise and fall, or fall late: one cycle, restarts, cosines in logarithmic time, and a flat start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastnn._checks.option_classes import option_class
from fastnn._schedule import Schedule, half_cosine

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

# Cycles that begin after this step are never reached: the number of a step is an int64.
_LAST_STEP = 2**63


@option_class
class CosineRestarts(Schedule):
    """Half cosines one after the other, each of which falls from `learning_rate` to `minimum`, as in SGDR.

    The first takes `steps` steps, and each of the others `growth` times as many as the one before. At step t of a cycle
    of n steps, the rate is minimum + (learning_rate - minimum) * (1 + cos(pi * t / n)) / 2. This is PyTorch's
    `CosineAnnealingWarmRestarts`.

    Parameters
    ----------
    learning_rate : float
        The rate at the start of each cycle, >= 0.
    steps : int
        The number of steps in the first cycle, >= 1.
    growth : int, default 1
        The factor from the length of a cycle to that of the next, >= 1.
    minimum : float, default 0.0
        The rate that each cycle approaches, from 0 to `learning_rate`.

    References
    ----------
    I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017.

    Examples
    --------
    >>> CosineRestarts(1.0, steps=2, growth=2)([0, 1, 2, 3, 4, 6])
    array([1.        , 0.5       , 1.        , 0.85355339, 0.5       ,
           1.        ])
    """

    learning_rate: float
    steps: int
    growth: int = 1
    minimum: float = 0.0

    def __post_init__(self) -> None:
        """Check every parameter."""
        self._check_real("learning_rate")
        self._check_count("steps")
        self._check_count("growth")
        self._check_real("minimum", high=self.learning_rate)

    def __call__(self, steps: ArrayLike) -> NDArray[np.float64]:
        """Return the rates at `steps`, as an array of the same shape."""
        number = np.asarray(steps, dtype=np.float64)
        if self.growth == 1:
            return half_cosine(self.learning_rate, self.minimum, np.remainder(number, self.steps) / self.steps)
        starts, lengths = [0], [self.steps]
        while starts[-1] + lengths[-1] < _LAST_STEP:
            starts.append(starts[-1] + lengths[-1])
            lengths.append(lengths[-1] * self.growth)
        start, length = np.array(starts, np.float64), np.array(lengths, np.float64)
        cycle = np.searchsorted(start, number, side="right") - 1
        return half_cosine(self.learning_rate, self.minimum, (number - start[cycle]) / length[cycle])


@option_class
class FlatCosine(Schedule):
    """A constant rate, and then half a cosine, which falls to `minimum` at step `steps`. The rate then stays there.

    At the share s = t / steps of the way, the rate is
    minimum + (learning_rate - minimum) * (1 + cos(pi * (s - flat) / (1 - flat))) / 2 if s > flat.

    Parameters
    ----------
    learning_rate : float
        The rate of the flat part, >= 0.
    steps : int
        The step at which the minimum is reached, >= 1.
    flat : float, default 0.5
        The share of the steps with the constant rate, from 0 to 1. With 0, the schedule is `Cosine`.
    minimum : float, default 0.0
        The final rate, from 0 to `learning_rate`.

    References
    ----------
    D. Holzmüller, L. Grinsztajn and I. Steinwart, "Better by default: strong pre-tuned MLPs and boosted trees on tabular
    data", NeurIPS 2024 (there with flat=0.5, for dropout and weight decay).

    Examples
    --------
    >>> FlatCosine(1.0, steps=8)([0, 4, 6, 8, 99])
    array([1. , 1. , 0.5, 0. , 0. ])
    """

    learning_rate: float
    steps: int
    flat: float = 0.5
    minimum: float = 0.0

    def __post_init__(self) -> None:
        """Check every parameter."""
        self._check_real("learning_rate")
        self._check_count("steps")
        self._check_real("flat", high=1.0)
        self._check_real("minimum", high=self.learning_rate)

    def __call__(self, steps: ArrayLike) -> NDArray[np.float64]:
        """Return the rates at `steps`, as an array of the same shape."""
        share = np.asarray(steps, dtype=np.float64) / self.steps
        return half_cosine(self.learning_rate, self.minimum, _share_done(share, self.flat, 1.0))


@option_class
class CosLog4(Schedule):
    """Four cosines in logarithmic time, of which each takes about twice as many steps as the one before.

    At step t, the rate is learning_rate * (1 - cos(2 * pi * log2(1 + 15 * t / steps))) / 2. It is 0 at step 0 and from
    step `steps` on, and `learning_rate` at the top of each cosine.

    Parameters
    ----------
    learning_rate : float
        The highest rate, >= 0.
    steps : int
        The step at which the last cosine ends, >= 1.

    References
    ----------
    D. Holzmüller, L. Grinsztajn and I. Steinwart, "Better by default: strong pre-tuned MLPs and boosted trees on tabular
    data", NeurIPS 2024.

    Examples
    --------
    >>> CosLog4(1.0, steps=15)([0, 1, 3, 5, 15]).round(3)
    array([0.  , 0.  , 0.  , 0.93, 0.  ])
    """

    learning_rate: float
    steps: int

    def __post_init__(self) -> None:
        """Check every parameter."""
        self._check_real("learning_rate")
        self._check_count("steps")

    def __call__(self, steps: ArrayLike) -> NDArray[np.float64]:
        """Return the rates at `steps`, as an array of the same shape."""
        share = np.minimum(np.asarray(steps, dtype=np.float64) / self.steps, 1.0)
        cosine = np.cos(2.0 * np.pi * np.log2(1.0 + 15.0 * share))
        return np.asarray(self.learning_rate * 0.5 * (1.0 - cosine))


@option_class
class OneCycle(Schedule):
    """One rise to `learning_rate` and one fall far below the start, both along half a cosine, within `steps` steps.

    The rate begins at start_factor * learning_rate, is highest at step rise * steps - 1, and reaches
    final_factor * learning_rate at step steps - 1, where it stays. This is PyTorch's `OneCycleLR` in two phases, whose
    `div_factor` is 1 / start_factor, and whose `final_div_factor` is start_factor / final_factor. The momentum does not
    change.

    Parameters
    ----------
    learning_rate : float
        The highest rate, >= 0.
    steps : int
        The number of steps in the cycle, >= 1.
    rise : float, default 0.3
        The share of the steps in which the rate rises, from 0 to 1.
    start_factor : float, default 0.04
        The rate at step 0 as a share of `learning_rate`, from 0 to 1.
    final_factor : float, default 4e-6
        The final rate as a share of `learning_rate`, from 0 to 1.

    References
    ----------
    L. N. Smith and N. Topin, "Super-convergence: very fast training of neural networks using large learning rates", 2017.

    Examples
    --------
    >>> OneCycle(1.0, steps=11, rise=0.5, start_factor=0.1, final_factor=0.0)([0, 10, 99])
    array([0.1, 0. , 0. ])
    """

    learning_rate: float
    steps: int
    rise: float = 0.3
    start_factor: float = 0.04
    final_factor: float = 4e-6

    def __post_init__(self) -> None:
        """Check every parameter."""
        self._check_real("learning_rate")
        self._check_count("steps")
        for field in ("rise", "start_factor", "final_factor"):
            self._check_real(field, high=1.0)

    def __call__(self, steps: ArrayLike) -> NDArray[np.float64]:
        """Return the rates at `steps`, as an array of the same shape."""
        number = np.asarray(steps, dtype=np.float64)
        top, last = self.rise * self.steps - 1.0, self.steps - 1.0
        first, final = self.start_factor * self.learning_rate, self.final_factor * self.learning_rate
        rising = half_cosine(first, self.learning_rate, _share_done(number, 0.0, top))
        falling = half_cosine(self.learning_rate, final, _share_done(number, top, last))
        return np.where(number <= top, rising, falling)


def _share_done(at: NDArray[np.float64], start: float, end: float) -> NDArray[np.float64]:
    """Return how much of the way from `start` to `end` is done, from 0 to 1. A way of no length is done after its start."""
    if start >= end:
        return np.where(at > start, 1.0, 0.0)
    return np.clip((at - start) / (end - start), 0.0, 1.0)
