"""The one list of sizes that benchmarks run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Case:
    """A network, and the data that it is trained on."""

    layer_sizes: tuple[int, ...]
    batch_size: int
    rows: int

    def __str__(self) -> str:
        return f"{'-'.join(map(str, self.layer_sizes))}, batch {self.batch_size}"

    @property
    def steps(self) -> int:
        """Of an epoch."""
        return math.ceil(self.rows / self.batch_size)

    @property
    def flop(self) -> int:
        """Floating-point operations of a training step's matrix products; the first layer needs no input gradient."""
        first, *others = (2 * self.batch_size * n_in * n_out for n_in, n_out in pairwise(self.layer_sizes))
        return 2 * first + 3 * sum(others)

    @property
    def epochs(self) -> int:
        """As many as make the cost of a call from Python small beside the work."""
        return max(1, math.ceil(1_000_000 / (self.flop * self.steps)))


CASES = (
    Case((2, 2, 1), 4, 4),
    Case((8, 16, 1), 32, 2048),
    Case((32, 64, 64, 2), 32, 2048),
    Case((64, 128, 10), 32, 4096),
    Case((784, 128, 10), 32, 4096),
    Case((784, 128, 10), 128, 4096),
    Case((256, 256, 256, 256, 1), 256, 4096),
    Case((1024, 1024, 1024, 10), 256, 4096),
)
