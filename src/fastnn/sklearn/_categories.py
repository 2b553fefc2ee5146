"""Columns of categories in the data of estimators: which columns they are, and their categories as codes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _check_feature_names, _check_n_features, check_array

from fastnn._checks.scalars import shown
from fastnn.embeddings import Categorical, Embedding, OneHot

if TYPE_CHECKING:
    from numpy.typing import NDArray

FITTED = ("_category_columns", "categories_", "is_categorical_")
"""The attributes that a fit with `categorical_features` sets."""
_UNKNOWN = -1  # the code of categories that are missing or unknown
_MISSING_TYPES = ("NAType", "NaTType")  # of pandas, whose values equal nothing
_FRAME_KINDS = ("category", "Categorical", "Enum", "String", "string", "str", "large_string", "dictionary")


@dataclass(frozen=True)
class CategoryColumns:
    """The columns of categories that a fit has found.

    Attributes
    ----------
    columns : tuple of int
    categories : tuple of ndarray
        The categories of each column in ascending order, whose places are their codes.
    """

    columns: tuple[int, ...]
    categories: tuple[NDArray[Any], ...]

    @property
    def numbers(self) -> tuple[int, ...]:
        """The number of categories of each column, where one without any counts as one with a category."""
        return tuple(max(1, len(each)) for each in self.categories)

    def encode(self, X: Any) -> NDArray[Any]:
        """Return X as an array of numbers, with codes in place of the categories, and -1 for those that are unknown."""
        n_columns = X.shape[1]
        numeric = [j for j in range(n_columns) if j not in self.columns]
        rest = _numbers_of(X, numeric) if numeric else None
        encoded = np.empty((X.shape[0], n_columns), np.float64 if rest is None else rest.dtype)
        if rest is not None:
            encoded[:, numeric] = rest
        for column, known in zip(self.columns, self.categories, strict=True):
            values = _values_of(X, column)
            _distinct(column, values, like=known)
            codes: Mapping[Any, int] = {value: code for code, value in enumerate(known.tolist())}
            encoded[:, column] = [codes.get(value, _UNKNOWN) for value in values]
        return encoded


# ---- Inputs ----


def has_categories(estimator: Any) -> bool:
    """Return whether the inputs of a fitted estimator have columns of categories."""
    return "_category_columns" in vars(estimator)


def encoded_inputs(estimator: Any, X: Any, *, reset: bool) -> Any:
    """Return inputs with codes in place of categories, or X itself without columns of categories.

    With `reset`, the features, the columns and their categories are recorded, and otherwise compared with the records.

    Raises
    ------
    TypeError, ValueError
        If X has no such columns, or contains other values than text or numbers in them.
    """
    if reset:
        for name in FITTED:
            vars(estimator).pop(name, None)
        if getattr(estimator, "categorical_features", None) is None:
            return X
    elif not has_categories(estimator):
        return X
    X = _table(X)
    if isinstance(X, _EncodedRows):
        _check_n_features(estimator, X, reset=reset)
        return X.view(np.ndarray)
    if reset:
        _check_feature_names(estimator, X, reset=True)
        columns = _chosen(estimator.categorical_features, X, getattr(estimator, "feature_names_in_", None))
        if not columns:
            return X
    else:
        _check_feature_names(estimator, X, reset=False)
    _check_n_features(estimator, X, reset=reset)
    found = CategoryColumns(columns, tuple(_categories_of(X, j) for j in columns)) if reset else estimator._category_columns
    encoded = found.encode(X)
    if reset:
        remember(estimator, found)
    return encoded


def check_columns(estimator: Any, X: Any) -> None:
    """Raise ValueError if the columns of categories are not those of the fit that is to continue.

    Columns that are chosen by their types are those of the fit: a batch may have other types.
    """
    wanted, fitted = getattr(estimator, "categorical_features", None), ()
    if isinstance(wanted, str):
        return
    if has_categories(estimator):
        fitted = estimator._category_columns.columns
    names = getattr(estimator, "feature_names_in_", None)
    columns = () if wanted is None else _chosen(wanted, _table(X), names)
    if columns != fitted:
        raise ValueError(
            f"categorical_features: expected the columns {list(fitted)}, as fitted, got {list(columns)}; a fit without "
            "warm_start begins with a new network"
        )


def remember(estimator: Any, found: CategoryColumns) -> None:
    """Set the attributes of an estimator whose data have these columns of categories."""
    estimator._category_columns, estimator.categories_ = found, list(found.categories)
    estimator.is_categorical_ = np.isin(np.arange(estimator.n_features_in_), found.columns)


class _EncodedRows(np.ndarray[Any, Any]):
    """Rows that are encoded already. Rows taken from them are of this type, too."""


def as_scored(estimator: Any, X: Any) -> Any:
    """Return encoded inputs in the form for scorers during a fit, whose predictions don't encode them again."""
    return X.view(_EncodedRows) if has_categories(estimator) else X


