"""Estimators of scikit-learn's into fastnn's, and back, by what is public of both."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn import config_context

from fastnn.losses import Loss
from fastnn.sklearn._classes import Classes
from fastnn.sklearn._classifier import MLPClassifier
from fastnn.sklearn._definitions import activation_of, regression_loss
from fastnn.sklearn._fallback import is_default
from fastnn.sklearn._originals import ORIGINALS, parameters_of
from fastnn.sklearn._parameters import LOSSES, layer_sizes
from fastnn.sklearn._regressor import MLPRegressor

_OURS: Mapping[str, Any] = {"MLPClassifier": MLPClassifier, "MLPRegressor": MLPRegressor}
# scikit-learn's names by fastnn's; it has no others.
_ACTIVATIONS = {"identity": "identity", "sigmoid": "logistic", "tanh": "tanh", "relu": "relu"}
_LOSSES = {LOSSES[name]: name for name in ("squared_error", "poisson")}
_SOLVERS = ("lbfgs", "sgd", "adam")
_LEARNING_RATES = ("constant", "invscaling", "adaptive")
# Parameters that change no number.
_WITHOUT_EFFECT = ("n_jobs", "progress")
# Of the fitted attributes, those that scikit-learn has not, and those that are views of the network.
_OWN = ("network_", "validation_loss_curve_", "coefs_", "intercepts_")


# ---- From scikit-learn ----


def from_sklearn(fitted: Any) -> Any:
    """Return fastnn's estimator for one of scikit-learn's: the same parameters, fitted attributes and predictions.

    It can be trained further. What scikit-learn's optimizer had, such as Adam's moments, is private to it and stays
    behind: training goes on as from a new optimizer.

    Parameters
    ----------
    fitted : sklearn.neural_network.MLPClassifier or MLPRegressor
        Not changed. If it is not fitted, its parameters are all there is to take.

    Returns
    -------
    MLPClassifier or MLPRegressor
        Of `fastnn.sklearn`; in float32 if the parameters of the network are, else in float64.

    Raises
    ------
    TypeError
        If `fitted` is anything else.
    ValueError
        If a parameter has been set that fastnn does not know, or the network is one that fastnn can't have.

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
        raise TypeError(f"fitted: got {type(fitted).__qualname__}, expected scikit-learn's MLPClassifier or MLPRegressor")
    estimator = _OURS[name](**_carried(fitted, ORIGINALS[name], _OURS[name], "fastnn"))
    if hasattr(fitted, "coefs_"):
        _take_network(estimator, fitted)
        for attribute, value in _fitted_attributes(fitted).items():
            setattr(estimator, attribute, value)
    return estimator


def _take_network(estimator: Any, fitted: Any) -> None:
    arrays = [*fitted.coefs_, *fitted.intercepts_]
    dtype = np.float32 if np.result_type(*arrays) == np.float32 else np.float64
    hidden = [len(bias) for bias in fitted.intercepts_[:-1]]
    X, y = np.empty((0, len(fitted.coefs_[0])), dtype), np.empty((0, len(fitted.intercepts_[-1])))
    if isinstance(estimator, MLPClassifier):
        estimator._set_classes(Classes(fitted.classes_.copy(), _kind_of_classes(fitted)))
    estimator._begin(X, y, hidden, np.random.RandomState(0))
    network = estimator.network_
    for view, array in zip([*network.weights, *network.biases], arrays, strict=True):
        view[...] = array
    estimator._random_state = np.random.RandomState(0)
    estimator._no_improvement_count = 0
    estimator._best_parameters = network._network.storage.copy() if estimator.early_stopping else None


def _kind_of_classes(classifier: Any) -> str:
    if classifier.out_activation_ == "softmax":
        return "multiclass"
    return "binary" if classifier.n_outputs_ == 1 else "multilabel-indicator"


# ---- To scikit-learn ----


