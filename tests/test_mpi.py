"""Training on several ranks of MPI: the same bits for every number of ranks, and errors that reach all ranks."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("mpi4py")
pytest.importorskip("scipy")

import _mpi_runs as runs

from fastnn import Trainer

EXAMPLES = Path(__file__).parents[1] / "examples"
SECONDS = 100  # after which a program counts as hung


def mpiexec() -> str:
    beside = Path(sys.executable).with_name("mpiexec")
    found = str(beside) if beside.exists() else shutil.which("mpiexec")
    if found is None:
        pytest.skip("mpiexec is missing")
    return found


def run_on_ranks(name: str, n_ranks: int, directory: Path) -> list[Any]:
    """Call a function of the program on some ranks, and return what each of them returns."""
    program = [sys.executable, str(Path(__file__).with_name("_mpi_runs.py")), name, str(directory)]
    done = subprocess.run([mpiexec(), "-n", str(n_ranks), *program], capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    return [pickle.loads((directory / f"{name}-{r}-of-{n_ranks}.pickle").read_bytes()) for r in range(n_ranks)]


def same(found: Any, expected: Any) -> bool:
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(same(found[key], value) for key, value in expected.items())
    return np.array_equal(found, expected, equal_nan=isinstance(expected, np.ndarray))


# ---- The same bits ----


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Return the results of one process without MPI, and its directory."""
    directory = tmp_path_factory.mktemp("alone")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        runs.start(None).save("start.fastnn")
        return directory, runs.bits(None)


@pytest.mark.parametrize("n_ranks", [1, 2, 4])
def test_the_number_of_ranks_does_not_change_the_bits(
    n_ranks: int, alone: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    directory, expected = alone
    shutil.copy(directory / "start.fastnn", tmp_path)
    for found in run_on_ranks("bits", n_ranks, tmp_path):
        for case in expected:
            assert same(found[case], expected[case]), case
    # Rank 0 alone has written the files.
    assert (tmp_path / "end.fastnn").read_bytes() == (directory / "end.fastnn").read_bytes()
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 3
    assert {path.name for path in tmp_path.iterdir() if ".pickle" not in path.name} == {
        "start.fastnn",
        "end.fastnn",
        "log.csv",
    }


def test_a_continued_run_has_the_bits_of_one_that_never_stopped(alone: tuple[Path, dict[str, Any]]) -> None:
    directory, expected = alone
    whole = runs.start(None, epochs=4)
    np.testing.assert_array_equal(whole.model.to_vector(), expected["continued"]["parameters"])
    np.testing.assert_array_equal(whole.history["loss"][2:], expected["continued"]["history"]["loss"])
    assert Trainer.load(directory / "end.fastnn").updates == whole.updates


def test_ranks_may_have_different_numbers_of_rows(tmp_path: Path) -> None:
    """An epoch ends with the rank that has the most rows; the mean is over the rows that a batch has."""
    first, second = run_on_ranks("unequal", 2, tmp_path)
    assert same(first, second)
    assert first["updates"] == -(-173 // 16)


# ---- Errors ----


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, tuple[str, str, int]]]:
    return run_on_ranks("refused", 2, tmp_path_factory.mktemp("refused"))  # type: ignore[return-value]


