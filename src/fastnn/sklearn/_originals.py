"""scikit-learn's own classes, whatever `patch` has put in their place."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from sklearn.neural_network import MLPClassifier, MLPRegressor

# By the names of sklearn.neural_network. This module is imported before anything is replaced.
ORIGINALS: Mapping[str, Any] = {"MLPClassifier": MLPClassifier, "MLPRegressor": MLPRegressor}


def parameters_of(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a function, or of a class's constructor without `self`."""
    return inspect.signature(function).parameters
