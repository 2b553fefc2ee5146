"""Parameters, classes and random states of estimators as plain values, which a file can contain, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import _custom, schedules
from fastnn._averaging import Averaging
from fastnn._checks import seeds as _seeds
from fastnn._custom import CustomActivation
from fastnn._layer_settings import LayerSettings
from fastnn._shared_ensemble import SharedEnsemble
from fastnn._storage.describe import described, embeddings_of, layer_settings_of, loss_of, optimizer_of
from fastnn.embeddings import Embedding
from fastnn.losses import CustomLoss, Loss
from fastnn.optimizers import Optimizer
from fastnn.sklearn._categories import CategoryColumns
from fastnn.sklearn._classes import Classes

if TYPE_CHECKING:
    from numpy.typing import NDArray

_OBJECTS = (
    Loss,
    CustomLoss,
    Optimizer,
    Averaging,
    SharedEnsemble,
    *(getattr(schedules, name) for name in schedules.__all__),
)
# The types of the elements of arrays.
_SCALARS = (bool, int, float, str)
_MAX_BYTES = 1 << 28  # of an array that a file describes by a few characters
_KINDS = ("binary", "multiclass", "multilabel-indicator")


def plain(name: str, value: Any) -> Any:
    """Return a value in a form that JSON has, for `value_of`.

    Raises
    ------
    TypeError
        If files can't hold it. The message begins with `name`.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, np.bool_ | Integral):
        return bool(value) if isinstance(value, np.bool_) else int(value)
    if isinstance(value, Real):
        return float(value) if math.isfinite(value) else {"float": str(float(value))}
    if isinstance(value, list):
        return [plain(name, each) for each in value]
    if isinstance(value, tuple):
        return {"tuple": [plain(name, each) for each in value]}
    if isinstance(value, dict):
        return {"dict": [[plain(name, key), plain(name, each)] for key, each in value.items()]}
    if isinstance(value, np.ndarray) and value.ndim == 1 and _is_kept(value.dtype):
        return {"array": [plain(name, each) for each in value.tolist()], "dtype": value.dtype.str}
    if isinstance(value, np.random.RandomState):
        return {"random_state": state_of(value)}
    if isinstance(value, CustomActivation):
        return {"custom_activation": value.name}
    if isinstance(value, LayerSettings):
        return {"layer_settings": described(value)}
    if isinstance(value, Embedding):
        return {"embedding": described(value)}
    return _plain_object(name, value)


def _plain_object(name: str, value: Any) -> Any:
    expected = "a value that files can hold: numbers, text, lists, dicts, and objects of fastnn"
    way = "pickle holds others, and set_params can replace them"
    if not isinstance(value, _OBJECTS):
        raise TypeError(f"{name}: expected {expected}; got {value!r}; {way}")
    try:
        return described(value)
    except TypeError:  # a schedule of the program within an object of fastnn
        raise TypeError(f"{name}: expected {expected}; got one with a function in it, {value!r}; {way}") from None


def value_of(name: str, value: Any, activations: Sequence[CustomActivation], custom_losses: Sequence[CustomLoss]) -> Any:
    """Return the value that `plain` was given."""

    def restored(value: Any) -> Any:
        if isinstance(value, list):
            return [restored(each) for each in value]
        if not isinstance(value, dict):
            return value
        if "class" in value or "custom_loss" in value:
            return loss_of(value, custom_losses) if name == "loss" else optimizer_of(value)
        (kind, content), *_ = value.items()
        match kind:
            case "float":
                return float(content)
            case "tuple":
                return tuple(restored(content))
            case "dict":
                return {restored(key): restored(each) for key, each in content}
            case "array":
                return _array(name, restored(content), value["dtype"])
            case "random_state":
                return random_state_of(content)
            case "embedding":
                return embeddings_of([content])[0]
            case "layer_settings":
                return layer_settings_of(content)
            case "custom_activation":
                return _custom.activations_named([content], (), activations)[0]
        raise ValueError(f"{name}: unknown kind of value {kind!r}")

    return restored(value)


# ---- Arrays and classes ----


def _is_kept(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "biuU" or (dtype.kind == "f" and dtype.itemsize <= 8)


def _array(name: str, values: list[Any], dtype_name: str) -> NDArray[Any]:
    """Return a vector of a dtype that a file names."""
    dtype = np.dtype(str(dtype_name))
    if not (_is_kept(dtype) or dtype.kind == "O") or dtype.itemsize * len(values) > _MAX_BYTES:
        raise ValueError(f"{name}: {len(values)} values of dtype {dtype_name!r}")
    array = np.empty(len(values), dtype)
    for i, value in enumerate(values):
        if not isinstance(value, _SCALARS):
            raise ValueError(f"{name}: {value!r} in an array")
        array[i] = value
    return array


def stored_classes(classes: Classes) -> dict[str, Any]:
    """Return classes as plain values, for `classes_from`.

    Raises
    ------
    TypeError
        If they are not numbers or text.
    """
    names, dtype = classes.names.tolist(), classes.names.dtype
    values = [plain("classes_", name) for name in names]
    if not (_is_kept(dtype) or dtype.kind == "O") or not all(isinstance(value, _SCALARS) for value in values):
        raise TypeError(f"classes_: expected numbers or text, which files can hold, got {classes.names!r}")
    if dtype.itemsize * len(values) > _MAX_BYTES:
        raise ValueError(f"classes_: expected at most {_MAX_BYTES} bytes, got {dtype.itemsize * len(values)}")
    return {"names": values, "dtype": dtype.str, "kind": classes.kind, "sparse": bool(classes.sparse)}


def classes_from(stored: dict[str, Any], n_outputs: int) -> Classes:
    """Return the classes that `stored_classes` was given, after a check against the number of outputs."""
    names, kind = _array("classes", stored["names"], stored["dtype"]), stored["kind"]
    fits = n_outputs == 1 and len(names) <= 2 if kind == "binary" else n_outputs == len(names)
    if kind not in _KINDS or not fits or not len(names):
        raise ValueError(f"classes: {len(names)} of kind {kind!r} for {n_outputs} outputs")
    return Classes(names, kind, bool(stored["sparse"]))


def stored_categories(found: CategoryColumns) -> list[dict[str, Any]]:
    """Return columns of categories as plain values, for `categories_from`."""
    return [
        {"column": column, "values": [plain("categories_", v) for v in values.tolist()], "dtype": values.dtype.str}
        for column, values in zip(found.columns, found.categories, strict=True)
    ]


def categories_from(stored: list[dict[str, Any]], n_features: int) -> CategoryColumns:
    """Return the columns that `stored_categories` was given, after a check against the number of features."""
    columns = tuple(each["column"] for each in stored)
    if not all(type(j) is int and 0 <= j < n_features for j in columns) or list(columns) != sorted(set(columns)):
        raise ValueError(f"categories: columns {columns} of {n_features}")
    values = [value_of("categories_", each["values"], (), ()) for each in stored]
    kept = [_array("categories_", own, each["dtype"]) for own, each in zip(values, stored, strict=True)]
    return CategoryColumns(columns, tuple(kept))


# ---- Random states ----


def state_of(random_state: np.random.RandomState) -> dict[str, Any]:
    """Return the state of a RandomState, for `random_state_of`."""
    return dict(random_state.get_state(legacy=False))


def random_state_of(state: dict[str, Any]) -> np.random.RandomState:
    """Return a RandomState that continues from a saved state."""
    random_state = np.random.RandomState(_seeds.from_state(state).bit_generator)
    random_state.set_state(state)
    return random_state
