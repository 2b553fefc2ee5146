"""The classifier: classes in, classes and probabilities out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils import column_or_1d, compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target, unique_labels
from sklearn.utils.validation import validate_data

from fastnn.losses import BinaryCrossEntropy, CrossEntropy, Loss
from fastnn.sklearn import _parameters
from fastnn.sklearn._base import BaseMLP, _solver_has_epochs
from fastnn.sklearn._data import checked_weight

_CLASS_WEIGHT = _parameters.Rule(
    "'balanced', a dict of weights by class, or None",
    lambda value: value is None or isinstance(value, dict | list) or (isinstance(value, str) and value == "balanced"),
)


class MLPClassifier(ClassifierMixin, BaseMLP):  # type: ignore[misc]
    def __init__(
        self,
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
        class_weight: Any = None,
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

    _rules: Mapping[str, _parameters.Rule] = {**_parameters.RULES, "class_weight": _CLASS_WEIGHT}

    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        X_val: ArrayLike | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> MLPClassifier:
        """Fit the network to X and y.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Classes, or an indicator matrix of labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights.
        X_val, y_val, sample_weight_val : array-likes, default=None
            Rows of one's own for validation, in place of a part of X that `early_stopping` would hold out.

        Returns
        -------
        self : MLPClassifier
            The fitted estimator.
        """
        validation = None if X_val is None and y_val is None else (X_val, y_val, sample_weight_val)
        fitted: MLPClassifier = self._fit(X, y, sample_weight, incremental=False, validation=validation)
        return fitted

    @available_if(_solver_has_epochs)
    def partial_fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, classes: ArrayLike | None = None
    ) -> MLPClassifier:
        """Train for one epoch over the given rows, going on from where the last call ended.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Classes, or an indicator matrix of labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights.
        classes : array-like of shape (n_classes,), default=None
            All classes that will ever come: needed in the first call, unless y is an indicator matrix.

        Returns
        -------
        self : MLPClassifier
            The trained estimator.
        """
        self._take_classes(y, classes)
        fitted: MLPClassifier = self._fit(X, y, sample_weight, incremental=True)
        return fitted

    # ---- Classes ----

    def _take_classes(self, y: Any, classes: Any) -> None:
        known = getattr(self, "classes_", None)
        if known is None and type_of_target(y).startswith("multilabel"):
            self._set_classes(y, "multilabel-indicator")
        elif known is None:
            if classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit.")
            self._set_classes(classes, type_of_target(classes))
        elif classes is not None and not np.array_equal(known, unique_labels(classes)):
            raise ValueError(f"`classes={classes!r}` is not the same as on last call to partial_fit, was: {known!r}")

    def _set_classes(self, y: Any, kind: str) -> None:
        if kind not in ("binary", "multiclass", "multilabel-indicator"):
            raise ValueError(f"Unknown label type: got {kind} targets, expected classes or an indicator matrix of labels.")
        self.classes_ = unique_labels(y)
        self._target_kind = kind

    def _check_target(self, X: Any, y: Any, *, reset: bool, incremental: bool) -> tuple[Any, Any]:
        X, y = validate_data(
            self, X, y, accept_sparse=["csr", "csc"], multi_output=True, dtype=(np.float64, np.float32), reset=reset
        )
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        first = not hasattr(self, "classes_") or not (self.warm_start or incremental)
        if y.ndim == 1 and y.dtype.kind in "iubU":
            classes, codes = np.unique(y, return_inverse=True)
            if len(classes) <= len(y) / 2:  # scikit-learn warns of more
                if first:
                    self.classes_, self._target_kind = classes, "binary" if len(classes) <= 2 else "multiclass"
                    return X, codes
                self._compare_classes(classes, incremental)
                return X, self._encode(y)
        if first:
            self._set_classes(y, type_of_target(y, input_name="y"))
        else:
            self._compare_classes(unique_labels(y), incremental)
        return X, self._encode(y)

    def _compare_classes(self, classes: NDArray[Any], incremental: bool) -> None:
        if self.warm_start and not incremental and not np.array_equal(classes, self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. Previously "
                f"got {self.classes_}, `y` has {classes}"
            )
        if not np.isin(classes, self.classes_).all():
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {self.classes_}. 'y' has {classes}."
            )

    def _encode(self, y: Any) -> NDArray[Any]:
        """Return the number of each row's class, or the indicator matrix as an array."""
        if self._target_kind == "multilabel-indicator":
            dense = y.toarray() if hasattr(y, "toarray") else np.asarray(y)
            if dense.ndim != 2 or dense.shape[1] != len(self.classes_):
                raise ValueError(f"y: got shape {dense.shape}, expected an indicator matrix with {len(self.classes_)} columns")
            return (dense != 0).astype(np.uint8)
        return np.searchsorted(self.classes_, y)

    # ---- What the base asks for ----

    def _output(self) -> tuple[str, Loss]:
        return ("softmax", CrossEntropy()) if self._target_kind == "multiclass" else ("logistic", BinaryCrossEntropy())

    def _count_outputs(self, y: NDArray[Any]) -> int:
        return 1 if self._target_kind == "binary" else len(self.classes_)

    def _weight(self, y: NDArray[Any], sample_weight: Any) -> NDArray[np.float64] | None:
        """Return the rows' weights, times those of their classes."""
        weight = checked_weight(sample_weight, len(y))
        if self.class_weight is None:
            return weight
        by_class = compute_sample_weight(self.class_weight, self._original(y))
        return checked_weight(by_class if weight is None else by_class * weight, len(y))

    def _native_target(self, y: NDArray[Any]) -> NDArray[Any]:
        return y[:, None] if self._target_kind == "binary" else y

    def _stratification(self, y: NDArray[Any]) -> NDArray[Any] | None:
        return y.astype(bool) if self.n_outputs_ == 1 else None

    def _original(self, y: NDArray[Any]) -> NDArray[Any]:
        return y if self._target_kind == "multilabel-indicator" else self.classes_[y]

    def _codes(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Return predictions in the form of checked targets."""
        if self._target_kind == "multiclass":
            return outputs.argmax(axis=1)
        codes = outputs > 0.5
        if self._target_kind == "multilabel-indicator":
            return codes.astype(int)
        return codes.ravel().astype(np.intp) if len(self.classes_) > 1 else np.zeros(len(codes), np.intp)

    def _decode(self, outputs: NDArray[Any]) -> NDArray[Any]:
        return self._original(self._codes(outputs))

    def _score_outputs(self, outputs: NDArray[Any], y: NDArray[Any], weight: NDArray[Any] | None) -> float:
        right = self._codes(outputs) == y
        return float(np.average(right if right.ndim == 1 else right.all(axis=1), weights=weight))

    # ---- Probabilities ----

    def predict_proba(self, X: ArrayLike) -> NDArray[Any]:
        """Return the probabilities of the classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        y_prob : ndarray of shape (n_samples, n_classes)
            In the order of `classes_`; of each label, where there are several to a row.
        """
        outputs = self._outputs(X)
        return np.hstack([1 - outputs, outputs]) if self.n_outputs_ == 1 else outputs

    def predict_log_proba(self, X: ArrayLike) -> NDArray[Any]:
        """Return the logarithms of the probabilities of the classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.

        Returns
        -------
        log_y_prob : ndarray of shape (n_samples, n_classes)
            ``log(predict_proba(X))``.
        """
        probabilities = self.predict_proba(X)
        return np.log(probabilities, out=probabilities)

    def __sklearn_tags__(self) -> Any:
        """Say that several labels to a row are taken."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
