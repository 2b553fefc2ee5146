"""Arguments of many networks: one value for all, or a list with one value per model."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import callbacks as _callbacks
from fastnn._checks.scalars import shown
from fastnn._model import MLP

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LISTS = (list, tuple, range, np.ndarray)
# Each model needs such a callback of its own, because its state or its file is about one run.
_OF_ONE_RUN = (_callbacks.EarlyStopping, _callbacks.ReduceOnPlateau, _callbacks.TimeLimit)
_WITH_FILE = (_callbacks.Checkpoint, _callbacks.CSVLog)


def checked_models(models: Any) -> list[MLP]:
    """Return the models as a list, or raise TypeError or ValueError unless they are different models."""
    if isinstance(models, MLP) or not isinstance(models, Sequence):
        raise TypeError(f"models: expected a list of MLP, got {shown(models)}")
    if not models:
        raise ValueError("models: expected at least one MLP, got none")
    places: dict[int, int] = {}
    for k, model in enumerate(models):
        if not isinstance(model, MLP):
            raise TypeError(f"models: expected a list of MLP, got {shown(model)} at place {k}")
        if id(model) in places:
            raise ValueError(f"models: expected different models, got the same at places {places[id(model)]} and {k}")
        places[id(model)] = k
    return list(models)


class Spread:
    """The distribution of arguments over models.

    Parameters
    ----------
    n_models : int
        The number of models.

    Attributes
    ----------
    any_list : bool
        Whether an argument had a list with one value per model.
    """

    def __init__(self, n_models: int) -> None:
        self.n_models, self.any_list = n_models, False

    def scalar(self, argument: str, value: Any) -> list[Any]:
        """Return one value per model from a number, name or object, or from a list of these."""
        return self._of_list(argument, value) if isinstance(value, _LISTS) and np.ndim(value) else self._of_one(value)

    def objects(self, argument: str, value: Any) -> list[Any]:
        """Return one value per model from an object that may be a tuple, or from a list of such objects."""
        return self._of_list(argument, value) if isinstance(value, list) else self._of_one(value)

    def sequences(self, argument: str, value: Any) -> list[Any]:
        """Return one sequence per model from a sequence, or from a list of sequences."""
        nested = isinstance(value, list) and value and all(isinstance(each, list | tuple) for each in value)
        return self._of_list(argument, value) if nested else self._of_one(value)

    def arrays(self, argument: str, value: Any) -> list[Any]:
        """Return one array per model from a vector, or from a list or matrix of vectors, some of which may be None."""
        if isinstance(value, np.ndarray):
            return self._of_list(argument, value) if value.ndim > 1 else self._of_one(value)
        nested = isinstance(value, list | tuple) and any(each is None or np.ndim(each) > 0 for each in value)
        return self._of_list(argument, value) if nested else self._of_one(value)

    def _of_one(self, value: Any) -> list[Any]:
        return [value] * self.n_models

    def _of_list(self, argument: str, values: Any) -> list[Any]:
        if len(values) != self.n_models:
            raise ValueError(
                f"{argument}: expected one value, or a list of {self.n_models}, one per model, got {len(values)} values"
            )
        self.any_list = True
        return list(values)


def rows_of_models(spread: Spread, rows: Any, n_rows: int) -> list[NDArray[np.int64] | None]:
    """Return the rows of each model as contiguous int64, or None for all rows.

    Raises
    ------
    TypeError, ValueError
        If they are not indices of rows, or a model has none.
    """
    checked: dict[int, NDArray[np.int64]] = {}
    found: list[NDArray[np.int64] | None] = []
    given = spread.arrays("rows", rows)  # keeps the arrays, whose ids must differ
    for k, each in enumerate(given):
        if each is None:
            found.append(None)
            continue
        if id(each) not in checked:
            checked[id(each)] = _indices(f"rows of model {k}" if spread.any_list else "rows", each, n_rows)
        found.append(checked[id(each)])
    return found


def _indices(argument: str, rows: Any, n_rows: int) -> NDArray[np.int64]:
    array = np.asarray(rows)
    if array.dtype == np.bool_ and array.shape == (n_rows,):
        array = np.flatnonzero(array)
    if array.ndim != 1 or (array.dtype.kind not in "iu" and array.size):
        expected = f"integers (m,) from 0 to {n_rows - 1}, or {n_rows} booleans"
        raise TypeError(f"{argument}: expected {expected}, got {array.dtype} of shape {array.shape}")
    if array.size == 0:
        raise ValueError(f"{argument}: expected at least one row, got none")
    low, high = array.min(), array.max()
    if low < 0 or high >= n_rows:
        raise ValueError(f"{argument}: expected rows from 0 to {n_rows - 1}, got {low if low < 0 else high}")
    # A copy, so that the caller can't change the checked rows during the run.
    return np.array(array, np.int64, order="C")


def callbacks_of_models(spread: Spread, callbacks: Any) -> list[Any]:
    """Return the callbacks of each model. The state of a callback for all models is copied where it is about one run.

    Raises
    ------
    ValueError
        If one callback for all models writes to one file, or several lists have the same object where it is about one run.
    """
    lists = spread.sequences("callbacks", callbacks)
    if spread.n_models == 1 or not isinstance(callbacks, Sequence):
        return lists
    if any(each is not callbacks for each in lists):
        _refuse_common(lists)
        return lists
    for callback in callbacks:
        if isinstance(callback, _WITH_FILE):
            name = type(callback).__name__
            raise ValueError(
                f"callbacks: expected a list with one list per model for {name}, whose file has one run, got one"
            )
        if isinstance(callback, _callbacks.ProgressBar):
            raise ValueError("callbacks: expected no ProgressBar, got one; progress= shows one bar for all models")
    return [[_own(callback) for callback in callbacks] for _ in lists]


def _refuse_common(lists: list[Any]) -> None:
    places: dict[int, int] = {}
    for k, of_model in enumerate(lists):
        for callback in of_model:
            if isinstance(callback, _OF_ONE_RUN + _WITH_FILE) and places.setdefault(id(callback), k) != k:
                name, first = type(callback).__name__, places[id(callback)]
                raise ValueError(
                    f"callbacks: expected for each model a callback {name} of its own, got one for models {first} and {k}"
                )


def _own(callback: Any) -> Any:
    return copy.deepcopy(callback) if isinstance(callback, _OF_ONE_RUN) else callback
