"""The callbacks of a run on several ranks: what they return and raise holds for all ranks."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from fastnn._csv_log import CSVLog
from fastnn._native import network_of
from fastnn._progress import ProgressBar
from fastnn._sharded.ranks import Phase, Ranks
from fastnn._watchers import notify, notify_begin, notify_end
from fastnn.callbacks import Checkpoint

if TYPE_CHECKING:
    from fastnn._configured import Configured
    from fastnn._history import History


_SETTINGS = ("batch_size", "shuffle", "drop_last", "l1", "clip_norm", "clip_value")
_SCHEDULED = ("l2", "dropout_factor", "label_smoothing_factor")  # settings that may follow schedules


class AgreedWatchers:
    """All callbacks of a rank as one: a run stops on all ranks if a callback of any rank stops it.

    Parameters
    ----------
    ranks : Ranks
        The ranks, each of which has such an object.
    watchers : list
        The callbacks of this rank.
    """

    def __init__(self, ranks: Ranks, watchers: list[Any]) -> None:
        self._ranks, self._watchers = ranks, watchers

    def on_train_begin(self, trainer: Configured, history: History) -> None:
        """Call the callbacks, and check that they have left all ranks in the same state."""
        with self._ranks.agreed(Phase.CALLBACKS), self._ranks.interruptible():
            notify_begin(self._watchers, trainer, history)
        self._check_same(trainer)

    def on_epoch_end(self, trainer: Configured, history: History) -> bool:
        """Call the callbacks, and return whether one of them has stopped the run on any rank."""
        with self._ranks.agreed(Phase.CALLBACKS), self._ranks.interruptible():
            stop = notify(self._watchers, "on_epoch_end", trainer, history)
        self._check_same(trainer)
        return any(self._ranks.gather(stop))

    def on_train_end(self, trainer: Configured, history: History) -> None:
        """Call the callbacks, without a meeting: the run may have ended with an error of another rank."""
        with self._ranks.interruptible():
            notify_end(self._watchers, trainer, history)

    def _check_same(self, trainer: Configured) -> None:
        parameters = {"parameters of the model": zlib.crc32(network_of(trainer.model).storage.data)}
        self._ranks.check_same(settings_of(trainer) | parameters)


def of_rank(ranks: Ranks, watchers: list[Any]) -> list[Any]:
    """Return the watchers of a run on this rank: progress and files are those of rank 0 alone."""
    if ranks.size == 1:
        return watchers
    if ranks.rank > 0:
        watchers = [each for each in watchers if not isinstance(each, ProgressBar | Checkpoint | CSVLog)]
    bars = [each for each in watchers if isinstance(each, ProgressBar)]
    others = [each for each in watchers if not isinstance(each, ProgressBar)]
    if not any(ranks.gather(bool(others))):
        return bars
    return [AgreedWatchers(ranks, others), *bars]


def settings_of(trainer: Configured) -> dict[str, Any]:
    """Return the settings of a trainer that must be the same on all ranks, by name."""
    scheduled = {name: getattr(trainer, name) for name in _SCHEDULED}
    follows_schedules = any(callable(value) for value in vars(trainer.optimizer).values())
    return {
        "loss": repr(trainer.loss),
        "averaging": repr(trainer.averaging),
        "optimizer": repr(trainer.optimizer) if not follows_schedules else type(trainer.optimizer).__name__,
        "layer_settings": repr(trainer.layer_settings),
        **{name: None if callable(value) else value for name, value in scheduled.items()},
        **{name: getattr(trainer, name) for name in _SETTINGS},
    }
