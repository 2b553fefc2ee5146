"""The progress of a run as one line of text."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TextIO

from fastnn._checks.options import explained
from fastnn._checks.scalars import Checked

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_TERMINAL_INTERVAL = 0.1  # seconds between redraws
_FILE_INTERVAL = 5.0  # seconds between lines in a file
_BAR_CELLS = 20


class _Trainer(Protocol):
    @property
    def epochs(self) -> int: ...


class _History(Protocol):
    @property
    def epochs(self) -> int: ...

    def __contains__(self, name: object) -> bool: ...

    def __getitem__(self, name: str) -> NDArray[np.float64]: ...


def _file(argument: str, value: Any) -> TextIO | None:
    if value is not None and not (callable(getattr(value, "write", None)) and callable(getattr(value, "flush", None))):
        raise TypeError(f"{argument}: expected a text file with write and flush, or None, got {value!r}")
    return value  # type: ignore[no-any-return]


class ProgressBar(Checked):
    """Show the number of epochs, the losses, the elapsed time and the remaining time.

    On a terminal, the bar redraws one line, at most ten times per second. Elsewhere, it adds a line, at most every five
    seconds. The total number of epochs is `trainer.epochs`. Training continues if the bar cannot write to its file.

    Parameters
    ----------
    file : text file, optional
        The file to write to, `sys.stderr` by default.

    Examples
    --------
    >>> ProgressBar()
    ProgressBar()
    """

    _checks: ClassVar = {"file": _file}

    @explained
    def __init__(self, file: TextIO | None = None) -> None:
        self.file = file
        self._start: float | None = None
        self._last_draw = -float("inf")
        self._drawn_width = 0
        self._drawn_epochs = -1

    def on_train_begin(self, trainer: _Trainer, history: _History) -> None:
        """Start the clock, and draw an empty bar on a terminal."""
        self._start = time.monotonic()
        self._last_draw = -float("inf")
        self._drawn_width = 0
        self._drawn_epochs = -1
        if self._on_terminal():
            self._draw(trainer, history)

    def on_epoch_end(self, trainer: _Trainer, history: _History) -> None:
        """Redraw the bar if enough time has passed since it was last drawn."""
        interval = _TERMINAL_INTERVAL if self._on_terminal() else _FILE_INTERVAL
        if time.monotonic() - self._last_draw >= interval:
            self._draw(trainer, history)

    def on_train_end(self, trainer: _Trainer, history: _History) -> None:
        """Draw the final state, and end the line."""
        if self._on_terminal():
            self._draw(trainer, history)
            self._write("\n")
        elif history.epochs != self._drawn_epochs:
            self._draw(trainer, history)

    def _draw(self, trainer: _Trainer, history: _History) -> None:
        import shutil  # imported here, because it loads the compression formats that it knows

        now = time.monotonic()
        if self._start is None:
            self._start = now - float(history["seconds"].sum())
        line = _describe(history, trainer.epochs, now - self._start)
        if self._on_terminal():
            line = f"{_bar(history.epochs, trainer.epochs)} {line}"[: shutil.get_terminal_size().columns - 1]
            # Blanks overwrite the rest of a longer line.
            self._write("\r" + line.ljust(self._drawn_width))
            self._drawn_width = len(line)
        else:
            self._write(line + "\n")
        self._last_draw, self._drawn_epochs = now, history.epochs

    def _on_terminal(self) -> bool:
        file = self._target()
        try:
            return file is not None and file.isatty()
        except (AttributeError, ValueError):  # not a full file object, or closed
            return False

    def _write(self, text: str) -> None:
        file = self._target()
        if file is None:
            return
        try:
            file.write(text)
            file.flush()
        except (OSError, ValueError):  # a broken pipe, a closed file: no reason to stop training
            pass

    def _target(self) -> TextIO | None:
        # Looked up at each use: programs may replace sys.stderr, and it is None under pythonw.
        return sys.stderr if self.file is None else self.file

    def __repr__(self) -> str:
        return "ProgressBar()" if self.file is None else f"ProgressBar(file={self.file!r})"


def _describe(history: _History, total: int, elapsed: float) -> str:
    done = history.epochs
    parts = [f"epoch {done:{len(str(total))}d}/{total}"]
    if done:
        parts += [f"{name} {history[name][-1]:.4g}" for name in ("loss", "val_loss") if name in history]
    parts.append(f"{_clock(elapsed)} elapsed")
    if 0 < done < total:
        parts.append(f"{_clock(elapsed / done * (total - done))} left")
    return "  ".join(parts)


def _bar(done: int, total: int) -> str:
    cells = _BAR_CELLS * done // total if total else _BAR_CELLS
    return f"[{'#' * cells}{'.' * (_BAR_CELLS - cells)}]"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
