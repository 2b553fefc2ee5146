"""Loading of the models and estimators on which commands work."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._checks.columns import Names
from fastnn._cli._usage import WrongUsageError
from fastnn._ensemble import Ensemble
from fastnn._model import MLP
from fastnn._storage.models import read_any

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ESTIMATORS = {"classifier": "MLPClassifier", "regressor": "MLPRegressor"}


@dataclass(frozen=True)
class Predictor:
    """The inputs and predictions of a model, an ensemble or an estimator, for `fastnn predict`.

    Attributes
    ----------
    n_inputs : int
        The number of inputs.
    names : tuple of str, optional
        The names of the inputs.
    outputs : tuple of str
        The names of the columns of predictions.
    dtype : dtype
        The type of the predictions: numbers, or labels of classes.
    predict : callable
        The function from one row or more to predictions of shape (n, n_outputs).
    """

    n_inputs: int
    names: Names | None
    outputs: Names
    dtype: np.dtype[Any]
    predict: Callable[[NDArray[Any]], NDArray[Any]]


def load_model(path: Path) -> MLP:
    """Return the network in a file."""
    return MLP.load(path)


def load_estimator(path: Path) -> Any:
    """Return the estimator in a file, or None if the file has none."""
    name = _ESTIMATORS.get(_kind_of(path))
    if name is None:
        return None
    from fastnn import sklearn as estimators  # names the extra if scikit-learn is missing

    return getattr(estimators, name).load(path)


def _kind_of(path: Path) -> str:
    """Return the kind of a file, or an empty string if it is unknown, which loading the file as a model will explain."""
    if not path.is_file():  # a pipe is read only once
        return ""
    metadata, _ = read_any(path)
    try:
        return str(json.loads(metadata.get("fastnn", "{}"))["kind"])
    except (KeyError, RecursionError, TypeError, ValueError):
        return ""


def load_predictor(path: Path) -> Predictor:
    """Return the predictions that a file offers: the labels of a classifier, and numbers of all others.

    Those of an ensemble are the means over its models.
    """
    estimator = load_estimator(path)
    if estimator is None:
        model = Ensemble.load(path) if _kind_of(path) == "ensemble" else load_model(path)
        members = model.models if isinstance(model, Ensemble) else (model,)
        n_inputs = members[0].layer_sizes[0]
        names = next((each.feature_names for each in members if each.feature_names), None)
        predict: Callable[[NDArray[Any]], NDArray[Any]] = model.predict
    else:
        if any(each.dtype == object for each in getattr(estimator, "categories_", ())):
            raise WrongUsageError(
                f"argument MODEL: expected inputs that are numbers, got '{path}', some of whose columns have text "
                "as categories; its method predict takes them"
            )
        n_inputs, names = estimator.n_features_in_, getattr(estimator, "feature_names_in_", None)
        predict = _predict_of(estimator)
    example = predict(np.zeros((1, n_inputs)))
    n_outputs = example.shape[1]
    outputs = ("prediction",) if n_outputs == 1 else tuple(f"prediction_{i}" for i in range(n_outputs))
    return Predictor(n_inputs, None if names is None else tuple(names), outputs, example.dtype, predict)


def _predict_of(estimator: Any) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Return the predictions of an estimator for columns that have already been found by name."""

    def predict(X: NDArray[Any]) -> NDArray[Any]:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "X does not have valid feature names")
            return np.asarray(estimator.predict(X)).reshape(len(X), -1)

    return predict
