"""The processes that train a model together, and their agreement: an error on one of them is raised on all of them.

Every exchange of a run begins with `Ranks.meet`, in which each rank says whether it has failed. A rank that fails anywhere
else calls `Ranks.fail`, which is its part of the meeting that the others come to next. No rank waits for one that failed.
"""

from __future__ import annotations

import builtins
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._checks.scalars import integer, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FINE, _FAILED, _INTERRUPTED = 0.0, 1.0, 2.0
# The attribute of an error that all ranks raise.
_AGREED = "_fastnn_agreed"


class Phase(IntEnum):
    """The places of a program at which ranks meet."""

    CONSTRUCTOR = 1
    ARGUMENTS = 2
    STATE = 3
    RATES = 4
    STEP = 5
    VALUES = 6
    CALLBACKS = 7
    END = 8


def check_communicator(comm: Any) -> Any:
    """Return a communicator of mpi4py that has this process.

    Raises
    ------
    TypeError, ValueError
        If it is something else.
    """
    mpi = sys.modules.get("mpi4py.MPI")
    if mpi is None or not isinstance(comm, mpi.Intracomm):
        kind = type(comm).__name__
        raise TypeError(f"comm: expected an mpi4py.MPI.Intracomm, such as MPI.COMM_WORLD, got {shown(comm)} of type {kind}")
    if comm == mpi.COMM_NULL:
        raise ValueError("comm: expected a communicator that has this process, got a null communicator")
    return comm


def check_shards(n_shards: Any, size: int) -> int:
    """Return the number of shards, by default the number of ranks, which is `size`.

    Raises
    ------
    TypeError, ValueError
        If it is not a positive multiple of the number of ranks.
    """
    if n_shards is None:
        return size
    count = integer("n_shards", n_shards, low=1, high=1 << 16)
    if count % size:
        raise ValueError(f"n_shards: expected a multiple of the {size} ranks of comm, got {count}")
    return count


class Ranks:
    """The ranks of a communicator, or this process alone.

    Parameters
    ----------
    comm : mpi4py.MPI.Intracomm or None
        The communicator. None stands for this process alone.
    values : int, default 0
        The number of values that each rank passes on in a meeting, which must be the same on all ranks.
    """

    def __init__(self, comm: Any, values: int = 0) -> None:
        self.comm = comm
        self.rank: int = 0 if comm is None else comm.Get_rank()
        self.size: int = 1 if comm is None else comm.Get_size()
        self._sent = np.zeros(2 + values)
        self._received = np.zeros((self.size, 2 + values))
        self._interrupted = False

    # ---- Agreement ----

    def meet(self, phase: Phase, values: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """Meet the other ranks, and return the values of all ranks (size, values), which the next meeting overwrites.

        Raises
        ------
        Exception
            If a rank has failed: the error of this rank if it was that one, and else one of the same built-in type.
        KeyboardInterrupt
            If a rank was interrupted.
        """
        status = _INTERRUPTED if self._interrupted else _FINE
        return self._exchange(status, phase, values, KeyboardInterrupt() if self._interrupted else None)

    def fail(self, error: BaseException) -> None:
        """Tell the other ranks of an error of this one, and raise the error that all agree on."""
        if getattr(error, _AGREED, False):
            raise error
        interrupted = isinstance(error, KeyboardInterrupt)
        self._exchange(_INTERRUPTED if interrupted else _FAILED, Phase.END, None, error)

    @contextmanager
    def agreed(self, phase: Phase) -> Iterator[None]:
        """Run a block of code on all ranks, and raise the errors of each rank on all of them."""
        try:
            yield
        except BaseException as error:
            self.fail(error)
        self.meet(phase)

    def _exchange(
        self, status: float, phase: Phase, values: NDArray[np.float64] | None, error: BaseException | None
    ) -> NDArray[np.float64]:
        if self.size == 1:
            if error is not None:
                self._raise(error)
            if values is not None:
                self._received[0, 2:] = values
            return self._received[:, 2:]
        sent, received = self._sent, self._received
        sent[0], sent[1] = status, phase
        if values is not None:
            sent[2:] = values
        self.comm.Allgather(sent, received)
        statuses = received[:, 0]
        if statuses.any():
            self._raise(self._common_error(error, bool((statuses == _INTERRUPTED).any())))
        if (received[:, 1] != phase).any():
            places = ", ".join(f"{Phase(int(place)).name.lower()} on rank {r}" for r, place in enumerate(received[:, 1]))
            self._raise(RuntimeError(f"comm: expected the same calls of the trainer on all ranks, got {places}"))
        return received[:, 2:]

    def _common_error(self, own: BaseException | None, interrupted: bool) -> BaseException:
        """Return the error to raise on this rank, after a meeting in which a rank has failed."""
        report = None if own is None else (type(own).__name__, str(own))
        reports = self.comm.allgather(report)
        if own is not None:
            return own
        if interrupted:
            return KeyboardInterrupt()
        rank, (kind, message) = next((r, found) for r, found in enumerate(reports) if found is not None)
        return _error_of(rank, kind, message)

    def _raise(self, error: BaseException) -> None:
        setattr(error, _AGREED, True)
        raise error

    def check_same(self, values: Mapping[str, Any]) -> None:
        """Raise ValueError on all ranks unless they all have the same values, which must be picklable."""
        if self.size == 1:
            return
        of_ranks = self.comm.allgather(dict(values))
        first = of_ranks[0]
        for rank, other in enumerate(of_ranks):
            for name in first:  # ranks with other names differ in an earlier value
                if other[name] != first[name]:
                    got = f"{shown(first[name])} on rank 0 and {shown(other[name])} on rank {rank}"
                    self._raise(ValueError(f"{name}: expected the same on all ranks, got {got}"))

    # ---- Exchanges, after a meeting ----

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all ranks, which must be picklable."""
        return [value] if self.size == 1 else list(self.comm.allgather(value))

    def share(self, value: Any) -> Any:
        """Return the value of rank 0, which must be picklable."""
        return value if self.size == 1 else self.comm.bcast(value)

    def share_array(self, array: NDArray[Any]) -> None:
        """Fill a contiguous array with the elements that it has on rank 0."""
        if self.size > 1:
            self.comm.Bcast(array)

    # ---- Ctrl-C ----

    @contextmanager
    def deferring_interrupts(self) -> Iterator[None]:
        """Let Ctrl-C wait for the next meeting, so that it stops all ranks at the same step."""
        before = signal.getsignal(signal.SIGINT) if threading.current_thread() is threading.main_thread() else None
        if before is not signal.default_int_handler:  # a thread that gets no signals, or a handler of the program
            yield
            return

        def note(number: int, frame: Any) -> None:
            self._interrupted = True

        signal.signal(signal.SIGINT, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Let Ctrl-C interrupt a block of the user's code, within `deferring_interrupts`."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handler = signal.getsignal(signal.SIGINT)
        if getattr(handler, "__module__", None) != __name__:  # not the one above
            yield
            return
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, handler)


def _error_of(rank: int, kind: str, message: str) -> BaseException:
    """Return an error of a built-in type that says which rank failed."""
    found = getattr(builtins, kind, None)
    if isinstance(found, type) and issubclass(found, Exception):
        try:
            return found(f"rank {rank}: {message}")
        except TypeError:  # a type whose constructor takes more than a message
            pass
    return RuntimeError(f"rank {rank}: {kind}: {message}")
