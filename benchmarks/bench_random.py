"""Training of random networks beside NumPy, JAX and PyTorch: which are lost, and by how much.

Widths and batches are spread evenly over orders of magnitude. Every contestant is checked against the reference, and all
take turns on the same data. `-k "block3 and 1 thread"` runs a twentieth.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from libraries import checks_only, threads_text
from shapes import Case

from fastnn._bench.checks import check_training
from fastnn._bench.clock import race, rest_of
from fastnn._bench.peers import TRAINERS
from fastnn._bench.works import DTYPES, OPTIMIZERS, TrainingWork, data

BLOCKS, NETWORKS_OF_A_BLOCK = 10, 20
CONTESTANTS = ("fastnn", "NumPy", "JAX scan", "PyTorch")
BATCHES_OF_AN_EPOCH = 4
SECONDS = 0.1


def drawn(block: int) -> list[TrainingWork]:
    """Return the networks of a block, the same in every run: 1 to 4 layers, 2 to 2048 units, batches of 4 to 1024 rows."""
    rng = np.random.default_rng([8, block])

    def size(least: int, most: int) -> int:
        return round(math.exp(rng.uniform(math.log(least), math.log(most))))

    works = []
    for _ in range(NETWORKS_OF_A_BLOCK):
        layer_sizes = tuple(size(2, 2048) for _ in range(rng.integers(2, 6)))
        batch_size = size(4, 1024)
        case = Case(layer_sizes, batch_size, BATCHES_OF_AN_EPOCH * batch_size)
        dtype, optimizer = DTYPES[rng.integers(2)], OPTIMIZERS[rng.integers(2)]
        works.append(TrainingWork(case, dtype, optimizer, activation=str(rng.choice(["tanh", "relu"]))))
    return works


def prepared(name: str, work: TrainingWork, n_threads: int) -> tuple[Callable[[], object], int]:
    """Return a call, and the number of steps that it makes."""
    made, epochs = TRAINERS[name](work, n_threads), TRAINERS[name].epochs(work.case)
    made.prepare(*data(work))
    return partial(made.train, epochs), epochs * work.case.steps


def microseconds(work: TrainingWork, n_threads: int) -> dict[str, float]:
    """Return the time of a step, by contestant."""
    calls = {name: prepared(name, work, n_threads) for name in CONTESTANTS}
    timings = race({name: call for name, (call, _) in calls.items()}, seconds=SECONDS, rest=rest_of(n_threads))
    return {name: 1e6 * timings[name].minimum / steps for name, (_, steps) in calls.items()}


@pytest.mark.parametrize("block", range(BLOCKS), ids=lambda block: f"block{block}")
def test_random_networks(request, record, block, n_threads):
    works = drawn(block)
    for name in CONTESTANTS[1:]:
        if reason := TRAINERS[name].missing():
            pytest.skip(reason)
    for work in works[:1] if checks_only(request) else works:
        for name in CONTESTANTS:
            check_training(TRAINERS[name], work, n_threads)
    if checks_only(request):
        return
    title, ratios = f"random networks, {threads_text(n_threads)}", {name: [] for name in CONTESTANTS[1:]}
    for work in works:
        times = microseconds(work, n_threads)
        record(title, f"{work}, {work.activation}", "fastnn, µs", times["fastnn"])
        for name, found in ratios.items():
            found.append(times[name] / times["fastnn"])
            record(title, f"{work}, {work.activation}", name, found[-1])
    for name, found in ratios.items():
        record(f"{title}: geometric means", f"block {block}", name, float(np.exp(np.mean(np.log(found)))))
        record(f"{title}: lost of {len(works)}", f"block {block}", name, sum(ratio < 1 for ratio in found))
