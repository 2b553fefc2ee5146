"""Runs without measures and watchers, made with as little Python as possible.

After a run that takes a fraction of a millisecond, the caches hold its data rather than those of the interpreter, and
Python is several times as slow as in a loop of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._epochs import SLICE_SECONDS, Epochs
from fastnn._errors import DivergedError
from fastnn._history import History
from fastnn._measures import Measures

if TYPE_CHECKING:
    from fastnn._core import Run
    from fastnn._engine.training_data import TrainingData
    from fastnn._prepared import Prepared

MOST_EPOCHS = 1000
"""The largest number of epochs of a run that uses the engine's arrays as its history, which are made for all epochs at once.
Longer runs go through `Running`, and their histories grow."""


def is_unwatched(trainer: Prepared, epochs: int, metrics: Any, callbacks: Any, progress: Any) -> bool:
    """Return whether a run can be made by `run_unwatched`. Arguments that need a check may be measures or watchers."""
    if type(metrics) is not tuple or type(callbacks) is not tuple or metrics or callbacks or progress is not None:
        return False
    rates = trainer._wanted.rates
    return rates is not None and rates.is_constant and 0 < epochs <= MOST_EPOCHS


def run_unchecked(trainer: Prepared, X: Any, y: Any, data: TrainingData, epochs: int) -> History:
    """Train on `_unchecked_data` of a trainer. X and y are as the user passed them.

    A short run on large data takes a quarter less time if nothing reads the data before.

    Raises
    ------
    ValueError
        If a number is not finite. Nothing has changed then.
    DivergedError, ZeroDivisionError, RuntimeError
        As `run_unwatched` does.
    """
    before = _what_changes(trainer)
    try:
        return run_unwatched(trainer, X, data, epochs, checks_numbers=True)
    except DivergedError as error:
        if error.epoch > 1:
            raise
        after = _what_changes(trainer)
        _set_back(trainer, before)  # also for an interruption of the search for the fault
        fault = trainer._fault_of(X, y)
        if fault is not None:
            raise fault from None
        _set_back(trainer, after)
        raise


def _what_changes(trainer: Prepared) -> tuple[dict[str, Any], Any]:
    """Return what a run changes that diverges in its first epoch."""
    return {name: getattr(trainer, name) for name in ("_epochs", "_history")}, trainer._rng.bit_generator.state


def _set_back(trainer: Prepared, state: tuple[dict[str, Any], Any]) -> None:
    attributes, trainer._rng.bit_generator.state = state
    trainer.__dict__.update(attributes)


def run_unwatched(trainer: Prepared, X: Any, data: TrainingData, epochs: int, *, checks_numbers: bool = False) -> History:
    """Train for a number of epochs at a constant learning rate, and return the history. `X` is as the user passed it.

    With `checks_numbers`, numbers that are not finite make the loss of the first epoch NaN.

    Raises
    ------
    DivergedError, ZeroDivisionError
        As `Epochs.run` does.
    RuntimeError
        If the trainer is in use.
    """
    trainer._check_lazy(data)
    with trainer._stepper.hold() as stepper:
        trainer._apply()
        rate: Any = trainer.optimizer.learning_rate
        run = trainer._new_run(data, epochs)
        if checks_numbers:
            run.check_numbers()
        run.set_rates(rate)
        history = History._of_engine(run)
        try:
            stepper.in_run = True
            trainer.__dict__.update(_epochs=epochs, _history=history)
            if type(X) is not np.ndarray:
                trainer.model._learn_columns(X)
            try:
                status = run.advance(SLICE_SECONDS, epochs)
                if status == "finished":
                    history._epochs = epochs
                else:
                    _go_on(trainer, data, run, status, history)
            finally:
                trainer._end_run()
        except (KeyboardInterrupt, ZeroDivisionError) as error:
            history._epochs = max(history._epochs, run.epoch)
            if isinstance(error, KeyboardInterrupt):
                error.history = history  # type: ignore[attr-defined]
            raise
    return history


def _go_on(trainer: Prepared, data: TrainingData, run: Run, status: str, history: History) -> None:
    """Train to the end of a run whose first slice ended with this status."""
    rest = Epochs(trainer, data, run.n_epochs, history, Measures(trainer, (), data, None), [], run=run)
    rest.end_slice(status)
    rest.run()
