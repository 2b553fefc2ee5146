"""The values that a run computes after each epoch: the validation loss and metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn._metrics import Metrics, checked_metrics
from fastnn._native import evaluated_network, loss_of

if TYPE_CHECKING:
    from fastnn._engine.training_data import TrainingData
    from fastnn._trainer import Trainer


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
        checked = checked_metrics(metrics)
        self._trainer, self._validation = trainer, validation
        self._of_training = self._of_validation = None
        self.names: list[str] = []
        if not checked and validation is None:
            return
        if checked:
            self._of_training = Metrics(checked, trainer, data)
        if checked and validation is not None:
            self._of_validation = Metrics(checked, trainer, validation, prefix="validation_data ")
        sets = [""] if validation is None else ["", "val_"]
        self.names = [f"{each}{name}" for name in ("loss", *checked) for each in sets][1:]

    def __bool__(self) -> bool:
        """Return whether there is anything to compute."""
        return bool(self.names)

    def values(self) -> dict[str, float]:
        """Return the values with the current parameters, by their names in the history."""
        found = {}
        if self._validation is not None:
            found["val_loss"] = evaluated_network(self._trainer).gradient(loss_of(self._trainer), *self._validation)
        if self._of_training is not None:
            found |= self._of_training.values()
        if self._of_validation is not None:
            found |= {f"val_{name}": value for name, value in self._of_validation.values().items()}
        return {name: found[name] for name in self.names}
