"""Whole jobs, as users run them: each contestant must reach a good result before it is timed."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from libraries import DTYPES, Work, checks_only, threads_text
from shapes import ACTOR_CRITIC, COORDINATES, DIGITS, IMAGES, LAYER_SIZES, TABULAR, Case
from workloads import actor_critic, digits

from fastnn import reference
from fastnn._bench import checks, works
from fastnn._bench.peers import PREDICTORS, TRAINERS
from fastnn._bench.works import PredictionWork, TrainingWork

PROGRAMS = Path(__file__).parent / "workloads"
sys.path.append(str(PROGRAMS))

FLOAT32 = np.dtype(np.float32)


def table_of(n_threads: int) -> str:
    return f"whole jobs, µs, {threads_text(n_threads)}"


# ---- The tutorial's XOR: in a running process, and as a process of its own ----

# The library of each contestant, and the end of its program's name.
XOR = {"fastnn": "fastnn", "NumPy": "numpy", "PyTorch": "torch", "JAX": "jax", "Numba": "numba"}
LEAST_XOR_LOSS = 1e-20


def require(module: str, name: str) -> None:
    pytest.importorskip(module, reason=f"{name} is not installed")


def xor_process(contestant: str) -> float:
    """Run a program, and return the loss that it prints."""
    command = [sys.executable, str(PROGRAMS / f"xor_{XOR[contestant]}.py")]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.parametrize("n_threads", [1], indirect=True)
@pytest.mark.parametrize("contestant", XOR)
def test_xor(contest, n_threads, contestant):
    require(XOR[contestant], contestant)
    xor = importlib.import_module("xor")
    ours, work = (importlib.import_module(f"xor_{XOR[name]}").train for name in ("fastnn", contestant))
    assert xor.loss(work()) < LEAST_XOR_LOSS
    anchor = None if contestant == "fastnn" else ours
    contest("XOR, 10 000 epochs", contestant, work, anchor, table=table_of(1), row="XOR, 10 000 epochs", dtype=np.float64)


@pytest.mark.parametrize("contestant", XOR)
def test_xor_process(contest, contestant):
    """The time includes imports and compilation."""
    require(XOR[contestant], contestant)
    assert xor_process(contestant) < LEAST_XOR_LOSS
    anchor = None if contestant == "fastnn" else lambda: xor_process("fastnn")
    row = "XOR, a whole process"
    contest(row, contestant, lambda: xor_process(contestant), anchor, table=table_of(1), row=row, dtype=np.float64)


def test_numpy_process(contest):
    """Time a process that only imports NumPy, the least that any program can take."""
    command = [sys.executable, "-c", "import numpy"]
    work, row = (lambda: subprocess.run(command, check=True)), "XOR, a whole process"
    contest(row, "import numpy", work, lambda: xor_process("fastnn"), table=table_of(1), row=row)


# ---- scikit-learn's own example ----

LEAST_ACCURACY = 0.96
EPOCHS_CHECKED_ONLY, LEAST_ACCURACY_THEN = 20, 0.85


@pytest.mark.parametrize("contestant", digits.JOBS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_digits(request, contest, n_threads, dtype, contestant):
    """Train for as many epochs as scikit-learn's default classifier needs until it stops by itself."""
    require(digits.IMPORTS[contestant], contestant)
    quick = checks_only(request)
    epochs = digits.epochs_of_sklearn(dtype, EPOCHS_CHECKED_ONLY if quick else digits.DEFAULT_EPOCHS)
    jobs = {name: digits.JOBS[name](dtype, epochs, n_threads) for name in {"fastnn", contestant}}
    assert jobs[contestant]() >= (LEAST_ACCURACY_THEN if quick else LEAST_ACCURACY)
    anchor = None if contestant == "fastnn" else jobs["fastnn"]
    row = f"digits, {DIGITS}, {epochs} epochs, {np.dtype(dtype)}"
    contest(row, contestant, jobs[contestant], anchor, table=table_of(n_threads), row=row, dtype=dtype)


# ---- Training on tabular data with Adam and shuffling ----


