"""The members of a call of `fit_many`, from its arguments to the histories."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from fastnn._checks.scalars import integer
from fastnn._history import History
from fastnn._many.arguments import Spread, checked_models, rows_of_models
from fastnn._many.data import SharedData, SharedValidation, count_rows, only_rows
from fastnn._many.runs import Member, run_members
from fastnn._measures import Measures
from fastnn._native import architecture_of, check_epochs, learn_columns, take_average, twin_of
from fastnn._progress import ProgressBar
from fastnn._running import Running
from fastnn._trainer import Trainer
from fastnn._watchers import check_watchers
from fastnn.optimizers import LBFGS


class Members:
    """The models of a call, each with its settings and its data.

    Parameters
    ----------
    models : sequence of MLP
        The models.
    X, y, rows, sample_weight
        The arguments of `fit_many`.

    Attributes
    ----------
    spread : Spread
        The distribution of the other arguments over the models.
    """

    def __init__(self, models: Any, X: Any, y: Any, rows: Any, sample_weight: Any) -> None:
        self._models, self._X = checked_models(models), X
        self.spread = Spread(len(self._models))
        n_rows = count_rows(X)
        self._rows = rows_of_models(self.spread, rows, n_rows)
        self._data = SharedData(X, y, n_rows, self._rows, self.spread.arrays("sample_weight", sample_weight))

    def make_trainers(self, settings: Mapping[str, list[Any]]) -> None:
        """Make the trainers. `settings` has one value per model for each argument."""
        random_states = settings["random_state"]
        others = {name: values for name, values in settings.items() if name != "random_state"}
        self._trainers: list[Trainer] = []
        checked: dict[Any, Trainer] = {}  # one trainer of each architecture with the same objects as settings
        for k, model in enumerate(self._models):
            own = {name: values[k] for name, values in others.items()}
            key = architecture_of(model), *map(id, own.values())  # `settings` keeps them alive: no id is used twice
            with self._named(k):
                if key in checked:
                    trainer = twin_of(checked[key], model, random_states[k])
                else:
                    trainer = checked[key] = Trainer(model, random_state=random_states[k], **own)
            self._trainers.append(trainer)

    def prepare(self, epochs: list[Any], validation: list[Any], metrics: list[Any], callbacks: list[Any]) -> None:
        """Check the arguments of the runs, each of which has one value per model."""
        self._runs: list[Running] = []
        shared = SharedValidation(self._X)
        for k, trainer in enumerate(self._trainers):
            with self._named(k):
                data, rows = self._data.of_model(k, trainer), self._rows[k]
                held_out = shared.of_model(trainer, validation[k])
                own = only_rows(data, rows) if metrics[k] or isinstance(trainer.optimizer, LBFGS) else data
                measures = Measures(trainer, metrics[k], own, held_out)
                if isinstance(trainer.optimizer, LBFGS):  # which takes all rows at once
                    data, rows = own, None
                n_epochs, watchers = integer("epochs", epochs[k], low=0), check_watchers(callbacks[k], None)
                check_epochs(trainer, n_epochs)
                self._runs.append(Running(trainer, data, n_epochs, measures, watchers, rows))

    def run(self, n_threads: int | None, progress: ProgressBar | None) -> list[History]:
        """Train all models, and return their histories."""
        histories = [running.history for running in self._runs]
        try:
            with ExitStack() as stack:
                members = []
                for running in self._runs:
                    stack.enter_context(running.hold())
                    stack.callback(_end, running)
                    members.append(Member(running))
                if type(self._X) is not np.ndarray:
                    for model in self._models:
                        learn_columns(model, self._X)
                run_members(members, n_threads, progress)
        except KeyboardInterrupt as error:
            error.histories = histories  # type: ignore[attr-defined]
            raise
        except Exception as error:
            for running in self._runs:
                running.take_back(error)
            raise
        _warn_of_diverged(members)
        return histories

    @contextmanager
    def _named(self, k: int) -> Iterator[None]:
        """Name the model in errors that may be about it alone."""
        try:
            yield
        except (TypeError, ValueError) as error:
            if k == 0 and not self.spread.any_list:
                raise
            raise type(error)(f"{error} (of model {k})") from None


def _end(running: Running) -> None:
    try:
        running.end()
    finally:
        take_average(running.trainer)


def _warn_of_diverged(members: list[Member]) -> None:
    diverged = [f"model {k}, {member.diverged}" for k, member in enumerate(members) if member.diverged is not None]
    if diverged:
        text = f"fit_many: {len(diverged)} of {len(members)} models diverged; the first is {diverged[0]}"
        warnings.warn(text, RuntimeWarning, stacklevel=5)
