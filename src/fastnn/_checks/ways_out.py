"""Ways out for data that does not fit: the ends of error messages, or empty texts if there is no obvious way."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def encoding(argument: str) -> str:
    """Return a text that says how to encode text as numbers."""
    if argument.split()[-1] == "y":
        labels = "np.unique(y, return_inverse=True)[1] makes labels of text"
        return f"; {labels}, and fastnn.sklearn.MLPClassifier takes text itself"
    return "; text must be encoded as numbers first"


def other_object(value: Any) -> str:
    """Return a text that says how to convert an object that NumPy treats as a single element."""
    if isinstance(value, Iterator):
        return "; np.array(list(…)) makes one of what an iterator yields"
    if isinstance(value, Mapping):
        return "; np.column_stack(list(….values())) makes one of columns"
    if isinstance(value, Iterable):
        return "; np.array(list(…)) makes one of rows, np.concatenate(list(…)) of batches"
    return ""


def other_shape(argument: str, shape: tuple[int, ...], n_columns: int) -> str:
    """Return a text that says how to convert data of another shape to rows, if there is an obvious way."""
    name = argument.split()[-1]
    if shape == (n_columns,):
        return f"; {name}[None] makes one row of it"
    if len(shape) == 1 and n_columns == 1:
        return f"; {name}[:, None] makes a column of it"
    if len(shape) == 2 and shape[0] == n_columns:
        return f"; {name}.T has it"
    if len(shape) > 2 and math.prod(shape[1:]) == n_columns:
        return f"; {name}.reshape(len({name}), -1) has it"
    return ""


def other_classes(array: NDArray[Any]) -> str:
    """Return a text that says how to handle classes other than 0 and 1."""
    if (np.abs(array) == 1).all():
        return "; (y + 1) / 2 makes 0 and 1 of -1 and 1"
    return "; labels of more than two classes go with loss='cross_entropy'" if (array == np.floor(array)).all() else ""


def other_targets(argument: str, array: NDArray[Any], n_rows: int, n_out: int) -> str:
    """Return a text that says how to handle targets of another shape, if there is an obvious way."""
    name, flat = argument.split()[-1], array.shape in ((n_rows,), (n_rows, 1))
    if n_rows == 1 and array.shape == (n_out,):
        return f"; {name}[None] makes one row of it"
    if array.shape == (n_out, n_rows):
        return f"; {name}.T has it"
    if flat and n_out > 1 and (array == np.floor(array)).all():
        return "; labels of classes go with loss='cross_entropy' and output_activation='softmax'"
    if flat and n_out > 1:
        return f"; the model has {n_out} outputs, its layer_sizes end in {n_out}"
    if array.ndim == 2 and len(array) == n_rows:
        k = array.shape[1]
        classes = (
            "; one-hot rows go with an output for each class and loss='cross_entropy', or y.argmax(axis=1) with one output"
        )
        return classes if _one_hot(array) else f"; layer_sizes ending in {k} make a model with {k} outputs"
    return ""


def _one_hot(array: NDArray[Any]) -> bool:
    return bool(((array == 0) | (array == 1)).all() and (array.sum(axis=1) == 1).all())
