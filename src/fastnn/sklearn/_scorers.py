"""Scores of a network's outputs, without the checks and conversions of scikit-learn's scorers, which are slow."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config, metrics
from sklearn.base import is_classifier

# Maps outputs, targets in the form for the loss, and weights of rows to a score.
Score = Callable[[NDArray[Any], NDArray[Any], NDArray[Any] | None], float]


def determination(outputs: NDArray[Any], y: NDArray[Any], weight: NDArray[Any] | None) -> float:
    """Return the coefficient of determination R², as a mean over outputs, like `sklearn.metrics.r2_score`."""
    shares = 1.0 if weight is None else weight[:, None]
    errors = (shares * (y - outputs) ** 2).sum(axis=0, dtype=np.float64)
    spreads = (shares * (y - np.average(y, axis=0, weights=weight)) ** 2).sum(axis=0, dtype=np.float64)
    scores = np.where(errors == 0, 1.0, 0.0)  # for constant targets
    np.divide(errors, spreads, out=scores, where=spreads != 0)  # negative if weights are negative
    return float(np.where(spreads != 0, 1 - scores, scores).mean())


def _mean_squares(outputs: NDArray[Any], y: NDArray[Any], weight: NDArray[Any] | None) -> NDArray[Any]:
    return np.asarray(np.average((y - outputs) ** 2, axis=0, weights=weight))


def _squared_error(outputs: NDArray[Any], y: NDArray[Any], weight: NDArray[Any] | None) -> float:
    return -float(_mean_squares(outputs, y, weight).mean())


def _root_squared_error(outputs: NDArray[Any], y: NDArray[Any], weight: NDArray[Any] | None) -> float:
    return -float(np.sqrt(_mean_squares(outputs, y, weight)).mean())


def _absolute_error(outputs: NDArray[Any], y: NDArray[Any], weight: NDArray[Any] | None) -> float:
    return -float(np.average(np.abs(y - outputs), axis=0, weights=weight).mean())


def _log_loss(outputs: NDArray[Any], y: NDArray[Any], weight: NDArray[Any] | None) -> float:
    binary = outputs.shape[1] == 1
    probabilities = np.where(y == 1, outputs, 1 - outputs)[:, 0] if binary else outputs[np.arange(len(y)), y]
    smallest = np.finfo(outputs.dtype).eps
    return float(np.average(np.log(np.clip(probabilities, smallest, 1 - smallest)), weights=weight))


class _Metric(NamedTuple):
    """A scorer of scikit-learn, or None for the estimator's own score, and the same score as a function of outputs."""

    name: str
    of_classes: bool
    score: Score | None


_METRICS = (
    _Metric("accuracy", True, None),
    _Metric("neg_log_loss", True, _log_loss),
    _Metric("r2", False, None),
    _Metric("neg_mean_squared_error", False, _squared_error),
    _Metric("neg_root_mean_squared_error", False, _root_squared_error),
    _Metric("neg_mean_absolute_error", False, _absolute_error),
)


def takes_weight(scorer: Any) -> bool:
    """Return whether a scorer takes `sample_weight`: functions of estimator, X and y need not."""
    try:
        parameters = inspect.signature(getattr(scorer, "_score_func", scorer)).parameters
    except (TypeError, ValueError):  # of functions without a signature
        return True
    return "sample_weight" in parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())


def score_of_outputs(estimator: Any, scorer: Any, n_rows: int) -> Score | None:
    """Return a function of outputs, checked targets and weights that computes a scorer's score, or None.

    Scorers are recognised by their parts, so that those of `make_scorer` with functions of `sklearn.metrics` and default
    arguments are found too. The result is None if the user overrides methods that the scorer would call.
    """
    if scorer is None:
        return _own_score(estimator)
    if get_config()["enable_metadata_routing"] or overrides(estimator, "predict", "predict_proba"):
        return None
    metric = next((metric for metric in _METRICS if _alike(scorer, metrics.get_scorer(metric.name))), None)
    if metric is None or metric.of_classes is not is_classifier(estimator):
        return None
    if metric.score is None:
        # For a single row, scikit-learn's R² is undefined.
        return _own_score(estimator) if metric.of_classes or n_rows > 1 else None
    # scikit-learn's log loss is not defined for multilabel targets.
    if metric.of_classes and (estimator._classes.several or len(estimator.classes_) < 2):
        return None
    return _with_checks(estimator, metric.score)


def _own_score(estimator: Any) -> Score:
    score: Score = estimator._score_outputs
    return score


def _with_checks(estimator: Any, score: Score) -> Score:
    def checked(outputs: NDArray[Any], y: NDArray[Any], weight: NDArray[Any] | None) -> float:
        return score(outputs, estimator._native_target(y), weight) if np.isfinite(outputs).all() else np.nan

    return checked


_PARTS = ("_score_func", "_sign", "_kwargs", "_response_method")


def _alike(scorer: Any, known: Any) -> bool:
    if type(scorer) is not type(known) or not all(hasattr(known, part) for part in _PARTS):
        return False
    return all(getattr(scorer, part) == getattr(known, part) for part in _PARTS)


def overrides(estimator: Any, *names: str) -> bool:
    """Return whether a user overrides one of the methods."""
    for name in names:
        owner = next((kind for kind in type(estimator).__mro__ if name in vars(kind)), None)
        if name in vars(estimator) or (owner is not None and not owner.__module__.startswith("fastnn.sklearn.")):
            return True
    return False