def to_sklearn(estimator: Any) -> Any:
    """Return scikit-learn's estimator for one of fastnn's; see the method of the same name."""
    name = "MLPClassifier" if isinstance(estimator, MLPClassifier) else "MLPRegressor"
    parameters = _carried(estimator, _OURS[name], ORIGINALS[name], "scikit-learn")
    parameters.update(_translated(estimator, parameters))
    converted = ORIGINALS[name](**parameters)
    if hasattr(estimator, "network_"):
        _make_fitted(converted, estimator)
        converted.set_params(**parameters)
        for own, taken in ((converted.coefs_, estimator.coefs_), (converted.intercepts_, estimator.intercepts_)):
            for i, (array, values) in enumerate(zip(own, taken, strict=True)):
                if array.dtype == values.dtype:
                    array[...] = values  # in place: with early stopping, scikit-learn has it as the best one so far too
                else:  # lbfgs makes float64
                    own[i] = np.array(values)
        for attribute, value in _fitted_attributes(estimator).items():
            setattr(converted, attribute, value)
    return converted


def _translated(estimator: Any, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters whose values scikit-learn calls otherwise, or may not have."""
    translated = {"activation": _one_of("activation", _activation(estimator), _ACTIVATIONS.values())}
    for name, names in (("solver", _SOLVERS), ("learning_rate", _LEARNING_RATES)):
        _one_of(name, parameters[name], names)
    if "loss" in parameters:
        loss = parameters["loss"]
        name = regression_loss(loss).name if isinstance(loss, Loss) else LOSSES.get(loss, loss)
        translated["loss"] = _one_of("loss", _LOSSES.get(name, loss), _LOSSES.values())
    return translated


def _activation(estimator: Any) -> Any:
    """Return the activation of all hidden layers by scikit-learn's name, or what there is instead."""
    if hasattr(estimator, "network_"):  # the parameter may have been set since
        used = list(estimator.network_.activations[:-1])
    else:
        used = estimator._hidden_activations(len(layer_sizes(estimator)))
    if not used:  # without hidden layers
        used = [activation_of(estimator.activation)] if isinstance(estimator.activation, str) else ["relu"]
    same = isinstance(used[0], str) and all(one == used[0] for one in used)
    return _ACTIVATIONS.get(used[0], used[0]) if same else used


def _one_of(name: str, value: Any, names: Any) -> Any:
    if not (isinstance(value, str) and value in names):
        raise ValueError(f"{name}: got {value!r}, expected one of {', '.join(map(repr, names))}, which scikit-learn has")
    return value


def _make_fitted(converted: Any, estimator: Any) -> None:
    """Let scikit-learn make all that a fitted estimator has, without a step of training, from made-up rows.

    No iteration: so its optimizer is as new, with nothing that comes from these rows. They are sparse to be small.
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
        warnings.simplefilter("ignore")  # lbfgs says that it has not converged
        converted.fit(X, y)


def _made_up_target(estimator: Any) -> NDArray[Any]:
    """Return targets with all the classes, each often enough to be split in two."""
    n_outputs = estimator.n_outputs_
    if isinstance(estimator, MLPRegressor):
        return np.zeros(4 if n_outputs == 1 else (4, n_outputs))
    if estimator._classes.several:
        return np.tile(np.array([[0], [1]]), (2, n_outputs))
    return np.tile(estimator.classes_, 4)


# ---- Both ----


def _carried(source: Any, source_class: Any, target_class: Any, target: str) -> dict[str, Any]:
    """Return the parameters that both classes have; raise ValueError if another one is not at its default."""
    carried = {}
    for name, parameter in parameters_of(source_class).items():
        value = getattr(source, name, parameter.default)  # pickles of old versions lack some
        if name in parameters_of(target_class):
            carried[name] = value
        elif name not in _WITHOUT_EFFECT and not is_default(value, parameter.default):
            raise ValueError(f"{name}: got {value!r}, expected {parameter.default!r}: {target} has no such parameter")
    return carried


def _fitted_attributes(estimator: Any) -> dict[str, Any]:
    """Return copies of the public attributes that fitting makes, but for the network."""
    return {
        name: copy.copy(value)
        for name, value in vars(estimator).items()
        if name.endswith("_") and not name.startswith("_") and name not in _OWN
    }
