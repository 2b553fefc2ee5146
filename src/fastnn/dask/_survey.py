"""The survey of all partitions before training: numbers of rows, types and classes, which must agree."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils.multiclass import unique_labels

from fastnn.sklearn._classes import Classes

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Facts:
    """The facts about a partition, or, except for the first and last, about all of them.

    Attributes
    ----------
    n_rows : int
        The number of rows, or 0 if no row counts because all weights are 0.
    features : tuple
        The number of columns, their names or None, and the name of the dtype in which training reads them.
    targets : tuple of int
        The shape of the targets of a row.
    classes : Classes or None
        The classes, for classifiers.
    counts : ndarray of int or float
        The number of rows of each class; for several labels per row, the number of rows with each label.
    """

    n_rows: int
    features: tuple[int, tuple[str, ...] | None, str] | None = None
    targets: tuple[int, ...] = ()
    classes: Classes | None = None
    counts: NDArray[Any] | None = None


def facts(estimator: Any, place: str, X: Any, y: Any, sample_weight: Any) -> Facts:
    """Return the facts about a partition, after all checks of its data that need no others.

    Raises
    ------
    TypeError, ValueError
        If they are unsuitable. The message begins with `place`.
    """
    lengths = [part.shape[0] for part in (X, y, sample_weight) if part is not None]
    if len(set(lengths)) > 1:
        names = "X, y" if sample_weight is None else "X, y, sample_weight"
        raise ValueError(f"{place}: expected the same number of rows in {names}, got {lengths}")
    if not lengths[0]:
        return Facts(0)
    if sample_weight is not None and not np.any(np.asarray(sample_weight)):
        return Facts(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of few rows per class, which is right for a part of the data
            X, y = estimator._check_target(X, y, reset=True, incremental=False)
        estimator._weight(y, sample_weight)
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{place}: {error}") from None
    columns = getattr(estimator, "feature_names_in_", None)
    features = (X.shape[1], None if columns is None else tuple(columns.tolist()), X.dtype.name)
    if not is_classifier(estimator):
        return Facts(len(y), features, y.shape[1:])
    classes = estimator._classes
    counts = y.sum(axis=0, dtype=np.int64) if classes.several else np.bincount(y, minlength=len(classes.names))
    return Facts(len(y), features, y.shape[1:], classes, counts)


def agreed(argument: str, found: Sequence[Facts]) -> Facts:
    """Return the facts about all partitions together.

    Raises
    ------
    ValueError
        If partitions disagree, or no row counts.
    """
    filled = [(p, one) for p, one in enumerate(found) if one.n_rows]
    if not filled:
        raise ValueError(f"{argument}: expected at least one row whose weight is not 0, got none in {len(found)} partitions")
    at, first = filled[0]
    for p, one in filled[1:]:
        for what, mine, other in _compared(first, one):
            if mine != other:
                raise ValueError(
                    f"{argument}: expected {what} {mine} in every partition, as in partition {at}, "
                    f"got {other} in partition {p}"
                )
    n_rows = sum(one.n_rows for _, one in filled)
    if first.classes is None:
        return Facts(n_rows, first.features, first.targets)
    if first.classes.several:
        counts = np.sum([np.asarray(one.counts) for _, one in filled], axis=0)
        return Facts(n_rows, first.features, first.targets, first.classes, counts)
    names = unique_labels(*[one.classes.names for _, one in filled if one.classes is not None])
    counts = np.zeros(len(names), np.int64)
    for _, one in filled:
        assert one.classes is not None
        counts[np.searchsorted(names, one.classes.names)] += one.counts
    kind = "binary" if len(names) <= 2 else "multiclass"
    return Facts(n_rows, first.features, first.targets, Classes(names, kind), counts)


def _compared(a: Facts, b: Facts) -> Sequence[tuple[str, Any, Any]]:
    assert a.features is not None
    assert b.features is not None
    pairs: list[tuple[str, Any, Any]] = [
        (what, a.features[i], b.features[i]) for i, what in enumerate(("columns:", "names of columns", "dtype"))
    ]
    pairs.append(("targets of shape", a.targets, b.targets))
    if a.classes is not None and b.classes is not None:
        pairs.append(("several labels per row:", a.classes.several, b.classes.several))
        kinds = [one.classes.names.dtype.kind for one in (a, b) if one.classes is not None]
        pairs.append(("classes of text:", *[kind in "OUST" for kind in kinds]))  # type: ignore[arg-type]
    return pairs
