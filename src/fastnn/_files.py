"""Files of the safetensors format: arrays, and what else there is as JSON in the metadata. No pickle."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastnn._custom import MissingFunction

# json, pathlib and tempfile are imported where they are used: together they take as long as half of fastnn.
if TYPE_CHECKING:
    from pathlib import Path

_VERSION = 1
# What reading numbers and names that make no sense can end with.
_DAMAGE = (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, RecursionError, MemoryError)
_Views = Sequence[NDArray[Any]]
_Path = str | os.PathLike[str]


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


def write(path: _Path, kind: str, config: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
    """Write arrays, and what else there is as metadata."""
    import json

    from safetensors.numpy import save

    text = json.dumps({"version": _VERSION, "kind": kind, **config}, default=lambda value: value.tolist())
    replace(path, save(arrays, {"fastnn": text}))


def replace(path: _Path, data: bytes) -> None:
    """Write beside the path first, then put the whole file in its place."""
    import tempfile
    from pathlib import Path

    target = Path(os.fsdecode(path))
    try:
        handle, part = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise _about(error, target) from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(part, 0o666 & ~_umask())
        os.replace(part, target)
    except BaseException as error:
        os.unlink(part)
        if isinstance(error, OSError):
            raise _about(error, target) from error
        raise


def _about(error: OSError, path: Path) -> OSError:
    """Return the error with the path that the user gave."""
    return OSError(error.errno, error.strerror, str(path))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextmanager
def read(path: _Path, kinds: tuple[str, ...]) -> Iterator[tuple[dict[str, Any], dict[str, NDArray[Any]]]]:
    """Give config and arrays of a file of one of the kinds; what doesn't fit in them is a ValueError with the path."""
    import json

    from safetensors import SafetensorError, safe_open

    name = os.fsdecode(path)
    if os.path.isdir(name):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    try:
        with safe_open(name, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        config = json.loads(metadata["fastnn"])
        if config["version"] != _VERSION or config["kind"] not in kinds:
            raise ValueError(f"a {config['kind']} of format {config['version']}, expected {kinds[0]} of format {_VERSION}")
    except (SafetensorError, *_DAMAGE) as error:
        raise ValueError(f"{name}: not such a file of fastnn ({error})") from error
    try:
        yield config, arrays
    except MissingFunction as error:
        raise ValueError(f"{name}: {error}") from None
    except _DAMAGE as error:
        raise ValueError(f"{name}: damaged, or of another version ({error})") from error
