"""Files in the safetensors format: arrays, and everything else as JSON in the metadata. They contain no pickle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastnn._custom import MissingFunction
from fastnn._storage.write_file import FilePath, file_name, write_file
from fastnn._version import __version__

if TYPE_CHECKING:
    from numpy.typing import NDArray

# json is imported where it is used, because its import takes a quarter of the time of importing fastnn.
_VERSION = 1
# Errors that numbers and names in a damaged file can cause.
_DAMAGE = (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
# For each kind of file: the functions that read it.
_READERS = {
    "model": "MLP.load",
    "trainer": "Trainer.load and MLP.load",
    "classifier": "fastnn.sklearn.MLPClassifier.load and MLP.load",
    "regressor": "fastnn.sklearn.MLPRegressor.load and MLP.load",
    "ensemble": "fastnn.Ensemble.load",
}
# For each kind of parameters: one array per layer, or None for a layer without such parameters.
Views: TypeAlias = "Mapping[str, Sequence[NDArray[Any] | None]]"


def named(views: Views, prefix: str = "") -> dict[str, NDArray[Any]]:
    """Return contiguous copies of the parameters of a network, by their names in files."""
    return {name: np.ascontiguousarray(view) for name, view in _named_views(views, prefix)}


def fill(arrays: dict[str, NDArray[Any]], views: Views, prefix: str = "") -> None:
    """Copy the arrays of a file into views of the parameters of a network."""
    for name, view in _named_views(views, prefix):
        array = arrays[name]
        if array.shape != view.shape or array.dtype != view.dtype:
            raise ValueError(f"{name}: expected {view.dtype} {view.shape}, got {array.dtype} {array.shape}")
        view[...] = array


def _named_views(views: Views, prefix: str) -> Iterator[tuple[str, NDArray[Any]]]:
    for kind, arrays in views.items():
        yield from ((f"{prefix}{kind}.{i}", array) for i, array in enumerate(arrays) if array is not None)


def write(path: FilePath, kind: str, config: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
    """Write arrays, and everything else as metadata."""
    import json

    from fastnn._storage.safetensors import dump

    head = {"version": _VERSION, "kind": kind, "written_by": f"fastnn {__version__}"}
    text = json.dumps(head | config, default=lambda value: value.tolist())
    write_file(path, dump(arrays, {"fastnn": text}))


@contextmanager
def read(path: FilePath, kinds: tuple[str, ...]) -> Iterator[tuple[dict[str, Any], dict[str, NDArray[Any]]]]:
    """Yield config and arrays of a file of one of the kinds. Errors about their content become ValueError with the path."""
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


def read_any(path: FilePath) -> tuple[dict[str, str], dict[str, NDArray[Any]]]:
    """Return metadata and arrays of any safetensors file. Errors about its content become ValueError with the path."""
    from fastnn._storage.safetensors import parse

    name = file_name(path)
    try:
        with open(name, "rb") as file:
            return parse(file)
    except _DAMAGE as error:
        raise ValueError(f"{name}: expected a safetensors file, as save writes it, got another ({error})") from error
    except MemoryError as error:
        raise MemoryError(f"{name}: there is not enough memory to load it") from error


def _contents(name: str, kinds: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return config and arrays. Raise ValueError with the path if the file is not fastnn's, or is of another kind."""
    import json

    from fastnn._storage.safetensors import parse

    with open(name, "rb") as file:
        try:
            metadata, arrays = parse(file)
            if "fastnn" not in metadata:
                raise ValueError("its metadata are from another program")
            config = json.loads(metadata["fastnn"])
            kind, version = config["kind"], config["version"]
            if version != _VERSION or kind not in kinds:
                if version == _VERSION and kind in _READERS:
                    raise ValueError(f"expected {_a(kinds[0])}, got {_a(kind)}, to be read by {_READERS[kind]}")
                raise ValueError(f"expected {_a(kinds[0])} of format {_VERSION}, got {_a(kind)} of format {version}")
        except _DAMAGE as error:
            raise ValueError(f"{name}: not such a file of fastnn ({error})") from error
    return config, arrays


def _a(kind: object) -> str:
    return f"{'an' if kind == 'ensemble' else 'a'} {kind}"
