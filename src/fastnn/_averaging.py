"""Averages of the parameters over the training: what users pass, without arithmetic."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import ClassVar

from fastnn._checks.lookup import resolve as _resolve
from fastnn._checks.option_classes import Options, option_class
from fastnn._checks.scalars import flag, integer, real


@option_class
class Averaging(Options):
    """The base class of `EMA` and `SWA`."""

    name: ClassVar[str] = ""

    def check_epochs(self, argument: str, epochs: int) -> None:
        """Raise ValueError if no parameters would enter the average of a training with this number of epochs."""


@option_class
class EMA(Averaging):
    """An exponential moving average of the parameters, which every update changes.

    After update t, the average a of the parameters w becomes a + s (w - a). With `bias_correction`, the share s is
    (1 - decay) / (1 - decay**t): a is then the mean of all parameters so far, with weights that fall by the factor
    `decay` from one update to the one before. Without it, a begins as a copy of the parameters after the first update, and
    s is 1 - decay, as in PyTorch's ``torch.optim.swa_utils.AveragedModel``. The parameters after the first updates then have
    a large weight for about ``1 / (1 - decay)`` updates.

    Parameters
    ----------
    decay : float, default 0.999
        The factor, in [0, 1). The average is that of the last ``1 / (1 - decay)`` updates, about.
    bias_correction : bool, default True
        Divide by the sum of the weights, so that the average has no bias towards the beginning.

    Raises
    ------
    TypeError, ValueError
        If a parameter has the wrong type or is out of range.

    References
    ----------
    B. T. Polyak and A. B. Juditsky, "Acceleration of stochastic approximation by averaging", SIAM Journal on Control and
    Optimization 30, 1992.

    Examples
    --------
    >>> EMA(0.99)
    EMA(decay=0.99, bias_correction=True)
    """

    name: ClassVar[str] = "ema"
    decay: float = 0.999
    bias_correction: bool = True

    def __post_init__(self) -> None:
        """Check every parameter."""
        object.__setattr__(self, "decay", real("decay", self.decay, low=0.0, high=1.0, exclude_high=True))
        object.__setattr__(self, "bias_correction", flag("bias_correction", self.bias_correction))


@option_class
class SWA(Averaging):
    """The mean of the parameters at the ends of epochs (stochastic weight averaging).

    Use it with a learning rate that stays high or is cyclic, so that the ends of epochs differ.

    Parameters
    ----------
    start : int, default 1
        The first epoch whose parameters enter the mean, counted from 1 over all runs of a trainer since it has this
        average. Izmailov et al. begin after about three quarters of the epochs.

    Raises
    ------
    TypeError, ValueError
        If `start` is no integer >= 1.

    References
    ----------
    P. Izmailov et al., "Averaging weights leads to wider optima and better generalization", UAI 2018.

    Examples
    --------
    >>> SWA(start=75)
    SWA(start=75)
    """

    name: ClassVar[str] = "swa"
    start: int = 1

    def __post_init__(self) -> None:
        """Check the parameter."""
        object.__setattr__(self, "start", integer("start", self.start, low=1))

    def check_epochs(self, argument: str, epochs: int) -> None:
        """Raise ValueError if the training ends before the first epoch that would enter the mean."""
        if 0 < epochs < self.start:
            raise ValueError(f"averaging: expected SWA with start <= {argument}={epochs}, got start={self.start}")


AVERAGES: Mapping[str, type[Averaging]] = MappingProxyType({kind.name: kind for kind in (EMA, SWA)})
"""The averages by name."""

resolve = partial(_resolve, "averaging", Averaging, AVERAGES, spellings=MappingProxyType({}))
