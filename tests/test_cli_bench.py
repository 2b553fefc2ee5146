"""The tables, the plot and the arguments of ``fastnn bench``, on cases so small that they take no time."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import re
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from _bench_runs import QUICK, Terminal, Text, row

import fastnn
from fastnn import _cli
from fastnn._bench import arguments as _bench_arguments
from fastnn._bench import clock, machine
from fastnn._bench import command as _bench
from fastnn._bench import jobs as _bench_jobs
from fastnn._bench import table as _bench_table
from fastnn._bench.peers import CONTESTANTS, PREDICTORS, TRAINERS
from fastnn._bench.results import OURS
from fastnn._engine import core as _core
from fastnn._output.report import Report

pytest.importorskip("threadpoolctl")

pytestmark = pytest.mark.usefixtures("small_benchmarks")

ALONE = """
import sys
from fastnn._cli import main
from fastnn._bench import jobs as _bench_jobs
sys.modules["threadpoolctl"] = None
_bench_jobs.QUICK = _bench_jobs.Extent((), ((5, 3),), (1,), (), 1e-3)
sys.exit(main(["bench", "--quick", "--peers", "none", *sys.argv[1:]]))
"""


@pytest.fixture
def two_threads():
    before = fastnn.get_num_threads()
    fastnn.set_num_threads(2)
    yield
    assert fastnn.get_num_threads() == 2
    fastnn.set_num_threads(before)


# ---- The tables ----


def test_tables_have_a_row_per_case_and_a_mean(two_threads, capsys):
    assert _cli.main(list(QUICK)) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert max(map(len, out.splitlines())) <= 106
    headings = re.findall(r"^([A-Z].*\d thread\w?) ─+$", out, re.MULTILINE)
    assert headings == [
        "Training by gradient descent, 1 thread",
        "Predictions, 1 thread",
        "Elementwise functions, 1 thread",
        "Training by gradient descent, 2 threads",
        "Predictions, 2 threads",
    ]
    rows = re.findall(r"^   (\S+) +(\d+) +([\d.]+) +([\d.]+) +([\d.]+)% +([\d.]+)(\*?)$", out, re.MULTILINE)
    assert [line[:2] for line in rows] == [
        *(networks := [("8-16-1", "32"), ("8-32-2", "32"), ("5-3", "1"), ("5-3", "10")]),
        *[("tanh", "1000"), ("sigmoid", "1000")],
        *networks,
    ]
    for *_, ratio, mark in rows:
        assert (float(ratio) < 1.0) == bool(mark) or float(ratio) == 1.0
    assert out.count("geometric mean") == 5
    assert f"fastnn {fastnn.__version__}" in out


def test_one_number_of_threads_and_float64_can_be_chosen(capsys, tmp_path):
    path = tmp_path / "a.json"
    assert _cli.main([*QUICK, "--threads", "2", "--dtype", "float64", "--json", str(path)]) == 0
    assert "1 thread" not in capsys.readouterr().out
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["dtype"] == "float64"
    assert {row["threads"] for row in content["rows"]} == {2}


def test_cases_in_which_fastnn_is_slower_are_listed():
    stream = Text()
    table = _bench_table.Table(Report(stream), _bench_jobs.TRAINING, {"NumPy": "NumPy", "JAX": "jit", "Numba": "numba"})
    table.add(row(NumPy=8e-6, JAX=1e-6, left_out={"Numba": "Numba has a day off"}))
    table.add(row(NumPy=32e-6, JAX=16e-6, left_out={"Numba": "Numba has a day off"}, name="8-16-1"))
    table.end()
    lines = [line.split() for line in stream.getvalue().splitlines()]
    assert lines[0] == ["a", "training", "step", "batch", "µs", "GFLOP/s", "peak", "NumPy", "jit", "numba"]
    assert lines[1] == ["2-2-1", "4", "2.00", "0.0500", "50%", "4.0", "0.50*", "-"]
    assert lines[3] == ["geometric", "mean", "8.0", "2.0", "-"]
    assert stream.getvalue().splitlines()[-2:] == ["   * fastnn loses to jit: 2-2-1, 4 (0.50×)", "   - Numba has a day off"]


def test_the_absence_of_slower_cases_is_reported():
    stream = Text()
    table = _bench_table.Table(Report(stream), _bench_jobs.TRAINING, {"NumPy": "NumPy", "JAX": "jit"})
    table.add(row(NumPy=8e-6, JAX=3e-6))
    table.end()
    assert stream.getvalue().endswith("fastnn is the fastest in all of these cases.\n")


class Clock:
    """Made-up times of workloads: seconds per call by name, in turn, of which the last repeats for ever."""

    def __init__(self, monkeypatch, **seconds):
        self.seconds = {name: list(values) for name, values in seconds.items()}
        self.raced = []
        monkeypatch.setattr(_bench_jobs, "race", self.race)

    def race(self, works, *, seconds, rest):
        self.raced.append(list(works))
        return {name: clock.Timing((self._next(name),) * 5) for name in works}

    def _next(self, name):
        values = self.seconds[name]
        return values.pop(0) if len(values) > 1 else values[0]


def job_of(kind, amount=1.0, threads=1, ceiling=1.0):
    @contextlib.contextmanager
    def beside():
        yield machine.Ceiling(lambda: None, ceiling)

    dtype = np.dtype(np.float32)
    return _bench_jobs.Job(kind, "a", 1, threads, dtype, amount, beside, lambda name: (lambda: None, 1))


FLOP = _core.fma_chain(np.float32, machine._ROUNDS_ALONE)


@pytest.mark.parametrize("kind", _bench_jobs.KINDS)
@pytest.mark.parametrize(
    ("ours", "ceiling", "share", "races"),
    [
        (2.0, [1.0], 0.5, 1),
        (1.0, [1.0], 1.0, 1),
        (1.0, [2.0, 0.8], 0.8, 2),  # a later measurement found a better moment
        (1.0, [2.0, 1.5, 1.2, 0.99], 0.99, 4),
        (1.0, [2.0, 1.01], None, 1 + _bench_jobs._MORE_TURNS),
    ],
)
def test_a_share_is_never_above_one(kind, ours, ceiling, share, races, monkeypatch):
    made_up = Clock(monkeypatch, fastnn=[ours], ceiling=ceiling, anchor=[FLOP])  # at one operation per second
    got = _bench_jobs.measure(job_of(kind), (), 0.1)
    assert got.share == (None if share is None else pytest.approx(share))
    assert len(made_up.raced) == races
    assert made_up.raced[0] == ["ceiling", "fastnn", "anchor"]
    stream = Text()
    table = _bench_table.Table(Report(stream), kind, {})
    table.add(got)
    table.end()
    lines = stream.getvalue().splitlines()
    assert lines[1].split()[-1] == {0.5: "50%", 1.0: "100%", 0.8: "80%", 0.99: "99%", None: "-"}[share]
    assert (f"- {kind.share}: unknown where fastnn exceeded it: a, 1" in stream.getvalue()) == (share is None)
    assert json.loads(json.dumps(dataclasses.asdict(got)))["peak"] == got.peak


def test_the_ceiling_of_several_threads_is_at_least_that_of_one(monkeypatch):
    """On a busy machine, even the best turn of several threads may be a bad one."""
    Clock(monkeypatch, fastnn=[2.0], ceiling=[10.0], anchor=[FLOP])
    assert _bench_jobs.measure(job_of(_bench_jobs.TRAINING, threads=2), (), 0.1).share == pytest.approx(0.5)
    Clock(monkeypatch, fastnn=[2.0], ceiling=[0.25], anchor=[FLOP])
    assert _bench_jobs.measure(job_of(_bench_jobs.TRAINING, threads=2), (), 0.1).share == pytest.approx(0.125)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_ceiling_is_measured_with_as_many_threads(threads, dtype, monkeypatch):
    calls = []

    def fma_chain(dtype, rounds):
        calls.append((dtype, rounds, threading.get_ident()))
        together.wait()
        return 10.0 * rounds

    monkeypatch.setattr(_core, "fma_chain", fma_chain)
    together = threading.Barrier(1)
    with machine.multiply_adds(dtype, threads) as ceiling:
        calls.clear()
        together = threading.Barrier(threads)  # none goes on before all have started
        ceiling.work()
    assert len({ident for _, _, ident in calls}) == len(calls) == threads
    assert {kind for kind, _, _ in calls} == {dtype}
    assert ceiling.amount == 10.0 * sum(rounds for _, rounds, _ in calls)


def test_the_ceiling_waits_for_all_threads(monkeypatch):
    done = []

    def fma_chain(dtype, rounds):
        if threading.current_thread() is not threading.main_thread():
            time.sleep(0.05)
        done.append(rounds)
        return 1.0

    monkeypatch.setattr(_core, "fma_chain", fma_chain)
    with machine.multiply_adds(np.float32, 3) as ceiling:
        done.clear()
        ceiling.work()
        assert len(done) == 3


def test_the_ceiling_of_elementwise_functions_is_a_copy_of_the_same_arrays():
    x, out = np.arange(1000.0), np.zeros(1000)
    with machine.copies(out, x) as ceiling:
        ceiling.work()
    assert ceiling.amount == 2 * x.nbytes
    np.testing.assert_array_equal(out, x)


def test_the_peak_is_the_highest_rate_measured():
    together, copied = (
        dataclasses.replace(row(peak=3e11), threads=2),
        dataclasses.replace(row(peak=9e12), kind="elementwise"),
    )
    assert _bench._peak_gflops(0.001, [row(), copied, row(peak=None)]) == pytest.approx(100.0)  # like the anchor
    assert _bench._peak_gflops(0.001, [row(), together]) == pytest.approx(150.0)
    assert _bench._peak_gflops(200.0, [row(), together]) == 200.0


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(193.2, "193 "), (9.96, "10 "), (9.94, "9.9 "), (1.0, "1.0 "), (0.996, "1.00*"), (0.5, "0.50*"), (math.nan, "- ")],
)
def test_ratios_have_two_digits_and_a_mark_below_one(ratio, text):
    assert _bench_table._ratio(ratio) == text


def test_every_contestant_has_a_column_that_fits_the_line():
    columns = [name for peer in _bench_arguments.PEERS.values() for name in peer.columns]
    assert sorted(columns) == sorted(set(CONTESTANTS) - {OURS})
    for kind in _bench_jobs.KINDS:
        assert set(kind.contestants) <= {OURS, *columns}
        # The widest heading for which there is room beside the others.
        line = Text()
        _bench_table.Table(Report(line), kind, {name: "heading"[:6] for name in kind.contestants if name != OURS})
        assert len(line.getvalue().rstrip("\n")) <= 106
    assert max(len(heading) for peer in _bench_arguments.PEERS.values() for heading in peer.columns.values()) <= 6


def test_contestants_with_wrong_results_get_no_times(monkeypatch, capsys):
    def wrong(*_):
        raise AssertionError("not close")

    monkeypatch.setattr(_bench_jobs, "check_training", wrong)
    assert _cli.main(list(QUICK)) == 1
    assert capsys.readouterr().err == "fastnn: error: fastnn and the reference gave different results: training 8-16-1\n"


def test_a_peer_that_cannot_run_a_workload_is_left_out(monkeypatch, capsys):
    monkeypatch.setattr(TRAINERS["NumPy"], "why_not", lambda work: "NumPy has a day off")
    monkeypatch.setattr(PREDICTORS["NumPy"], "why_not", lambda work: None)
    assert _cli.main([*QUICK, "--threads", "1"]) == 0
    out = capsys.readouterr().out
    assert out.count("- NumPy has a day off") == 1
    assert re.search(r"^   8-16-1 .* -$", out, re.MULTILINE)
    assert re.search(r"^   5-3 .* [\d.]+\*?$", out, re.MULTILINE)


def test_progress_is_shown_only_on_a_terminal(monkeypatch, capsys):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    assert _cli.main([*QUICK, "--threads", "1"]) == 0
    shown = stream.getvalue().split("\r")
    assert shown[1].rstrip() == "1 of 6: training 8-16-1, 32 ..."
    assert shown[2].strip() == shown[-1] == ""


def test_without_threadpoolctl_the_process_starts_again():
    """NumPy's BLAS reads its number of threads only when it is loaded, so that a new process is needed."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    result = subprocess.run(
        [sys.executable, "-c", ALONE, "--threads", "2"], capture_output=True, encoding="utf-8", env=environment, timeout=100
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert "One number of threads only" in result.stdout
    assert re.search(r"^   5-3 +1 .* [\d.]+\*?$", result.stdout, re.MULTILINE)


