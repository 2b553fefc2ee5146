"""The predictions of the classifier: the outputs of its network as classes and probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import compute_sample_weight

from fastnn.losses import BinaryCrossEntropy, CrossEntropy, Loss
from fastnn.sklearn._base import BaseMLP
from fastnn.sklearn._classes import WithClasses
from fastnn.sklearn._data import checked_weight
from fastnn.sklearn._warnings import log

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class ClassPredictions(WithClasses, BaseMLP):
    """A base of the classifier, which is not for users."""

    # ---- Methods that the base calls ----

    def _output(self) -> tuple[str, Loss]:
        softmax = self._classes.kind == "multiclass"
        smoothing = float(self.label_smoothing)
        if softmax:
            return "softmax", CrossEntropy(label_smoothing=smoothing)
        return "logistic", BinaryCrossEntropy(label_smoothing=smoothing)

    def _count_outputs(self, y: NDArray[Any]) -> int:
        return 1 if self._classes.kind == "binary" else len(self.classes_)

    def _weight(self, y: NDArray[Any], sample_weight: Any) -> NDArray[np.float64] | None:
        """Return the weights of the rows, multiplied by those of their classes."""
        weight = checked_weight(sample_weight, len(y))
        if self.class_weight is None:
            return weight
        by_class = compute_sample_weight(self.class_weight, self._original(y))
        return checked_weight(by_class if weight is None else by_class * weight, len(y))

    def _native_target(self, y: NDArray[Any]) -> NDArray[Any]:
        return y[:, None] if self._classes.kind == "binary" else y

    def _stratification(self, y: NDArray[Any]) -> NDArray[Any] | None:
        # scikit-learn's messages show rows of a column as text, so that they name classes as those for its own estimator do.
        return y.astype(bool)[:, None] if self.n_outputs_ == 1 else None

    def _original(self, y: NDArray[Any]) -> Any:
        return self._classes.decode(y)

    def _decode(self, outputs: NDArray[Any]) -> Any:
        return self._classes.decode(self._classes.codes(outputs))

    def _score_outputs(self, outputs: NDArray[Any], y: NDArray[Any], weight: NDArray[Any] | None) -> float:
        right = self._classes.codes(outputs) == y
        return float(np.average(right if right.ndim == 1 else right.all(axis=1), weights=weight))

    # ---- Predictions ----

    def predict(self, X: ArrayLike, return_std: bool = False) -> Any:
        """Return the most probable classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.
        return_std : bool, default=False
            Whether to return the spread of the probability of each predicted class, too.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_labels)
            The predicted classes, or an indicator matrix of labels.
        std : ndarray of shape (n_samples,) or (n_samples, n_labels)
            With `return_std`, the standard deviation of that probability over the `members_` (``ddof=0``); for multilabel
            targets, that of each label.

        Raises
        ------
        ValueError
            If `return_std` is true, and there is only one network.
        """
        if not return_std:
            return super().predict(X)
        outputs, spread = self._mean_and_spread(X)
        codes = self._classes.codes(outputs)
        if self._classes.kind == "multiclass":
            spread = np.take_along_axis(spread, codes[:, None], axis=1)
        return self._classes.decode(codes), spread if self._classes.several else spread[:, 0]

    def predict_proba(self, X: ArrayLike, return_std: bool = False) -> Any:
        """Return the probabilities of the classes.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The input data.
        return_std : bool, default=False
            Whether to return the spread of the probabilities, too.

        Returns
        -------
        y_prob : ndarray of shape (n_samples, n_classes)
            The probabilities, in the order of `classes_`; for multilabel targets, one per label.
        std : ndarray of shape (n_samples, n_classes)
            With `return_std`, their standard deviations over the `members_` (``ddof=0``).

        Raises
        ------
        ValueError
            If `return_std` is true, and there is only one network.
        """
        if not return_std:
            outputs = self._outputs(X)
            return np.column_stack([1 - outputs, outputs]) if self.n_outputs_ == 1 else outputs
        outputs, spread = self._mean_and_spread(X)
        if self.n_outputs_ > 1:
            return outputs, spread
        return np.column_stack([1 - outputs, outputs]), np.column_stack([spread, spread])

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
        return log(self.predict_proba(X))
