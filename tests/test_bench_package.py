"""The parts that benchmarks share: the clock, the sizes, the workloads, and the check that every contestant must pass."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest

from fastnn._bench import checks, clock, machine, shapes, works
from fastnn._bench.peers import CONTESTANTS, PREDICTORS, TRAINERS, _modules, _threads, available
from fastnn._bench.peers.fastnn_ import FastnnPredictor, FastnnTrainer
from fastnn._bench.shapes import Case

# Two whole batches; two whole batches and a short one; a single batch.
SMALL = [Case((3, 5, 2), 4, 8), Case((3, 5, 4, 1), 4, 10), Case((2, 2, 1), 4, 4)]
QUICK = ["fastnn", "NumPy", "scikit-learn"]


def training_works():
    return [
        works.TrainingWork(case, dtype, optimizer, shuffled, activation)
        for case in SMALL
        for dtype in works.DTYPES
        for optimizer in works.OPTIMIZERS
        for shuffled, activation in ((False, "tanh"), (True, "relu"), (True, "sin"))
    ]


def prediction_works():
    return [works.PredictionWork((3, 5, 4, 2), rows, dtype) for rows in (1, 7) for dtype in works.DTYPES]


# ---- The clock ----


def test_contestants_of_a_race_take_turns():
    order = []
    slow = {name: lambda name=name: (order.append(name), time.sleep(clock.MIN_ROUND)) for name in "ABC"}
    timings = clock.race(slow, seconds=1e-2, turns=6)
    rounds = len(timings["A"].seconds)
    assert rounds >= 3
    assert "".join(order).endswith("ABC" * rounds)
    assert all(len(timing.seconds) == rounds and timing.minimum >= clock.MIN_ROUND for timing in timings.values())


def test_a_race_lasts_as_many_seconds_as_asked():
    timings = clock.race({name: lambda: time.sleep(clock.MIN_ROUND) for name in "AB"}, seconds=0.02)
    assert sum(sum(timing.seconds) for timing in timings.values()) >= 0.04


def test_pauses_count_as_time():
    timings = clock.race({"A": lambda: time.sleep(clock.MIN_ROUND)}, seconds=0.02, turns=3, rest=0.02)
    assert len(timings["A"].seconds) == 3
    assert clock.rest_of(1) == 0.0 < clock.rest_of(2)


@pytest.mark.parametrize("turns", [3, 5, 8])
def test_a_race_takes_all_turns_of_short_workloads(turns, monkeypatch):
    now = 0.0

    def work():
        nonlocal now
        now += 1e-3

    monkeypatch.setattr(clock.time, "perf_counter", lambda: now)
    timing = clock.race({"A": work}, seconds=0.0 if turns == 3 else 0.01, turns=turns)["A"]
    assert len(timing.seconds) == turns


def test_a_race_gives_the_seconds_per_call(monkeypatch):
    now = 0.0

    def work():
        nonlocal now
        now += 1e-5

    monkeypatch.setattr(clock.time, "perf_counter", lambda: now)
    timing = clock.race({"A": work}, seconds=0.0)["A"]
    assert timing.seconds == pytest.approx([1e-5] * len(timing.seconds))


def test_a_race_gives_long_workloads_three_rounds():
    timings = clock.race({"A": lambda: time.sleep(5e-3)}, seconds=1e-3)
    assert len(timings["A"].seconds) == 3


def test_a_race_pauses_before_each_turn():
    calls = []
    work = lambda: (calls.append(time.perf_counter()), time.sleep(clock.MIN_ROUND))  # noqa: E731
    clock.race({"A": work}, seconds=0.0, turns=3, rest=5e-3)
    # After each pause come calls that warm up, and one that is timed.
    assert np.sum(np.diff(calls) >= clock.MIN_ROUND + 5e-3) >= 3
    assert len(calls) >= 6


def test_short_workloads_are_repeated():
    assert clock.calls_of_a_round(lambda: None) > 100
    assert clock.calls_of_a_round(lambda: time.sleep(clock.MIN_ROUND)) == 1


def test_timings_are_per_call():
    timing = clock.Timing((3.0, 1.0, 2.0))
    assert (timing.minimum, timing.median) == (1.0, 2.0)


# ---- The sizes ----


def test_cases_count_their_work():
    case = Case((3, 5, 2), 4, 10)
    assert (str(case), case.steps) == ("3-5-2, batch 4", 3)
    assert case.flop == 2 * 4 * (2 * 3 * 5 + 3 * 5 * 2)
    assert case.epochs * case.steps * case.flop >= 1_000_000
    assert str(shapes.Product(2, 3, 4)) == "2×3×4"
    assert shapes.Product(2, 3, 4).flop == 48


def test_every_name_is_listed():
    own = {
        name for name, value in vars(shapes).items() if name.isupper() or getattr(value, "__module__", "") == shapes.__name__
    }
    assert set(shapes.__all__) == own
    assert len(set(shapes.CASES)) == len(shapes.CASES)
    assert set(shapes.QUICK) <= set(shapes.CASES)


# ---- The workloads ----


@pytest.mark.parametrize("work", training_works(), ids=str)
@pytest.mark.parametrize("name", QUICK)
def test_trainers_reach_the_parameters_of_the_reference(name, work):
    reason = TRAINERS[name].why_not(work)
    if reason:
        pytest.skip(reason)
    checks.check_training(TRAINERS[name], work, 1)


@pytest.mark.parametrize("work", prediction_works(), ids=str)
@pytest.mark.parametrize("name", QUICK)
def test_predictors_give_the_outputs_of_the_reference(name, work):
    reason = PREDICTORS[name].why_not(work)
    if reason:
        pytest.skip(reason)
    checks.check_prediction(PREDICTORS[name], work, 1)


class Slow(FastnnTrainer):
    """A trainer that makes nine tenths of each change: its error is small beside the parameters, not beside the change."""

    def parameters(self):
        before = works.initial_parameters(self.work)
        return [b + 0.9 * (np.asarray(a) - b) for a, b in zip(super().parameters(), before, strict=True)]

    def __init__(self, work, n_threads):
        super().__init__(work, n_threads)
        self.work = work


@pytest.mark.parametrize("work", training_works(), ids=str)
def test_trainers_that_change_too_little_are_found(work):
    with pytest.raises(AssertionError):
        checks.check_training(Slow, work, 1)


class Idle(FastnnTrainer):
    def train(self, epochs):
        pass


class ShortOfAnEpoch(FastnnTrainer):
    def prepare(self, X, y):
        super().prepare(X[:-1], y[:-1])


class ShufflesInputsAlone(FastnnTrainer):
    """A trainer that is right without shuffling, and wrong with it."""

    def __init__(self, work, n_threads):
        super().__init__(work, n_threads)
        self._shuffled = work.shuffled

    def prepare(self, X, y):
        super().prepare(X[::-1] if self._shuffled else X, y)


class OffByLittle(FastnnPredictor):
    def predict(self, X):
        return super().predict(X) * 1.01


@pytest.mark.parametrize("dtype", works.DTYPES, ids=str)
@pytest.mark.parametrize("optimizer", works.OPTIMIZERS)
@pytest.mark.parametrize("wrong", [Idle, ShortOfAnEpoch, ShufflesInputsAlone])
def test_wrong_trainers_are_found(wrong, optimizer, dtype):
    with pytest.raises(AssertionError):
        checks.check_training(wrong, works.TrainingWork(SMALL[0], dtype, optimizer, shuffled=True), 1)


@pytest.mark.parametrize("work", prediction_works(), ids=str)
def test_wrong_predictors_are_found(work):
    with pytest.raises(AssertionError):
        checks.check_prediction(OffByLittle, work, 1)


def test_shuffled_trainers_shuffle():
    X, y = works.data(works.TrainingWork(SMALL[1], works.DTYPES[1], "sgd"))
    trained = []
    for shuffled in (False, True):
        made = TRAINERS["NumPy"](works.TrainingWork(SMALL[1], works.DTYPES[1], "sgd", shuffled), 1)
        made.prepare(X, y)
        made.train(3)
        trained.append(np.concatenate([p.ravel() for p in made.parameters()]))
    assert not np.array_equal(*trained)
    np.testing.assert_allclose(*trained, atol=1e-2)  # with a learning rate of 0.001


# ---- Contestants ----


def test_names_of_contestants_are_unique():
    assert CONTESTANTS[0] == "fastnn"
    assert set(CONTESTANTS) == TRAINERS.keys() | PREDICTORS.keys()
    assert all(contestant.name == name for name, contestant in [*TRAINERS.items(), *PREDICTORS.items()])


def test_missing_peers_are_named(monkeypatch):
    monkeypatch.setattr(_modules.importlib.util, "find_spec", lambda name: None)
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    words = {name: available(name) for name in CONTESTANTS}
    assert words["fastnn"] is None
    assert words["NumPy"] == "threadpoolctl, which limits the threads of NumPy's BLAS, is not installed"
    assert words["PyTorch compile"] == "PyTorch is not installed"
    assert words["JAX scan"] == "JAX is not installed"
    assert all("is not installed" in word for name, word in words.items() if name != "fastnn")


def test_workloads_that_a_peer_cannot_run_are_named():
    sin = works.TrainingWork(SMALL[0], works.DTYPES[0], "sgd", activation="sin")
    assert "sin" in TRAINERS["scikit-learn"].refusal(sin)
    adam = works.TrainingWork(SMALL[0], works.DTYPES[0], "adam")
    assert "seconds per case" in TRAINERS["PyTorch compile"].refusal(adam)


def test_the_environment_may_limit_threads(monkeypatch):
    for name, value in _threads.environment(3).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(_modules.importlib.util, "find_spec", lambda name: None)
    assert _threads.missing() is None


def test_peers_are_imported_only_when_used():
    peers = {"torch", "jax", "onnx", "onnxruntime", "numba", "scipy", "sklearn", "threadpoolctl"}
    script = f"import sys, fastnn._bench.peers; print({peers} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# ---- The machine ----


@pytest.mark.parametrize("dtype", works.DTYPES, ids=str)
def test_the_peak_is_a_plausible_rate(dtype):
    assert 0.1 < machine.peak_gflops(dtype) < 10_000


def test_the_rate_of_a_copy_is_plausible():
    assert 0.1 < machine.copy_gigabytes_per_second(10_000) < 100_000


def test_the_machine_is_named():
    assert machine.cpu_name()
    assert machine.versions()["numpy"] == np.__version__
