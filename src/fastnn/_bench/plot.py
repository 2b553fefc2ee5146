"""The picture of the benchmarks: the time of every case by every contestant, on a logarithmic scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastnn._bench.results import OURS, Row
from fastnn._bench.table import Kind, counted
from fastnn._output.files import save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The colours of the peers, in the order of their columns.
_MARKERS = "sDv^<>Pp"
_COLORS = ("C0", "C1", "C2", "C4", "C5", "C6", "C8", "C9")
_LEGEND_COLUMNS = 5  # the maximum
_WIDTH, _ROW_HEIGHT, _MARGIN = 6.5, 0.27, 1.5  # inches: of a panel, of a case in it, of the margins


def draw(path: Path, title: str, rows: Sequence[Row], kinds: Sequence[Kind], peers: Sequence[str]) -> None:
    """Draw one panel per kind of case (top to bottom) and number of threads (side by side).

    Parameters
    ----------
    path : Path
        The file.
    title : str
        The title of the picture.
    rows : sequence of Row
        The measurements.
    kinds : sequence of Kind
        The kinds of the rows.
    peers : sequence of str
        The contestants besides fastnn.
    """
    from matplotlib.figure import Figure

    kinds = [kind for kind in kinds if any(row.kind == kind.name for row in rows)]
    threads = sorted({row.threads for row in rows})
    heights = [len({row.key[:3] for row in rows if row.kind == kind.name}) for kind in kinds]
    size = (1.5 + _WIDTH * len(threads), 1.2 + sum(_MARGIN / 2 + _ROW_HEIGHT * height for height in heights))
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(
        len(kinds), len(threads), squeeze=False, sharex="row", sharey="row", gridspec_kw={"height_ratios": heights}
    )
    for kind, line in zip(kinds, grid, strict=True):
        for count, axes in zip(threads, line, strict=True):
            chosen = [row for row in rows if (row.kind, row.threads) == (kind.name, count)]
            if chosen:
                heading = f"{kind.unit} ({kind.case}, {kind.size}), {counted(count, 'thread')}"
                _draw_panel(axes, heading, chosen, peers)
            else:
                axes.set_axis_off()
        line[0].invert_yaxis()  # panels in one line share the axis
    handles = {label: handle for axes in grid.flat for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    lines = math.ceil(len(handles) / _LEGEND_COLUMNS)
    columns = math.ceil(len(handles) / lines)
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=columns, frameon=False)
    figure.suptitle(title)
    save_figure(figure, path)


def _draw_panel(axes: Axes, heading: str, rows: Sequence[Row], peers: Sequence[str]) -> None:
    """Draw a line per case from its shortest to its longest time, and a marker per contestant."""
    from matplotlib.ticker import LogFormatter

    for place, row in enumerate(rows):
        times = [time.minimum * 1e6 for time in row.times.values()]
        axes.plot([min(times), max(times)], [place, place], color="0.8", linewidth=1.2, zorder=1)
    _draw_contestant(axes, rows, OURS, marker="o", color="C3", markersize=9, zorder=3)
    for name, marker, color in zip(peers, _MARKERS, _COLORS, strict=False):
        _draw_contestant(axes, rows, name, marker=marker, color=color, markersize=6, alpha=0.85, zorder=2)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(LogFormatter(minor_thresholds=(1, 0.4)))  # for panels that span less than a decade
    axes.set_yticks(range(len(rows)), [f"{row.name}, {row.size}" for row in rows])
    axes.set(title=heading, xlabel="µs", ylim=(-0.6, len(rows) - 0.4))
    axes.grid(axis="x", alpha=0.3)


def _draw_contestant(axes: Axes, rows: Sequence[Row], name: str, **style: Any) -> None:
    places = [place for place, row in enumerate(rows) if name in row.times]
    if places:
        axes.plot([rows[place].times[name].minimum * 1e6 for place in places], places, linestyle="", label=name, **style)
