"""The history of a training run, epoch by epoch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from fastnn import _state

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from fastnn._core import Run

_ALWAYS = ("loss", "learning_rate", "seconds")
_LOSSES = ("loss", "val_loss")
_LAST = ("learning_rate", "seconds")
_NOTHING = np.empty(0)
# The number of epochs for which a run's history has room at first, and the factor by which the room grows while more epochs
# are planned. Where the system provides memory as it is touched, room that no epoch has reached costs nothing. When the room
# began with 1000 epochs and doubled, XOR took a twentieth longer, for copies into memory that the system had to clear.
_ROOM = 1 << 14
_GROWTH = 8


class History(Mapping[str, "NDArray[np.float64]"]):
    """A mapping from names to arrays with one value per epoch.

    - "loss" is the mean over the rows of the epoch, including penalties. Each batch counts with its loss before the update.
    - "val_loss" is the loss on the validation data after the epoch. It exists only if there are validation data.
    - A metric, such as "accuracy", is computed on the training data after the epoch, and "val_accuracy" on the validation
      data.
    - "learning_rate" is the learning rate of the last step of the epoch. Other settings that follow schedules, such as
      "weight_decay", have such columns too.
    - "seconds" is the wall time of the epoch.

    The arrays are float64 and read-only. Each finished epoch takes 8 bytes per array.

    Examples
    --------
    >>> history = History()
    >>> history.append(loss=0.5, learning_rate=0.1, seconds=0.01)
    >>> history.append(loss=0.25, learning_rate=0.1, seconds=0.01)
    >>> history["loss"]
    array([0.5 , 0.25])
    >>> history
    History(epochs=2, loss=0.5 -> 0.25, learning_rate=0.1, seconds=0.02)
    """

    _columns: tuple[str, ...] | None = None
    _most_epochs = 0  # the number of epochs that a run has at most; 0 for a history that is filled by hand
    _of_schedules: tuple[str, ...] = ()  # the settings whose values have columns, besides the learning rate

    def __init__(self) -> None:
        self._epochs = 0
        self._buffers = dict.fromkeys(_ALWAYS, _NOTHING)

    @property
    def epochs(self) -> int:
        """The number of finished epochs."""
        return self._epochs

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The names in the history of a run, which are fixed from its start; None for a history that is filled by hand."""
        return self._columns

    def append(
        self, *, loss: float, learning_rate: float, seconds: float, val_loss: float | None = None, **metrics: float
    ) -> None:
        """Add one epoch. `val_loss` and each metric must be given for all epochs or for none."""
        given = {"loss": loss, "learning_rate": learning_rate, "seconds": seconds, **metrics}
        if val_loss is not None:
            given["val_loss"] = val_loss
        place = self._epochs
        if place >= self._buffers["loss"].size or self._buffers.keys() != given.keys():
            self._make_room(given, 1)
        for name, buffer in self._buffers.items():
            buffer[place] = given[name]
        self._epochs = place + 1

    def extend(
        self,
        *,
        loss: ArrayLike,
        learning_rate: ArrayLike,
        seconds: ArrayLike,
        val_loss: ArrayLike | None = None,
        **metrics: ArrayLike,
    ) -> None:
        """Add any number of epochs, from arrays of the same length.

        Raises
        ------
        ValueError
            If the lengths differ, or if `val_loss` or a metric is given only for some epochs. Nothing is added then.
        """
        given = {"loss": loss, "val_loss": val_loss, "learning_rate": learning_rate, "seconds": seconds, **metrics}
        new = {name: np.asarray(values, dtype=np.float64) for name, values in given.items() if values is not None}
        count = new["loss"].size
        for name, values in new.items():
            if values.shape != (count,):
                raise ValueError(f"{name}: expected shape ({count},), one value per epoch, got {values.shape}")
        self._make_room(new, count)
        for name, values in new.items():
            self._buffers[name][self._epochs : self._epochs + count] = values
        self._epochs += count

    @classmethod
    def _of_run(cls, measured: Sequence[str], epochs: int, scheduled: Sequence[str] = ()) -> Self:
        """Return an empty history of a run with that many epochs, which has these columns and no others.

        `scheduled` has the names of the settings that follow schedules, besides the learning rate.
        """
        for name in scheduled:
            if name in measured:
                raise ValueError(f"metrics: expected other names than that of a scheduled setting, got {name!r}")
        history = cls()
        names = tuple(_in_order((*_ALWAYS, *measured, *scheduled))) if measured or scheduled else _ALWAYS
        history._columns, history._of_schedules, history._most_epochs = names, tuple(scheduled), epochs
        history._buffers = dict(zip(names, np.empty((len(names), min(epochs, _ROOM))), strict=True))
        return history

    @classmethod
    def _of_engine(cls, run: Run) -> Self:
        """Return an empty history of an engine's run at one learning rate, which uses the run's arrays."""
        history = cls()
        history._columns = _ALWAYS
        history._buffers = {"loss": run.epoch_loss, "learning_rate": run.constant_rates(), "seconds": run.epoch_seconds}
        return history

    def _take(
        self,
        run: Run,
        first: int,
        measured: Mapping[str, float],
        scheduled: Sequence[str] = (),
        numbers: Mapping[str, float] | None = None,
    ) -> None:
        """Add the epochs of an engine's run, from `first` to the last finished one, to which the measured values belong.

        `scheduled` has the names of the run's scheduled settings in their order, and `numbers` the values of settings that
        no longer follow schedules.
        """
        place, end = self._epochs, self._epochs + run.epoch - first
        if end > self._buffers["loss"].size:
            self._make_room(self._buffers, end - place)
        buffers = self._buffers
        rates = [buffers["learning_rate"], *(buffers.get(name) for name in scheduled)]
        run.copy_epochs(first, place, buffers["loss"], rates, buffers["seconds"])
        for name, value in (numbers or {}).items():
            buffers[name][place:end] = value
        for name, value in measured.items():
            buffers[name][end - 1] = value
        self._epochs = end

    def _make_room(self, given: Mapping[str, Any], count: int) -> None:
        if self._epochs == 0 and self._buffers.keys() != given.keys():
            self._buffers = dict.fromkeys(_in_order(given), _NOTHING)
        elif self._buffers.keys() != given.keys():
            name = next(name for name in (*self._buffers, *given) if (name in self._buffers) != (name in given))
            raise ValueError(f"{name}: expected values for all epochs or for none, got some")
        needed = self._epochs + count
        # One assignment, so that Ctrl-C leaves either all old or all new columns.
        self._buffers = {name: self._with_room(buffer, needed) for name, buffer in self._buffers.items()}

    def _with_room(self, buffer: NDArray[np.float64], needed: int) -> NDArray[np.float64]:
        """Return a buffer if it is large enough, or a copy with more room, so that epochs that end one by one stay cheap."""
        if needed <= buffer.size:
            return buffer
        wanted = min(_GROWTH * buffer.size, self._most_epochs) if needed <= self._most_epochs else 2 * buffer.size
        larger = np.empty(max(needed, wanted))
        larger[: self._epochs] = buffer[: self._epochs]
        return larger

    def to_frame(self) -> Any:
        """Return the history as a data frame of pandas: one row per epoch, counted from 1, and one column per name.

        Raises
        ------
        ImportError
            If pandas is missing.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError('History.to_frame needs pandas: pip install "fastnn-cpu[pandas]"') from error
        index = pd.RangeIndex(1, self._epochs + 1, name="epoch")
        return pd.DataFrame({name: self[name].copy() for name in self}, index=index)

    def plot(self, ax: Any = None) -> Any:
        """Draw the loss of every epoch, and the validation loss if the history has one.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            The axes to draw on. By default, those of a new figure.

        Returns
        -------
        matplotlib.axes.Axes
            The axes, to which you can add labels and scales of your own.

        Raises
        ------
        ImportError
            If Matplotlib is not installed.
        """
        if ax is None:
            ax = _new_axes()
        epochs = np.arange(1, self._epochs + 1)
        # A line through a single point is invisible.
        marker = "o" if self._epochs == 1 else None
        for name in ("loss", "val_loss"):
            if name in self._buffers:
                ax.plot(epochs, self[name], label=name, marker=marker)
        ax.set_xlabel("epoch")
        ax.set_ylabel("loss")
        ax.legend()
        return ax

    def __getitem__(self, key: str) -> NDArray[np.float64]:
        """Return the values named `key`, one per epoch."""
        try:
            view = self._buffers[key][: self._epochs]
        except KeyError:
            names = ", ".join(repr(name) for name in self)
            raise KeyError(f"history has no {key!r}, only {names}") from None
        view.flags.writeable = False
        return view

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._buffers)

    def __len__(self) -> int:
        """Return the number of names. `epochs` is the number of epochs."""
        return len(self._buffers)

    def __eq__(self, other: object) -> bool:
        """Compare names and values; NaN equals NaN."""
        if not isinstance(other, History):
            return NotImplemented
        if self.keys() != other.keys():
            return False
        return all(np.array_equal(self[name], other[name], equal_nan=True) for name in self)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """Return the number of epochs, and the first and last value of each column."""
        if self._epochs == 0:
            return "History(epochs=0)"
        parts = [f"epochs={self._epochs}"]
        for name in self:
            values = self[name]
            if name == "learning_rate" and np.isnan(values).all():  # of lbfgs, which has none
                continue
            text = f"{values.sum():.4g}" if name == "seconds" else f"{values[0]:.4g}"
            if name != "seconds" and values[0] != values[-1]:
                text += f" -> {values[-1]:.4g}"
            parts.append(f"{name}={text}")
        return f"History({', '.join(parts)})"

    def __getstate__(self) -> dict[str, Any]:
        """Return the values without the unused part of the buffers, and the attributes of a subclass."""
        values = {name: self[name].copy() for name in self}
        return {
            "values": values,
            "attributes": _state.attributes_of(self, {"_buffers", "_epochs", "_most_epochs", "_columns", "_of_schedules"}),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Set the values and attributes from a pickle."""
        self._buffers = {name: np.array(values) for name, values in state["values"].items()}
        self._epochs = self._buffers["loss"].size
        _state.set_attributes(self, state["attributes"])


def _in_order(names: Iterable[str]) -> list[str]:
    """Return names in the order of the columns: losses, metrics in their given order, learning rate and seconds."""
    names = list(names)
    metrics = [name for name in names if name not in (*_LOSSES, *_LAST)]
    return [*(name for name in _LOSSES if name in names), *metrics, *(name for name in _LAST if name in names)]


def _new_axes() -> Any:
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError('plotting needs Matplotlib: pip install "fastnn-cpu[plot]"') from error
    return plt.subplots()[1]
