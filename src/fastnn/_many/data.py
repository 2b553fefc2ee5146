"""The data of many networks: checked once for all networks that take them in the same form."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._checks.scalars import shown
from fastnn._engine.arrays import chosen_rows
from fastnn._engine.targets import check_observed
from fastnn._engine.training_data import TrainingData, apart_from, sample_weights, training_data
from fastnn._native import check_columns, codes_of, network_of, validation_of
from fastnn._trainer import Trainer

Rows = NDArray[np.int64] | None  # the rows of a model; None for all


def count_rows(X: Any) -> int:
    """Return the number of rows of the inputs, whatever their form.

    Raises
    ------
    TypeError
        If they have no rows.
    """
    shape = getattr(X, "shape", None)
    if isinstance(shape, tuple) and shape:
        return int(shape[0])
    try:
        return len(X)
    except TypeError:
        raise TypeError(f"X: expected an array or a data frame of shape (n, n_in), got {shown(X)}") from None


class SharedData:
    """The inputs and targets of all networks. Each network trains on its own rows, with its own weights.

    Parameters
    ----------
    X, y : array-like
        The arguments of the user.
    n_rows : int
        The number of rows.
    rows : list
        The rows of each model.
    weights : list
        The weights of all rows for each model, as the user passed them.
    """

    def __init__(self, X: Any, y: Any, n_rows: int, rows: list[Rows], weights: list[Any]) -> None:
        self._X, self._y, self._n_rows, self._rows = X, y, n_rows, rows
        self._given_weights = weights  # keeps the objects, whose ids must differ
        self._weights: dict[int, NDArray[np.float64] | None] = {}
        self._checked: dict[tuple[Any, ...], TrainingData] = {}
        self._counted = self._count()

    def of_model(self, k: int, trainer: Trainer) -> TrainingData:
        """Return all rows in the form for model k, after a check of the rows on which it trains.

        Raises
        ------
        TypeError, ValueError
            As for `Trainer.run`.
        """
        if type(self._X) is not np.ndarray:
            check_columns(trainer.model, "X", self._X)
        data = self._all(trainer)
        weight, rows = self._weight(k), self._rows[k]
        if weight is not None or rows is not None:
            chosen = slice(None) if rows is None else rows
            own = sample_weights("sample_weight", None if weight is None else weight[chosen], _length(rows, self._n_rows))
            check_observed("y", data.y[chosen], trainer.loss, own, trainer.model.layer_sizes[-1])
        return apart_from(data._replace(sample_weight=weight), network_of(trainer.model).storage)

    def _weight(self, k: int) -> NDArray[np.float64] | None:
        given = self._given_weights[k]
        if id(given) not in self._weights:
            self._weights[id(given)] = sample_weights("sample_weight", given, self._n_rows)
        return self._weights[id(given)]

    def _all(self, trainer: Trainer) -> TrainingData:
        """Return all rows in the form for models like that of a trainer, after a check of the rows that some model uses."""
        model = trainer.model
        key = (model.layer_sizes[0], model.layer_sizes[-1], model.dtype, trainer.loss, model.embeddings)
        if key not in self._checked:
            self._checked[key] = training_data(
                self._X,
                self._y,
                self._counted,
                model.layer_sizes,
                trainer.loss,
                model.dtype,
                is_part=True,
                codes=codes_of(model),
            )
        return self._checked[key]

    def _count(self) -> NDArray[np.float64] | None:
        """Return 1.0 for each row that counts for some model and 0.0 for the others, or None if all count."""
        counted = np.zeros(self._n_rows)
        for k, rows in enumerate(self._rows):
            weight = self._weight(k)
            if rows is None and weight is None:
                return None
            chosen = slice(None) if rows is None else rows
            counted[chosen] = 1.0 if weight is None else np.maximum(counted[chosen], weight[chosen] != 0)
        return None if counted.all() else counted


def _length(rows: Rows, n_rows: int) -> int:
    return n_rows if rows is None else rows.size


def only_rows(data: TrainingData, rows: Rows) -> TrainingData:
    """Return copies of the rows of a model."""
    if rows is None:
        return data
    x, y, labels, weight = data
    return TrainingData(chosen_rows(x, rows), y[rows], labels, None if weight is None else weight[rows])


class SharedValidation:
    """The validation data of all models, which are checked once for models that take them in the same form.

    Parameters
    ----------
    X : array-like
        The inputs of the training, whose columns those of the validation must match.
    """

    def __init__(self, X: Any) -> None:
        self._X = X
        self._given: list[Any] = []  # keeps the objects, whose ids must differ
        self._checked: dict[tuple[Any, ...], TrainingData | None] = {}

    def of_model(self, trainer: Trainer, given: Any) -> TrainingData | None:
        """Return the data in the form for a model.

        Raises
        ------
        TypeError, ValueError
            As for `Trainer.run`.
        """
        if given is None:
            return None
        model = trainer.model
        key = (id(given), model.layer_sizes[0], model.layer_sizes[-1], model.dtype, trainer.loss, model.embeddings)
        if key not in self._checked:
            self._given.append(given)
            self._checked[key] = validation_of(trainer, given, self._X)
        data = self._checked[key]
        return data if data is None else apart_from(data, network_of(model).storage)
