"""The targets of classifiers: the classes, and the class of each row as a number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_matrix, issparse
from sklearn.utils.multiclass import type_of_target, unique_labels

from fastnn._checks.scalars import shown
from fastnn.sklearn._data import checked_pair
from fastnn.sklearn._parameters import Rule

if TYPE_CHECKING:
    from numpy.typing import NDArray

# With at most this number of rows, scikit-learn does not warn if there are more than half as many classes as rows.
_FEW_ROWS = 20

CLASS_WEIGHT = Rule(
    "'balanced', a dict of weights by class, a list of such dicts for multilabel targets, or None",
    lambda value: (
        value is None
        or (isinstance(value, str) and value == "balanced")
        or all(isinstance(one, dict) for one in (value if isinstance(value, list) and value else [value]))
    ),
)
"""The rule of the parameter `class_weight`."""


@dataclass
class Classes:
    """The classes between which a classifier decides.

    Attributes
    ----------
    names : ndarray
        The classes in order. For an indicator matrix, the numbers of its columns.
    kind : str
        "binary", "multiclass", or "multilabel-indicator" if a row may have several.
    sparse : bool
        Whether the indicator matrix was sparse. Predictions are then sparse too.
    """

    names: NDArray[Any]
    kind: str
    sparse: bool = False

    @property
    def several(self) -> bool:
        """Return whether a row may have several classes."""
        return self.kind == "multilabel-indicator"

    def compare(self, found: NDArray[Any], *, all_of_them: bool) -> None:
        """Raise ValueError if unknown classes were found, or, with `all_of_them`, if known ones were not."""
        if all_of_them and not np.array_equal(found, self.names):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. Previously "
                f"got {self.names}, `y` has {found}"
            )
        if not np.isin(found, self.names).all():
            raise ValueError(f"`y` has classes not in `self.classes_`. `self.classes_` has {self.names}. 'y' has {found}.")

    def encode(self, y: Any) -> NDArray[Any]:
        """Return the number of the class of each row, or the indicator matrix as an array of 0 and 1."""
        if not self.several:
            if y.ndim != 1:
                raise ValueError(
                    f"y: expected shape ({y.shape[0]},), one of the classes {self.names} per row, got {y.shape}"
                )
            return np.asarray(np.searchsorted(self.names, y))
        dense = y.toarray() if hasattr(y, "toarray") else np.asarray(y)
        if dense.ndim != 2 or dense.shape[1] != len(self.names):
            raise ValueError(f"y: expected shape an indicator matrix with {len(self.names)} columns, got {dense.shape}")
        ones: NDArray[Any] = (dense != 0).astype(np.uint8)
        return ones

    def known_codes(self, y: Any) -> NDArray[Any] | None:
        """Return the number of the class of each row, or None if scikit-learn's functions are needed.

        They are needed for classes that may be unknown or of another type, and to warn of many classes in few rows.
        """
        plain = type(y) is np.ndarray and y.ndim == 1 and y.dtype.kind in "iubU" and y.dtype.kind == self.names.dtype.kind
        if not plain or self.several or not (len(y) <= _FEW_ROWS or len(self.names) <= len(y) // 2):
            return None
        codes = np.asarray(self.names.searchsorted(y))
        inside = np.minimum(codes, len(self.names) - 1)
        return codes if (self.names[inside] == y).all() else None

    def decode(self, codes: NDArray[Any]) -> Any:
        """Return the targets for numbers of classes: the inverse of `encode`."""
        if not self.several:
            return self.names[codes]
        return csr_matrix(codes) if self.sparse else codes

    def codes(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Return the most probable classes for a network's outputs, in the form of `encode`."""
        if self.kind == "multiclass":
            return np.asarray(outputs.argmax(axis=1))
        likely = outputs > 0.5
        if self.several:
            return np.asarray(likely.astype(int))
        return np.asarray(likely.ravel().astype(np.intp) if len(self.names) > 1 else np.zeros(len(likely), np.intp))


