"""The arguments `comm` and `n_shards` of trainers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastnn._sharded.ranks import Phase, Ranks, check_communicator, check_shards


@contextmanager
def constructing(comm: Any) -> Iterator[None]:
    """Run a block of code that makes a trainer on all ranks of a communicator, and raise the errors of each on all."""
    if comm is None:
        yield
        return
    with Ranks(check_communicator(comm)).agreed(Phase.CONSTRUCTOR):
        yield


def checked_shards(n_shards: Any, comm: Any) -> int:
    """Return the number of shards, which must be the same on all ranks.

    Raises
    ------
    TypeError, ValueError
        If it is not a positive multiple of the number of ranks.
    """
    ranks = Ranks(comm)
    with ranks.agreed(Phase.CONSTRUCTOR):
        count = check_shards(n_shards, ranks.size)
    ranks.check_same({"n_shards": count})
    return count
