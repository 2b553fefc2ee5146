"""The data of estimators, checked by scikit-learn, and converted for the native loop only if necessary."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
from scipy.sparse import issparse
from sklearn.exceptions import DataConversionWarning
from sklearn.utils import column_or_1d
from sklearn.utils.validation import check_array, check_X_y, validate_data

from fastnn._checks.masks import refuse_masked
from fastnn._config import get_num_threads
from fastnn._engine import arrays as _arrays
from fastnn._engine import core as _core
from fastnn._engine.training_data import TrainingData, check_magnitudes
from fastnn._evaluation import Evaluation
from fastnn.sklearn._categories import encoded_inputs, has_categories
from fastnn.sklearn._warnings import warn

if TYPE_CHECKING:
    from numpy.typing import NDArray

# If the ratio of the sum of weights to the sum of their magnitudes is smaller, the sum is only a rounding error. The kernels
# have the same bound.
_CANCELLED = 2.0**-50
_AUTO_BATCH = 200


@dataclass
class Rows:
    """The inputs, targets and weights of some rows.

    Attributes
    ----------
    X : ndarray or SparseRows, shape (n, n_features)
    target : ndarray, shape (n, n_outputs), or (n,) for labels
    weight : ndarray of float64, shape (n,), optional
    """

    X: _arrays.Rows
    target: NDArray[Any]
    weight: NDArray[np.float64] | None

    @property
    def labels(self) -> bool:
        """Return whether the targets are integer labels."""
        return self.target.ndim == 1


def counted_rows(X: Any, y: NDArray[Any], weight: NDArray[np.float64] | None) -> tuple[Any, NDArray[Any], Any]:
    """Return the rows whose weights are not 0, because the others don't count, whatever their contents."""
    if weight is None or weight.all():
        return X, y, weight
    counted = np.flatnonzero(weight)
    return X[counted], y[counted], weight[counted]


def batch_size(wanted: Any, n_rows: int) -> int:
    """Return the number of rows per batch for the parameter `batch_size`."""
    return min(_AUTO_BATCH if wanted == "auto" else int(wanted), n_rows)


def native_rows(X: Any, dtype: np.dtype[Any]) -> _arrays.Rows:
    """Return validated inputs in the form for the kernels."""
    return _arrays.rows("X", X, X.shape[1], dtype)


def check_dense(embedded: bool, X: Any) -> None:
    """Raise TypeError if inputs for embeddings are sparse."""
    if embedded and issparse(X):
        raise TypeError("X: expected a dense array for embeddings, got a sparse matrix")


def checked_weight(sample_weight: Any, n_rows: int) -> NDArray[np.float64] | None:
    """Return weights as contiguous float64, or None for None."""
    if sample_weight is None:
        return None
    if isinstance(sample_weight, Real):
        sample_weight = np.full(n_rows, sample_weight)
    _arrays.numbers_of("sample_weight", sample_weight)
    weight = check_array(sample_weight, ensure_2d=False, dtype=np.float64, order="C", input_name="sample_weight")
    if weight.shape != (n_rows,):
        raise ValueError(f"sample_weight: expected shape ({n_rows},), one number for each sample, got {weight.shape}")
    if not weight.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    check_magnitudes("sample_weight", weight)
    return np.asarray(np.require(weight, requirements=["C", "A"]))


def check_mean(argument: str, weight: NDArray[np.float64] | None) -> None:
    """Raise ZeroDivisionError, like scikit-learn, if weights of both signs sum to 0, so that there is no mean."""
    if weight is not None and abs(weight.sum()) <= _CANCELLED * np.abs(weight).sum():
        raise ZeroDivisionError(f"{argument}: expected a sum by which a mean can be divided, got weights that sum to 0")


def checked_inputs(estimator: Any, X: Any) -> Any:
    """Return inputs for a fitted estimator, after all of scikit-learn's checks."""
    refuse_masked("X", X)
    if has_categories(estimator):
        return encoded_inputs(estimator, X, reset=False)
    if _is_plain(X) and X.shape[1] == estimator.n_features_in_ and not hasattr(estimator, "feature_names_in_"):
        return X
    return validate_data(estimator, X, accept_sparse=["csr", "csc"], reset=False)


