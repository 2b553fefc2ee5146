"""scikit-learn's multi-layer perceptrons on fastnn's kernels, with the same parameters, attributes and results."""

from __future__ import annotations

try:
    import sklearn as _sklearn  # noqa: F401
except ImportError as error:
    raise ImportError('fastnn.sklearn needs scikit-learn: pip install "fastnn-cpu[sklearn]"') from error

from fastnn.sklearn import _skl2onnx
from fastnn.sklearn._classifier import MLPClassifier
from fastnn.sklearn._from_sklearn import from_sklearn
from fastnn.sklearn._patching import patch, patched, report, unpatch
from fastnn.sklearn._regressor import MLPRegressor
from fastnn.sklearn._searches import GridSearchCV, RandomizedSearchCV, cross_validate

__all__ = [
    "GridSearchCV",
    "MLPClassifier",
    "MLPRegressor",
    "RandomizedSearchCV",
    "cross_validate",
    "from_sklearn",
    "patch",
    "patched",
    "report",
    "unpatch",
]
__dir__ = __all__.copy

_skl2onnx.announce()