def classes_of(y: Any, input_name: str = "") -> Classes:
    """Return the classes in targets.

    Raises
    ------
    ValueError
        If they are neither classes nor an indicator matrix.
    """
    kind = type_of_target(y, input_name=input_name)
    if kind not in ("binary", "multiclass", "multilabel-indicator"):
        raise ValueError(f"Unknown label type: expected classes or an indicator matrix of labels., got {kind} targets")
    return Classes(unique_labels(y), kind, issparse(y))


def plain_classes(y: Any) -> tuple[Classes, NDArray[Any]] | None:
    """Return the classes in a vector and their numbers, or None if scikit-learn's functions are needed to find them."""
    if issparse(y) or y.ndim != 1 or y.dtype.kind not in "iubU" or not y.dtype.isnative:
        return None
    names, codes = np.unique(y, return_inverse=True)
    if len(names) > len(y) / 2:  # scikit-learn warns then
        return None
    return Classes(names, "binary" if len(names) <= 2 else "multiclass"), codes


def kind_of_outputs(softmax: bool, n_outputs: int) -> str:
    """Return the kind of classes for a network with these outputs."""
    if softmax:
        return "multiclass"
    return "binary" if n_outputs == 1 else "multilabel-indicator"


class WithClasses:
    """A base of the classifier, with its classes and the checks of targets against them."""

    classes_: NDArray[Any]
    warm_start: bool
    _classes: Classes

    def _take_classes(self, y: Any, classes: Any) -> None:
        known = getattr(self, "classes_", None)
        if known is not None and (classes is None or _are(known, classes)):
            return
        if known is None:
            of_columns = type_of_target(y).startswith("multilabel")
            if classes is None and not of_columns:
                raise ValueError("classes must be passed on the first call to partial_fit.")
            found = classes_of(y if of_columns else classes)
            if of_columns and classes is not None and not np.array_equal(found.names, unique_labels(classes)):
                raise ValueError(f"classes: expected {shown(found.names)}, the columns of y, or None, got {shown(classes)}")
            if not len(found.names):
                raise ValueError(f"classes: expected at least one class, got {classes!r}")
            self._set_classes(found)
        elif not np.array_equal(known, unique_labels(classes)):
            raise ValueError(f"`classes={classes!r}` is not the same as on last call to partial_fit, was: {known!r}")

    def _set_classes(self, classes: Classes) -> None:
        self.classes_, self._classes = classes.names, classes

    def _adopt_classes(self) -> None:
        if "_classes" in vars(self):
            return
        attributes = vars(self)
        names = attributes.get("classes_", getattr(attributes.get("_label_binarizer"), "classes_", None))
        if names is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute 'classes_'")
        names, n_outputs = np.asarray(names), len(attributes["intercepts_"][-1])
        softmax = attributes.get("out_activation_", "logistic" if n_outputs == 1 else "softmax") == "softmax"
        self._set_classes(Classes(names, kind_of_outputs(softmax, n_outputs)))

    def _check_target(self, X: Any, y: Any, *, reset: bool, incremental: bool) -> tuple[Any, Any]:
        X, y = checked_pair(self, X, y, numeric=False, reset=reset)
        first = not hasattr(self, "classes_") or not (self.warm_start or incremental)
        if incremental and not first and (codes := self._classes.known_codes(y)) is not None:
            return X, codes
        plain = plain_classes(y)
        if first:
            self._set_classes(classes_of(y, input_name="y") if plain is None else plain[0])
            if plain is not None:
                return X, plain[1]
        else:
            found = unique_labels(y) if plain is None else plain[0].names
            self._classes.compare(found, all_of_them=self.warm_start and not incremental)
        return X, self._classes.encode(y)


def _are(known: NDArray[Any], classes: Any) -> bool:
    """Return whether classes are the known ones in the same order, without any conversion."""
    if isinstance(classes, np.ndarray):
        return classes.dtype.kind == known.dtype.kind and np.array_equal(classes, known)
    return type(classes) is list and classes == known.tolist()
