"""The base class of callbacks that watch a column of the history, and the callback that lowers the learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar, Protocol

from fastnn._checks.options import explained
from fastnn._checks.scalars import Checked, integer, real, shown
from fastnn._history import History
from fastnn._metrics import DIRECTIONS


class _Trainer(Protocol):
    learning_rate: Any


def _column(argument: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(
            f"{argument}: expected the name of a column of the history, such as 'val_loss', or None, got {shown(value)}"
        )
    return value


def _mode(argument: str, value: Any) -> str | None:
    if value is not None and not (isinstance(value, str) and value in ("min", "max")):
        raise ValueError(f"{argument}: expected 'min', 'max' or None, got {shown(value)}")
    return value


class Monitor(Checked):
    """A callback that compares a column of the history with its best value so far.

    Attributes
    ----------
    best : float
        The best value of the run. Before the first epoch, it is the worst possible value.
    best_epoch : int
        The epoch with the best value, counted from 1. It is 0 before the first epoch.
    """

    _checks: ClassVar[Mapping[str, Callable[[str, Any], Any]]] = {
        "monitor": _column,
        "patience": partial(integer, low=1),
        "min_delta": partial(real, low=0.0),
        "mode": _mode,
    }

    _only_checks = True  # when a run begins
    monitor: str | None
    patience: int
    min_delta: float
    mode: str | None

    def _reset(self) -> None:
        self.best = -math.inf if self.mode == "max" else math.inf
        self.best_epoch = 0

    def _begin(self, history: History) -> None:
        """Discard the state of the previous run, and raise ValueError if the history will lack the monitored column."""
        self._reset()
        if history.columns is not None:
            self.best = -math.inf if self._wants_more(self._monitored(history)) else math.inf

    def _improvement(self, history: History) -> dict[str, Any]:
        """Return the attributes of the last epoch as the best so far, which the caller sets; nothing if it is not.

        Raises
        ------
        ValueError
            If the history has no such column, or if its direction of improvement is unknown.
        """
        name = self._monitored(history)
        value = float(history[name][-1])
        gain = value - self.best if self._wants_more(name) else self.best - value
        # In this form, NaN is never an improvement.
        improves = gain > self.min_delta or (self.best_epoch == 0 and not math.isnan(value))
        return {"best": value, "best_epoch": history.epochs} if improves else {}

    def _equals_best(self, history: History) -> bool:
        """Return whether the last epoch has the best value so far again."""
        return self.best_epoch > 0 and float(history[self._monitored(history)][-1]) == self.best

    def _monitored(self, history: History) -> str:
        if self.monitor is None:
            return "val_loss" if "val_loss" in history else "loss"
        if self.monitor not in history:
            names = ", ".join(repr(name) for name in history)
            without = self.monitor.startswith("val_") and "val_loss" not in history
            way = " without validation_data" if without else "; metrics=[…] of fit() or run() adds columns"
            raise ValueError(f"monitor: expected one of {names}, got {self.monitor!r}{way}")
        return self.monitor

    def _wants_more(self, name: str) -> bool:
        mode = self.mode or DIRECTIONS.get(name.removeprefix("val_"))
        if mode is None:
            raise ValueError(
                f"mode: expected 'min' or 'max' for {name!r}, of which fastnn doesn't know what is better, got None"
            )
        return mode == "max"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self._checks)})"


class ReduceOnPlateau(Monitor):
    """Lower the learning rate when a loss or a metric has not improved for some epochs.

    Parameters
    ----------
    monitor : str, optional
        The column of the history to watch, as for `EarlyStopping`. The default is the validation loss if the run has one,
        and otherwise the training loss.
    factor : float, default 0.1
        The factor by which the learning rate is multiplied, in (0, 1).
    patience : int, default 10
        The number of epochs without an improvement after which to lower the learning rate, >= 1.
    min_delta : float, default 0.0
        The smallest difference from the best value so far that counts as an improvement, >= 0.
    cooldown : int, default 0
        The number of epochs after a reduction that do not count as epochs without an improvement, >= 0.
    min_learning_rate : float, default 0.0
        The lower bound of the learning rate, >= 0.
    mode : {"min", "max"}, optional
        The direction of improvement. Needed only for columns other than losses and built-in metrics.

    Attributes
    ----------
    best : float
        The best value of the run. Before the first epoch, it is the worst possible value.
    best_epoch : int
        The epoch with the best value, counted from 1. It is 0 before the first epoch.

    Raises
    ------
    TypeError, ValueError
        If a parameter has the wrong type or is out of range. At the start of a run: if its history will have no such
        column, or if the learning rate of the trainer is a schedule.

    Examples
    --------
    >>> ReduceOnPlateau(factor=0.5, patience=5)
    ReduceOnPlateau(monitor=None, factor=0.5, patience=5, min_delta=0.0, cooldown=0, min_learning_rate=0.0, mode=None)
    """

    _checks: ClassVar = {
        "monitor": _column,
        "factor": partial(real, low=0.0, high=1.0, exclude_low=True, exclude_high=True),
        "patience": partial(integer, low=1),
        "min_delta": partial(real, low=0.0),
        "cooldown": partial(integer, low=0),
        "min_learning_rate": partial(real, low=0.0),
        "mode": _mode,
    }

    @explained
    def __init__(
        self,
        monitor: str | None = None,
        factor: float = 0.1,
        patience: int = 10,
        min_delta: float = 0.0,
        cooldown: int = 0,
        min_learning_rate: float = 0.0,
        mode: str | None = None,
    ) -> None:
        self.monitor = monitor
        self.factor = factor
        self.patience = patience
        self.min_delta = min_delta
        self.cooldown = cooldown
        self.min_learning_rate = min_learning_rate
        self.mode = mode
        self._reset()

    def _reset(self) -> None:
        super()._reset()
        self._waited = self._cooling = 0

    def on_train_begin(self, trainer: _Trainer, history: History) -> None:
        """Discard the state of the previous run."""
        _number(trainer)
        self._begin(history)

    def on_epoch_end(self, trainer: _Trainer, history: History) -> None:
        """Lower the learning rate after `patience` epochs without an improvement, from the next epoch on."""
        improvement = self._improvement(history)
        self.__dict__.update(improvement)
        self._waited = 0 if improvement else self._waited + 1
        if self._cooling > 0:
            self._cooling -= 1
            self._waited = 0
        if self._waited < self.patience:
            return
        rate = _number(trainer)
        if rate > self.min_learning_rate:
            trainer.learning_rate = max(rate * self.factor, self.min_learning_rate)
        self._waited, self._cooling = 0, self.cooldown


def _number(trainer: _Trainer) -> float:
    """Return the learning rate of a trainer, or raise TypeError if it is a schedule."""
    rate = trainer.learning_rate
    if callable(rate):
        raise TypeError(f"ReduceOnPlateau: expected a learning rate that is a number, got the schedule {shown(rate)}")
    return float(rate)
