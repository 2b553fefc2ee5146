"""A program that the tests of MPI run on several ranks: it calls a function of this file, and writes what each rank returns.

python _mpi_runs.py FUNCTION DIRECTORY
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fastnn import MLP, SGD, Adam, DivergedError, RMSProp, Trainer, callbacks, losses, schedules

X = np.random.default_rng(0).normal(size=(203, 5))
Y = np.sin(X @ np.random.default_rng(1).normal(size=(5, 2)))
LABELS = np.where(np.arange(203) % 7 == 0, -1, np.argmax(Y, axis=1))
WEIGHT = np.random.default_rng(2).integers(0, 4, 203) * 0.7
SHARDS = 4


def share(comm: Any, *arrays: Any) -> tuple[Any, ...]:
    """Return the rows of this rank."""
    rank, size = (0, 1) if comm is None else (comm.rank, comm.size)
    return tuple(a[a.shape[0] * rank // size : a.shape[0] * (rank + 1) // size] for a in arrays)


def result(trainer: Trainer) -> dict[str, Any]:
    """Return everything that must be the same bits on all numbers of ranks."""
    history = {name: np.array(values) for name, values in trainer.history.items() if name != "seconds"}
    state = trainer.random_state.bit_generator.state
    return {"parameters": trainer.model.to_vector(), "history": history, "updates": trainer.updates, "state": state}


# ---- The same bits ----


def dense(comm: Any) -> dict[str, Any]:
    """Train with dropout, penalties, clipping, validation and metrics."""
    model = MLP((5, 16, 8, 2), dropout=0.1, random_state=0 if comm is None else comm.rank)  # rank 0 counts
    trainer = Trainer(model, "huber", Adam(0.01), batch_size=32, l1=1e-4, l2=1e-3, clip_norm=0.1, comm=comm, n_shards=SHARDS)
    x, y, w = share(comm, X, Y, WEIGHT)
    held_out = share(comm, X[:60], Y[:60], WEIGHT[:60])
    trainer.run(x, y, 3, sample_weight=w, validation_data=held_out, metrics=["r2", "mae", "rmse"])
    return result(trainer)


def sparse(comm: Any) -> dict[str, Any]:
    """Train on sparse rows with labels, some of which are missing, in a number of shards that is no power of two."""
    from scipy.sparse import csr_array

    model = MLP((5, 16, 2), output_activation="softmax", dtype="float64", random_state=0)
    loss = losses.CrossEntropy(missing="ignore", label_smoothing=0.1)
    rate = schedules.Cosine(0.01, 10)
    trainer = Trainer(model, loss, RMSProp(rate), batch_size=24, random_state=5, comm=comm, n_shards=12)
    x, labels = share(comm, csr_array(np.where(X > 0.3, X, 0.0)), LABELS)
    trainer.run(x, labels, 2, metrics=["accuracy"], validation_data=(x, labels))
    return result(trainer)


def plain(comm: Any) -> dict[str, Any]:
    """Train in a fixed order, with batches of all rows."""
    model = MLP((5, 16, 2), random_state=0)
    trainer = Trainer(model, optimizer=SGD(0.1, momentum=0.9), shuffle=False, batch_size=400, comm=comm, n_shards=SHARDS)
    trainer.run(*share(comm, X, Y), 3)
    return result(trainer)


def stopped(comm: Any) -> dict[str, Any]:
    """Stop early, and restore the best parameters."""
    trainer = Trainer(MLP((5, 16, 2), random_state=0), optimizer=Adam(0.1), batch_size=100, comm=comm, n_shards=SHARDS)
    watchers = [callbacks.EarlyStopping(patience=1, min_delta=0.05), callbacks.ReduceOnPlateau(patience=1)]
    trainer.run(*share(comm, X, Y), 50, validation_data=share(comm, X[:40], Y[:40]), callbacks=watchers)
    assert 1 < trainer.history.epochs < 50
    return result(trainer)


def diverged(comm: Any) -> dict[str, Any]:
    """Diverge, on all ranks at the same epoch."""
    model = MLP((5, 16, 2), "relu", random_state=0)
    trainer = Trainer(model, optimizer=SGD(1e4), batch_size=64, comm=comm, n_shards=SHARDS)
    try:
        trainer.run(*share(comm, X, Y), 10)
    except DivergedError as error:
        return result(trainer) | {"epoch": error.epoch}
    raise AssertionError


def continued(comm: Any) -> dict[str, Any]:
    """Continue from a checkpoint that was written in one process, and write another one."""
    trainer = Trainer.load("start.fastnn", comm=comm)
    assert trainer.n_shards == SHARDS
    trainer.run(*share(comm, X, Y), 2, callbacks=[callbacks.Checkpoint("end.fastnn", every=2), callbacks.CSVLog("log.csv")])
    return result(trainer)


def start(comm: Any, epochs: int = 2) -> Trainer:
    """Return the trainer whose checkpoint `continued` reads."""
    model = MLP((5, 16, 2), dropout=0.2, random_state=0)
    trainer = Trainer(model, optimizer=Adam(0.01), batch_size=32, random_state=7, comm=comm, n_shards=SHARDS)
    trainer.run(*share(comm, X, Y), epochs)
    return trainer


CASES: tuple[Callable[[Any], dict[str, Any]], ...] = (dense, sparse, plain, stopped, diverged, continued)


def bits(comm: Any) -> dict[str, Any]:
    """Run all cases."""
    return {case.__name__: case(comm) for case in CASES}


# ---- Errors, on two ranks ----


def refused(comm: Any) -> dict[str, tuple[str, str, int]]:
    """Return for each wrong use: the type and text of the error, and the number of epochs that ran."""
    odd = comm.rank == 1
    x, y = share(comm, X, Y)

    def run(model: Any = None, data: Any = None, epochs: Any = 3, options: Any = None, **settings: Any) -> Callable[[], Any]:
        def call() -> Any:
            own = MLP((5, 8, 2), random_state=0) if model is None else model()
            before = own.to_vector().copy()
            trainer = Trainer(own, **{"batch_size": 32, "comm": comm} | settings)
            try:
                trainer.run(*((x, y) if data is None else data), epochs, **(options or {}))
            finally:
                assert trainer.history.epochs > 0 or np.array_equal(own.to_vector(), before)
                count.append(trainer.history.epochs)

        return call

    def watched(watcher: Any) -> Callable[[], Any]:
        return run(options={"callbacks": [watcher]})

    holey = x.copy()
    holey[3, 2] = np.nan
    cases = {
        "loss unknown": run(loss="nonsense" if odd else "mse"),
        "n_shards no multiple": run(n_shards=3, batch_size=33),
        "n_shards differ": run(n_shards=4 if odd else 2),
        "n_shards wrong type": run(n_shards=2.5 if odd else 2),
        "batch_size no multiple": run(batch_size=33),
        "lbfgs": run(optimizer="lbfgs"),
        "lazy": run(lazy_updates=True),
        "shapes": run(model=lambda: MLP((5, 9 if odd else 8, 2), random_state=0)),
        "dtypes": run(model=lambda: MLP((5, 8, 2), dtype="float64" if odd else "float32", random_state=0)),
        "activations": run(model=lambda: MLP((5, 8, 2), "tanh" if odd else "relu", random_state=0)),
        "losses": run(loss="mae" if odd else "mse"),
        "optimizers": run(optimizer=Adam(0.1 if odd else 0.2)),
        "batch sizes": run(batch_size=32 if odd else 64),
        "l2": run(l2=0.1 if odd else 0.0),
        "epochs": run(epochs=3 if odd else 4),
        "epochs wrong": run(epochs=-1 if odd else 4),
        "X dtype": run(data=(x.astype("float32") if odd else x, y)),
        "X columns": run(data=(x[:, :4] if odd else x, y)),
        "X nan": run(data=(holey if odd else x, y)),
        "y rows": run(data=(x, y[1:] if odd else y)),
        "y dtype": run(data=(x, y.astype("float32") if odd else y)),
        "rows": run(n_shards=4, data=(x[2:], y[2:]) if odd else (x, y)),
        "too few": run(n_shards=64, batch_size=64, data=(x[:20], y[:20])),
        "no weight": run(options={"sample_weight": np.zeros(len(x))}),
        "weights": run(options={"sample_weight": np.ones(len(x))} if odd else {}),
        "validation": run(options={"validation_data": (x, y)} if odd else {}),
        "metrics": run(options={"metrics": ["mae"] if odd else ["mse"]}),
        "metrics unfit": run(options={"metrics": ["accuracy"]}),
        "metrics function": run(options={"metrics": [lambda true, found: 0.0]}),
        "schedules": run(optimizer=Adam((lambda step: 0.1 + 0.0 * step) if odd else (lambda step: 0.2 + 0.0 * step))),
        "schedule fails": run(optimizer=Adam(lambda step: 1 / 0 if odd else 0.2 + 0.0 * step)),
        "callback fails": watched(Watcher(lambda trainer, epoch: 1 / 0 if odd and epoch == 2 else None)),
        "callback fails unpicklably": watched(Watcher(lambda trainer, epoch: raise_own() if odd else None)),
        "callback answers": watched(Watcher(lambda trainer, epoch: "yes" if odd else None)),
        "callback interrupts": watched(Watcher(lambda trainer, epoch: interrupt() if odd and epoch == 2 else None)),
        "callback changes rate": watched(Watcher(lambda t, epoch: setattr(t, "learning_rate", 0.5) if odd else None)),
        "callback changes model": watched(Watcher(lambda t, epoch: t.model.biases[0].fill(1.0) if odd else None)),
        "callback stops": watched(Watcher(lambda trainer, epoch: odd and epoch == 2)),
        "interrupted": run(epochs=10**6, options={"callbacks": [Watcher(lambda t, epoch: kill_soon() if odd else None)]}),
        "end fails": watched(FailsAtEnd() if odd else Watcher(lambda trainer, epoch: None)),
        "checkpoint": run(options={"callbacks": [callbacks.Checkpoint("missing/c.fastnn")]}),
        "other calls": (lambda: Trainer(MLP((5, 2)), comm=comm)) if odd else (lambda: Trainer.load("no", comm=comm)),
        "comm": lambda: Trainer(MLP((5, 2)), comm="world"),
        "fine": run(),
    }
    found = {}
    for name, call in cases.items():
        count: list[int] = [0]
        try:
            call()
            found[name] = ("", "", count[-1])
        except BaseException as error:
            found[name] = (type(error).__name__, str(error), count[-1])
        comm.barrier()
    return found


class Watcher:
    """A callback that calls a function of the trainer and the number of the epoch."""

    def __init__(self, call: Callable[[Trainer, int], Any]) -> None:
        self._call = call

    def on_epoch_end(self, trainer: Trainer, history: Any) -> Any:
        return self._call(trainer, history.epochs)


class FailsAtEnd(Watcher):
    """A callback that fails when the run is over."""

    def __init__(self) -> None:
        super().__init__(lambda trainer, epoch: None)

    def on_train_end(self, trainer: Trainer, history: Any) -> None:
        raise OSError("no space")


class OwnError(Exception):
    """An error that other processes can't make."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__(f"{a} and {b}")


def raise_own() -> None:
    """Raise it."""
    raise OwnError(1, 2)


def interrupt() -> None:
    """Raise what Ctrl-C raises."""
    raise KeyboardInterrupt


def kill_soon(timers: list[threading.Timer] = []) -> None:  # noqa: B006
    """Send Ctrl-C to this process a little later, once."""
    if not timers:
        timers.append(threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)))
        timers[0].start()


# ---- Unequal ranks ----


def unequal(comm: Any) -> dict[str, Any]:
    """Train on ranks with very different numbers of rows, of which each is a shard."""
    own = slice(0, 30) if comm.rank == 0 else slice(30, 203)
    trainer = Trainer(MLP((5, 16, 2), random_state=0), batch_size=32, shuffle=False, comm=comm)
    trainer.run(X[own], Y[own], 1)
    return result(trainer)


def main() -> None:
    """Call a function, and write the result of this rank."""
    from mpi4py import MPI

    name, directory = sys.argv[1:]
    os.chdir(directory)
    comm = MPI.COMM_WORLD
    found = globals()[name](comm)
    Path(f"{name}-{comm.rank}-of-{comm.size}.pickle").write_bytes(pickle.dumps(found))


if __name__ == "__main__":
    main()
