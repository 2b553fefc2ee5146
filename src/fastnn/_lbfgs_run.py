"""Runs of a trainer with L-BFGS, whose iterations take the place of epochs."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._errors import DivergedError
from fastnn._lbfgs import LBFGS
from fastnn._measures import Measures
from fastnn._minimize import AbsolutePenalty, Objective, minimize, scipy_minimize, scipy_options
from fastnn._native import apply_settings, loss_of, stepper_of
from fastnn._setting_checks import DEFAULT_BATCH_SIZE
from fastnn._watchers import notify

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn._configured import Configured
    from fastnn._engine.training_data import TrainingData
    from fastnn._history import History


class _Stopped(Exception):
    """A callback has ended the run."""


class _Interrupted(Exception):
    """A callback or a metric has raised StopIteration, by which SciPy would end the search without an error."""


class _Changed(Exception):
    """A callback has changed parameters or settings. The search continues from there."""


class Search:
    """The iterations of a run.

    Parameters
    ----------
    trainer : Trainer
        The trainer, whose optimizer is `LBFGS`.
    data : TrainingData
        The data.
    epochs : int
        The largest number of iterations.
    history : History
        The history, which gets the iterations.
    measures : Measures
        The values that are computed after each iteration.
    watchers : list
        The watchers, which are told of each iteration.

    Raises
    ------
    ImportError
        If SciPy is missing.
    ValueError
        If the trainer has a setting that does not apply to L-BFGS.
    """

    def __init__(
        self,
        trainer: Configured,
        data: TrainingData,
        epochs: int,
        history: History,
        measures: Measures,
        watchers: list[Any],
    ) -> None:
        scipy_minimize()
        self._trainer, self._data, self._epochs = trainer, data, epochs
        self._history, self._measures, self._watchers = history, measures, watchers
        self._evaluations = 0  # in all searches so far
        self._in_callback = False
        self._check_batch_size()

    def run(self) -> None:
        """Iterate until a tolerance is reached, a watcher stops the run, or all iterations are complete.

        Raises
        ------
        DivergedError
            If the loss is not finite.
        """
        changed = True
        while changed and self._history.epochs < self._epochs:
            self._begin()
            try:
                minimize(self._objective, function=self._evaluate, callback=self._call_back, **self._options())
                self._check_finite(self._value)
                changed = False
            except _Changed:
                self._check_batch_size()
            except _Stopped:
                changed = False
            except _Interrupted as error:
                self._restore()
                raise error.__cause__ from None  # type: ignore[misc]
            except BaseException:
                self._restore()
                raise
            finally:
                self._in_callback = False

    def _restore(self) -> None:
        """Set the model to the parameters of the last iteration, unless a callback has just seen them."""
        if not self._in_callback:
            self._objective.set_vector(self._last)

    def _begin(self) -> None:
        trainer = self._trainer
        l2: Any = trainer.l2  # a number
        plain = Objective(trainer.model, loss_of(trainer), self._data, l2, trainer.n_threads)
        self._objective = AbsolutePenalty(plain, trainer.l1) if trainer.l1 else plain
        self._last = self._objective.vector()  # the vector at the end of the last iteration
        self._value, self._at = math.nan, self._last
        self._settings = self._present_settings()
        self._begun = time.perf_counter()

    def _options(self) -> dict[str, Any]:
        optimizer = self._trainer.optimizer
        assert isinstance(optimizer, LBFGS)
        return {"maxiter": self._epochs - self._history.epochs} | scipy_options(optimizer, self._evaluations)

    def _evaluate(self, vector: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        value, derivatives = self._objective(vector)
        if self._evaluations == 0:
            self._check_finite(value)
        self._evaluations += 1
        self._value, self._at = value, vector.copy()
        return value, derivatives

    def _call_back(self, vector: NDArray[Any]) -> None:
        try:
            self._end_iteration(vector)
        except StopIteration as error:
            raise _Interrupted from error

    def _end_iteration(self, vector: NDArray[Any]) -> None:
        """Set the model to the parameters of an iteration, record it, and call the watchers."""
        trainer, objective = self._trainer, self._objective
        if not np.array_equal(vector, self._at):
            self._evaluate(vector)
        value = objective.loss_of_model(self._value, vector)
        self._check_finite(value)
        last, stepper = vector.copy(), stepper_of(trainer)
        objective.set_vector(vector)
        self._last = last  # no call up to the next line: Ctrl-C may come after each
        stepper.updates += 1
        seconds = time.perf_counter() - self._begun
        self._history.append(loss=value, learning_rate=math.nan, seconds=seconds, **self._measures.values())
        self._in_callback = True
        before = objective.vector()
        if notify(self._watchers, "on_epoch_end", trainer, self._history):
            raise _Stopped
        apply_settings(trainer)
        if self._present_settings() != self._settings or not np.array_equal(objective.vector(), before):
            raise _Changed
        self._in_callback = False
        self._begun = time.perf_counter()

    def _present_settings(self) -> tuple[Any, ...]:
        trainer = self._trainer
        return trainer.optimizer, trainer.l1, trainer.l2, trainer.n_threads, trainer.batch_size

    def _check_finite(self, value: float) -> None:
        if not math.isfinite(value):
            epoch = self._history.epochs + 1
            raise DivergedError(
                f"the loss is not finite in iteration {epoch} of 'lbfgs'; the parameters were restored to the iteration "
                "before. Scaled inputs may help.",
                epoch,
                self._history,
            )

    def _check_batch_size(self) -> None:
        size, n_rows = self._trainer.batch_size, len(self._data.y)
        if size != DEFAULT_BATCH_SIZE and size < n_rows:
            raise ValueError(
                f"batch_size: expected none for optimizer 'lbfgs', which takes all {n_rows} rows at once, got {size}"
            )
