"""The files that commands write, checked before the work begins."""

from __future__ import annotations

import argparse
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

from fastnn._storage.write_file import write_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 130


def plot_file(text: str) -> Path:
    """Return the path if a picture can be drawn there. Otherwise, raise an error before minutes of work are done."""
    try:
        formats = _formats()
    except ImportError:
        raise argparse.ArgumentTypeError('needs Matplotlib: pip install "fastnn-cpu[plot]"') from None
    if Path(text).suffix[1:].lower() not in formats:
        raise argparse.ArgumentTypeError(f"expected a name that ends in .{', .'.join(formats)}, got {text!r}")
    return output_file(text)


def output_file(text: str) -> Path:
    """Return the path if a file can probably be written there, or raise an error."""
    path = Path(text)
    directory = os.path.dirname(os.path.realpath(text))
    if not text or text.endswith(os.sep) or path.is_dir() or not os.path.isdir(directory):
        raise argparse.ArgumentTypeError(f"expected a file in a directory that exists, got {text!r}")
    if not os.access(path if path.exists() else directory, os.W_OK):
        raise argparse.ArgumentTypeError(f"expected a file that can be written, got {text!r}")
    return path


def save_figure(figure: Figure, path: Path) -> None:
    """Draw a figure to a file whose name determines the format."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix[1:].lower(), dpi=_DPI)
    write_file(path, [buffer.getbuffer()])


def _formats() -> list[str]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    return [name for name in ("png", "pdf", "svg") if name in FigureCanvasAgg.get_supported_filetypes()]
