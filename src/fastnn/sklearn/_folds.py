"""A fold of a search: its rows, which are copied, transformed and checked once for all settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples

from fastnn.sklearn._checked import Checked

_PLAIN = (bool, int, float, str, type(None))


class Fold:
    """The training rows of a fold.

    Parameters
    ----------
    X, y : array-like
        All rows.
    weight : array-like, optional
        The weights of the training rows.
    train : array-like
        The indices of the training rows, or a mask.
    """

    def __init__(self, X: Any, y: Any, weight: Any, train: Any) -> None:
        self._X, self._y, self._weight, self._train = X, y, weight, train
        self._rows: tuple[Any, Any] | None = None
        # For each setting of the transformers: the fitted steps, the inputs, and the checked data with the estimator.
        self._transformed: dict[Any, tuple[list[Any], Any]] = {}
        self._checked: dict[Any, tuple[Any, Checked]] = {}
        self._kept: list[Any] = []  # objects whose ids must differ

    def rows(self) -> tuple[Any, Any]:
        """Return the inputs and targets of the training rows."""
        if self._rows is None:
            self._rows = _safe_indexing(self._X, self._train), _safe_indexing(self._y, self._train)
        return self._rows

    def fits(self, X: Any) -> bool:
        """Return whether these can be the inputs of the training rows."""
        return bool(_num_samples(X) == _num_samples(self.rows()[0]))

    def data_for(self, estimator: Any, network: Any, setting: Mapping[str, Any]) -> Checked:
        """Return the data for the network of an estimator, whose transformers become fitted.

        Raises
        ------
        Exception
            As `fit` of the estimator would.
        """
        X, y = self.rows()
        key: Any = ()
        if type(estimator) is Pipeline and len(estimator.steps) > 1:
            last = estimator.steps[-1][0]
            key = self._key({name: value for name, value in setting.items() if not name.startswith(f"{last}__")})
            if key not in self._transformed:
                before = Pipeline(estimator.steps[:-1])
                inputs = before.fit_transform(X, y)
                self._transformed[key] = before.steps, inputs
            steps, X = self._transformed[key]
            estimator.steps = [*steps, estimator.steps[-1]]
        key = key, type(network), self._key({"categorical_features": network.categorical_features})
        if key not in self._checked:
            self._checked[key] = network, network._checked(X, y, self._weight, False)
            return self._checked[key][1]
        first, data = self._checked[key]
        return network._checked_like(first, data, self._weight)  # type: ignore[no-any-return]

    def _key(self, setting: Mapping[str, Any]) -> tuple[Any, ...]:
        """Return a key that equal settings of the transformers share."""
        key = []
        for name, value in sorted(setting.items()):
            plain = type(value) in _PLAIN
            if not plain:
                self._kept.append(value)
            key.append((name, type(value), value if plain else id(value)))
        return tuple(key)
