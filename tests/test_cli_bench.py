"""``fastnn bench``, on cases so small that they take no time; against NumPy, which is always installed."""

from __future__ import annotations

import contextlib
import dataclasses
import io
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

import fastnn
from fastnn import _cli
from fastnn._bench import arguments as _bench_arguments
from fastnn._bench import clock, machine
from fastnn._bench import command as _bench
from fastnn._bench import compare as _bench_compare
from fastnn._bench import jobs as _bench_jobs
from fastnn._bench import results as _bench_results
from fastnn._bench import table as _bench_table
from fastnn._bench.jobs import Extent
from fastnn._bench.peers import CONTESTANTS, PREDICTORS, TRAINERS
from fastnn._bench.results import OURS, Row, Summary
from fastnn._bench.shapes import Case
from fastnn._engine import core as _core
from fastnn._output.report import Report

pytest.importorskip("threadpoolctl")

EXTENT = Extent((Case((8, 16, 1), 32, 80), Case((8, 32, 2), 32, 64)), ((5, 3),), (1, 10), (1000,), 1e-3)
QUICK = ("bench", "--quick", "--peers", "none")
ALONE = """
import sys
from fastnn._cli import main
from fastnn._bench import jobs as _bench_jobs
sys.modules["threadpoolctl"] = None
_bench_jobs.QUICK = _bench_jobs.Extent((), ((5, 3),), (1,), (), 1e-3)
sys.exit(main(["bench", "--quick", "--peers", "none", *sys.argv[1:]]))
"""


@pytest.fixture(autouse=True, scope="module")
def _small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_bench_jobs, "QUICK", EXTENT)
        patch.setattr(clock, "MIN_ROUND", 1e-4)
        patch.setattr(clock, "_REST", 1e-4)
        yield


@pytest.fixture
def two_threads():
    before = fastnn.get_num_threads()
    fastnn.set_num_threads(2)
    yield
    assert fastnn.get_num_threads() == 2
    fastnn.set_num_threads(before)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """Return the directory in which a run has written its file, bench.json."""
    directory = tmp_path_factory.mktemp("bench")
    assert _cli.main([*QUICK, "--threads", "1", "--json", str(directory / "bench.json")]) == 0
    return directory


@pytest.fixture
def written(directory, tmp_path, capsys):
    """Return a copy of the file, and its content."""
    path = tmp_path / "old.json"
    path.write_bytes((directory / "bench.json").read_bytes())
    capsys.readouterr()
    return path, json.loads(path.read_text(encoding="utf-8"))


class Text(io.StringIO):
    encoding = "utf-8"


class Terminal(Text):
    def isatty(self):
        return True


def row(ours=2e-6, name="2-2-1", left_out=None, peak=1e8, **peers):
    times = {name: Summary(seconds, 2 * seconds, 5) for name, seconds in {OURS: ours, **peers}.items()}
    return Row("training", name, 4, 1, 100.0, peak, Summary(1e-2, 1e-2, 5), times, left_out or {})


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

    monkeypatch.setattr(_bench_jobs, "check", wrong)
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


# ---- The file ----


def test_the_file_has_all_measurements(written, directory):
    _, content = written
    assert os.listdir(directory) == ["bench.json"]
    assert content["format"] == _bench_results.FORMAT
    assert content["fastnn"] == fastnn.__version__
    assert content["instruction_set"] == _core.current_level()[0]
    assert content["versions"]["numpy"] == np.__version__
    assert {"cpu", "cpus", "system", "measured", "dtype", "peak_gflops"} <= set(content)
    assert len(content["rows"]) == 6
    for one in content["rows"]:
        assert set(one["times"]) == {"fastnn", "NumPy"}
        for summary in (one["anchor"], *one["times"].values()):
            assert 0.0 < summary["minimum"] <= summary["median"] < 1.0
            assert summary["rounds"] >= 3
        assert one["peak"] is None or one["peak"] >= one["amount"] / one["times"]["fastnn"]["minimum"]


def test_the_file_replaces_another_as_a_whole(written, monkeypatch):
    path, _ = written
    before = path.read_bytes()
    with pytest.raises(TypeError):
        _bench_results.save(path, {"cpu": object()}, [])
    monkeypatch.setattr(os, "replace", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match="full"):
        _bench_results.save(path, {"cpu": "a"}, [])
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_the_plot_is_saved(tmp_path, capsys, two_threads):
    pytest.importorskip("matplotlib")
    from matplotlib import image

    path = tmp_path / "bench.png"
    assert _cli.main([*QUICK, "--plot", str(path)]) == 0
    pixels = image.imread(path)
    assert min(pixels.shape[:2]) > 400
    assert pixels.std() > 0.01
    assert "bench.png" in capsys.readouterr().out


# ---- Comparing ----


def scaled(written, factor, **facts):
    """Write the file once more, as if fastnn had taken `factor` times as long."""
    path, content = written
    for one in content["rows"]:
        one["times"]["fastnn"]["minimum"] *= factor
    path.write_text(json.dumps({**content, **facts}), encoding="utf-8")
    return str(path)


