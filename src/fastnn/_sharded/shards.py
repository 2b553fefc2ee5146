"""The shards of a set of rows: which rows belong to each, and in which order an epoch takes them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from fastnn._engine.training_data import check_complete_batch
from fastnn._sharded.ranks import Ranks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn._engine.training_data import TrainingData


class Shards:
    """The shards of this rank.

    Parameters
    ----------
    ranks : Ranks
        The ranks, which have met.
    n_shards : int
        The number of shards of all ranks.
    data : TrainingData
        The rows of this rank.
    argument : str, default "X"
        The name of the rows in errors.

    Raises
    ------
    ValueError
        If the ranks have too few rows, or numbers of rows that can't be cut into shards. All ranks raise it.
    """

    def __init__(self, ranks: Ranks, n_shards: int, data: TrainingData, argument: str = "X") -> None:
        counts = ranks.gather(len(data.x))
        ends = boundaries(counts, n_shards, argument)
        self.n_shards, own = n_shards, n_shards // ranks.size
        first = ranks.rank * own
        offset = ends[first]
        self.data = data
        self.numbers = range(first, first + own)  # among those of all ranks
        self.ranges = [(ends[s] - offset, ends[s + 1] - offset) for s in self.numbers]
        lengths = [end - begin for begin, end in itertools.pairwise(ends)]
        self.most_rows, self.least_rows = max(lengths), min(lengths)
        self.n_rows = ends[-1]  # of all ranks

    def check_complete_batch(self, batch_size: int) -> None:
        """Raise ValueError if an epoch without its last, smaller batch would have no batch."""
        check_complete_batch(self.least_rows * self.n_shards, batch_size)


def boundaries(counts: list[int], n_shards: int, argument: str = "X") -> list[int]:
    """Return the first row of each shard, and the number of all rows, for ranks with these numbers of rows.

    Raises
    ------
    ValueError
        If a shard would have no rows, or if the rows of a rank do not begin where a shard does.

    Examples
    --------
    >>> boundaries([5, 6], 4)
    [0, 2, 5, 8, 11]
    >>> boundaries([2, 9], 2)
    [0, 2, 11]
    """
    total, size = sum(counts), len(counts)
    if total < n_shards:
        raise ValueError(f"{argument}: expected at least {n_shards} rows on all ranks, one for each shard, got {total}")
    if n_shards == size:
        return [sum(counts[:r]) for r in range(size + 1)]
    for rank in range(size):
        begin, end = total * rank // size, total * (rank + 1) // size
        if counts[rank] != end - begin:
            raise ValueError(
                f"{argument}: expected {end - begin} rows on rank {rank}, those from {begin} to {end} of {total}, as rank r "
                f"of R has the rows n * r // R to n * (r + 1) // R if n_shards is more than R, got {counts[rank]}"
            )
    return [total * s // n_shards for s in range(n_shards + 1)]


class Epoch:
    """The order of the rows in each shard of this rank, and the keys of dropout, anew for every epoch.

    Parameters
    ----------
    shards : Shards
        The shards.
    rng : Generator
        The generator of the trainer, in the same state on all ranks. Each epoch draws one number from it, the key from which
        the random numbers of all shards follow: those of shard s are of the counter-based generator Philox with the key
        (number, s).
    shuffle, drops : bool
        Whether rows are taken in random order, and whether units are dropped.

    References
    ----------
    J. Salmon, M. Moraes, R. Dror, D. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
    """

    def __init__(self, shards: Shards, rng: np.random.Generator, *, shuffle: bool, drops: bool) -> None:
        self._shards, self._rng = shards, rng
        self._shuffle, self._drops = shuffle, drops
        self._streams: list[np.random.Generator] = []
        self.order: NDArray[np.int64] | None = np.empty(len(shards.data.x), np.int64) if shuffle else None

    def begin(self) -> None:
        """Draw the order of a new epoch."""
        if not self._shuffle and not self._drops:
            return
        key = int(self._rng.integers(0, 2**64, dtype=np.uint64))
        self._streams = [stream_of(key, shard) for shard in self._shards.numbers]
        if self.order is None:
            return
        for stream, (begin, end) in zip(self._streams, self._shards.ranges, strict=True):
            self.order[begin:end] = np.arange(begin, end)
            stream.shuffle(self.order[begin:end])

    def dropout_key(self, shard: int) -> int | None:
        """Return the key of the next batch of a shard, which is counted from 0 on each rank, or None without dropout."""
        return int(self._streams[shard].integers(0, 2**64, dtype=np.uint64)) if self._drops else None


def stream_of(key: int, shard: int) -> np.random.Generator:
    """Return the random numbers of a shard in an epoch with this key."""
    return np.random.Generator(np.random.Philox(key=np.array([key, shard], np.uint64)))
