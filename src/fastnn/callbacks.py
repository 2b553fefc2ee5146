"""Callbacks, which are called after every epoch.

A callback is any object with a method `on_epoch_end(trainer, history)`. It returns True to stop the run, which ends after
all callbacks have seen the epoch, or else False or None. If it has methods `on_train_begin(trainer, history)` and
`on_train_end(trainer, history)`, these are called too: before the first epoch, once the arguments of the run have been
checked, and after the last, also where the run ends with an exception. There are no other events; an object with another
method `on_…` raises TypeError. `history` is that of the present run, and `trainer.model` the network as it is. Settings
that a callback assigns to the trainer, or to another callback, take effect from the next epoch on.
"""

from __future__ import annotations

import errno
import os
import re
import time
from functools import partial
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from fastnn._checks.options import explained
from fastnn._checks.scalars import Checked, flag, integer, real
from fastnn._csv_log import CSVLog
from fastnn._history import History
from fastnn._monitors import Monitor, ReduceOnPlateau
from fastnn._progress import ProgressBar
from fastnn._storage.write_file import FilePath, file_name

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


class EarlyStopping(Monitor):
    """Stop when a loss or a metric has not improved for a while, and go back to the best parameters.

    Parameters
    ----------
    monitor : str, optional
        The column of the history to watch: "loss", "val_loss", or a metric of the run, such as "val_accuracy". If not given,
        the validation loss if the run has one, else the training loss.
    patience : int, default 10
        After how many epochs without improvement to stop, >= 1.
    min_delta : float, default 0.0
        By how much, at least, a value has to be better than the best so far to be an improvement, >= 0.
    restore_best : bool, default True
        Leave the model with the parameters of its best epoch, however the run ended.
    mode : {"min", "max"}, optional
        Whether less or more is better. Needed only for columns other than losses and built-in metrics.

    Attributes
    ----------
    best : float
        The best value of the run; before its first epoch the worst possible one.
    best_epoch : int
        The epoch that it belongs to, counted from 1; 0 before the first.

    Raises
    ------
    TypeError, ValueError
        If a parameter is of the wrong type or outside of its range. When a run begins: if its history will have no such
        column.

    References
    ----------
    L. Prechelt, "Early stopping - but when?", Neural Networks: Tricks of the Trade, 1998.

    Examples
    --------
    >>> EarlyStopping(patience=5)
    EarlyStopping(monitor=None, patience=5, min_delta=0.0, restore_best=True, mode=None)
    """

    _checks: ClassVar = {
        "monitor": Monitor._checks["monitor"],
        "patience": Monitor._checks["patience"],
        "min_delta": Monitor._checks["min_delta"],
        "restore_best": flag,
        "mode": Monitor._checks["mode"],
    }

    @explained
    def __init__(
        self,
        monitor: str | None = None,
        patience: int = 10,
        min_delta: float = 0.0,
        restore_best: bool = True,
        mode: str | None = None,
    ) -> None:
        self.monitor = monitor
        self.patience = patience
        self.min_delta = min_delta
        self.restore_best = restore_best
        self.mode = mode
        self._reset()

    def _reset(self) -> None:
        super()._reset()
        self._best_vector: NDArray[Any] | None = None

    def on_train_begin(self, trainer: _Trainer, history: History) -> None:
        """Forget the run before."""
        self._begin(history)

    def on_epoch_end(self, trainer: _Trainer, history: History) -> bool:
        """Note an improvement; return True after `patience` epochs without one.

        Raises
        ------
        ValueError
            If the history has no column to monitor, or if `mode` must say whether more or less of it is better.
        """
        if self._improves(history) and self.restore_best:
            self._best_vector = np.array(trainer.model.to_vector())
        stop = history.epochs - self.best_epoch >= self.patience
        if stop:
            self._restore(trainer)
        return stop

    def on_train_end(self, trainer: _Trainer, history: History) -> None:
        """Go back to the best parameters, and let go of their copy."""
        self._restore(trainer)
        self._best_vector = None

    def _restore(self, trainer: _Trainer) -> None:
        if self.restore_best and self._best_vector is not None:
            trainer.model.set_vector(self._best_vector)


class Checkpoint(Checked):
    """Save the trainer with all that the next step depends on, every few epochs.

    Parameters
    ----------
    path : str, bytes or path-like
        The file. "{epoch}" becomes the number of the epoch, counted from 1 in every run; formats as in "{epoch:04d}"
        work. Without it every save replaces the one before, atomically.
    every : int, default 1
        Save after each epoch whose number is a multiple of this, >= 1.

    Raises
    ------
    TypeError, ValueError
        If a parameter is of the wrong type or outside of its range.

    Examples
    --------
    >>> Checkpoint("run-{epoch:04d}.fastnn", every=10)
    Checkpoint('run-{epoch:04d}.fastnn', every=10)
    """

    _checks: ClassVar = {"path": _path, "every": partial(integer, low=1)}

    @explained
    def __init__(self, path: FilePath, every: int = 1) -> None:
        self.path = _path("path", path)
        self.every = every

    def on_train_begin(self, trainer: _Trainer, history: History) -> None:
        """Raise FileNotFoundError if the directory is missing: before the first epoch, not after it."""
        directory = os.path.dirname(os.path.realpath(self.path))
        if not _EPOCH.search(directory) and not os.path.isdir(directory):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.path)

    def on_epoch_end(self, trainer: _Trainer, history: History) -> None:
        """Save if it is this epoch's turn."""
        if history.epochs % self.every == 0:
            trainer.save(_path_of(self.path, history.epochs))

    def __repr__(self) -> str:
        return f"Checkpoint({self.path!r}, every={self.every})"


class TimeLimit(Checked):
    """Stop at the end of the first epoch after some time.

    Parameters
    ----------
    seconds : float
        The time from the start of the run, > 0.

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
        """Return True when the time is up."""
        if self._start is None:
            self._start = time.monotonic() - float(history["seconds"].sum())
        return time.monotonic() - self._start >= self.seconds

    def __repr__(self) -> str:
        return f"TimeLimit({self.seconds})"
