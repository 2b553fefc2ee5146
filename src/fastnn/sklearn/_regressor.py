"""The regressor: numbers in, numbers out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin
from sklearn.utils import column_or_1d
from sklearn.utils.validation import validate_data

from fastnn import _arrays
from fastnn.losses import Loss
from fastnn.sklearn import _parameters
from fastnn.sklearn._base import BaseMLP
from fastnn.sklearn._data import checked_weight
from fastnn.sklearn._definitions import regression_loss


class MLPRegressor(RegressorMixin, BaseMLP):  # type: ignore[misc]
    def __init__(
        self,
        loss: Any = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: Any = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: Any = 10,
        max_fun: int = 15000,
        dropout: Any = 0.0,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        scoring: Any = None,
        resume: bool = False,
        lazy_updates: bool = False,
        n_jobs: int | None = None,
        progress: Any = False,
    ) -> None:
        self._set_parameters(locals())

    _rules: Mapping[str, _parameters.Rule] = {**_parameters.RULES, "loss": _parameters.LOSS_RULE}

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> MLPRegressor:
        """Fit the network to X and y.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The target values.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights.
        X_val, y_val, sample_weight_val : array-likes, default=None
            Rows of one's own for validation, in place of a part of X that `early_stopping` would hold out.

        Returns
        -------
        self : MLPRegressor
            The fitted estimator.
        """
        validation = None if X_val is None and y_val is None else (X_val, y_val, sample_weight_val)
        fitted: MLPRegressor = self._fit(X, y, sample_weight, incremental=False, validation=validation)
        return fitted

    # ---- What the base asks for ----

    def _check_target(self, X: Any, y: Any, *, reset: bool, incremental: bool) -> tuple[Any, Any]:
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            y_numeric=True,
            dtype=(np.float64, np.float32),
            reset=reset,
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if regression_loss(self.loss).name == "poisson" and (y < 0).any():
            raise ValueError(f"y: got {y.min()}, expected values >= 0 for loss='poisson'")
        return X, y

    def _output(self) -> tuple[str, Loss]:
        loss = regression_loss(self.loss)
        return ("exp" if loss.name == "poisson" else "identity"), loss

    def _count_outputs(self, y: NDArray[Any]) -> int:
        return 1 if y.ndim == 1 else y.shape[1]

    def _weight(self, y: NDArray[Any], sample_weight: Any) -> NDArray[np.float64] | None:
        return checked_weight(sample_weight, len(y))

    def _native_target(self, y: NDArray[Any]) -> NDArray[Any]:
        target = _arrays.real_array("y", y)
        return target[:, None] if target.ndim == 1 else target

    def _decode(self, outputs: NDArray[Any]) -> NDArray[Any]:
        return outputs.ravel() if self.n_outputs_ == 1 else outputs

    def _score_outputs(self, outputs: NDArray[Any], y: NDArray[Any], weight: NDArray[Any] | None) -> float:
        return determination(self._native_target(y), outputs, weight) if np.isfinite(outputs).all() else np.nan


def determination(y: NDArray[Any], predicted: NDArray[Any], weight: NDArray[Any] | None) -> float:
    """Return the coefficient of determination R², a mean over outputs: `sklearn.metrics.r2_score` without its checks."""
    shares = 1.0 if weight is None else weight[:, None]
    errors = (shares * (y - predicted) ** 2).sum(axis=0, dtype=np.float64)
    spreads = (shares * (y - np.average(y, axis=0, weights=weight)) ** 2).sum(axis=0, dtype=np.float64)
    scores = np.where(errors == 0, 1.0, 0.0)  # for outputs that are constant
    np.divide(errors, spreads, out=scores, where=spreads > 0)
    return float(np.where(spreads > 0, 1 - scores, scores).mean())
