"""Conversion of fastnn's estimators to scikit-learn's, by the public attributes of both."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_matrix
from sklearn import config_context
from sklearn.base import is_classifier

from fastnn.losses import Loss
from fastnn.sklearn._by_hand import hidden_activations
from fastnn.sklearn._definitions import activation_of, regression_loss
from fastnn.sklearn._originals import ORIGINALS, carried, fitted_attributes
from fastnn.sklearn._parameters import LEARNING_RATES, LOSSES, ORIGINAL_SOLVERS, layer_sizes

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Maps fastnn's names of activations to scikit-learn's.
_ACTIVATIONS = {"identity": "identity", "sigmoid": "logistic", "tanh": "tanh", "relu": "relu"}
_LOSSES = {LOSSES[name]: name for name in ("squared_error", "poisson")}


def to_sklearn(estimator: Any) -> Any:
    """Return scikit-learn's estimator for one of fastnn; see the method of the same name."""
    name = "MLPClassifier" if is_classifier(estimator) else "MLPRegressor"
    original = ORIGINALS[name]
    # A user's subclass is not used, because its constructor may have any parameters.
    own = next(one for one in type(estimator).__mro__ if one.__name__ == name and one.__module__.startswith("fastnn."))
    parameters = carried(estimator, own, original, "scikit-learn")
    parameters.update(_translated(estimator, parameters))
    converted = original(**parameters)
    if hasattr(estimator, "network_"):
        _make_fitted(converted, estimator)
        converted.set_params(**parameters)
        for own, taken in ((converted.coefs_, estimator.coefs_), (converted.intercepts_, estimator.intercepts_)):
            for i, (array, values) in enumerate(zip(own, taken, strict=True)):
                if array.dtype == values.dtype:
                    array[...] = values  # in place: with early stopping, scikit-learn's best parameters are the same arrays
                else:  # lbfgs makes the parameters float64
                    own[i] = np.array(values)
        for attribute, value in fitted_attributes(estimator).items():
            setattr(converted, attribute, value)
    return converted


def _translated(estimator: Any, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters whose values have other names in scikit-learn. Raise ValueError for values that it lacks."""
    translated = {"activation": _one_of("activation", _activation(estimator), _ACTIVATIONS.values())}
    for name, names in (("solver", ORIGINAL_SOLVERS), ("learning_rate", LEARNING_RATES)):
        _one_of(name, parameters[name], names)
    if "loss" in parameters:
        loss = parameters["loss"]
        name = regression_loss(loss).name if isinstance(loss, Loss) else LOSSES.get(loss, loss)
        translated["loss"] = _one_of("loss", _LOSSES.get(name, loss), _LOSSES.values())
    return translated


def _activation(estimator: Any) -> Any:
    """Return scikit-learn's name for the activation of all hidden layers, or the activations if it has no name for them."""
    used = hidden_activations(estimator, len(layer_sizes(estimator)))
    if not used:  # without hidden layers
        used = [activation_of(estimator.activation)] if isinstance(estimator.activation, str) else ["relu"]
    same = isinstance(used[0], str) and all(one == used[0] for one in used)
    return _ACTIVATIONS.get(used[0], used[0]) if same else used


def _one_of(name: str, value: Any, names: Any) -> Any:
    if not (isinstance(value, str) and value in names):
        raise ValueError(f"{name}: expected one of scikit-learn's: {', '.join(map(repr, names))}, got {value!r}")
    return value


def _make_fitted(converted: Any, estimator: Any) -> None:
    """Let scikit-learn set all attributes of a fitted estimator, by a fit to made-up rows without any iteration.

    The optimizer is therefore new, and nothing depends on the rows. They are sparse, so that they are small.
    """
    y = _made_up_target(estimator)
    X = csr_matrix((len(y), estimator.n_features_in_), dtype=estimator.network_.dtype)
    converted.set_params(
        hidden_layer_sizes=estimator.network_.layer_sizes[1:-1],
        alpha=0.0,
        batch_size="auto",
        max_iter=0,
        random_state=0,
        verbose=False,
        warm_start=False,
        validation_fraction=0.5,
    )
    with config_context(skip_parameter_validation=True), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lbfgs warns that it has not converged
        converted.fit(X, y)


def _made_up_target(estimator: Any) -> NDArray[Any]:
    """Return targets with all classes. Each occurs often enough for splitting the rows in two."""
    n_outputs = estimator.n_outputs_
    if not is_classifier(estimator):
        return np.zeros(4 if n_outputs == 1 else (4, n_outputs))
    if estimator._classes.several:
        return np.tile(np.array([[0], [1]]), (2, n_outputs))
    return np.tile(estimator.classes_, 4)
