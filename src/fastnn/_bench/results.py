"""The measurements of ``fastnn bench``, and the JSON file that holds them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fastnn._storage.write_file import write_file

FORMAT = 1
OURS = "fastnn"
# Errors that reading the file of another program may raise.
_DAMAGE = (KeyError, TypeError, ValueError, ArithmeticError, RecursionError)

Key = tuple[str, str, int, int]


@dataclass(frozen=True)
class Summary:
    """The times of one workload, in seconds per unit: a step, a prediction, a call."""

    minimum: float
    median: float
    rounds: int


@dataclass(frozen=True)
class Row:
    """One case: the times of fastnn and its peers for the same workload, measured in turns."""

    kind: str  # "training", "prediction", "elementwise"
    name: str  # the network, or the function
    size: int  # rows of a batch or a prediction, or elements of an array
    threads: int
    amount: float  # operations or bytes per unit
    peak: float | None  # the machine's highest rate on as many threads, per second; None if fastnn exceeded it
    anchor: Summary  # 10⁹ operations of bare arithmetic, on one thread, in turns with the others
    times: dict[str, Summary]  # by contestant
    left_out: dict[str, str]  # reasons, by contestant

    @property
    def key(self) -> Key:
        """The values that identify the case."""
        return self.kind, self.name, self.size, self.threads

    @property
    def ours(self) -> float:
        """The best time of fastnn, in seconds."""
        return self.times[OURS].minimum

    @property
    def relative(self) -> float:
        """The best time of fastnn divided by the anchor's, which hardly depends on how fast the machine is today."""
        return self.ours / self.anchor.minimum

    @property
    def share(self) -> float | None:
        """The rate of fastnn as a share of the peak, at most 1; None if the peak is unknown."""
        return None if self.peak is None else self.amount / self.ours / self.peak

    @property
    def ratios(self) -> dict[str, float]:
        """The time of each peer as a multiple of fastnn's."""
        return {name: time.minimum / self.ours for name, time in self.times.items() if name != OURS}


@dataclass(frozen=True)
class Earlier:
    """The content of a file to compare with."""

    path: Path
    facts: dict[str, str]  # as they were given to `save`
    relative: dict[Key, float]


def save(path: Path, facts: Mapping[str, Any], rows: Sequence[Row]) -> None:
    """Write all measurements to a file, which replaces an older one as a whole."""
    text = json.dumps({"format": FORMAT, **facts, "rows": [asdict(row) for row in rows]}, indent=1, ensure_ascii=False)
    write_file(path, [f"{text}\n".encode()])


def load(path: Path) -> Earlier:
    """Read a file written by `save`; raise ValueError for any other file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']!r}, expected {FORMAT}")
        facts = {name: value for name, value in content.items() if isinstance(value, str)}
        rows = [_row(row) for row in content["rows"]]
    except _DAMAGE as error:
        raise ValueError(f"{path}: not written by fastnn bench --json ({type(error).__name__}: {error})") from error
    return Earlier(path, facts, {row.key: row.relative for row in rows})


def _row(fields: dict[str, Any]) -> Row:
    """Return a row from the fields in a file; raise one of `_DAMAGE` if they do not make one."""
    anchor = Summary(**fields["anchor"])
    row = Row(**{**fields, "anchor": anchor, "times": {name: Summary(**time) for name, time in fields["times"].items()}})
    if not all(isinstance(part, kind) for part, kind in zip(row.key, (str, str, int, int), strict=True)):
        raise TypeError(f"a row of {row.key}")
    if not row.relative > 0.0:
        raise ValueError(f"a time of {row.relative} anchors")
    return row
