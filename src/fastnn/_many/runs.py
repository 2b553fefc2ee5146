"""The loop over the time slices of many runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np

from fastnn import _epochs
from fastnn._engine import core as _core
from fastnn._epochs import Epochs
from fastnn._errors import DivergedError
from fastnn._native import network_of
from fastnn._progress import ProgressBar
from fastnn._running import Running

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The number of runs that take part in a slice. Python prepares each of them, which takes a part of the slice's time.
_MEMBERS_AT_ONCE = 256


class Member:
    """One of many runs.

    Parameters
    ----------
    running : Running
        The run, which holds its trainer.

    Attributes
    ----------
    over : bool
        Whether the run has ended.
    diverged : DivergedError or None
        The reason for which the run ended, if it diverged.
    """

    def __init__(self, running: Running) -> None:
        self.running, self.training = running, running.training
        self.over = running.epochs == 0
        self.diverged: DivergedError | None = None

    @property
    def work(self) -> int:
        """The approximate number of products of weights and rows in all epochs: it includes padding."""
        return network_of(self.running.trainer.model).storage.size * self.running.n_rows * self.running.epochs

    @property
    def n_epochs(self) -> int:
        """The number of epochs that the run will have had at the end, as far as it is known."""
        return self.running.history.epochs if self.over else self.running.epochs

    def search(self) -> None:
        """Run a search from its beginning to its end."""
        try:
            self.training.run()
        except DivergedError as error:
            self.diverged = error
        self.over = True

    def end_slice(self, epochs: Epochs, status: str) -> None:
        """Record a slice of the epochs."""
        try:
            epochs.end_slice(status)
        except DivergedError as error:
            self.diverged = error
        self.over = epochs.over or self.diverged is not None


class _Queue:
    """The members whose turn it is: of those that share a source of random numbers, only the first that is not over."""

    def __init__(self, members: Sequence[Member]) -> None:
        chains: dict[int, deque[Member]] = {}
        for member in members:
            chains.setdefault(id(member.running.trainer.random_state.bit_generator), deque()).append(member)
        # If the chains with the most work came last, one thread would end long after the others.
        self._chains = sorted(chains.values(), key=lambda chain: sum(member.work for member in chain), reverse=True)

    def __iter__(self) -> Iterator[list[Member]]:
        """Yield the members of the next slice until all are over."""
        waiting = deque(self._chains)
        active: list[deque[Member]] = []
        while waiting or active:
            active.extend(waiting.popleft() for _ in range(min(len(waiting), _MEMBERS_AT_ONCE - len(active))))
            for chain in active:
                while chain and chain[0].over:
                    chain.popleft()
            active = [chain for chain in active if chain]
            if active:
                yield [chain[0] for chain in active]


class _Planned:
    """The number of epochs of all members, in the form of a trainer for a progress bar."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = members

    @property
    def epochs(self) -> int:
        return sum(member.n_epochs for member in self._members)


class _Done:
    """The finished epochs of all members, in the form of a history for a progress bar."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = members

    @property
    def epochs(self) -> int:
        return sum(member.running.history.epochs for member in self._members)

    def __contains__(self, name: object) -> bool:
        return False  # no loss is that of all

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        return np.concatenate([member.running.history[name] for member in self._members])


def run_members(members: Sequence[Member], n_threads: int | None, progress: ProgressBar | None) -> None:
    """Train all members, and end them. A divergence ends the run of its member alone; any other exception ends all runs."""
    planned, done = _Planned(members), _Done(members)
    with ExitStack() as stack:
        for member in members:
            member.running.begin()
            if member.running.is_watched:  # many members without watchers would make a long stack
                stack.callback(member.running.tell_end)
        if progress is not None:
            progress.on_train_begin(planned, done)
            stack.callback(progress.on_train_end, planned, done)
        try:
            for active in _Queue(members):
                _train_slice(active, n_threads)
                if progress is not None:
                    progress.on_epoch_end(planned, done)
        except KeyboardInterrupt:
            for member in members:
                if isinstance(member.training, Epochs):
                    member.training.record_rest()
            raise


def _train_slice(active: list[Member], n_threads: int | None) -> None:
    members = []
    for member in active:
        if isinstance(member.training, Epochs):
            members.append((member, member.training))
        else:
            member.search()
    if not members:
        return
    runs, epochs = zip(*(training.begin_slice() for _, training in members), strict=True)
    if len(runs) == 1:  # all threads may share its batches
        statuses = [runs[0].advance(_epochs.SLICE_SECONDS, epochs[0])]
    else:
        statuses = _core.advance_many(list(runs), list(epochs), _epochs.SLICE_SECONDS, n_threads)
    for (member, training), status in zip(members, statuses, strict=True):
        member.end_slice(training, status)
