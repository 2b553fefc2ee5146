"""The values that a run computes after each epoch: the validation loss and metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from fastnn._metrics import Metrics, checked_metrics, columns_of, of_sets
from fastnn._native import evaluated_network, loss_of

if TYPE_CHECKING:
    from fastnn._engine.training_data import TrainingData
    from fastnn._trainer import Trainer

Values: TypeAlias = Callable[[], dict[str, float]]
"""The function that returns the metrics of one set of rows, by name."""


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

    def __init__(self, trainer: Trainer, metrics: Any, data: TrainingData, validation: TrainingData | None) -> None:
        checked, validates = checked_metrics(metrics), validation is not None
        self._trainer, self._validation = trainer, validation
        self._sets: list[tuple[str, Values]] = []
        self.names: list[str] = []
        if not checked and not validates:  # most of many models have none, and must cost little
            return
        for prefix, own in of_sets(checked, validates=validates):
            rows = data if validation is None or not prefix else validation
            self._sets.append((prefix, Metrics(own, trainer, rows, "validation_data " if prefix else "").values))
        self.names = columns_of(checked, validates=validates)

    def __bool__(self) -> bool:
        """Return whether there is anything to compute."""
        return bool(self.names)

    def values(self) -> dict[str, float]:
        """Return the values with the current parameters, by their names in the history."""
        found = {"val_loss": self._validation_loss()} if "val_loss" in self.names else {}
        for prefix, values in self._sets:
            found |= {f"{prefix}{name}": value for name, value in values().items()}
        return {name: found[name] for name in self.names}

    def _validation_loss(self) -> float:
        """Return the loss of the validation data, which exist."""
        assert self._validation is not None
        return evaluated_network(self._trainer).gradient(loss_of(self._trainer), *self._validation)
