"""Train one network on the ranks of MPI: the same program on a laptop and on a cluster.

python ranks.py                   one process
mpiexec -n 2 python ranks.py      two ranks, on one machine or on two
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from mpi4py import MPI

from fastnn import MLP, Adam, Trainer
from fastnn.callbacks import Checkpoint, EarlyStopping

N_ROWS, N_SHARDS = 20_000, 8


def rows_of(comm: Any, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of this rank, which would usually come from a file of its own."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (n, 8)).astype("float32")
    y = np.sin(3 * X[:, :2]) * X[:, 2:4]
    own = slice(n * comm.rank // comm.size, n * (comm.rank + 1) // comm.size)
    return X[own], y[own]


def main(epochs: int = 20, checkpoint: str | None = None) -> int:
    """Train, and return a checksum of the parameters, which does not depend on the number of ranks."""
    comm = MPI.COMM_WORLD
    model = MLP((8, 128, 128, 2), "tanh", random_state=0)
    trainer = Trainer(model, "mse", Adam(0.003), batch_size=512, comm=comm, n_shards=N_SHARDS)
    watchers = [EarlyStopping(patience=5)] + ([Checkpoint(checkpoint)] if checkpoint else [])
    history = trainer.run(
        *rows_of(comm, N_ROWS, 0), epochs, validation_data=rows_of(comm, 2000, 1), metrics=["r2"], callbacks=watchers
    )
    checksum = zlib.crc32(model.to_vector().tobytes())
    if comm.rank == 0:
        print(f"{comm.size} ranks, {history.epochs} epochs, R² {history['val_r2'][-1]:.4f}, checksum {checksum:08x}")
    return checksum


if __name__ == "__main__":
    main()