# For each wrong use: the type of the error on rank 0 and on rank 1, and parts of the texts.
ERRORS = {
    "loss unknown": ("ValueError", "ValueError", "rank 1: loss: expected one of", "loss: expected one of"),
    "n_shards no multiple": ("ValueError", "ValueError", "n_shards: expected a multiple of the 2 ranks", ""),
    "n_shards differ": (
        "ValueError",
        "ValueError",
        "n_shards: expected the same on all ranks, got 2 on rank 0 and 4",
        "",
    ),
    "n_shards wrong type": (
        "TypeError",
        "TypeError",
        "rank 1: n_shards: expected an integer",
        "n_shards: expected an integer",
    ),
    "batch_size no multiple": ("ValueError", "ValueError", "batch_size: expected a multiple of n_shards=2", ""),
    "lbfgs": ("ValueError", "ValueError", "optimizer: expected one that makes steps by batches", ""),
    "lazy": ("ValueError", "ValueError", "lazy_updates: expected False", ""),
    "shapes": (
        "ValueError",
        "ValueError",
        "layer_sizes of the model: expected the same on all ranks, got (5, 8, 2)",
        "",
    ),
    "dtypes": ("ValueError", "ValueError", "dtype of the model: expected the same on all ranks", ""),
    "activations": ("ValueError", "ValueError", "activations of the model: expected the same", ""),
    "losses": ("ValueError", "ValueError", "loss: expected the same on all ranks", ""),
    "optimizers": ("ValueError", "ValueError", "optimizer: expected the same on all ranks", ""),
    "batch sizes": (
        "ValueError",
        "ValueError",
        "batch_size: expected the same on all ranks, got 64 on rank 0 and",
        "",
    ),
    "l2": ("ValueError", "ValueError", "l2: expected the same on all ranks", ""),
    "epochs": ("ValueError", "ValueError", "epochs: expected the same on all ranks, got 4 on rank 0 and 3 on rank 1", ""),
    "epochs wrong": (
        "ValueError",
        "ValueError",
        "rank 1: epochs: expected an integer >= 0",
        "epochs: expected an integer >= 0",
    ),
    "X dtype": ("ValueError", "ValueError", "X dtype: expected the same on all ranks, got 'float64' on rank 0", ""),
    "X columns": ("ValueError", "ValueError", "rank 1: X: expected shape", "X: expected shape"),
    "X nan": ("ValueError", "ValueError", "rank 1: X: ", "X: "),
    "y rows": ("ValueError", "ValueError", "rank 1: y: expected shape", "y: expected shape"),
    "y dtype": ("ValueError", "ValueError", "y dtype: expected the same on all ranks", ""),
    "rows": ("ValueError", "ValueError", "X: expected 100 rows on rank 0, those from 0 to 100 of 201", ""),
    "too few": ("ValueError", "ValueError", "X: expected at least 64 rows on all ranks, one for each shard, got 40", ""),
    "no weight": ("ValueError", "ValueError", "sample_weight: expected a row", ""),
    "weights": ("ValueError", "ValueError", "sample_weight: expected the same on all ranks", ""),
    "validation": ("ValueError", "ValueError", "validation_data: expected the same on all ranks", ""),
    "metrics": ("ValueError", "ValueError", "metrics: expected the same on all ranks", ""),
    "metrics unfit": ("ValueError", "ValueError", "metrics: 'accuracy' needs classes", ""),
    "metrics function": ("TypeError", "TypeError", "metrics: expected names of built-in metrics", ""),
    "schedules": ("ValueError", "ValueError", "learning_rate: expected the same on all ranks", ""),
    "schedule fails": ("ZeroDivisionError", "ZeroDivisionError", "rank 1: division by zero", "division by zero"),
    "callback fails": ("ZeroDivisionError", "ZeroDivisionError", "rank 1: division by zero", "division by zero"),
    "callback fails unpicklably": ("RuntimeError", "OwnError", "rank 1: OwnError: 1 and 2", "1 and 2"),
    "callback answers": ("TypeError", "TypeError", "rank 1: callbacks: on_epoch_end", "callbacks: on_epoch_end"),
    "callback interrupts": ("KeyboardInterrupt", "KeyboardInterrupt", "", ""),
    "callback changes rate": ("ValueError", "ValueError", "optimizer: expected the same on all ranks", ""),
    "callback changes model": ("ValueError", "ValueError", "parameters of the model: expected the same on all ranks", ""),
    "callback stops": ("", "", "", ""),
    "interrupted": ("KeyboardInterrupt", "KeyboardInterrupt", "", ""),
    "end fails": ("OSError", "OSError", "rank 1: no space", "no space"),
    "checkpoint": ("FileNotFoundError", "FileNotFoundError", "missing", "rank 0: "),
    "other calls": ("FileNotFoundError", "FileNotFoundError", "no", "rank 0: "),
    "comm": ("TypeError", "TypeError", "comm: expected an mpi4py.MPI.Intracomm, such as MPI.COMM_WORLD, got 'world'", ""),
    "fine": ("", "", "", ""),
}
EPOCHS = {
    "callback fails": 2,
    "callback interrupts": 2,
    "callback stops": 2,
    "end fails": 3,
    "fine": 3,
    "callback fails unpicklably": 1,
    "callback answers": 1,
    "callback changes rate": 1,
    "callback changes model": 1,
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_on_any_rank_is_raised_on_all(case: str, refused: list[dict[str, tuple[str, str, int]]]) -> None:
    first, second, text, other = ERRORS[case]
    kinds, texts, epochs = zip(*(found[case] for found in refused), strict=True)
    assert kinds == (first, second), texts
    assert text in texts[0]
    assert (other or text) in texts[1]
    assert epochs[0] == epochs[1]
    if case != "interrupted":
        assert epochs[0] == EPOCHS.get(case, 0)


def test_all_cases_are_listed(refused: list[dict[str, tuple[str, str, int]]]) -> None:
    assert refused[0].keys() == refused[1].keys() == ERRORS.keys()


# ---- The program in examples/ ----


def test_the_example_gives_the_same_checksum_on_any_number_of_ranks(tmp_path: Path) -> None:
    program = "import ranks; ranks.N_ROWS = 1000; ranks.main(epochs=2, checkpoint='run.fastnn')"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(EXAMPLES), os.environ.get("PYTHONPATH", "")])}
    texts = []
    for start in ([], [mpiexec(), "-n", "2"]):
        command = [*start, sys.executable, "-c", program]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, cwd=tmp_path, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        texts.append(done.stdout.strip().split(" ranks, "))
    assert [text[0] for text in texts] == ["1", "2"]
    assert texts[0][1] == texts[1][1]
    assert Trainer.load(tmp_path / "run.fastnn").n_shards == 8
