"""The epochs of a run: time slices of native training, and the work between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn._errors import WEIGHTLESS, DivergedError
from fastnn._history import History
from fastnn._measures import Measures
from fastnn._progress import ProgressBar
from fastnn._rates import StepSettings
from fastnn._watchers import notify

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fastnn._core import Run
    from fastnn._engine.training_data import TrainingData
    from fastnn._prepared import Prepared, RowsWithRun

# Seconds that the native loop runs before it returns to Python, which checks for signals and reports progress.
SLICE_SECONDS = 0.05
# The number of learning rates of a schedule that are evaluated at once.
_RATES_AT_ONCE = 1 << 16


class Epochs:
    """The epochs of a run by batches, slice by slice: one at a time if a watcher, validation or metrics need this.

    Parameters
    ----------
    trainer : Trainer
        The trainer, which is running.
    data : TrainingData or RowsWithRun
        The data.
    epochs : int
        The number of epochs.
    history : History
        The history, which gets the finished epochs.
    measures : Measures
        The values that are computed after each epoch.
    watchers : list
        The watchers, which are told of each epoch.
    rows : array of int64, optional
        The rows of the data to train on, which may repeat. The default is all.
    run : Run, optional
        The engine's run of the data, which has the constant learning rate of all epochs, and has begun.

    Attributes
    ----------
    over : bool
        Whether the last epoch has ended, or a watcher has stopped the run.
    """

    def __init__(
        self,
        trainer: Prepared,
        data: TrainingData | RowsWithRun,
        epochs: int,
        history: History,
        measures: Measures,
        watchers: list[Any],
        rows: NDArray[np.int64] | None = None,
        run: Run | None = None,
    ) -> None:
        self.trainer, self._data, self._epochs, self._rows = trainer, data, epochs, rows
        self._history, self._measures, self._watchers = history, measures, watchers
        self._patient: list[Any] = []
        self._each = bool(measures)
        for watcher in watchers:
            # A watcher that does not need each epoch says how many may end before it is called.
            if hasattr(watcher, "epochs_ahead"):
                self._patient.append(watcher)
            elif not isinstance(watcher, ProgressBar):
                self._each = True
        self._run: Run = trainer._new_run(data, epochs, rows) if run is None else run
        self._done = self._before = 0  # finished epochs: in total; in the runs of the engine before the present one
        # Epochs of the engine's run whose learning rates are set; the rate and the schedules that set them.
        self._planned = 0 if run is None else epochs
        self._rates: StepSettings | None = None if run is None else trainer._native.rates  # not those wanted since
        self.over = epochs == 0

    def run(self) -> None:
        """Train for all epochs, or until a watcher stops the run.

        Raises
        ------
        DivergedError
            If the loss becomes NaN or infinite. The engine has restored the parameters.
        ZeroDivisionError
            If the weights of a batch sum to 0, where the loss divides by the sum.
        """
        try:
            while not self.over:
                run, epochs = self.begin_slice()
                self.end_slice(run.advance(SLICE_SECONDS, epochs))
        except (KeyboardInterrupt, ZeroDivisionError):
            self.record_rest()
            raise

    def begin_slice(self) -> tuple[Run, int]:
        """Return the engine's run, and the number of epochs for which it may advance."""
        if self._run.is_between_epochs:
            if self.trainer._apply():
                self._run = self.trainer._new_run(self._data, self._epochs - self._done, self._rows)
                self._before, self._planned = self._done, 0
            settings = self.trainer._step_settings()
            if self._run.epoch == self._planned or settings is not self._rates:
                self._rates = settings
                self._planned = self._run.epoch + _plan(settings, self._run)
        settings_wait = self.trainer._wanted is not self.trainer._native
        return self._run, 1 if self._each or settings_wait else self._count_ahead()

    def _count_ahead(self) -> int:
        """Return the number of epochs for which neither a new rate nor a watcher is needed."""
        ahead = self._planned - self._run.epoch
        for watcher in self._patient:
            epochs: int | None = watcher.epochs_ahead()
            if epochs is not None:
                ahead = min(ahead, epochs)
        return ahead

    def end_slice(self, status: str) -> None:
        """Record the epochs of a slice that ended with this status, and set `over` if it was the last one.

        Raises
        ------
        DivergedError, ZeroDivisionError
            As in `run`.
        """
        done = self._before + self._run.epoch
        ended = done > self._done
        if ended:
            self._record(self._done - self._before)
            self._done = done
        if status == "diverged":
            restored = "those of the last epoch with a finite loss" if self._done else "those before the run"
            raise DivergedError(
                f"the loss is not finite in epoch {self._done + 1}; the parameters are again {restored}. A smaller learning "
                "rate, clip_norm or scaled inputs may help.",
                self._done + 1,
                self._history,
            )
        if status == "weightless":
            raise ZeroDivisionError(WEIGHTLESS)
        stopped = ended and notify(self._watchers, "on_epoch_end", self.trainer, self._history)
        self.over = stopped or self._done == self._epochs

    def record_rest(self) -> None:
        """Record the epochs that finished in a slice whose end Python did not see, unless they would have been measured."""
        if self._before + self._run.epoch > self._history.epochs and not self._measures:
            self._record(self._history.epochs - self._before)

    def _record(self, first: int) -> None:
        """Add the epochs of the run to the history, from `first` to the last finished one, which alone is measured."""
        measured = self._measures.values() if self._measures else {}
        history, rates = self._history, self._rates
        if rates is None or not (rates.others or history._of_schedules):
            history._take(self._run, first, measured)
            return
        scheduled = [setting.name for setting in rates.others]
        numbers = {name: self.trainer._number(name) for name in history._of_schedules if name not in scheduled}
        history._take(self._run, first, measured, scheduled, numbers)


def _plan(settings: StepSettings, run: Run) -> int:
    """Set the learning rates and scheduled settings of the next epochs, and return the number of these epochs."""
    epochs_left = run.n_epochs - run.epoch
    if settings.is_constant:
        rate: Any = settings.learning_rate  # a number
        run.set_rates(rate)
        return epochs_left
    count = min(epochs_left, max(1, _RATES_AT_ONCE // run.steps))
    run.set_rates(settings.of_steps(run.updates, count * run.steps))
    return count
