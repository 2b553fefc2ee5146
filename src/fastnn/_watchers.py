"""The watchers of a run: callbacks and the progress bar."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._checks.scalars import shown
from fastnn._history import History
from fastnn._progress import ProgressBar

if TYPE_CHECKING:
    from fastnn._configured import Configured

EVENTS = ("on_train_begin", "on_epoch_end", "on_train_end")
_SIGNATURES = "on_train_begin, on_epoch_end and on_train_end, all with (trainer, history)"


def check_watchers(callbacks: Sequence[Any], progress: Any) -> list[Any]:
    """Return the watchers of a run: the callbacks, and the progress bar if the user wants one."""
    if type(callbacks) is tuple and not callbacks and progress is None:  # the defaults
        return []
    if not isinstance(callbacks, list | tuple) and not isinstance(callbacks, Sequence):
        raise TypeError(f"callbacks: expected a list of callbacks, such as [EarlyStopping()], got {shown(callbacks)}")
    watchers = list(callbacks)
    for callback in watchers:
        _check_callback(callback)
    bar = progress_bar(progress)
    return watchers if bar is None else [*watchers, bar]


def progress_bar(progress: Any) -> ProgressBar | None:
    """Return the progress bar of a run, if the user wants one."""
    if isinstance(progress, ProgressBar):
        return progress
    if progress is not None and not isinstance(progress, bool | np.bool_):
        raise TypeError(f"progress: expected True, False or a fastnn.callbacks.ProgressBar(…), got {shown(progress)}")
    return ProgressBar() if progress else None


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


def notify(watchers: list[Any], event: str, trainer: Configured, history: History) -> bool:
    """Call all watchers that have a method for the event; return whether one returned True, which stops the run.

    Raises
    ------
    TypeError
        If a watcher returned something other than True, False or None.
    """
    if not watchers:
        return False
    called = [watcher for watcher in watchers if hasattr(watcher, event)]
    answers = [getattr(watcher, event)(trainer, history) for watcher in called]
    for watcher, answer in zip(called, answers, strict=True):
        if answer is not None and not isinstance(answer, bool | np.bool_):
            raise TypeError(f"callbacks: {event} of {watcher!r} must return True to stop, or False or None, got {answer!r}")
    return any(answers)


def notify_begin(watchers: list[Any], trainer: Configured, history: History) -> None:
    """Tell all watchers that the run begins. If one refuses, tell those before that it has ended.

    Those with a class attribute `_only_checks` come first, so that they can refuse before others replace files.

    Raises
    ------
    TypeError
        If a watcher returned something other than False or None.
    """
    begun: list[Any] = []
    try:
        for watcher in sorted(watchers, key=lambda each: not getattr(type(each), "_only_checks", False)):
            answer = watcher.on_train_begin(trainer, history) if hasattr(watcher, "on_train_begin") else None
            if answer is not None and (not isinstance(answer, bool | np.bool_) or answer):
                raise TypeError(f"callbacks: on_train_begin of {watcher!r} must return None, got {answer!r}")
            begun.append(watcher)
    except BaseException:
        notify_end(begun, trainer, history)
        raise


def notify_end(watchers: list[Any], trainer: Configured, history: History) -> None:
    """Tell all watchers, in order, that the run has ended, even if one of them raises an exception."""
    if not watchers:
        return
    with ExitStack() as stack:
        for watcher in reversed(watchers):
            if hasattr(watcher, "on_train_end"):
                stack.callback(watcher.on_train_end, trainer, history)
