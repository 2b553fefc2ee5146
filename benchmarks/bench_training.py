"""Training steps: checked against the reference, then timed in whole epochs, each peer in turns with fastnn."""

from __future__ import annotations

import pytest
from shapes import CASES

from fastnn._bench.checks import check_training
from fastnn._bench.peers import TRAINERS, Trainer
from fastnn._bench.works import DTYPES, OPTIMIZERS, TrainingWork, data


@pytest.mark.parametrize("contestant", TRAINERS)
@pytest.mark.parametrize("shuffled", [False, True], ids=["contiguous", "shuffled"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_step(contest, case, dtype, optimizer, shuffled, n_threads, contestant):
    work = TrainingWork(case, dtype, optimizer, shuffled)
    reason = TRAINERS[contestant].why_not(work)
    if reason:
        pytest.skip(reason)
    check_training(TRAINERS[contestant], work, n_threads)
    ours, theirs = (prepared(name, work, n_threads) for name in ("fastnn", contestant))
    epochs = TRAINERS[contestant].epochs(case)
    threads = "1 thread" if n_threads == 1 else f"{n_threads} threads"
    contest(
        f"training {work}, {threads}",
        contestant,
        lambda: theirs.train(epochs),
        None if contestant == "fastnn" else lambda: ours.train(case.epochs),
        table=f"microseconds a training step, {str(work).removeprefix(f'{case}, ')}, {threads}",
        row=str(case),
        per=epochs * case.steps,
        anchor_per=case.epochs * case.steps,
        flop=case.flop,
        dtype=dtype,
    )


def prepared(contestant: str, work: TrainingWork, n_threads: int) -> Trainer:
    made = TRAINERS[contestant](work, n_threads)
    made.prepare(*data(work))
    return made
