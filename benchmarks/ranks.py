"""Time training on the ranks of MPI: `mpiexec -n 2 python benchmarks/ranks.py`, with one thread per rank.

The ranks train together, and then rank 0 alone, in turns. The best turn of each counts.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from mpi4py import MPI

from fastnn import MLP, Adam, Trainer

SIZES, BATCH_SIZE, STEPS, TURNS = (784, 512, 512, 10), 1024, 4, 8


def trainer_on(comm: Any, **options: Any) -> Trainer:
    """Return a trainer with one thread per rank."""
    model = MLP(SIZES, "relu", random_state=0)
    return Trainer(model, "cross_entropy", Adam(0.001), batch_size=BATCH_SIZE, n_threads=1, comm=comm, **options)


def rows_of(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of a rank."""
    rng = np.random.default_rng(0)
    n = BATCH_SIZE * STEPS // size
    return rng.normal(size=(n, SIZES[0])).astype("float32"), rng.integers(0, SIZES[-1], n)


def seconds(comm: Any, call: Any) -> float:
    """Return the time of a call that all ranks of a communicator make together."""
    comm.Barrier()
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def main() -> None:
    """Print the times per step, and those of one meeting and one exchange of a gradient."""
    comm = MPI.COMM_WORLD
    if BATCH_SIZE * STEPS % comm.size or BATCH_SIZE % comm.size:
        raise SystemExit(f"expected a number of ranks that divides {BATCH_SIZE}, got {comm.size}")
    together, alone = trainer_on(comm), trainer_on(None)
    shared, whole = rows_of(comm.size), rows_of(1)
    best = {"together": np.inf, "alone": np.inf}
    for turn in range(TURNS + 1):
        of_ranks = seconds(comm, lambda: together.run(*shared)) / STEPS
        of_one = seconds(MPI.COMM_SELF, lambda: alone.run(*whole)) / STEPS if comm.rank == 0 else np.inf
        comm.Barrier()
        if turn:  # the first one warms up
            best = {"together": min(best["together"], of_ranks), "alone": min(best["alone"], of_one)}
    number, received = np.zeros(2), np.zeros((comm.size, 2))
    meeting = min(seconds(comm, lambda: comm.Allgather(number, received)) for _ in range(1000))
    size = sum(w.size for w in together.model.weights) // comm.size
    gradient, slices = np.zeros(size * comm.size, "float32"), np.zeros(size * comm.size, "float32")

    def exchange_all() -> None:
        comm.Alltoall(gradient, slices)
        comm.Allgather(MPI.IN_PLACE, slices)

    exchange = min(seconds(comm, exchange_all) for _ in range(50))
    if comm.rank == 0:
        print(f"{'-'.join(map(str, SIZES))}, batch {BATCH_SIZE}, one thread per rank")
        print(f"1 rank    {best['alone'] * 1e3:8.2f} ms per step")
        ratio = best["alone"] / best["together"]
        print(f"{comm.size} ranks   {best['together'] * 1e3:8.2f} ms per step, {ratio:.2f} times as fast")
        print(f"meeting   {meeting * 1e6:8.1f} µs")
        print(f"exchange  {exchange * 1e3:8.2f} ms for {gradient.nbytes / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
