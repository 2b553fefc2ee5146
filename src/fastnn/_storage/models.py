"""Files of the safetensors format: arrays, and what else there is as JSON in the metadata. No pickle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._custom import MissingFunction
from fastnn._storage.write_file import FilePath, file_name, write_file

# json is imported where it is used: it takes as long as a quarter of fastnn.
_VERSION = 1
# What reading numbers and names that make no sense can end with.
_DAMAGE = (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
_Views = Sequence[NDArray[Any]]


def named(weights: _Views, biases: _Views, prefix: str = "") -> dict[str, NDArray[Any]]:
    """Return contiguous copies under the names that the file has for them."""
    views = {f"{prefix}weights.{i}": w for i, w in enumerate(weights)}
    views |= {f"{prefix}biases.{i}": b for i, b in enumerate(biases)}
    return {name: np.ascontiguousarray(view) for name, view in views.items()}


def fill(arrays: dict[str, NDArray[Any]], weights: _Views, biases: _Views, prefix: str = "") -> None:
    """Write what `named` named back into views."""
    for kind, views in (("weights", weights), ("biases", biases)):
        for i, view in enumerate(views):
            name = f"{prefix}{kind}.{i}"
            array = arrays[name]
            if array.shape != view.shape or array.dtype != view.dtype:
                raise ValueError(f"{name} is {array.dtype} {array.shape}, expected {view.dtype} {view.shape}")
            view[...] = array


def write(path: FilePath, kind: str, config: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
    """Write arrays, and what else there is as metadata."""
    import json

    from fastnn._storage.safetensors import dump

    text = json.dumps({"version": _VERSION, "kind": kind, **config}, default=lambda value: value.tolist())
    write_file(path, dump(arrays, {"fastnn": text}))


@contextmanager
def read(path: FilePath, kinds: tuple[str, ...]) -> Iterator[tuple[dict[str, Any], dict[str, NDArray[Any]]]]:
    """Give config and arrays of a file of one of the kinds; what doesn't fit in them is a ValueError with the path."""
    name = file_name(path)
    try:
        config, arrays = _contents(name, kinds)
        try:
            yield config, arrays
        except MissingFunction as error:
            raise ValueError(f"{name}: {error}") from None
        except _DAMAGE as error:
            raise ValueError(f"{name}: damaged, or of another version ({error})") from error
    except MemoryError as error:
        raise MemoryError(f"{name}: there is not enough memory to load it") from error


def _contents(name: str, kinds: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return config and arrays; ValueError with the path if the file is none of fastnn's, or of another kind."""
    import json

    from fastnn._storage.safetensors import parse

    with open(name, "rb") as file:
        try:
            metadata, arrays = parse(file)
            config = json.loads(metadata["fastnn"])
            if config["version"] != _VERSION or config["kind"] not in kinds:
                got = f"a {config['kind']} of format {config['version']}"
                raise ValueError(f"{got}, expected {kinds[0]} of format {_VERSION}")
        except _DAMAGE as error:
            raise ValueError(f"{name}: not such a file of fastnn ({error})") from error
    return config, arrays
