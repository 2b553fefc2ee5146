"""The end of an epoch: the attributes, the stopping rules and the learning rate of an estimator."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastnn._history import History
from fastnn._native import evaluated_network
from fastnn.sklearn._definitions import EstimatorTrainer

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MIN_RATE = 1e-6  # at which an adaptive learning rate stops
_RATE_DIVISOR = 5.0


Validation: TypeAlias = Callable[[], "tuple[float, float | None]"]
"""A function that returns the loss of held-out rows with the current parameters, and their score if it is needed."""


class EpochWatcher:
    """A callback that keeps the attributes of an estimator up to date during training, and decides when to stop.

    Parameters
    ----------
    estimator : estimator
        The estimator whose attributes are kept.
    n_rows : int
        The number of rows per epoch.
    validation : callable, optional
        The validation. With `early_stopping`, its score decides when to stop; otherwise, the training loss does.

    Attributes
    ----------
    stopped : bool
        Whether the stopping rules have ended the training.
    """

    def __init__(self, estimator: Any, n_rows: int, validation: Validation | None) -> None:
        self._estimator, self._n_rows, self._validation = estimator, n_rows, validation
        self._seen = 0  # the number of epochs of the history that are recorded
        self.stopped = False

    def epochs_ahead(self) -> int | None:
        """Return the number of epochs that can't stop the training before the last of them; None means any number.

        Each epoch must be seen if its parameters are judged or its loss is printed. Otherwise, only the losses count, and
        the training stops no sooner than after `n_iter_no_change` epochs without improvement.
        """
        estimator = self._estimator
        if self._validation is not None or estimator.verbose:
            return 1
        missing = estimator.n_iter_no_change - estimator._no_improvement_count
        return None if missing == np.inf else max(int(missing) + 1, 1)

    def on_epoch_end(self, trainer: EstimatorTrainer, history: History) -> bool:
        """Record the epochs since the last call, and return whether the last of them ends the training."""
        losses = history["loss"][self._seen :].tolist()
        self._seen += len(losses)
        self.end_epochs(trainer, losses)
        return self.stopped

    def catch_up(self, trainer: EstimatorTrainer, history: History) -> None:
        """Record the epochs that ended before an exception, unless each must be seen."""
        if history.epochs > self._seen and self.epochs_ahead() != 1:
            self.on_epoch_end(trainer, history)

    def end_epochs(self, trainer: EstimatorTrainer, losses: list[float]) -> None:
        """Record epochs with these losses, at most as many as `epochs_ahead` allows."""
        estimator = self._estimator
        # First, so that an interrupted validation leaves no epoch half recorded.
        loss, score = (None, None) if self._validation is None else self._validation()
        count = len(losses)
        estimator.n_iter_ += count  # no calls between these lines: Ctrl-C may come after each
        estimator.t_ += self._n_rows * count
        estimator.loss_ = losses[-1]
        estimator.loss_curve_ += losses
        if estimator.verbose:
            print(f"Iteration {estimator.n_iter_}, loss = {losses[-1]:.8f}")
        if loss is not None:
            estimator.validation_loss_curve_.append(loss)
        if score is not None:
            self._compare_score(trainer, score)
        else:
            self._compare_losses(losses)
        if trainer.rate_rule.inverse_scaling:
            estimator._learning_rate = float(trainer.rate_rule.after(estimator.t_))
        if estimator._no_improvement_count > estimator.n_iter_no_change:
            self.stopped = self._stops(trainer)
            if not self.stopped:
                estimator._no_improvement_count = 0

    def _compare_score(self, trainer: EstimatorTrainer, score: float) -> None:
        estimator = self._estimator
        estimator.validation_scores_.append(score)
        if estimator.verbose:
            print(f"Validation score: {score:f}")
        worse = score < estimator.best_validation_score_ + estimator.tol
        estimator._no_improvement_count = estimator._no_improvement_count + 1 if worse else 0
        if score > estimator.best_validation_score_ or (
            estimator.ties == "last" and score == estimator.best_validation_score_
        ):
            best = evaluated_network(trainer).storage.copy()
            vars(estimator).update(best_validation_score_=score, _best_parameters=best)  # at once, for the same reason

    def _compare_losses(self, losses: list[float]) -> None:
        estimator = self._estimator
        best, count, tol = estimator.best_loss_, estimator._no_improvement_count, estimator.tol
        for loss in losses:
            count = count + 1 if loss > best - tol else 0
            best = min(best, loss)
        estimator.best_loss_, estimator._no_improvement_count = best, count

    def _stops(self, trainer: EstimatorTrainer) -> bool:
        """Return True if training must stop for lack of improvement: not if an adaptive learning rate can be lowered."""
        estimator = self._estimator
        judged = "Validation score" if estimator.early_stopping else "Training loss"
        message = (
            f"{judged} did not improve more than tol={estimator.tol:f} for {estimator.n_iter_no_change} consecutive epochs."
        )
        adaptive = trainer.rate_rule.adaptive
        stops = not adaptive or estimator._learning_rate <= _MIN_RATE
        if not stops:
            estimator._learning_rate /= _RATE_DIVISOR
            trainer.learning_rate = estimator._learning_rate
            message += f" Setting learning rate to {estimator._learning_rate:f}"
        else:
            message += " Learning rate too small. Stopping." if adaptive else " Stopping."
        if estimator.verbose:
            print(message)
        return stops


class RatesByEpoch:
    """A schedule whose learning rates fall from epoch to epoch of a run.

    Parameters
    ----------
    trainer : EstimatorTrainer
        The trainer, whose `rate_rule` determines the rates.
    estimator : estimator
        The estimator, whose current rate is that of the first epoch.
    n_rows : int
        The number of rows per epoch.
    """

    def __init__(self, trainer: EstimatorTrainer, estimator: Any, n_rows: int) -> None:
        self._rule, self._first_rate, self._first_t = trainer.rate_rule, estimator._learning_rate, estimator.t_
        self._n_rows = trainer.rows_per_epoch(n_rows)
        self._steps, self._updates = -(-self._n_rows // trainer.batch_size), trainer.updates

    def __call__(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the learning rates of these steps."""
        epoch = (steps - self._updates) // self._steps
        later = self._rule.after(self._first_t + epoch * self._n_rows)
        return np.asarray(np.where(epoch == 0, self._first_rate, later))
