"""The solvers that train in batches: the split of the rows, and a run with stopping rules after each epoch."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import check_scoring
from sklearn.model_selection import train_test_split

from fastnn._averaging import SWA
from fastnn._checks import seeds as _seeds
from fastnn._errors import DivergedError
from fastnn._measures import Measures
from fastnn._native import copied_parameters, drops_units, restore_parameters
from fastnn._running import Running
from fastnn.optimizers import Optimizer
from fastnn.sklearn import _fitted
from fastnn.sklearn._average import averaged, leave_average, take_trained_parameters
from fastnn.sklearn._categories import as_scored
from fastnn.sklearn._data import Rows, batch_size, check_mean, counted_rows, evaluation_of, native_rows, thread_count
from fastnn.sklearn._definitions import EstimatorTrainer
from fastnn.sklearn._epochs import EpochWatcher, RatesByEpoch, Validation
from fastnn.sklearn._scorers import score_of_outputs, takes_weight
from fastnn.sklearn._warnings import warn


class BatchFit:
    """A fit in batches: the constructor prepares it; then, `run` trains, or others train `running()`; `end` completes it.

    Parameters
    ----------
    estimator : estimator
        The estimator, which is trained in place.
    X, y, sample_weight : arrays
        Checked data.
    held_out : tuple (X, y, sample_weight), optional
        Checked validation data that the user passed.
    incremental : bool
        Whether the caller is `partial_fit`, which trains for one epoch. Otherwise, the rules stop the training.
    resumes : bool
        Whether the optimizer, the random numbers and the order of rows continue from the last fit.
    bootstrap : bool
        Whether to train on as many rows as there are, drawn with replacement.
    """

    def __init__(
        self,
        estimator: Any,
        X: Any,
        y: Any,
        sample_weight: Any,
        held_out: Any,
        *,
        incremental: bool,
        resumes: bool,
        bootstrap: bool = False,
    ) -> None:
        _begin_stopping_rule(estimator)
        if estimator.early_stopping and held_out is None:
            X, y, sample_weight, held_out = _split(estimator, X, y, sample_weight, resumes)
        self.estimator, self._incremental = estimator, incremental
        model = estimator.network_
        self._rows = Rows(native_rows(X, model.dtype), estimator._native_target(y), sample_weight)
        n_rows = len(self._rows.target)
        if (incremental or (resumes and not estimator.early_stopping)) and "_trainer" in vars(estimator):
            take_trained_parameters(estimator)
        self._trainer = trainer = _trainer(estimator, n_rows, goes_on=incremental or resumes)
        if not resumes or trainer.order is None or len(trainer.order) != n_rows:
            trainer.order = estimator._random_state.randint(0, n_rows, n_rows, np.int64) if bootstrap else np.arange(n_rows)
        # The rows to train on, which every epoch shuffles from `order`. A resumed fit trains on the same.
        self._drawn = trainer.order.copy() if bootstrap else None
        if trainer.averaging is not None and not incremental and not resumes:
            trainer.averaging.check_epochs("max_iter", int(estimator.max_iter))
        _set_rate(estimator, trainer, n_rows, incremental)
        estimator.n_iter_ = 0
        if resumes and estimator.early_stopping:
            restore_parameters(model, estimator._last_parameters)
        self._watcher = EpochWatcher(estimator, trainer.rows_per_epoch(n_rows), _validation(estimator, trainer, held_out))
        self._epochs = 1 if incremental else int(estimator.max_iter)
        self._interrupted = self._diverged = False
        self._history_before = trainer.history

    def run(self) -> None:
        """Train."""
        if self._incremental and len(self._rows.target) == 1 and self._can_step():
            self._step()
        else:
            self._run()

    def running(self) -> Running:
        """Return the run of the trainer, for a loop that trains several. The estimator shows no progress then."""
        trainer, rows = self._trainer, self._rows
        data = trainer.prepared(rows.X, rows.target, rows.weight)
        return Running(trainer, data, self._epochs, Measures(trainer, (), data, None), [self._watcher], self._drawn)

    def end(self) -> None:
        """Complete the fit after the training: warn, and set the best parameters.

        Raises
        ------
        ValueError
            If the training diverged.
        """
        estimator, model = self.estimator, self.estimator.network_
        if self._interrupted:
            warn("Training interrupted by user.")
            self._watcher.stopped = True
        if self._diverged and estimator.early_stopping:
            self._run_on()
        elif self._diverged:
            leave_average(estimator)
            raise ValueError(_fitted.NOT_FINITE)
        if not self._incremental and estimator.n_iter_ == estimator.max_iter and not self._watcher.stopped:
            _warn_of_end(estimator)
        if estimator.early_stopping:
            estimator._last_parameters = copied_parameters(model) if estimator.resume else None
        if estimator.early_stopping and (self._diverged or not self._lacks_scores()):
            restore_parameters(model, estimator._best_parameters)
        else:
            leave_average(estimator)
        if not estimator.resume:
            self._trainer.order = None
        _fitted.check_finite(model)

    def _lacks_scores(self) -> bool:
        """Return whether no epoch had a score, so that none is the best, and warn then."""
        scores = self.estimator.validation_scores_
        lacks = len(scores) > 0 and bool(np.isnan(scores).all())
        if lacks:
            warn("No validation score is a number: the parameters are those of the last epoch.", ConvergenceWarning)
        return lacks

    @property
    def seconds(self) -> float:
        """The seconds of the training."""
        return float(self._trainer.history["seconds"].sum())

    # ---- The training ----

    def _can_step(self) -> bool:
        if isinstance(self._trainer.averaging, SWA):
            return False
        return self._drawn is None and not self.estimator.progress and not drops_units(self.estimator.network_)

    def _run(self) -> None:
        rows, watchers = self._rows, [self._watcher]
        inputs: Any = rows.X
        try:
            self._trainer.run(
                inputs,
                rows.target,
                self._epochs,
                sample_weight=rows.weight,
                callbacks=watchers,
                progress=self.estimator.progress,
            )
        except KeyboardInterrupt:
            self.note_interrupt()
        except DivergedError:
            self.note_divergence()
        finally:
            self.note_end()

    def _step(self) -> None:
        """Train for an epoch of a single row by a step, which gives the same bits as a run with less overhead."""
        rows = self._rows
        inputs: Any = rows.X
        try:
            loss = self._trainer.step(inputs, rows.target, rows.weight)
        except DivergedError:
            self.note_divergence()
        else:
            self._watcher.end_epochs(self._trainer, [loss])

    def note_interrupt(self) -> None:
        """Record that the user has interrupted the training."""
        self._interrupted = True

    def note_divergence(self) -> None:
        """Record that the training has diverged."""
        self._diverged = True

    def note_end(self) -> None:
        """Record the epochs that ended before an exception."""
        if self._trainer.history is not self._history_before:  # otherwise, the run was refused
            self._watcher.catch_up(self._trainer, self._trainer.history)

    def _run_on(self) -> None:
        """Record the epochs after a divergence. Their parameters are not finite, so that only scores must be computed."""
        restore_parameters(self.estimator.network_, np.nan)
        while self.estimator.n_iter_ < self._epochs and not self._watcher.stopped:
            self._watcher.end_epochs(self._trainer, [np.nan])


def _begin_stopping_rule(estimator: Any) -> None:
    """Initialize the stopping rule if the last fit used the other rule, or had no epochs."""
    if "loss_curve_" not in vars(estimator):
        vars(estimator).update(estimator._account_of_no_epochs())
    if estimator.early_stopping and estimator.best_validation_score_ is None:
        estimator.best_loss_, estimator.best_validation_score_, estimator.validation_scores_ = None, -np.inf, []
        estimator._best_parameters = copied_parameters(estimator.network_)
    elif not estimator.early_stopping and estimator.best_loss_ is None:
        estimator.best_loss_, estimator.best_validation_score_, estimator.validation_scores_ = np.inf, None, None


def _trainer(estimator: Any, n_rows: int, *, goes_on: bool) -> EstimatorTrainer:
    """Return the trainer of the last fit if it continues, otherwise a new one."""
    threads, batch_rows = thread_count(estimator.n_jobs), _batch_size(estimator.batch_size, n_rows)
    bits = _seeds.bits_of(estimator._random_state)
    if goes_on and hasattr(estimator, "_trainer"):
        kept: EstimatorTrainer = estimator._trainer
        if kept.random_state.bit_generator is not bits:
            kept.random_state = _seeds.generator(estimator._random_state)
        kept.follow(estimator, estimator._output()[1], threads, batch_rows)
        return kept
    estimator._learning_rate = float(estimator.learning_rate_init)
    rate = estimator.learning_rate if callable(estimator.learning_rate) else estimator._learning_rate
    generator = _seeds.generator(estimator._random_state)
    trainer = EstimatorTrainer(estimator.network_, estimator._output()[1], estimator, rate, generator, threads, batch_rows)
    estimator._trainer = trainer
    return trainer


def _set_rate(estimator: Any, trainer: EstimatorTrainer, n_rows: int, incremental: bool) -> None:
    if isinstance(estimator.solver, Optimizer) or callable(estimator.learning_rate):
        return
    if trainer.rate_rule.inverse_scaling and not incremental:
        trainer.learning_rate = RatesByEpoch(trainer, estimator, n_rows)
    elif trainer.learning_rate != estimator._learning_rate:
        trainer.learning_rate = estimator._learning_rate


def _batch_size(wanted: Any, n_rows: int) -> int:
    if wanted != "auto" and wanted > n_rows:
        warn("Got `batch_size` less than 1 or larger than sample size. It is going to be clipped")
    return batch_size(wanted, n_rows)


# ---- Validation ----


def _split(estimator: Any, X: Any, y: Any, sample_weight: Any, resumes: bool) -> tuple[Any, Any, Any, tuple[Any, Any, Any]]:
    """Hold out rows. A resumed fit holds out the same rows again."""
    random_state = estimator._random_state
    if resumes:
        random_state = np.random.RandomState()
        random_state.set_state(estimator._split_state)
    elif estimator.resume:
        estimator._split_state = random_state.get_state()
    arrays = [X, y] if sample_weight is None else [X, y, sample_weight]
    parts = train_test_split(
        *arrays,
        random_state=random_state,
        test_size=float(estimator.validation_fraction),
        stratify=estimator._stratification(y),
    )
    X, X_val, y, y_val, weight, weight_val = (*parts, None, None)[:6]
    if X_val.shape[0] < 2:
        raise ValueError("The validation set is too small. Increase 'validation_fraction' or the size of your dataset.")
    check_mean("sample_weight", weight_val)
    return X, y, weight, (X_val, y_val, weight_val)


def _validation(estimator: Any, trainer: EstimatorTrainer, held_out: Any) -> Validation | None:
    if held_out is None:
        return None
    X, y, weight = counted_rows(*held_out)
    evaluation = evaluation_of(estimator, trainer, X, y, weight)
    scorer: Any = None if estimator.scoring is None else check_scoring(estimator, estimator.scoring)
    known = score_of_outputs(estimator, scorer, len(y))

    rows = as_scored(estimator, X)
    arguments = {} if weight is None or not takes_weight(scorer) else {"sample_weight": weight}

    def by_scorer() -> float:
        with averaged(trainer):
            return float(scorer(estimator, rows, estimator._original(y), **arguments))

    def validate() -> tuple[float, float | None]:
        if not estimator.early_stopping:
            return evaluation.new_loss(), None
        if known is None:
            return evaluation.new_loss(), by_scorer()
        outputs = evaluation.outputs()
        score = known(outputs.astype(np.result_type(X.dtype, outputs.dtype), copy=False), y, weight)
        return evaluation.loss, float(score)

    return validate


def _warn_of_end(estimator: Any) -> None:
    warn(
        f"Stochastic Optimizer: Maximum iterations ({estimator.max_iter}) reached and the optimization hasn't converged "
        "yet.",
        ConvergenceWarning,
    )
