"""What estimators are given, as the native loop takes it: checked by scikit-learn, converted no more than needed."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_array, validate_data

from fastnn import _arrays, _core
from fastnn._config import get_num_threads


@dataclass
class Rows:
    """Inputs, targets and weights of some rows.

    Attributes
    ----------
    X : ndarray or SparseRows, shape (n, n_features)
    target : ndarray, shape (n, n_outputs), or (n,) for labels
    weight : ndarray of float64, shape (n,), optional
    """

    X: _arrays.Rows
    target: NDArray[Any]
    weight: NDArray[np.float64] | None


def native_rows(X: Any, dtype: np.dtype[Any]) -> _arrays.Rows:
    """Return validated inputs in a form that the kernels read."""
    return _arrays.rows("X", X, X.shape[1], dtype)


def checked_weight(sample_weight: Any, n_rows: int) -> NDArray[np.float64] | None:
    """Return weights as contiguous float64, None for None."""
    if sample_weight is None:
        return None
    if isinstance(sample_weight, Real):
        sample_weight = np.full(n_rows, sample_weight)
    weight = check_array(sample_weight, ensure_2d=False, dtype=np.float64, order="C", input_name="sample_weight")
    if weight.shape != (n_rows,):
        raise ValueError(f"sample_weight: got shape {weight.shape}, expected ({n_rows},), one number for each sample")
    if not weight.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return np.require(weight, requirements=["C", "A"])


def checked_inputs(estimator: Any, X: Any) -> Any:
    """Return inputs for a fitted estimator, after all of scikit-learn's checks.

    A plain array of finite floats of the right shape passes them here, without the time that their general form takes.
    """
    if (
        type(X) is np.ndarray
        and X.ndim == 2
        and X.dtype in (np.float64, np.float32)
        and X.shape[1] == estimator.n_features_in_
        and X.shape[0] > 0
        and X.flags.c_contiguous
        and X.flags.aligned
        and X.flags.writeable
        and not hasattr(estimator, "feature_names_in_")
        and _core.first_not_finite(X) < 0
    ):
        return X
    return validate_data(estimator, X, accept_sparse=["csr", "csc"], reset=False)


def thread_count(n_jobs: int | None) -> int | None:
    """Return a number of threads: as many as pay for None, and as joblib counts them below zero."""
    if n_jobs is None or n_jobs > 0:
        return n_jobs
    return max(1, get_num_threads() + 1 + n_jobs)
