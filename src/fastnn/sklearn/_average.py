"""The average of an estimator's parameters, with which it predicts, and those with which its training continues."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from fastnn._native import (
    copied_parameters,
    evaluated_network,
    network_of,
    restore_average,
    restore_parameters,
    take_average,
)
from fastnn.sklearn._definitions import EstimatorTrainer


def leave_average(estimator: Any) -> None:
    """Give the network the averaged parameters, if there are any, and keep those with which the training continues."""
    trainer = estimator._trainer
    if trainer.averaging is not None:
        estimator._last_parameters = copied_parameters(trainer.model)
        take_average(trainer)


def take_trained_parameters(estimator: Any) -> None:
    """Give the network the parameters with which its training continues, if the last fit has left it with their average.

    If a program has changed the parameters since, the training continues with these, and the average begins anew.
    """
    model, trainer = estimator.network_, estimator._trainer
    average = evaluated_network(trainer)
    if average is network_of(model):
        return
    kept = vars(estimator).get("_last_parameters")
    if kept is not None and np.array_equal(average.storage, network_of(model).storage):
        restore_parameters(model, kept)
    else:
        restore_average(trainer, None)


@contextmanager
def averaged(trainer: EstimatorTrainer) -> Iterator[None]:
    """Run a block of code in which the model has its averaged parameters, if there are any."""
    model = trainer.model
    if evaluated_network(trainer) is network_of(model):
        yield
        return
    parameters = copied_parameters(model)
    try:
        take_average(trainer)
        yield
    finally:
        restore_parameters(model, parameters)