def tabular(rng: np.random.Generator, case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Return Friedman's function of 8 columns, 3 of which carry no information, scaled; see Friedman 1991, "MARS"."""
    X = rng.uniform(0, 1, (case.rows, case.layer_sizes[0]))
    y = 10 * np.sin(np.pi * X[:, 0] * X[:, 1]) + 20 * (X[:, 2] - 0.5) ** 2 + 10 * X[:, 3] + 5 * X[:, 4]
    return 2 * X - 1, (y / 5 - 3)[:, None]


def images(rng: np.random.Generator, case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Return noisy copies of 10 patterns as rows of 0 and 1, and the number of the pattern."""
    labels = rng.integers(0, case.layer_sizes[-1], case.rows)
    patterns = rng.standard_normal((case.layer_sizes[-1], case.layer_sizes[0]))
    X = patterns[labels] + 2 * rng.standard_normal((case.rows, case.layer_sizes[0]))
    return X / X.std(), np.eye(case.layer_sizes[-1])[labels]


def coordinates(rng: np.random.Generator, case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Return positions in a square, and the colours of an image there."""
    X = rng.uniform(-np.pi, np.pi, (case.rows, 2))
    return X, np.stack([np.sin(X[:, 0]) * np.cos(X[:, 1]), np.cos(X[:, 0] + X[:, 1]), np.sin(X[:, 0] - X[:, 1])], axis=1)


# The data, the case, the activation, the number of epochs, and a loss that shows that the network has learned.
TRAINING: dict[str, tuple[Callable[..., Any], Case, str, int, float]] = {
    "tabular": (tabular, TABULAR, "relu", 5, 0.05),
    "images": (images, IMAGES, "relu", 3, 0.02),
    "coordinates": (coordinates, COORDINATES, "sin", 10, 0.05),
}


def prepared(contestant: str, work: TrainingWork, data: Any, n_threads: int) -> Any:
    trainer = TRAINERS[contestant](work, n_threads)
    trainer.prepare(*data)
    return trainer


def mean_squared_error(parameters: list[np.ndarray], work: TrainingWork, X: np.ndarray, y: np.ndarray) -> float:
    activations = works.activations_of(work)
    return reference.mse_loss(y, reference.forward(parameters[::2], parameters[1::2], activations, X)[-1][1])


@pytest.mark.parametrize("contestant", TRAINERS)
@pytest.mark.parametrize("name", TRAINING)
def test_training(request, contest, n_threads, name, contestant):
    """A first run from the start gives the loss; the clock measures further training, which is the same work."""
    make, case, activation, epochs, least_loss = TRAINING[name]
    work = TrainingWork(case, FLOAT32, "adam", shuffled=True, activation=activation)
    if reason := TRAINERS[contestant].why_not(work):
        pytest.skip(reason)
    data = [np.ascontiguousarray(array, FLOAT32) for array in make(np.random.default_rng(0), case)]
    trainer = prepared(contestant, work, data, n_threads)
    trainer.train(epochs)
    loss = mean_squared_error(trainer.parameters(), work, *data)
    assert loss <= least_loss, loss
    ours = None if contestant == "fastnn" else prepared("fastnn", work, data, n_threads)
    row, flop = f"{name}, {case}, {epochs} epochs", case.flop * case.steps * epochs
    timed = 1 if checks_only(request) else epochs
    anchor = ours and (lambda: ours.train(timed))
    contest(row, contestant, lambda: trainer.train(timed), anchor, table=table_of(n_threads), row=row, flop=flop)


# ---- Predictions of one row, and between updates ----

PREDICTIONS, PREDICTIONS_TIMED = 100_000, 1_000
ROW_LAYER_SIZES = LAYER_SIZES[2]


@pytest.mark.parametrize("n_threads", [1], indirect=True)
@pytest.mark.parametrize("contestant", PREDICTORS)
def test_single_rows(contest, n_threads, contestant):
    """All rows are different. A part of them is timed, and the time is extrapolated to all."""
    work = PredictionWork(ROW_LAYER_SIZES, 1, FLOAT32)
    if reason := PREDICTORS[contestant].why_not(work):
        pytest.skip(reason)
    checks.check_prediction(PREDICTORS[contestant], work, 1)
    X = np.random.default_rng(0).standard_normal((PREDICTIONS_TIMED, ROW_LAYER_SIZES[0]), np.float32)
    jobs = {}
    for name in {"fastnn", contestant}:
        predict = PREDICTORS[name](work, 1).predict
        jobs[name] = lambda predict=predict: [predict(x) for x in X]
    anchor = None if contestant == "fastnn" else jobs["fastnn"]
    row = f"{PREDICTIONS} predictions of one row, {'-'.join(map(str, ROW_LAYER_SIZES))}"
    per = PREDICTIONS_TIMED / PREDICTIONS
    contest(row, contestant, jobs[contestant], anchor, table=table_of(1), row=row, per=per)


EPISODES, EPISODES_TIMED = 300, 20
LEAST_REWARD = -0.1


@pytest.mark.parametrize("n_threads", [1], indirect=True)
@pytest.mark.parametrize("contestant", actor_critic.LEARNERS)
def test_actor_critic(contest, n_threads, contestant):
    """A first run from the start gives the reward; the clock measures further training, which is the same work."""
    require(actor_critic.IMPORTS[contestant], contestant)
    agent = actor_critic.agent(contestant)
    rewards = agent.run(EPISODES)
    assert np.mean(rewards[-50:]) >= LEAST_REWARD > np.mean(rewards[:50])
    work: Work = lambda: agent.run(EPISODES_TIMED)  # noqa: E731
    ours = None if contestant == "fastnn" else actor_critic.agent("fastnn")
    anchor = ours and (lambda: ours.run(EPISODES_TIMED))
    row = f"actor-critic, {ACTOR_CRITIC}, {EPISODES} episodes of {actor_critic.STEPS} steps"
    contest(row, contestant, work, anchor, table=table_of(1), row=row, per=EPISODES_TIMED / EPISODES)
