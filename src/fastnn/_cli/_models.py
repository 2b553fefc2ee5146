"""Loading of the models on which commands work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from fastnn._checks.columns import Names
from fastnn._model import MLP


@dataclass(frozen=True)
class Predictor:
    """What `fastnn predict` needs of a model or an estimator.

    Attributes
    ----------
    n_inputs : int
        The number of inputs.
    names : tuple of str, optional
        The names of the inputs.
    outputs : tuple of str
        The names of the columns of predictions.
    predict : callable
        The function from rows to predictions of shape (n, n_outputs).
    """

    n_inputs: int
    names: Names | None
    outputs: Names
    predict: Callable[[NDArray[Any]], NDArray[Any]]


def load_model(path: Path) -> MLP:
    """Return the model in the file of a model or a trainer."""
    return MLP.load(path)


def load_predictor(path: Path) -> Predictor:
    """Return the predictions that a file offers."""
    model = load_model(path)
    n_outputs = model.layer_sizes[-1]
    outputs = ("prediction",) if n_outputs == 1 else tuple(f"prediction_{i}" for i in range(n_outputs))
    return Predictor(model.layer_sizes[0], model.feature_names, outputs, model.predict)
