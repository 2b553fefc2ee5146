"""Reports in a terminal, with headings and aligned times, in plain ASCII for encodings that support no more."""

from __future__ import annotations

import codecs
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TextIO, TypeVar

WIDTH = 84
_INDENT = "   "
_LABEL = 46  # width of labels

# All characters beyond ASCII that reports use, and their substitutes for encodings that lack them.
_ASCII = str.maketrans(
    {"×": "x", "µ": "u", "─": "-", "│": "|", "·": ".", "●": "o", "░": ".", "▒": "+", "▓": "#", "█": "@"},
)

_T = TypeVar("_T")


@dataclass(frozen=True)
class Result:
    """The result of one part of the demonstration."""

    losses: Sequence[float]  # one per epoch
    agrees: bool  # whether it agrees with NumPy, within the part's tolerance


class Report:
    """Lines of text on a stream.

    Parameters
    ----------
    stream : text file
        The stream.

    Attributes
    ----------
    on_terminal : bool
        Whether the stream is a terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._encoding = _known(stream.encoding)
        self._plain = not _writable(self._encoding)
        styled = stream.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")
        self._bold, self._normal = ("\033[1m", "\033[0m") if styled else ("", "")
        self.on_terminal = stream.isatty()

    def title(self, text: str) -> None:
        """Write a line at the margin."""
        self._write(f"{self._bold}{text}{self._normal}\n")

    def heading(self, text: str) -> None:
        """Write a heading, which begins a part."""
        self._write(f"\n{self._bold}{text}{self._normal} {'─' * (WIDTH - len(text) - 1)}\n")

    def line(self, text: str = "") -> None:
        """Write an indented line."""
        self._write(f"{_INDENT}{text}".rstrip() + "\n")

    def block(self, texts: Sequence[str]) -> None:
        """Write indented lines, with an empty line before and after them."""
        for text in ("", *texts, ""):
            self.line(text)

    def time(self, label: str, seconds: float, than: float | None = None) -> None:
        """Write a time, and how many times as long as `than` seconds it is."""
        self._begin(label)
        self._end(seconds, than)

    def timed(self, label: str, work: Callable[[], _T], than: float) -> _T:
        """Do some work and return its result; write its time as `time` does."""
        self._begin(label)  # written before the work begins
        result, seconds = stopwatch(work)
        self._end(seconds, than)
        return result

    def verdict(self, what: str, difference: float, tolerance: float) -> bool:
        """Write and return whether two results agree up to rounding errors."""
        same = difference <= tolerance
        self.line(f"{'The' if same else 'NOT THE'} same {what}: the largest difference is {difference:.0e}.")
        return same

    def _begin(self, label: str) -> None:
        self._write(f"{_INDENT}{label:<{_LABEL}}")

    def _end(self, seconds: float, than: float | None) -> None:
        ratio = 0.0 if than is None else seconds / than
        compared = "" if than is None else f"  {ratio:6.{0 if ratio >= 10 else 1}f} × as long"
        self._write(f"{duration(seconds):>9}{compared}\n")

    def _write(self, text: str) -> None:
        text = text.translate(_ASCII) if self._plain else text
        # Names of files may have characters that the encoding lacks.
        self._stream.write(text.encode(self._encoding, "backslashreplace").decode(self._encoding))
        self._stream.flush()


def stopwatch(work: Callable[[], _T]) -> tuple[_T, float]:
    """Return the result of some work, and its seconds."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def per_call(work: Callable[[], object], calls: int = 500, rounds: int = 5) -> float:
    """Return the seconds per call of `work`, in the best of some rounds of calls."""
    return min(stopwatch(lambda: [work() for _ in range(calls)])[1] for _ in range(rounds)) / calls


def duration(seconds: float) -> str:
    """Return a time with three digits and a unit.

    Examples
    --------
    >>> duration(1.5), duration(0.0123), duration(4.5e-7)
    ('1.50 s', '12.3 ms', '0.45 µs')
    """
    unit, factor = ("s", 1.0) if seconds >= 0.9995 else ("ms", 1e3) if seconds >= 0.9995e-3 else ("µs", 1e6)
    value = seconds * factor
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {unit}"


def largest_difference(ours: Sequence[Any], theirs: Sequence[Any]) -> float:
    """Return the largest absolute difference between the elements of two lists of arrays."""
    return max(float(abs(a - b.reshape(a.shape)).max()) for a, b in zip(ours, theirs, strict=True))


def _known(encoding: str | None) -> str:
    """Return the encoding if Python knows it, and otherwise ASCII. A stream may have no encoding."""
    try:
        return codecs.lookup(encoding or "ascii").name
    except LookupError:
        return "ascii"


def _writable(encoding: str) -> bool:
    try:
        "".join(chr(code) for code in _ASCII).encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
