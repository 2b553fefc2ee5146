"""scikit-learn's own classes, even under the patch, and the parameters and attributes that both libraries share."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor

# Parameters that do not change results.
_WITHOUT_EFFECT = ("n_jobs", "progress")
# Fitted attributes that scikit-learn lacks, and those that are views of the network.
_OWN = ("network_", "validation_loss_curve_", "coefs_", "intercepts_")
# The classes by their names in sklearn.neural_network. This module is imported before anything is replaced.
ORIGINALS: Mapping[str, Any] = {"MLPClassifier": MLPClassifier, "MLPRegressor": MLPRegressor}


def parameters_of(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a function, or of a class's constructor without `self`."""
    return inspect.signature(function).parameters


def is_default(value: Any, default: Any) -> bool:
    """Return whether a parameter, or each value in a list of them, is at its default."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return all(is_default(one, default) for one in value)
    return value is default or bool(value == default)


def carried(source: Any, source_class: Any, target_class: Any, target: str) -> dict[str, Any]:
    """Return the values of parameters that both classes have. Raise ValueError if another one is not at its default."""
    found = {}
    for name, parameter in parameters_of(source_class).items():
        value = getattr(source, name, parameter.default)  # pickles of old versions lack some parameters
        if name in parameters_of(target_class):
            found[name] = value
        elif name not in _WITHOUT_EFFECT and not is_default(value, parameter.default):
            raise ValueError(f"{name}: expected {parameter.default!r}: {target} has no such parameter, got {value!r}")
    return found


def fitted_attributes(estimator: Any) -> dict[str, Any]:
    """Return copies of the public attributes that fitting sets, except for the network."""
    return {
        name: copy.copy(value)
        for name, value in vars(estimator).items()
        if name.endswith("_") and not name.startswith("_") and name not in _OWN
    }
