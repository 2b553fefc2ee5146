"""Lines of UTF-8 text, in blocks of complete lines."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import BinaryIO

_CHUNK = 1 << 20
_LONGEST = 1 << 26  # bytes of a line; a longer one is more likely a file of another kind


def blocks_of_lines(file: BinaryIO, source: str) -> Iterator[list[str]]:
    """Yield lists of lines without their ends, LF or CRLF. A byte order mark at the beginning is left out.

    A block is yielded as soon as its lines have arrived, so that a pipe is read while it is written.

    Raises
    ------
    ValueError
        If a line is not UTF-8, or is too long. The message has the number of the line.
    """
    before = 0
    for data in _complete(file, source):
        text = _decoded(data if before else data.removeprefix(codecs.BOM_UTF8), before, source)
        lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
        yield lines
        before += len(lines)


def _complete(file: BinaryIO, source: str) -> Iterator[bytes]:
    """Yield bytes that end where a line ends."""
    parts: list[bytes] = []  # of the line that is not complete yet
    number = 1
    while chunk := _some(file):
        end = chunk.rfind(b"\n") + 1
        if not end:
            parts.append(chunk)
            if sum(map(len, parts)) > _LONGEST:
                raise ValueError(f"{source}, line {number}: expected at most {_LONGEST >> 20} MiB in a line, got more")
            continue
        data = b"".join((*parts, chunk[:end]))
        parts = [chunk[end:]] if end < len(chunk) else []
        number += data.count(b"\n")
        yield data
    if parts:
        yield b"".join(parts)


def _some(file: BinaryIO) -> bytes:
    """Return the bytes that have arrived, and at most one chunk; nothing at the end of the file."""
    read: bytes = file.read1(_CHUNK) if hasattr(file, "read1") else file.read(_CHUNK)
    return read


def _decoded(data: bytes, before: int, source: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = before + data.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{source}, line {line}: expected UTF-8, got the byte 0x{data[error.start]:02x}; iconv converts other encodings"
        ) from None
