"""The sum of the gradients of all shards, in one order of additions for any number of ranks.

The order is a binary tree over the shards: pairs of neighbours are added, then pairs of pairs, and so on. If the number of
shards is no power of two, the largest complete trees are added from left to right. A rank adds the trees within its own
shards, and the others need only their sums. If its number of shards is a power of two, that is a single array.

Each rank then adds one slice of the parameters for all (a reduce-scatter), and the slices are gathered. A rank thus sends
2 * (1 - 1 / ranks) times the bytes of the parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fastnn._engine import core as _core
from fastnn._sharded.ranks import Ranks

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

# Slices are a multiple of this number of elements, so that each begins with a whole cache line.
_ALIGNED = 16


class Node(NamedTuple):
    """The sum over a complete tree of shards."""

    first: int  # the first shard
    shards: int  # the number of shards, a power of two
    place: int  # the buffer with the sum


class Additions:
    """The additions that reduce nodes to the largest complete trees, or to one sum.

    Parameters
    ----------
    nodes : list of (first, count)
        Neighbouring complete trees, in order.
    """

    def __init__(self, nodes: list[tuple[int, int]]) -> None:
        self.after: list[list[tuple[int, int]]] = []  # for each node: the additions (to, from) once it has its value
        self.places: list[int] = []  # the buffer of each node
        free: list[int] = []
        stack: list[Node] = []
        used = 0
        for first, count in nodes:
            if not free:
                free.append(used)
                used += 1
            node, additions = Node(first, count, free.pop()), []
            self.places.append(node.place)
            stack.append(node)
            while len(stack) > 1 and _are_pair(*stack[-2:]):
                right, left = stack.pop(), stack.pop()
                additions.append((left.place, right.place))
                free.append(right.place)
                stack.append(Node(left.first, 2 * left.shards, left.place))
            self.after.append(additions)
        self.buffers = used
        self.left = stack  # the largest complete trees
        self.last = [(stack[0].place, node.place) for node in stack[1:]]  # the additions that make them one sum


def _are_pair(left: Node, right: Node) -> bool:
    return left.shards == right.shards and left.first % (2 * left.shards) == 0


class GradientSum:
    """The gradients of the shards of this rank, and the sum over those of all ranks.

    Parameters
    ----------
    ranks : Ranks
        The ranks.
    n_shards : int
        The number of shards of all ranks.
    size : int
        The number of elements of a gradient.
    dtype : data type
        Their type.
    """

    def __init__(self, ranks: Ranks, n_shards: int, size: int, dtype: DTypeLike) -> None:
        self._ranks, self._size = ranks, size
        own = n_shards // ranks.size
        of_ranks = [Additions([(r * own + i, 1) for i in range(own)]) for r in range(ranks.size)]
        self._own = of_ranks[ranks.rank]
        self._slice = -(-size // (ranks.size * _ALIGNED)) * _ALIGNED
        self._buffers = [_core.aligned_zeros(self._slice * ranks.size, dtype) for _ in range(self._own.buffers)]
        self._leaves = [self._buffers[place][:size] for place in self._own.places]
        self._number: Any = np.dtype(dtype).type
        if ranks.size == 1:
            return
        from mpi4py import MPI

        self._in_place = MPI.IN_PLACE
        self._rounds = max(len(each.left) for each in of_ranks)
        self._received = [_core.aligned_zeros(self._slice * ranks.size, dtype) for _ in range(self._rounds)]
        nodes = [(r, i, node) for r, each in enumerate(of_ranks) for i, node in enumerate(each.left)]
        self._all = Additions([(node.first, node.shards) for _, _, node in nodes])
        # A slice of a node stays where it was received, and the additions name buffers that may be used again.
        self._slices = [self._received[i][r * self._slice : (r + 1) * self._slice] for r, i, _ in nodes]

    def leaf(self, shard: int) -> NDArray[Any]:
        """Return the place for the gradient of a shard, which is counted from 0 on each rank. They come in order."""
        return self._leaves[shard]

    def add(self, shard: int, factor: float) -> None:
        """Add the gradient of a shard, which stands in its place, times a factor."""
        if factor != 1.0:
            leaf = self._leaves[shard]
            if factor == 0.0:
                leaf[:] = 0
            else:
                np.multiply(leaf, self._number(factor), out=leaf)
        _run(self._own.after[shard], self._buffers)

    def total(self, factor: float) -> NDArray[Any]:
        """Return the sum over the shards of all ranks, times a factor. The ranks have met before."""
        number = self._number(factor)
        if self._ranks.size == 1:
            _run(self._own.last, self._buffers)
            total = self._buffers[0]
            np.multiply(total, number, out=total)
            return total[: self._size]
        comm, rank = self._ranks.comm, self._ranks.rank
        for i, received in enumerate(self._received):  # a rank with fewer nodes than others sends one of them again
            place = self._own.left[min(i, len(self._own.left) - 1)].place
            comm.Alltoall(self._buffers[place], received)
        total = self._buffers[0]
        np.multiply(self._sum_slices(), number, out=total[rank * self._slice : (rank + 1) * self._slice])
        comm.Allgather(self._in_place, total)
        return total[: self._size]

    def _sum_slices(self) -> NDArray[Any]:
        """Return the sum of this rank's slice over the nodes of all ranks."""
        standing: dict[int, NDArray[Any]] = {}
        for slice_, place, additions in zip(self._slices, self._all.places, self._all.after, strict=True):
            standing[place] = slice_
            for to, of in additions:
                np.add(standing[to], standing[of], out=standing[to])
        for to, of in self._all.last:
            np.add(standing[to], standing[of], out=standing[to])
        return standing[0]


def _run(additions: list[tuple[int, int]], buffers: list[NDArray[Any]]) -> None:
    for to, of in additions:
        np.add(buffers[to], buffers[of], out=buffers[to])