def _table(X: Any) -> Any:
    """Return X as a data frame or an array with two dimensions."""
    if issparse(X):
        raise TypeError("X: expected a dense array or a data frame for categorical_features, got a sparse matrix")
    if not hasattr(X, "shape"):
        X = np.array(X, dtype=object)
    if len(X.shape) != 2:
        raise ValueError(f"X: expected shape (n, n_features), got {tuple(X.shape)}")
    if not X.shape[0]:
        raise ValueError(f"X: expected at least one row, got shape {tuple(X.shape)}")
    return X


# ---- The columns ----


def is_choice(value: Any) -> bool:
    """Return whether a value can be the parameter `categorical_features`."""
    if value is None or (isinstance(value, str) and value == "from_dtype"):
        return True
    vector: Any = value
    if isinstance(value, str | bytes) or not isinstance(value, Iterable) or np.ndim(vector) != 1:
        return False
    each = list(value)
    kinds = ((bool, np.bool_), (str,), (Integral,))
    return any(all(isinstance(one, kind) for one in each) for kind in kinds)


def _chosen(wanted: Any, X: Any, names: Any) -> tuple[int, ...]:
    """Return the columns of categories, in ascending order."""
    if isinstance(wanted, str):
        return tuple(_columns_by_dtype(X))
    each, n_columns = list(wanted), X.shape[1]
    if each and all(isinstance(one, bool | np.bool_) for one in each):
        if len(each) != n_columns:
            raise ValueError(f"categorical_features: expected {n_columns}, one per column of X, got {len(each)}")
        return tuple(j for j in range(n_columns) if each[j])
    columns = set()
    for one in each:
        if isinstance(one, str):
            if names is None:
                raise ValueError(
                    f"categorical_features: expected numbers or a mask for X without names of columns, got {one!r}"
                )
            if one not in names:
                raise ValueError(f"categorical_features: expected names of columns, {shown(list(names))}, got {one!r}")
            columns.add(list(names).index(one))
        elif not -n_columns <= one < n_columns:
            raise ValueError(f"categorical_features: expected columns from 0 to {n_columns - 1}, got {one}")
        else:
            columns.add(int(one) % n_columns)
    return tuple(sorted(columns))


def _columns_by_dtype(X: Any) -> Iterator[int]:
    """Return the columns of a data frame that have categories or text; an array has none."""
    if isinstance(X, np.ndarray):
        return
    for j in range(X.shape[1]):
        column = _safe_indexing(X, j, axis=1)
        kind = getattr(column, "dtype", None) or getattr(column, "type", None)
        name = str(getattr(kind, "name", kind)).partition("(")[0].partition("<")[0].partition("[")[0]
        if name in _FRAME_KINDS or (name == "object" and any(isinstance(v, str) for v in column)):
            yield j


# ---- The categories ----


