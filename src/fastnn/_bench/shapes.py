"""The list of the sizes that benchmarks use."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

__all__ = [
    "ACTOR_CRITIC",
    "CASES",
    "COORDINATES",
    "DENSE",
    "DIGITS",
    "ELEMENTS",
    "IMAGES",
    "LAYER_SIZES",
    "MEMORY",
    "OUTPUTS",
    "OUTPUT_LAYER_INPUTS",
    "PREDICT_ROWS",
    "QUICK",
    "QUICK_LAYER_SIZES",
    "TABULAR",
    "Case",
    "Product",
]


@dataclass(frozen=True)
class Case:
    """A network, and the size of the data on which it is trained."""

    layer_sizes: tuple[int, ...]
    batch_size: int
    rows: int

    def __str__(self) -> str:
        return f"{'-'.join(map(str, self.layer_sizes))}, batch {self.batch_size}"

    @property
    def steps(self) -> int:
        """The number of steps per epoch."""
        return math.ceil(self.rows / self.batch_size)

    @property
    def flop(self) -> int:
        """The floating-point operations in a training step's matrix products; the first layer needs no input gradient."""
        first, *others = (2 * self.batch_size * n_in * n_out for n_in, n_out in pairwise(self.layer_sizes))
        return 2 * first + 3 * sum(others)

    @property
    def epochs(self) -> int:
        """The number of epochs that makes the cost of a call from Python small beside the work."""
        return max(1, math.ceil(1_000_000 / (self.flop * self.steps)))


@dataclass(frozen=True)
class Product:
    """The matrix product of a dense layer: rows (rows, n_in) by weights (n_in, n_out)."""

    rows: int
    n_in: int
    n_out: int

    def __str__(self) -> str:
        return f"{self.rows}×{self.n_in}×{self.n_out}"

    @property
    def flop(self) -> int:
        """The floating-point operations: a multiplication and an addition per pair."""
        return 2 * self.rows * self.n_in * self.n_out


# Training steps.
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

# Predictions.
LAYER_SIZES = tuple(dict.fromkeys(case.layer_sizes for case in CASES))
PREDICT_ROWS = (1, 1000, 4096)

# The networks that `fastnn bench --quick` trains, and those with which it predicts.
QUICK = tuple(CASES[i] for i in (0, 1, 3, 5))
QUICK_LAYER_SIZES = tuple(CASES[i].layer_sizes for i in (2, 5))

# Dense layers: the middle layers of the cases above, a first layer, a last layer, and a single row.
DENSE = (
    Product(1, 64, 64),
    Product(32, 16, 1),
    Product(32, 64, 64),
    Product(128, 784, 128),
    Product(128, 128, 10),
    Product(256, 256, 256),
    Product(256, 1024, 1024),
)

# Lengths of vectors, for activations, losses and updates: in the first-level cache, the second-level cache, main memory.
ELEMENTS = (1_000, 50_000, 4_000_000)

# Predictions and targets (rows, outputs), for losses: the batch of a classifier, and a larger one of a regression; and the
# inputs of the layer that makes them.
OUTPUTS = ((128, 10), (4096, 1))
OUTPUT_LAYER_INPUTS = 16

# Whole jobs of training on tabular data.
TABULAR = Case((8, 128, 128, 1), 256, 20_000)
IMAGES = Case((784, 128, 10), 128, 20_000)
COORDINATES = Case((2, 64, 64, 64, 3), 4096, 65_536)

# Three quarters of the images in the package, for scikit-learn's default network.
DIGITS = Case((64, 100, 10), 200, 1347)

# One update per episode of this many steps.
ACTOR_CRITIC = Case((2, 64, 64, 1), 64, 64)

# 4 GB of float32 inputs for a small network.
MEMORY = Case((1000, 64, 10), 256, 2**20)
