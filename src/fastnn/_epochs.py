"""The epochs of a run: time slices of native training, and the work between them."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._checks.scalars import shown
from fastnn._errors import DivergedError
from fastnn._history import History
from fastnn._measures import Measures
from fastnn._progress import ProgressBar
from fastnn._rates import LearningRate, rates

if TYPE_CHECKING:
    from fastnn._core import Run
    from fastnn._engine.training_data import TrainingData
    from fastnn._trainer import Trainer

# Seconds that the native loop runs before it returns to Python, which checks for signals and reports progress.
_SLICE_SECONDS = 0.05
# The number of learning rates of a schedule that are evaluated at once.
_RATES_AT_ONCE = 1 << 16


def advance(
    trainer: Trainer,
    data: TrainingData,
    run: Run,
    epochs: int,
    history: History,
    measures: Measures,
    watchers: list[Any],
) -> None:
    """Run all epochs, or until a watcher stops the run: one at a time if a watcher, validation or metrics need this.

    Raises
    ------
    DivergedError
        If the loss becomes NaN or infinite. The run has restored the parameters.
    """
    each = bool(measures) or any(not isinstance(watcher, ProgressBar) for watcher in watchers)
    done = before = 0  # finished epochs: in total; in the runs before this one
    planned, rate = 0, None  # epochs of this run whose learning rates are set; the rate or schedule that set them
    ended = True
    try:
        while done < epochs:
            if ended:
                if trainer._apply():
                    run, before, planned = trainer._new_run(data, epochs - done), done, 0
                if run.epoch == planned or trainer.learning_rate is not rate:
                    rate = trainer.learning_rate
                    planned = run.epoch + _plan(rate, run)
            try:
                status = run.advance(_SLICE_SECONDS, 1 if each else planned - run.epoch)
            finally:
                trainer._stepper.updates = run.updates
            ended = before + run.epoch > done
            if ended:
                _record(run, done - before, history, measures)
                done = before + run.epoch
            if status == "diverged":
                raise DivergedError(
                    f"the loss is not finite in epoch {done + 1}; the parameters were restored to the last epoch with a "
                    "finite loss. A smaller learning rate, clip_norm or scaled inputs may help.",
                    done + 1,
                    history,
                )
            if ended and notify(watchers, "on_epoch_end", trainer, history):
                return
    except KeyboardInterrupt:  # epochs of the last time slice may not be in the history yet
        if before + run.epoch > history.epochs and not measures:
            _record(run, history.epochs - before, history, measures)
        raise


def _plan(rate: LearningRate, run: Run) -> int:
    """Set the learning rates of the next epochs, and return the number of these epochs."""
    epochs_left = run.n_epochs - run.epoch
    if not callable(rate):
        run.set_rates(np.array([rate], np.float64))
        return epochs_left
    count = min(epochs_left, max(1, _RATES_AT_ONCE // run.steps))
    run.set_rates(rates(rate, run.updates, count * run.steps))
    return count


def _record(run: Run, first: int, history: History, measures: Measures) -> None:
    """Add the epochs of a run to the history, from `first` to the last finished one, which alone is measured."""
    last = run.epoch
    start = first - run.first_epoch
    if last == first + 1:  # in a loop over epochs
        loss, rate, seconds = run.epoch_loss[start], run.last_rate(first), run.epoch_seconds[start]
        values = measures.values() if measures else {}
        history.append(loss=loss, learning_rate=rate, seconds=seconds, **values)
        return
    places = slice(start, last - run.first_epoch)
    rates, seconds = run.last_rates(first, last), run.epoch_seconds[places]
    history.extend(loss=run.epoch_loss[places], learning_rate=rates, seconds=seconds)


# ---- Callbacks ----

EVENTS = ("on_train_begin", "on_epoch_end", "on_train_end")
_SIGNATURES = "on_train_begin, on_epoch_end and on_train_end, all with (trainer, history)"


def check_watchers(callbacks: Sequence[Any], progress: Any) -> list[Any]:
    """Return the watchers of a run: the callbacks, and the progress bar if the user wants one."""
    if not isinstance(callbacks, list | tuple) and not isinstance(callbacks, Sequence):
        raise TypeError(f"callbacks: expected a list of callbacks, such as [EarlyStopping()], got {shown(callbacks)}")
    watchers = list(callbacks)
    for callback in watchers:
        _check_callback(callback)
    if isinstance(progress, ProgressBar):
        watchers.append(progress)
    elif progress is not None and not isinstance(progress, bool | np.bool_):
        raise TypeError(f"progress: expected True, False or a fastnn.callbacks.ProgressBar(…), got {shown(progress)}")
    elif progress:
        watchers.append(ProgressBar())
    return watchers


def _check_callback(callback: Any) -> None:
    if isinstance(callback, type) or not callable(getattr(callback, "on_epoch_end", None)):
        raise TypeError(f"callbacks: expected objects with on_epoch_end(trainer, history), got {callback!r}")
    for event in EVENTS:
        if not callable(getattr(callback, event, _nothing)):
            raise TypeError(f"callbacks: expected {event} to be a method, got {callback!r} whose {event} can't be called")
    kind: Any = type(callback)
    for name in {*_other_events(kind), *_unknown(getattr(callback, "__dict__", ()))}:
        if callable(getattr(callback, name, None)):
            raise TypeError(f"callbacks: expected {_SIGNATURES}, got {callback!r} with {name}, which nothing calls")


def _nothing() -> None: ...


@functools.lru_cache(maxsize=64)
def _other_events(kind: Any) -> list[str]:
    return _unknown(dir(kind))


def _unknown(names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith("on_") and name not in EVENTS]


def notify(watchers: list[Any], event: str, trainer: Trainer, history: History) -> bool:
    """Call all watchers that have a method for the event; return whether one returned True, which stops the run.

    Raises
    ------
    TypeError
        If a watcher returned something other than True, False or None, or returned True before the first epoch.
    """
    if not watchers:
        return False
    called = [watcher for watcher in watchers if hasattr(watcher, event)]
    answers = [getattr(watcher, event)(trainer, history) for watcher in called]
    for watcher, answer in zip(called, answers, strict=True):
        expected = "None" if event == "on_train_begin" else "True to stop, or False or None"
        if answer is not None and (not isinstance(answer, bool | np.bool_) or (answer and event == "on_train_begin")):
            raise TypeError(f"callbacks: {event} of {watcher!r} must return {expected}, got {answer!r}")
    return any(answers)


def notify_end(watchers: list[Any], trainer: Trainer, history: History) -> None:
    """Tell all watchers, in order, that the run has ended, even if one of them raises an exception."""
    if not watchers:
        return
    with ExitStack() as stack:
        for watcher in reversed(watchers):
            if hasattr(watcher, "on_train_end"):
                stack.callback(watcher.on_train_end, trainer, history)