def _numbers_of(X: Any, columns: Sequence[int]) -> NDArray[Any]:
    """Return columns as an array of floats."""
    try:
        return check_array(_safe_indexing(X, columns, axis=1), dtype=(np.float64, np.float32))  # type: ignore[no-any-return]
    except ValueError as error:
        for column in columns:
            text = next((value for value in _values_of(X, column) if isinstance(value, str) and not _is_number(value)), None)
            if text is not None:
                of_text = f"column {column}, which is not in categorical_features"
                raise ValueError(f"X: expected numbers in {of_text}, got {shown(text)}") from error
        raise


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _values_of(X: Any, column: int) -> list[Any]:
    """Return the values of a column as Python's objects."""
    return list(np.asarray(_safe_indexing(X, column, axis=1), dtype=object).tolist())


def _categories_of(X: Any, column: int) -> NDArray[Any]:
    """Return the categories of a column in ascending order."""
    found = sorted(_distinct(column, _values_of(X, column)))
    if not found or isinstance(found[0], str):
        return np.array(found, dtype=object if found else None)
    for dtype in (None, np.uint64):  # NumPy chooses float64, and rounds, if some integers need int64 and others uint64
        try:
            categories = np.array(found, dtype=dtype)
        except OverflowError:  # negative numbers as uint64
            break
        if categories.tolist() == found:
            return categories
    return np.array(found, dtype=object)


def _distinct(column: int, values: Sequence[Any], like: NDArray[Any] | None = None) -> set[Any]:
    """Return the different values of a column, without missing ones, after a check that they are comparable."""
    try:
        distinct = {value for value in set(values) if not _is_missing(value)}
    except TypeError:
        raise TypeError(f"X: expected text or numbers in column {column} of categories, got other objects") from None
    expected, text = "text or numbers", None
    if like is not None and len(like):
        text = are_texts(like)
        expected = f"{'text' if text else 'numbers'}, as in fit,"
    for value in distinct:
        is_text = isinstance(value, str)
        if not (is_text or isinstance(value, Real)) or is_text is not (is_text if text is None else text):
            raise TypeError(f"X: expected {expected} in column {column} of categories, got {shown(value)}")
        text = is_text
    return distinct


def _is_missing(value: Any) -> bool:
    return value is None or type(value).__name__ in _MISSING_TYPES or bool(value != value)


def are_texts(categories: NDArray[Any]) -> bool:
    """Return whether the categories of a column are texts; a column without any counts as one of numbers."""
    return len(categories) > 0 and isinstance(categories.tolist()[0], str)


# ---- Embeddings ----


def given_embeddings(estimator: Any) -> tuple[Embedding, ...]:
    """Return the embeddings in the parameter `embeddings`."""
    given: Any = getattr(estimator, "embeddings", None)
    if given is None:
        return ()
    return (given,) if isinstance(given, Embedding) else tuple(given)


def embeddings_of(estimator: Any) -> tuple[Embedding, ...]:
    """Return the embeddings of an estimator's network: those of its parameter, and those of columns of categories.

    Raises
    ------
    ValueError
        If both are for the same column.
    """
    given = given_embeddings(estimator)
    if not has_categories(estimator):
        return given
    found: CategoryColumns = estimator._category_columns
    both = {column for each in given for column in each.columns or ()} & set(found.columns)
    if both:
        raise ValueError(f"embeddings: expected columns that are not in categorical_features, got {min(both)}")
    pairs = list(zip(found.columns, found.numbers, strict=True))
    few = [pair for pair in pairs if pair[1] <= estimator.one_hot_max_size]
    many = [pair for pair in pairs if pair[1] > estimator.one_hot_max_size]
    added: list[Embedding] = []
    if few:
        columns, numbers = zip(*few, strict=True)
        added.append(OneHot(columns, n_categories=numbers))
    if many:
        columns, numbers = zip(*many, strict=True)
        added.append(Categorical(columns, n_categories=numbers, width=int(estimator.embedding_width)))
    return (*given, *added)
