"""The files that commands write, checked before there is something to write."""

from __future__ import annotations

import argparse
from pathlib import Path


def plot_file(text: str) -> Path:
    """Return the path, once it is sure that a picture can be drawn there: before minutes of work, not after."""
    try:
        formats = _formats()
    except ImportError:
        raise argparse.ArgumentTypeError('needs Matplotlib: pip install "fastnn-cpu[plot]"') from None
    if Path(text).suffix[1:].lower() not in formats:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a name that ends in .{', .'.join(formats)}")
    return output_file(text)


def output_file(text: str) -> Path:
    """Return the path, once it is likely that a file can be written there."""
    path = Path(text)
    if not text or path.is_dir() or not path.absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a file in a directory that exists")
    return path


def _formats() -> list[str]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    return [name for name in ("png", "pdf", "svg") if name in FigureCanvasAgg.get_supported_filetypes()]
