"""Conversion of scikit-learn's estimators to fastnn's, by the public attributes of both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastnn._native import copied_parameters
from fastnn.sklearn._classes import Classes, kind_of_outputs
from fastnn.sklearn._classifier import MLPClassifier
from fastnn.sklearn._originals import ORIGINALS, carried, fitted_attributes
from fastnn.sklearn._regressor import MLPRegressor

_OURS: Mapping[str, Any] = {"MLPClassifier": MLPClassifier, "MLPRegressor": MLPRegressor}


def from_sklearn(fitted: Any) -> Any:
    """Return fastnn's estimator for one of scikit-learn's, with the same parameters, fitted attributes and predictions.

    Training can continue, but with a new optimizer: the state of scikit-learn's optimizer, such as Adam's moments, is
    private and is not converted.

    Parameters
    ----------
    fitted : sklearn.neural_network.MLPClassifier or MLPRegressor
        The estimator to convert, which is not changed. If it is not fitted, only its parameters are converted.

    Returns
    -------
    MLPClassifier or MLPRegressor
        An estimator of `fastnn.sklearn`, in float32 if the network's parameters are, otherwise in float64.

    Raises
    ------
    TypeError
        If `fitted` is anything else.
    ValueError
        If a parameter that fastnn does not know is not at its default, or if fastnn does not support the network.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.neural_network import MLPRegressor
    >>> from fastnn.sklearn import from_sklearn
    >>> X = np.linspace(-1, 1, 50)[:, None]
    >>> theirs = MLPRegressor(hidden_layer_sizes=(20,), solver="lbfgs", random_state=0).fit(X, X[:, 0] ** 2)
    >>> ours = from_sklearn(theirs)
    >>> np.allclose(ours.predict(X), theirs.predict(X), rtol=1e-12)
    True
    """
    name = next((name for name, original in ORIGINALS.items() if isinstance(fitted, original)), None)
    if name is None:
        raise TypeError(f"fitted: expected scikit-learn's MLPClassifier or MLPRegressor, got {type(fitted).__qualname__}")
    estimator = _OURS[name](**carried(fitted, ORIGINALS[name], _OURS[name], "fastnn"))
    if hasattr(fitted, "coefs_"):
        _take_network(estimator, fitted)
        for attribute, value in fitted_attributes(fitted).items():
            setattr(estimator, attribute, value)
    return estimator


def _take_network(estimator: Any, fitted: Any) -> None:
    arrays = [*fitted.coefs_, *fitted.intercepts_]
    dtype = np.float32 if np.result_type(*arrays) == np.float32 else np.float64
    hidden = [len(bias) for bias in fitted.intercepts_[:-1]]
    X, y = np.empty((0, len(fitted.coefs_[0])), dtype), np.empty((0, len(fitted.intercepts_[-1])))
    if isinstance(estimator, MLPClassifier):
        estimator._set_classes(
            Classes(fitted.classes_.copy(), kind_of_outputs(fitted.out_activation_ == "softmax", fitted.n_outputs_))
        )
    estimator._begin_network(X, y, hidden, np.random.RandomState(0))
    network = estimator.network_
    for view, array in zip([*network.weights, *network.biases], arrays, strict=True):
        view[...] = array
    estimator._random_state = np.random.RandomState(0)
    estimator._no_improvement_count = 0
    estimator._best_parameters = copied_parameters(network) if estimator.early_stopping else None
