"""A run of a trainer, from checked arguments to its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from fastnn._engine.training_data import check_complete_batch
from fastnn._epochs import Epochs
from fastnn._history import History
from fastnn._measures import Measures
from fastnn._watchers import notify_begin, notify_end
from fastnn.optimizers import LBFGS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn import _core
    from fastnn._engine.training_data import TrainingData
    from fastnn._lbfgs_run import Search
    from fastnn._prepared import Prepared, RowsWithRun


class Running:
    """A trainer in a run. Nobody else may use it until the end of the `with` block of `hold`.

    Parameters
    ----------
    trainer : Trainer
        The trainer.
    data : TrainingData or RowsWithRun
        The data.
    epochs : int
        The number of epochs that the run has at most.
    measures : Measures
        The values that are computed after each epoch.
    watchers : list
        The watchers, as `check_watchers` returns them.
    rows : array of int64, optional
        The rows of the data to train on, which may repeat. The default is all.

    Attributes
    ----------
    history : History
        The history of the run.
    n_rows : int
        The number of rows in an epoch.
    training : Epochs or Search
        The run by batches, or the search by L-BFGS. Exists from `hold` on.

    Raises
    ------
    ImportError, ValueError
        If the optimizer is L-BFGS, and SciPy is missing or a setting does not apply; if `drop_last`
        would leave no batch; or if `lazy_updates` is set for dense rows.
    """

    training: Epochs | Search

    def __init__(
        self,
        trainer: Prepared,
        data: TrainingData | RowsWithRun,
        epochs: int,
        measures: Measures,
        watchers: list[Any],
        rows: NDArray[np.int64] | None = None,
    ) -> None:
        self.trainer, self.epochs = trainer, epochs
        rates = trainer._wanted.rates
        scheduled = [setting.name for setting in rates.others] if rates is not None and rates.others else ()
        self.history = History._of_run(measures.names, epochs, scheduled)
        self.n_rows = len(data.y) if rows is None else rows.size
        if trainer.n_shards is None:
            trainer._check_lazy(data)
            if trainer.drop_last:
                check_complete_batch(self.n_rows, trainer.batch_size)
        self._data, self._measures, self._watchers, self._rows = data, measures, watchers, rows
        if isinstance(trainer.optimizer, LBFGS):
            from fastnn._lbfgs_run import Search

            self.training = Search(trainer, cast("TrainingData", data), epochs, self.history, measures, watchers)

    def hold(self) -> _core.Hold:
        """Reserve the trainer for the run. The caller uses the result in a `with` statement at once.

        Raises
        ------
        RuntimeError
            If it is in use.
        """
        hold = self.trainer._stepper.hold()
        try:
            trainer, state = self.trainer, self.trainer.__dict__
            trainer._apply()
            self._before = {name: getattr(trainer, name) for name in ("_epochs", "_history")}
            self._names, self._updates = trainer.model._feature_names, trainer._stepper.updates
            state["_epochs"], state["_history"] = self.epochs, self.history
            if "training" not in self.__dict__:
                self.training = Epochs(
                    self.trainer, self._data, self.epochs, self.history, self._measures, self._watchers, self._rows
                )
        except BaseException:
            with hold:
                raise
        return hold

    def run(self, X: Any, hold: _core.Hold | None = None, prepare: Callable[[], None] | None = None) -> History:
        """Train from the beginning to the end of the run, and return the history.

        Parameters
        ----------
        X : array-like
            The inputs as the user passed them, whose column names the model records.
        hold : Hold, optional
            What `hold` has returned, if the caller had to know whether the trainer is free.
        prepare : function, optional
            What must happen before the watchers are told that the run begins.

        Raises
        ------
        RuntimeError
            If the trainer is in use.
        DivergedError, ZeroDivisionError
            As `Epochs.run` and `Search.run` do.
        """
        try:
            with self.hold() if hold is None else hold:
                try:
                    self._run(X, prepare)
                except Exception as error:
                    self.take_back(error)
                    raise
                finally:
                    self.end()
        except KeyboardInterrupt as error:
            error.history = self.history  # type: ignore[attr-defined]
            raise
        return self.history

    def _run(self, X: Any, prepare: Callable[[], None] | None) -> None:
        if prepare is not None:
            prepare()
        if type(X) is not np.ndarray:
            self.trainer.model._learn_columns(X)
        self.begin()
        try:
            self.training.run()
        finally:
            self.tell_end()

    def take_back(self, error: Exception) -> None:
        """Undo what the run has changed, if it was refused before its first step: by a callback, or by a schedule."""
        trainer = self.trainer
        if isinstance(error, ArithmeticError):  # a loss that is not finite, or weights that sum to 0: the run has begun
            return
        if self.history.epochs == 0 and trainer._stepper.updates == self._updates:
            trainer.__dict__.update(self._before)
            trainer.model._feature_names = self._names

    @property
    def is_watched(self) -> bool:
        """Whether the run has watchers."""
        return bool(self._watchers)

    def begin(self) -> None:
        """Tell the watchers that the run begins. From now on, settings that are assigned wait for the end of an epoch."""
        self.trainer._stepper.in_run = True
        notify_begin(self._watchers, self.trainer, self.history)

    def tell_end(self) -> None:
        """Tell the watchers that the run has ended, also after an exception."""
        notify_end(self._watchers, self.trainer, self.history)

    def end(self) -> None:
        """Let settings take effect at once again."""
        self.trainer._end_run()
