"""Callbacks: objects that a run of training calls after every epoch.

A callback is any object with some of these methods:

- `on_epoch_end(trainer, history)` is required. It returns True to stop the run, and otherwise False or None. The run
  stops after all callbacks have seen the epoch.
- `on_train_begin(trainer, history)` is called before the first epoch, after the arguments of the run have been checked.
- `on_train_end(trainer, history)` is called at the end of the run, even if the run ends with an exception.

There are no other events. An object with another method `on_…` raises TypeError. `history` is the history of the current
run, and `trainer.model` is the network in its current state. Settings that a callback assigns to the trainer, or to
another callback, take effect from the next epoch on.
"""

from __future__ import annotations

import errno
import os
import re
import time
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from fastnn._checks.options import explained
from fastnn._checks.scalars import Checked, flag, integer, real, shown
from fastnn._csv_log import CSVLog
from fastnn._history import History
from fastnn._monitors import Monitor, ReduceOnPlateau
from fastnn._native import check_can_be_saved, copied_average, restore_average
from fastnn._progress import ProgressBar
from fastnn._storage.write_file import FilePath, file_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CSVLog", "Checkpoint", "EarlyStopping", "ProgressBar", "ReduceOnPlateau", "TimeLimit"]
__dir__ = __all__.copy

_EPOCH = re.compile(r"\{epoch(?::([^{}]*))?\}")


class _Model(Protocol):
    def to_vector(self) -> NDArray[Any]: ...

    def set_vector(self, v: NDArray[Any], /) -> None: ...


class _Trainer(Protocol):
    @property
    def model(self) -> _Model: ...

    def save(self, path: str, /) -> None: ...


def _path(argument: str, value: Any) -> str:
    text = file_name(value)
    try:
        _path_of(text, 1)
    except ValueError as error:
        raise ValueError(f"{argument}: expected a format of an integer after 'epoch:', got {text!r}; {error}") from None
    return text


def _path_of(text: str, epoch: int) -> str:
    return _EPOCH.sub(lambda match: format(epoch, match[1] or ""), text)


def _ties(argument: str, value: Any) -> str:
    if not (isinstance(value, str) and value in ("first", "last")):
        raise ValueError(f"{argument}: expected 'first' or 'last', got {shown(value)}")
    return value


class EarlyStopping(Monitor):
    """Stop when a loss or a metric has not improved for some epochs, and restore the parameters of the best epoch.

    With ``patience=None``, the run has all its epochs, and then the parameters of the best one.

    Parameters
    ----------
    monitor : str, optional
        The column of the history to watch: "loss", "val_loss", or a metric of the run, such as "val_accuracy". The default
        is the validation loss if the run has one, and otherwise the training loss.
    patience : int or None, default 10
        The number of epochs without an improvement after which to stop, >= 1. None never stops.
    min_delta : float, default 0.0
        The smallest difference from the best value so far that counts as an improvement, >= 0.
    restore_best : bool, default True
        Give the model the parameters of its best epoch at the end of the run, however the run ends. The same holds for
        their average, if the trainer has one: losses of validation data and metrics are those of the average.
    mode : {"min", "max"}, optional
        The direction of improvement. Needed only for columns other than losses and built-in metrics.
    ties : {"first", "last"}, default "first"
        Which of several epochs with the same best value is the best one. Metrics such as the accuracy often have ties. A
        tie is no improvement, so that it does not prolong the run.

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
        column.

    References
    ----------
    L. Prechelt, "Early stopping - but when?", Neural Networks: Tricks of the Trade, 1998.

    Examples
    --------
    >>> EarlyStopping(patience=5)
    EarlyStopping(monitor=None, patience=5, min_delta=0.0, restore_best=True, mode=None, ties='first')

    Train for all epochs, and keep the last of those with the best accuracy:

    >>> keep_best = EarlyStopping("val_accuracy", patience=None, ties="last")
    """

    _checks: ClassVar = {
        "monitor": Monitor._checks["monitor"],
        "patience": lambda name, value: None if value is None else integer(name, value, low=1),
        "min_delta": Monitor._checks["min_delta"],
        "restore_best": flag,
        "mode": Monitor._checks["mode"],
        "ties": _ties,
    }
    patience: int | None  # type: ignore[assignment]

    @explained
    def __init__(
        self,
        monitor: str | None = None,
        patience: int | None = 10,
        min_delta: float = 0.0,
        restore_best: bool = True,
        mode: str | None = None,
        ties: str = "first",
    ) -> None:
        self.monitor = monitor
        self.patience = patience
        self.min_delta = min_delta
        self.restore_best = restore_best
        self.mode = mode
        self.ties = ties
        self._reset()

    def _reset(self) -> None:
        super()._reset()
        self._improved_epoch = 0  # before best_epoch if there were ties since
        self._best_vector: NDArray[Any] | None = None
        self._best_average: tuple[NDArray[Any], int] | None = None

    def on_train_begin(self, trainer: _Trainer, history: History) -> None:
        """Discard the state of the previous run."""
        self._begin(history)

    def on_epoch_end(self, trainer: _Trainer, history: History) -> bool:
        """Record an improvement, and return True after `patience` epochs without one.

        Raises
        ------
        ValueError
            If the history has no such column, or if `mode` is needed and not given.
        """
        found = self._improvement(history)
        if found:
            found["_improved_epoch"] = history.epochs
        elif self.ties == "last" and self._equals_best(history):
            found["best_epoch"] = history.epochs
        if found and self.restore_best:
            found |= {"_best_vector": np.array(trainer.model.to_vector()), "_best_average": copied_average(trainer)}
        self.__dict__.update(found)  # at once: Ctrl-C may come after any call, and its parameters belong to the best value
        stop = self.patience is not None and history.epochs - self._improved_epoch >= self.patience
        if stop:
            self._restore(trainer)
        return stop

    def on_train_end(self, trainer: _Trainer, history: History) -> None:
        """Restore the best parameters, and release their copy."""
        self._restore(trainer)
        self._best_vector = self._best_average = None

    def _restore(self, trainer: _Trainer) -> None:
        if self.restore_best and self._best_vector is not None:
            trainer.model.set_vector(self._best_vector)
            restore_average(trainer, self._best_average)


