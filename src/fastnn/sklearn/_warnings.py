"""scikit-learn's warnings, issued in its name, so that filters on ``module="sklearn"`` apply."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The module from which scikit-learn issues them.
_MODULE = "sklearn.neural_network._multilayer_perceptron"
_LIBRARIES = ("fastnn", "sklearn", "joblib")


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Issue a warning in the name of scikit-learn's module that points to the line of the user's program."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _LIBRARIES:
        frame = frame.f_back
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    warnings.warn_explicit(message, category, frame.f_code.co_filename, frame.f_lineno, _MODULE, registry)


def log(values: NDArray[Any]) -> NDArray[Any]:
    """Compute logarithms in place, and return them. Warn about zeros if NumPy would."""
    if np.geterr()["divide"] != "warn":
        return np.asarray(np.log(values, out=values))
    with np.errstate(divide="call", call=lambda kind, flag: warn(f"{kind} encountered in log", RuntimeWarning)):
        return np.asarray(np.log(values, out=values))
