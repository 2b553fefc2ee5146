"""The parameters and the data of a fit, and their checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator

from fastnn._setting_checks import DENSE
from fastnn.embeddings import resolve
from fastnn.losses import Loss
from fastnn.sklearn import _by_hand, _categories, _parameters
from fastnn.sklearn._checked import Checked
from fastnn.sklearn._coefs import WithCoefs
from fastnn.sklearn._contradictions import is_lbfgs
from fastnn.sklearn._data import check_mean
from fastnn.sklearn._members import check_members, is_fitted
from fastnn.sklearn._overrides import check_overrides

if TYPE_CHECKING:
    from numpy.typing import NDArray

RECORDED = ("n_features_in_", "feature_names_in_", *_categories.FITTED, "classes_", "_classes")
"""The attributes in which a fit records what it finds in the data."""


class FitChecks(WithCoefs, BaseEstimator):  # type: ignore[misc]
    """A base of the two estimators: their parameters, what differs between them, and the checks of data."""

    _rules: Mapping[str, _parameters.Rule] = _parameters.RULES
    _param_names: ClassVar[tuple[Any, list[str]]]  # of the class, for the constructor beside them

    # ---- Differences between the two estimators ----

    def _take_classes(self, y: Any, classes: Any) -> None:
        """Check and record the classes that `partial_fit` was given."""

    def _check_target(self, X: Any, y: Any, *, reset: bool, incremental: bool) -> tuple[Any, Any]:
        """Check data, record the classes, and return X and y as arrays."""
        raise NotImplementedError

    def _native_target(self, y: Any) -> NDArray[Any]:
        """Return checked targets in the form for the loss."""
        raise NotImplementedError

    def _output(self) -> tuple[str, Loss]:
        """Return scikit-learn's name of the output activation, and the loss."""
        raise NotImplementedError

    def _count_outputs(self, y: NDArray[Any]) -> int:
        """Return the number of the network's outputs."""
        raise NotImplementedError

    def _weight(self, y: NDArray[Any], sample_weight: Any) -> NDArray[np.float64] | None:
        """Check the targets of rows that count, and return the weights of the rows, or None if all are equal."""
        raise NotImplementedError

    def _stratification(self, y: NDArray[Any]) -> NDArray[Any] | None:
        """Return the classes by which held-out rows are chosen."""
        return None

    def _original(self, y: NDArray[Any]) -> Any:
        """Return checked targets in the form for scorers."""
        return y

    def _score_outputs(self, outputs: NDArray[Any], y: NDArray[Any], weight: NDArray[Any] | None) -> float:
        """Return the score of outputs for checked targets."""
        raise NotImplementedError

    def _decode(self, outputs: NDArray[Any]) -> Any:
        """Return predictions from the network's outputs."""
        raise NotImplementedError

    # ---- Parameters ----

    @classmethod
    def _get_param_names(cls) -> list[str]:
        """Return the names of the parameters. Finding them takes scikit-learn longer than a short fit."""
        kept = vars(cls).get("_param_names")
        if kept is None or kept[0] is not cls.__init__:
            cls._param_names = kept = cls.__init__, super()._get_param_names()
        return list(kept[1])

    def _set_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Store the arguments of the constructor unchanged."""
        for name, value in parameters.items():
            if name != "self":
                setattr(self, name, value)

    # ---- Checks ----

    def _checked_like(self, other: FitChecks, data: Checked, sample_weight: Any) -> Checked:
        """Check the parameters for a first fit to data that another estimator of the class has checked, without weights."""
        check_overrides(self)
        hidden = _parameters.check(self, self._rules)
        self._check_rows("X", data.X)
        self._take_data_of(other)
        weight = self._weight(data.y, sample_weight)
        return replace(data, weight=weight, hidden=hidden)

    def _checked(
        self, X: Any, y: Any, sample_weight: Any, incremental: bool, validation: tuple[Any, Any, Any] | None = None
    ) -> Checked:
        """Check the parameters and the data of a fit, and record the features and the classes."""
        check_overrides(self)
        hidden = _parameters.check(self, self._rules)
        if incremental and self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        if validation is not None and is_lbfgs(self):
            raise ValueError(f"X_val, y_val: expected a solver that trains by epochs, got them for solver={self.solver!r}")
        self._check_rows("X", X)
        goes_on = self.warm_start or incremental
        if goes_on:
            self._take_assigned()
        first = not goes_on or not is_fitted(self)
        if not first:
            check_members(self)
        given = X
        X, y = self._check_target(X, y, reset=first, incremental=incremental)
        if not first:
            _categories.check_columns(self, given)
            self._check_outputs("y", y, self.n_outputs_)
            _by_hand.check_trainable(self)
        embeddings = _categories.embeddings_of(self)
        if self.lazy_updates and isinstance(X, np.ndarray) and not any(each.has_table for each in embeddings):
            raise ValueError(f"lazy_updates: {DENSE}, got True")
        sample_weight = self._weight(y, sample_weight)
        if is_lbfgs(self):
            check_mean("sample_weight", sample_weight)
        if first:
            resolve(embeddings, X.shape[1])
        held_out = None if validation is None else self._check_held_out(*validation, n_outputs=self._count_outputs(y))
        return Checked(X, y, sample_weight, held_out, hidden, first, incremental)

    def _check_held_out(self, X: Any, y: Any, sample_weight: Any, *, n_outputs: int) -> tuple[Any, Any, Any]:
        if X is None and y is None:
            raise ValueError("sample_weight_val: expected all three, got it without X_val and y_val")
        if X is None or y is None:
            raise ValueError("X_val, y_val: expected both or none, got one of them")
        self._check_rows("X_val", X)
        try:
            X, y = self._check_target(X, y, reset=False, incremental=True)
            weight = self._weight(y, sample_weight)
        except (TypeError, ValueError) as error:  # its text names X, y or sample_weight
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"X_val, y_val, sample_weight_val: {error}") from error
        self._check_outputs("y_val", y, n_outputs)
        check_mean("sample_weight_val", weight)
        return X, y, weight

    def _check_rows(self, argument: str, X: Any) -> None:
        """Raise TypeError for sparse rows, which shared ensembles do not take."""
        if self.shared is not None and issparse(X):
            raise TypeError(f"{argument}: expected a dense array for shared={self.shared!r}, got a sparse matrix")

    def _check_outputs(self, argument: str, y: NDArray[Any], n_outputs: int) -> None:
        """Raise ValueError if the number of columns of the targets is not the number of outputs of the network."""
        if self._count_outputs(y) != n_outputs:
            expected = f"({len(y)},)" if n_outputs == 1 else f"({len(y)}, {n_outputs})"
            counted = "1 output" if n_outputs == 1 else f"{n_outputs} outputs"
            raise ValueError(f"{argument}: expected shape {expected}: the network has {counted}, got {y.shape}")

    def _take_data_of(self, other: FitChecks) -> None:
        """Record the features and the classes that another estimator has found in the data of both."""
        own, found = self.__dict__, other.__dict__
        for name in RECORDED:
            own.pop(name, None)
            own |= {name: found[name]} if name in found else {}
