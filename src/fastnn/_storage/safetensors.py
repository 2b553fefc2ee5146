"""The safetensors format: a length, a header in JSON, and the bytes of all arrays.

The safetensors package reads and writes the same files. However, if memory runs out, it ends the process or raises an
exception that `except Exception` does not catch, and it can't read from a pipe.
"""

from __future__ import annotations

import json
import math
import os
import stat
import struct
from collections.abc import Mapping
from io import BufferedReader
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8"), "I64": np.dtype("<i8")}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_LENGTH = struct.Struct("<Q")
_LONGEST_HEADER = 100_000_000  # the limit of the package
_ALIGNMENT = 8
_CHUNK = 1 << 20


class _Place(NamedTuple):
    """The place of an array within the data."""

    start: int
    end: int
    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


def dump(arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> list[bytes | memoryview]:
    """Return the parts of a file: the header, and the memory of contiguous arrays of float32, float64 or int64."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    buffers: list[bytes | memoryview] = [b""]
    end = 0
    for name, array in sorted(arrays.items(), key=lambda item: (-item[1].itemsize, item[0])):  # so that all are aligned
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        start, end = end, end + little.nbytes
        header[name] = {"dtype": _NAMES[little.dtype], "shape": little.shape, "data_offsets": [start, end]}
        buffers.append(little.reshape(-1).view(np.uint8).data)
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    buffers[0] = _LENGTH.pack(len(text)) + text
    return buffers


def parse(file: BufferedReader) -> tuple[dict[str, str], dict[str, NDArray[Any]]]:
    """Return metadata and arrays of an open file or pipe.

    Raises
    ------
    ValueError
        If the file has another format, is truncated, or is followed by other data. This is checked before memory is
        allocated for arrays.
    MemoryError
        If there is not enough memory for the arrays.
    """
    status = os.fstat(file.fileno())
    # The size of a pipe is known only at its end.
    size = status.st_size if stat.S_ISREG(status.st_mode) else None
    header = _header(file, size)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("metadata that is not text")
    places = sorted(_place(name, entry) for name, entry in header.items())
    end = 0
    for place in places:
        if place.start != end:
            raise ValueError(f"{place.name} begins at byte {place.start} of the data, expected {end}")
        end = place.end
    if size is None:
        return metadata, _from_pipe(file, places, end)
    rest = size - file.tell()
    if rest != end:
        raise ValueError(f"{rest} bytes of data, expected {end}")
    return metadata, {place.name: _array(file, place) for place in places}


def _header(file: BufferedReader, size: int | None) -> dict[str, Any]:
    start = file.read(_LENGTH.size)
    if len(start) < _LENGTH.size:
        raise ValueError(f"{len(start)} bytes, expected {_LENGTH.size} or more")
    (length,) = _LENGTH.unpack(start)
    longest = _LONGEST_HEADER if size is None else min(_LONGEST_HEADER, size - _LENGTH.size)
    if length > longest:
        raise ValueError(f"a header of {length} bytes, expected {longest} at most")
    header = json.loads(file.read(length).decode())
    if not isinstance(header, dict):
        raise ValueError(f"a header that is a {type(header).__name__}, expected an object")
    return header


def _place(name: str, entry: dict[str, Any]) -> _Place:
    shape, (start, end) = entry["shape"], entry["data_offsets"]
    for number in (*shape, start, end):
        if type(number) is not int or number < 0:
            raise ValueError(f"{name} has {number!r} in its shape or place")
    if entry["dtype"] not in _DTYPES:
        raise ValueError(f"{name} is {entry['dtype']!r}, expected one of {', '.join(_DTYPES)}")
    dtype = _DTYPES[entry["dtype"]]
    if math.prod(shape) * dtype.itemsize != end - start:
        raise ValueError(f"{name} has {end - start} bytes, and the shape {shape}")
    return _Place(start, end, name, dtype, tuple(shape))


def _array(file: BufferedReader, place: _Place) -> NDArray[Any]:
    array = np.empty(place.shape, place.dtype)
    if file.readinto(array.reshape(-1).view(np.uint8).data) != array.nbytes:
        raise ValueError(f"{place.name} ends too early")
    return array.astype(place.dtype.newbyteorder("="), copy=False)


def _from_pipe(file: BufferedReader, places: list[_Place], end: int) -> dict[str, NDArray[Any]]:
    """Read arrays from a pipe, and at most a few bytes beyond their end."""
    data = bytearray()
    while len(data) <= end and (chunk := file.read(_CHUNK)):
        data += chunk
    if len(data) != end:
        raise ValueError(f"{'more than ' * (len(data) > end)}{min(len(data), end)} bytes of data, expected {end}")
    arrays = {}
    for place in places:
        flat = np.frombuffer(data, place.dtype, math.prod(place.shape), place.start)
        arrays[place.name] = flat.reshape(place.shape).astype(place.dtype.newbyteorder("="))
    return arrays
