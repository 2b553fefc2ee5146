"""The picture of the demonstration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fastnn._cli._demo_curve import NOISE, Curve
from fastnn._output.files import save_figure
from fastnn._output.report import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw(path: Path, xor: Result, digits: Result, curve: Curve) -> None:
    """Draw the three losses at the top, and the curve below."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 7.5), layout="constrained")
    grid = figure.add_gridspec(2, 3, height_ratios=(1, 1.4))
    parts = (
        ("XOR", "mean squared error", xor),
        ("Handwritten digits", "mean cross-entropy", digits),
        ("A noisy curve", "mean squared error", curve),
    )
    for column, (title, loss, part) in enumerate(parts):
        axes = figure.add_subplot(grid[0, column])
        axes.plot(range(1, len(part.losses) + 1), part.losses, color=f"C{column}")
        axes.set(title=f"{title}: loss", xlabel="epoch", ylabel=loss)
        if part is curve:
            axes.set_ylim(bottom=0.0)
            axes.axhline(NOISE**2, color="black", linestyle="--", linewidth=1.0, label="variance of the noise")
            axes.legend()
        else:
            axes.set_yscale("log")
        axes.grid(alpha=0.3)
    _draw_curve(figure.add_subplot(grid[1, :]), curve)
    save_figure(figure, path)


def _draw_curve(axes: Axes, curve: Curve) -> None:
    axes.plot(curve.x, curve.y, ".", color="0.65", markersize=5, label="samples")
    axes.plot(curve.grid, curve.truth, "--", color="black", linewidth=1.5, label="true curve: sin(2 x) + x / 3")
    axes.plot(curve.grid, curve.fit, color="C2", linewidth=2, label="1-32-32-1 network")
    axes.set(xlabel="x", ylabel="y", title="A noisy curve: the fit")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")