def checked_pair(estimator: Any, X: Any, y: Any, *, numeric: bool, reset: bool) -> tuple[Any, Any]:
    """Return inputs and targets, after all of scikit-learn's checks; with `reset`, record the features."""
    refuse_masked("X", X)
    refuse_masked("y", y)
    check_dense(getattr(estimator, "embeddings", None) is not None, X)
    X = encoded_inputs(estimator, X, reset=reset)
    if has_categories(estimator):
        X, y = check_X_y(X, y, multi_output=True, y_numeric=numeric, dtype=(np.float64, np.float32), estimator=estimator)
        return X, _vector(y) if y.ndim == 2 and y.shape[1] == 1 else y
    if type(X) is list and type(y) is list:
        X, y = _plain_lists(X, y)
    if type(X) is np.ndarray and X.dtype.kind in "iu":
        X = X.astype(np.float64)
    kinds = "iub" if numeric else "iubU"
    plain_y = type(y) is np.ndarray and y.ndim == 1 and (y.dtype.kind in kinds or (_has_floats(y) and _all_finite(y)))
    if plain_y and _is_plain(X) and len(X) == len(y) and not hasattr(estimator, "feature_names_in_"):
        if reset:
            estimator.n_features_in_ = X.shape[1]
            return X, y
        if X.shape[1] == estimator.n_features_in_:
            return X, y
    X, y = validate_data(
        estimator,
        X,
        y,
        accept_sparse=["csr", "csc"],
        multi_output=True,
        y_numeric=numeric,
        dtype=(np.float64, np.float32),
        reset=reset,
    )
    return X, _vector(y) if y.ndim == 2 and y.shape[1] == 1 else y


def _vector(y: Any) -> NDArray[Any]:
    """Return a column as a vector, with scikit-learn's warning."""
    warn(
        "A column-vector y was passed when a 1d array was expected. Please change the shape of y to (n_samples, ), for "
        "example using ravel().",
        DataConversionWarning,
    )
    return np.asarray(column_or_1d(y))


def _plain_lists(X: list[Any], y: list[Any]) -> tuple[Any, Any]:
    """Return a list of rows of numbers, and a list of numbers or strings, as arrays, and other data unchanged."""
    if not X or not all(type(row) is list and all(type(value) in (float, int) for value in row) for row in X):
        return X, y
    if len({len(row) for row in X}) > 1 or not any(all(type(value) is kind for value in y) for kind in (int, float, str)):
        return X, y
    rows, target = np.array(X), np.array(y)
    return (X, y) if "O" in (rows.dtype.kind, target.dtype.kind) else (rows, target)  # integers of more than 64 bits


def _is_plain(X: Any) -> bool:
    """Return whether X is a plain array of finite floats. It would pass all of scikit-learn's checks, which are slow."""
    return type(X) is np.ndarray and X.ndim == 2 and X.size > 0 and _has_floats(X) and _all_finite(X)


def is_plain_vector(y: Any) -> TypeGuard[NDArray[Any]]:
    """Return whether y is a plain vector of finite floats, which would pass all of scikit-learn's checks."""
    return type(y) is np.ndarray and y.ndim == 1 and _has_floats(y) and _all_finite(y)


def _has_floats(array: NDArray[Any]) -> bool:
    return array.dtype in (np.float64, np.float32) and array.flags.c_contiguous and array.flags.aligned


def _all_finite(array: NDArray[Any]) -> bool:
    return _core.first_not_finite(array) < 0


def thread_count(n_jobs: int | None) -> int | None:
    """Return a number of threads, or None for as many as the work justifies. Negative numbers count as in joblib."""
    if n_jobs is None or n_jobs > 0:
        return None if n_jobs is None else int(n_jobs)
    return max(1, get_num_threads() + 1 + n_jobs)


def evaluation_of(estimator: Any, trainer: Any, X: Any, y: NDArray[Any], weight: NDArray[np.float64] | None) -> Evaluation:
    """Return the evaluation, with the loss, of an estimator's trainer for checked rows that count."""
    rows = Rows(native_rows(X, trainer.model.dtype), estimator._native_target(y), weight)
    return Evaluation(trainer, TrainingData(rows.X, rows.target, rows.labels, rows.weight), has_loss=True)
