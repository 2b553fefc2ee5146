"""The results of ``fastnn bench``, and the JSON file that stores them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fastnn._storage.write_file import write_file

FORMAT = 1
OURS = "fastnn"
# What reading a file of another program can end with.
_DAMAGE = (KeyError, TypeError, ValueError, ArithmeticError, RecursionError)

Key = tuple[str, str, int, int]


@dataclass(frozen=True)
class Summary:
    """The times of one work, in seconds per unit: a step, a prediction, a call."""

    minimum: float
    median: float
    rounds: int


@dataclass(frozen=True)
class Row:
    """One case: what fastnn and its peers took for the same work, in turns."""

    kind: str  # "training", "prediction", "elementwise"
    name: str  # the network, or the function
    size: int  # rows of a batch or a prediction, or elements
    threads: int
    amount: float  # operations or bytes of a unit
    peak: float | None  # operations or bytes a second of the machine at most, on as many threads; None if fastnn did more
    anchor: Summary  # 10⁹ operations of the arithmetic alone, on one thread, between the others' turns
    times: dict[str, Summary]  # by contestant
    left_out: dict[str, str]  # why, by contestant

    @property
    def key(self) -> Key:
        """What tells the case from others."""
        return self.kind, self.name, self.size, self.threads

    @property
    def ours(self) -> float:
        """Our best time, in seconds."""
        return self.times[OURS].minimum

    @property
    def relative(self) -> float:
        """Our best time divided by the anchor's: what hardly depends on how fast the machine is today."""
        return self.ours / self.anchor.minimum

    @property
    def share(self) -> float | None:
        """Our rate as a share of the peak: 1 at most; None if the peak is not known."""
        return None if self.peak is None else self.amount / self.ours / self.peak

    @property
    def ratios(self) -> dict[str, float]:
        """How many times as long as we each peer takes."""
        return {name: time.minimum / self.ours for name, time in self.times.items() if name != OURS}


@dataclass(frozen=True)
class Earlier:
    """What is compared with, out of a file."""

    path: Path
    facts: dict[str, str]  # as they were given to `save`
    relative: dict[Key, float]


def save(path: Path, facts: Mapping[str, Any], rows: Sequence[Row]) -> None:
    """Write everything into a file, in place of an older one at once."""
    text = json.dumps({"format": FORMAT, **facts, "rows": [asdict(row) for row in rows]}, indent=1, ensure_ascii=False)
    write_file(path, [f"{text}\n".encode()])


def load(path: Path) -> Earlier:
    """Read what `save` wrote; ValueError if it is something else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"format {content['format']!r}, expected {FORMAT}")
        facts = {name: value for name, value in content.items() if isinstance(value, str)}
        rows = [_row(row) for row in content["rows"]]
    except _DAMAGE as error:
        raise ValueError(f"{path}: not a file of fastnn bench --json ({type(error).__name__}: {error})") from error
    return Earlier(path, facts, {row.key: row.relative for row in rows})


def _row(fields: dict[str, Any]) -> Row:
    """Return a row as it was given to `save`; one of `_DAMAGE` if it can't be one."""
    anchor = Summary(**fields["anchor"])
    row = Row(**{**fields, "anchor": anchor, "times": {name: Summary(**time) for name, time in fields["times"].items()}})
    if not all(isinstance(part, kind) for part, kind in zip(row.key, (str, str, int, int), strict=True)):
        raise TypeError(f"a row of {row.key}")
    if not row.relative > 0.0:
        raise ValueError(f"a time of {row.relative} anchors")
    return row
