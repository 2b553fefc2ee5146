"""Estimators that train on Dask collections, with plain Dask tasks."""

from __future__ import annotations

try:
    import dask.array as _array  # noqa: F401
    import distributed as _distributed  # noqa: F401
except ImportError as error:
    raise ImportError('fastnn.dask needs Dask: pip install "fastnn-cpu[dask]"') from error

from fastnn.dask._estimators import MLPClassifier, MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
__dir__ = __all__.copy