# ---- The plot ----


def test_the_plot_is_saved(tmp_path, capsys, two_threads):
    pytest.importorskip("matplotlib")
    from matplotlib import image

    path = tmp_path / "bench.png"
    assert _cli.main([*QUICK, "--plot", str(path)]) == 0
    pixels = image.imread(path)
    assert min(pixels.shape[:2]) > 400
    assert pixels.std() > 0.01
    assert "bench.png" in capsys.readouterr().out


# ---- Arguments ----


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--peers", "keras"], "expected all, none, or names among numpy, sklearn, torch, "),
        (["--peers", "numpy,none"], "expected all, none, or names among"),
        (["--peers", ""], "expected all, none, or names among"),
        (["--threads", "0"], "expected an integer from 1 to 1024, got '0'"),
        (["--threads", "all"], "expected an integer from 1 to 1024, got 'all'"),
        (["--dtype", "float16"], "invalid choice: 'float16'"),
        (["--json", "missing/a.json"], "argument --json: expected a file in a directory that exists, got 'missing/a.json'"),
        (["--json", "."], "argument --json: expected a file in a directory that exists, got '.'"),
        (["--plot", "a.doc"], "argument --plot: expected a name that ends in"),
        (["--compare", "missing.json"], "argument --compare: [Errno 2] No such file or directory: 'missing.json'"),
        (["--compare", "."], "argument --compare: [Errno 21]"),
    ],
)
def test_wrong_usage_exits_with_a_message(arguments, message, tmp_path, monkeypatch, capsys):
    if "--plot" in arguments:
        pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    assert _cli.main(["bench", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert re.fullmatch(r"fastnn bench: error: .*; see fastnn bench --help\n", err)


@pytest.fixture
def installed(monkeypatch):
    """Pretend that only PyTorch and Numba are installed."""
    there = {"NumPy", "PyTorch", "PyTorch compile", "Numba"}
    monkeypatch.setattr(_bench_arguments, "available", lambda name: None if name in there else f"{name} is not installed")


@pytest.mark.parametrize(
    ("text", "peers"),
    [
        ("all", ["numpy", "torch", "numba"]),
        ("torch.compile,all", ["numpy", "torch", "torch.compile", "numba"]),
        ("none", ["numpy"]),
        ("numba,torch", ["numpy", "torch", "numba"]),
    ],
)
def test_peers_can_be_chosen(text, peers, installed):
    assert _bench_arguments.chosen_peers(text) == peers


def test_peers_that_are_not_installed_are_refused(installed, capsys):
    assert _bench_arguments.absent(["numpy"]) == ["sklearn", "jax", "onnxruntime", "portable"]
    assert _cli.main(["bench", "--peers", "torch,onnxruntime"]) == 2
    assert "ONNX Runtime is not installed: pip install onnxruntime onnx" in capsys.readouterr().err


def test_help_lists_the_options(capsys):
    assert _cli.main(["bench", "--help"]) == 0
    text = capsys.readouterr().out
    for name in ("--peers", "--quick", "--threads", "--dtype", "--plot", "--json", "--compare", "torch.compile"):
        assert name in text
    assert _bench in _cli._COMMANDS
