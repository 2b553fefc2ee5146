"""The values that a run computes after each epoch: the validation loss and metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from fastnn._evaluation import Evaluation
from fastnn._metrics import VALIDATION, Metrics, checked_metrics, columns_of, of_sets

if TYPE_CHECKING:
    from fastnn._configured import Configured
    from fastnn._engine.training_data import TrainingData

Values: TypeAlias = Callable[[], dict[str, float]]
"""The function that returns the loss or metrics of one set of rows, by name."""


class Measures:
    """The validation loss, and the metrics of training and validation data, which are computed after each epoch.

    Parameters
    ----------
    trainer : Trainer
        The trainer, whose model is measured.
    metrics : sequence
        The names and callables.
    data, validation : TrainingData
        The rows. `validation` is None if there are no validation data.
    """

    def __init__(self, trainer: Configured, metrics: Any, data: TrainingData, validation: TrainingData | None) -> None:
        checked, validates = checked_metrics(metrics), validation is not None
        self._sets: list[tuple[str, Values]] = []
        self.names: list[str] = []
        if not checked and not validates:  # most of many models have none, and must cost little
            return
        of_training, of_validation = of_sets(checked, validates=validates)
        if of_training:
            self._sets.append(("", Metrics(of_training, Evaluation(trainer, data)).values))
        if validation is not None:
            evaluation = Evaluation(trainer, validation, has_loss=True)
            held_out = Metrics(of_validation, evaluation, "validation_data ") if of_validation else None
            self._sets.append((VALIDATION, _with_loss(evaluation, held_out)))
        self.names = columns_of(checked, validates=validates)

    def __bool__(self) -> bool:
        """Return whether there is anything to compute."""
        return bool(self.names)

    def values(self) -> dict[str, float]:
        """Return the values with the current parameters, by their names in the history."""
        found = {f"{prefix}{name}": value for prefix, values in self._sets for name, value in values().items()}
        return {name: found[name] for name in self.names}


def _with_loss(evaluation: Evaluation, metrics: Metrics | None) -> Values:
    """Return the function that computes the loss and the metrics of some rows in one pass."""

    def values() -> dict[str, float]:
        if metrics is None:
            return {"loss": evaluation.new_loss()}
        found = metrics.values()  # whose pass has set the loss
        return {"loss": evaluation.loss, **found}

    return values
