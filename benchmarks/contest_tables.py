"""The tables at the end of a run: a row per case, a column per contestant."""

from __future__ import annotations

from dataclasses import dataclass

# The limit for each unit of rates: multiply-adds in registers, or a copy of as many bytes.
SHARES = {"GFLOP/s": "peak", "GB/s": "of a copy"}


@dataclass(frozen=True)
class Cell:
    """The result of one contestant in one case."""

    minimum: float  # microseconds per call
    median: float
    ratio: float | None = None  # ratio of the minima, peer / fastnn; None for fastnn
    rate: float | None = None
    unit: str = ""  # unit of the rate
    share: float | None = None  # share of the machine's limit, see `SHARES`

    def extra_info(self) -> dict[str, float]:
        """Return the values for pytest-benchmark's JSON."""
        named = {
            "microseconds": self.minimum,
            "microseconds, median": self.median,
            "times as long as fastnn": self.ratio,
            self.unit: self.rate,
            f"share, {SHARES.get(self.unit, '')}": self.share,
        }
        return {name: value for name, value in named.items() if value is not None}


class Tables:
    """Cells by table, row and column, in the order of their arrival."""

    def __init__(self) -> None:
        self._tables: dict[str, dict[str, dict[str, Cell | float]]] = {}

    def put(self, table: str, row: str, column: str, value: Cell | float) -> None:
        """Set a cell, or a plain number."""
        self._tables.setdefault(table, {}).setdefault(row, {})[column] = value

    def texts(self) -> list[tuple[str, list[str]]]:
        """Return the title and the lines of each table."""
        return [(title, _lines(rows)) for title, rows in self._tables.items()]


def _lines(rows: dict[str, dict[str, Cell | float]]) -> list[str]:
    texts = {
        name: {c: text for column, cell in row.items() for c, text in _texts(column, cell).items()}
        for name, row in rows.items()
    }
    columns = list(dict.fromkeys(column for row in texts.values() for column in row))
    lines = [("", {column: _heading(column)[part] for column in columns}) for part in (0, 1)] + list(texts.items())
    label = max(map(len, texts))
    widths = {column: max(len(line.get(column, "")) for _, line in lines) for column in columns}
    return [
        f"{name:<{label}} " + "".join(f" {line.get(column, ''):>{width}}" for column, width in widths.items())
        for name, line in lines
        if any(line.values())
    ]


def _heading(column: str) -> tuple[str, str]:
    """Return a column's name in two lines, the first empty if one is enough.

    Examples
    --------
    >>> _heading("NumPy"), _heading("ONNX Runtime"), _heading("scikit-learn")
    (('', 'NumPy'), ('ONNX', 'Runtime'), ('scikit-', 'learn'))
    """
    first, _, second = column.replace("-", "- ").rpartition(" ")
    return first, second


def _texts(column: str, cell: Cell | float) -> dict[str, str]:
    """Return the text of a cell by column; the columns beside fastnn's hold its rate and its share of the limit."""
    if not isinstance(cell, Cell):
        return {column: _number(cell)}
    if cell.ratio is not None:
        return {column: f"{_number(cell.minimum)} {_ratio(cell.ratio):>5}"}
    texts = {column: _number(cell.minimum)}
    if cell.rate is not None:
        texts[cell.unit] = _number(cell.rate)
    if cell.share is not None:
        texts[SHARES[cell.unit]] = f"{cell.share:.0%}"
    return texts


def _number(value: float) -> str:
    """Return three digits, of thousands with a k.

    Examples
    --------
    >>> _number(0.0812), _number(15.62), _number(530.4), _number(23_913), _number(1_234_567)
    ('0.081', '15.6', '530', '23.9k', '1235k')
    """
    if value >= 99_950:
        return f"{value / 1e3:.0f}k"
    if value >= 9_995:
        return f"{value / 1e3:.1f}k"
    digits = 0 if value >= 99.95 else 1 if value >= 9.995 else 2 if value >= 0.1 else 3
    return f"{value:.{digits}f}"


def _ratio(value: float) -> str:
    return f"{value:.0f}×" if value >= 9.95 else f"{value:.2f}×"
