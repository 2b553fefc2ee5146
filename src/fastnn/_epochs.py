"""The epochs of a run: slices of native training, and what is to be done between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._errors import DivergedError
from fastnn._history import History
from fastnn._progress import ProgressBar
from fastnn._rates import rates
from fastnn._scalars import shown

if TYPE_CHECKING:
    from fastnn._core import Run
    from fastnn._trainer import Trainer

# How long the native loop runs before Python looks at signals and progress.
_SLICE_SECONDS = 0.05
# Learning rates of a schedule that are evaluated at a time.
_RATES_AT_ONCE = 1 << 16


def advance(
    trainer: Trainer,
    run: Run,
    epochs: int,
    history: History,
    validation: tuple[Any, ...] | None,
    watchers: list[Any],
) -> None:
    """Run all epochs, one at a time where somebody looks at each, until a watcher stops them.

    Raises
    ------
    DivergedError
        If the loss is no longer finite. The run has restored the parameters.
    """
    each = validation is not None or any(not isinstance(watcher, ProgressBar) for watcher in watchers)
    planned, rate = 0, None  # epochs whose learning rates are set, and by what
    ended = True
    while history.epochs < epochs:
        if ended and (run.epoch == planned or trainer.learning_rate is not rate):
            rate = trainer.learning_rate
            planned = run.epoch + _plan(trainer, run, epochs - run.epoch)
        try:
            status = run.advance(_SLICE_SECONDS, 1 if each else planned - run.epoch)
        finally:
            trainer._stepper.updates = run.updates
        ended = run.epoch > history.epochs
        if ended:
            _record(trainer, run, history, validation)
        if status == "diverged":
            raise DivergedError(
                f"the loss is not finite in epoch {run.epoch + 1}; the parameters were restored to the last epoch with a "
                "finite loss. A smaller learning rate, clip_norm or scaled inputs may help.",
                run.epoch + 1,
                history,
            )
        if ended and notify(watchers, "on_epoch_end", trainer, history):
            return


def _plan(trainer: Trainer, run: Run, epochs_left: int) -> int:
    """Set the learning rates of the next epochs; return how many those are."""
    rate = trainer.optimizer.learning_rate
    if not callable(rate):
        run.set_rates(rates(rate, 0, 1))
        return epochs_left
    count = min(epochs_left, max(1, _RATES_AT_ONCE // run.steps))
    run.set_rates(rates(rate, run.updates, count * run.steps))
    return count


def _record(trainer: Trainer, run: Run, history: History, validation: tuple[Any, ...] | None) -> None:
    first, last = history.epochs, run.epoch
    if last == first + 1 and validation is None:  # in a loop over epochs
        history.append(loss=run.epoch_loss[first], learning_rate=run.last_rate(first), seconds=run.epoch_seconds[first])
        return
    history.extend(
        loss=run.epoch_loss[first:last],
        learning_rate=run.last_rates(first, last),
        seconds=run.epoch_seconds[first:last],
        val_loss=None if validation is None else [trainer.model._network.gradient(*validation)],
    )


def check_watchers(callbacks: Sequence[Any], progress: Any) -> list[Any]:
    """Return all that is to be told of epochs: callbacks, and a progress bar where one is wanted."""
    if not isinstance(callbacks, Sequence):
        raise TypeError(f"callbacks: got {shown(callbacks)}, expected a list of callbacks, such as [EarlyStopping()]")
    watchers = list(callbacks)
    for callback in watchers:
        if isinstance(callback, type) or not callable(getattr(callback, "on_epoch_end", None)):
            raise TypeError(f"callbacks: got {callback!r}, expected objects with on_epoch_end(trainer, history)")
    if isinstance(progress, ProgressBar):
        watchers.append(progress)
    elif progress is not None and not isinstance(progress, bool | np.bool_):
        raise TypeError(f"progress: got {shown(progress)}, expected True, False or a ProgressBar")
    elif progress:
        watchers.append(ProgressBar())
    return watchers


def notify(watchers: list[Any], event: str, trainer: Trainer, history: History) -> bool:
    """Call all watchers that know the event; say whether one of them returned True."""
    answers = [getattr(watcher, event)(trainer, history) for watcher in watchers if hasattr(watcher, event)]
    return any(answer is True for answer in answers)