class Checkpoint(Checked):
    """Save the trainer every few epochs, with everything that its next step depends on.

    Parameters
    ----------
    path : str, bytes or path-like
        The file. "{epoch}" stands for the number of the epoch, which is counted from 1 in every run. You can add a
        format, as in "{epoch:04d}". Without "{epoch}", each save atomically replaces the previous one.
    every : int, default 1
        Save after each epoch whose number is a multiple of `every`, >= 1.

    Raises
    ------
    TypeError, ValueError
        If a parameter has the wrong type or is out of range.

    Examples
    --------
    >>> Checkpoint("run-{epoch:04d}.fastnn", every=10)
    Checkpoint('run-{epoch:04d}.fastnn', every=10)
    """

    _checks: ClassVar = {"path": _path, "every": partial(integer, low=1)}
    _only_checks = True  # when a run begins

    @explained
    def __init__(self, path: FilePath, every: int = 1) -> None:
        self.path = _path("path", path)
        self.every = every

    def on_train_begin(self, trainer: _Trainer, history: History) -> None:
        """Raise now what the first save would: FileNotFoundError without the directory, TypeError for custom schedules."""
        check_can_be_saved(trainer)
        directory = os.path.dirname(os.path.realpath(self.path))
        if not _EPOCH.search(directory) and not os.path.isdir(directory):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.path)

    def on_epoch_end(self, trainer: _Trainer, history: History) -> None:
        """Save the trainer if the number of the epoch is a multiple of `every`."""
        if history.epochs % self.every == 0:
            trainer.save(_path_of(self.path, history.epochs))

    def __repr__(self) -> str:
        return f"Checkpoint({self.path!r}, every={self.every})"


class TimeLimit(Checked):
    """Stop at the end of the epoch in which a time limit expires.

    Parameters
    ----------
    seconds : float
        The limit, counted from the start of the run, > 0.

    Raises
    ------
    TypeError, ValueError
        If `seconds` is not a positive number.

    Examples
    --------
    >>> TimeLimit(60)
    TimeLimit(60.0)
    """

    _checks: ClassVar = {"seconds": partial(real, low=0.0, exclude_low=True)}

    @explained
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._start: float | None = None

    def on_train_begin(self, trainer: _Trainer, history: History) -> None:
        """Start the clock."""
        self._start = time.monotonic()

    def on_epoch_end(self, trainer: _Trainer, history: History) -> bool:
        """Return True if the time is up."""
        if self._start is None:
            self._start = time.monotonic() - float(history["seconds"].sum())
        return time.monotonic() - self._start >= self.seconds

    def __repr__(self) -> str:
        return f"TimeLimit({self.seconds})"
