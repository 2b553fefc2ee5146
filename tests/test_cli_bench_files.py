"""The files of ``fastnn bench``: writing them, and comparing a run with one."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re

import numpy as np
import pytest
from _bench_runs import QUICK, Text, row

import fastnn
from fastnn import _cli
from fastnn._bench import compare as _bench_compare
from fastnn._bench import results as _bench_results
from fastnn._bench.results import Summary
from fastnn._engine import core as _core
from fastnn._output.report import Report

pytest.importorskip("threadpoolctl")

pytestmark = pytest.mark.usefixtures("small_benchmarks")


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


# ---- The file ----


def test_the_file_has_all_measurements(written, directory):
    _, content = written
    assert os.listdir(directory) == ["bench.json"]
    assert content["format"] == _bench_results.FORMAT
    assert content["fastnn"] == fastnn.__version__
    assert content["instruction_set"] == _core.current_instruction_set()[0]
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


# ---- Comparing ----


def scaled(written, factor, **facts):
    """Write the file once more, as if fastnn had taken `factor` times as long."""
    path, content = written
    for one in content["rows"]:
        one["times"]["fastnn"]["minimum"] *= factor
    path.write_text(json.dumps({**content, **facts}), encoding="utf-8")
    return str(path)


def test_times_shorter_than_in_the_file_are_listed_as_faster(written, capsys):
    assert _cli.main([*QUICK, "--threads", "1", "--compare", scaled(written, 1e6)]) == 0
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