def test_times_shorter_than_in_the_file_are_listed_as_faster(written, capsys):
    assert _cli.main([*QUICK, "--threads", "1", "--compare", scaled(written, 1e3)]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1].endswith("0 became slower.")
    assert re.search(r"^   faster +0\.00 ×  training 8-16-1, 32, 1 thread$", out, re.MULTILINE)
    assert "DIFFERENT" not in out


def test_times_longer_than_in_the_file_fail(written, capsys):
    assert _cli.main([*QUICK, "--threads", "1", "--compare", scaled(written, 1e-3, cpu="a fast one", fastnn="0.0.7")]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    assert len(re.findall(r"^   SLOWER", out, re.MULTILINE)) == 6
    assert out.splitlines()[-1].endswith("6 became slower.")
    assert "DIFFERENT PROCESSOR: a fast one then," in out
    assert f"fastnn 0.0.7 then, {fastnn.__version__} now" in out


def compared(then, now, again):
    """Return whether nothing became slower, the output, and the cases measured again."""
    stream, asked = Text(), []
    earlier = _bench_results.Earlier("old.json", {}, {row.key: row.relative for row in then})

    def measure(key):
        asked.append(key)
        return again

    facts = {"fastnn": "1", "cpu": "a", "instruction_set": "b"}
    return _bench_compare.compare(Report(stream), earlier, facts, now, measure), stream.getvalue(), asked


def test_cases_that_look_slower_are_measured_again():
    well, text, asked = compared([row(2e-6)], [row(3e-6)], again=row(2.1e-6))
    assert well
    assert asked == [("training", "2-2-1", 4, 1)]
    assert "1 case: 1.05 times as long as then" in text
    well, text, _ = compared([row(2e-6)], [row(3e-6), row(name="new")], again=row(2.5e-6))
    assert not well
    assert "SLOWER   1.25 ×  training 2-2-1, 4, 1 thread" in text
    assert "Not in the file: 1 case of this run." in text
    _, text, _ = compared([row(2e-6)], [row(3e-6)], again=row(4e-6))
    assert "SLOWER   1.50 ×" in text  # the better of the two measurements counts
    well, _, asked = compared([row(2e-6)], [row(2.19e-6)], again=None)
    assert well
    assert asked == []


@pytest.mark.parametrize(("seconds", "listed"), [(1.0, True), (1.8, True), (1.83, False), (1.99, False), (2.19, False)])
def test_only_clear_changes_are_listed(seconds, listed):
    _, text, _ = compared([row(2e-6)], [row(1e-6 * seconds)], again=None)
    assert ("faster" in text) == listed


def test_a_slower_machine_is_not_taken_for_a_slower_program():
    slow = dataclasses.replace(row(4e-6), anchor=Summary(2e-2, 2e-2, 5))
    assert compared([row(2e-6)], [slow], again=None)[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dtype", "float64"], "has times in float32, but this run is in float64"),
        (["--threads", "3"], "has none of the cases and numbers of threads of this run"),
    ],
)
def test_files_without_common_cases_are_an_error(arguments, message, written, capsys):
    path, _ = written
    assert _cli.main([*QUICK, *arguments, "--compare", str(path)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"fastnn: error: --compare: {path} {message}\n"


@pytest.mark.parametrize(
    "change",
    [
        "",
        "[]",
        '"a',
        "{}",
        b"\xff",
        {"format": 2},
        {"rows": 3},
        {"rows": [3]},
        {"rows": [{}]},
        {"threads": "1"},
        {"times": {}},
        {"times": {"fastnn": {"minimum": 0.0, "median": 1.0, "rounds": 5}}},
        {"times": {"fastnn": {"minimum": "a", "median": 1.0, "rounds": 5}}},
        {"times": {"fastnn": {"minimum": math.nan, "median": 1.0, "rounds": 5}}},
        {"anchor": {"minimum": 0, "median": 1.0, "rounds": 5}},
        {"more": 1},
    ],
    ids=str,
)
def test_files_of_other_programs_are_refused(change, written, capsys):
    path, content = written
    if isinstance(change, dict):
        inner = content if set(change) & {"format", "rows"} else content["rows"][1]
        inner.update(change)
        change = json.dumps(content)
    path.write_bytes(change if isinstance(change, bytes) else change.encode())
    assert _cli.main([*QUICK, "--compare", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"fastnn bench: error: argument --compare: {path}: not written by fastnn bench --json (")
    assert err.endswith("; see fastnn bench --help\n")
    assert err.count("\n") == 1


# ---- Arguments ----


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--peers", "keras"], "got 'keras', expected all, none, or names among numpy, sklearn, torch, "),
        (["--peers", "numpy,none"], "got 'none', expected all, none, or names among"),
        (["--peers", ""], "got '', expected all, none, or names among"),
        (["--threads", "0"], "got '0', expected an integer from 1 to 1024"),
        (["--threads", "all"], "got 'all', expected an integer from 1 to 1024"),
        (["--dtype", "float16"], "invalid choice: 'float16'"),
        (["--json", "missing/a.json"], "argument --json: got 'missing/a.json', expected a file in a directory that exists"),
        (["--json", "."], "argument --json: got '.', expected a file"),
        (["--plot", "a.doc"], "argument --plot: got 'a.doc', expected a name that ends in"),
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
