"""Train for one epoch on a memory-mapped file X: bench_memory.py runs this program and watches its memory.

It prints "ready" once data, imports and threads exist, waits for a line, trains, prints "done", and waits for another line.
"""

from __future__ import annotations

import json
import sys

import numpy as np

from fastnn import MLP, Trainer, optimizers


def main(options: dict[str, object]) -> None:
    layer_sizes, rows = tuple(options["layer_sizes"]), options["rows"]
    X = np.memmap(options["path"], options["dtype"], "r", shape=(rows, layer_sizes[0]))
    y = np.random.default_rng(0).standard_normal((rows, layer_sizes[-1]), np.float32)
    # Code and threads that a first run loads once are not part of the memory of this run.
    warm_up(layer_sizes, options)
    say("ready")
    trainer_of(layer_sizes, options).run(X, y)
    say("done")


def trainer_of(layer_sizes: tuple[int, ...], options: dict[str, object]) -> Trainer:
    model = MLP(layer_sizes, "tanh", dtype=np.float32, random_state=0)
    optimizer = {"sgd": optimizers.SGD, "adam": optimizers.Adam}[options["optimizer"]](1e-3)
    return Trainer(model, "mse", optimizer, batch_size=options["batch_size"], shuffle=options["shuffle"])


def warm_up(layer_sizes: tuple[int, ...], options: dict[str, object]) -> None:
    sizes = (layer_sizes[0], 1, layer_sizes[-1])
    rows = 4
    trainer_of(sizes, options).run(np.zeros((rows, sizes[0]), options["dtype"]), np.zeros((rows, sizes[-1]), np.float32))


def say(word: str) -> None:
    print(word, flush=True)
    sys.stdin.readline()


main(json.loads(sys.argv[1]))
