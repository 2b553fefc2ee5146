"""Threads, levels, and what importing costs."""

from __future__ import annotations

import re

import pytest
from _helpers import run_script

import fastnn
from fastnn._backend import core as _core


@pytest.fixture
def threads():
    before = fastnn.get_num_threads()
    yield before
    fastnn.set_num_threads(before)


def config(**environment):
    """Return what show_config prints in a process with that environment."""
    text = run_script("import fastnn; fastnn.show_config()", **environment).stdout
    return {line[:16].strip(): line[17:] for line in text.splitlines()}


# ---- Threads ----


@pytest.mark.usefixtures("threads")
def test_set_and_get():
    for n in (1, 2, 7, 1024):
        fastnn.set_num_threads(n)
        assert fastnn.get_num_threads() == n
    fastnn.set_num_threads(10**9)
    assert fastnn.get_num_threads() == 1024
    assert _core.threads_decided()[0] == "set_num_threads"


@pytest.mark.parametrize(("wrong", "error"), [(0, ValueError), (-1, ValueError), (1.0, TypeError), ("2", TypeError)])
def test_wrong_numbers_change_nothing(wrong, error, threads):
    with pytest.raises(error, match=f"^n: got {wrong!r}"):
        fastnn.set_num_threads(wrong)
    assert fastnn.get_num_threads() == threads


@pytest.mark.parametrize(("value", "expected"), [("1", "1"), ("3", "3"), ("5000", "1024")])
def test_environment(value, expected):
    printed = config(FASTNN_NUM_THREADS=value)
    assert printed["threads"] == f"{expected} (decided by: FASTNN_NUM_THREADS)"
    assert "ignored" not in printed


@pytest.mark.parametrize("value", ["0", "-2", "two", "1.5", "2x", "99999999999999999999"])
def test_wrong_environment_is_ignored_and_reported(value):
    printed = config(FASTNN_NUM_THREADS=value)
    assert printed["threads"] == config(FASTNN_NUM_THREADS="")["threads"]
    assert printed["ignored"] == f"FASTNN_NUM_THREADS must be a positive integer, got '{value}'"


def test_default_is_what_this_process_may_use():
    script = """if True:
        import os
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
            import fastnn
            assert fastnn.get_num_threads() == 1, fastnn.get_num_threads()
        import fastnn
        assert 1 <= fastnn.get_num_threads() <= os.cpu_count()"""
    run_script(script, FASTNN_NUM_THREADS="")


# ---- What is shown ----


def test_show_config(capsys):
    assert fastnn.show_config() is None
    shown = capsys.readouterr().out
    name, vector_bytes = _core.current_level()
    assert re.match(rf"fastnn +{re.escape(fastnn.__version__)}\n", shown)
    assert f"{name}, vectors of {vector_bytes} bytes (decided by: " in shown
    assert f"built            {', '.join(_core.built_levels())}\n" in shown
    assert f"usable here      {', '.join(_core.levels())}\n" in shown
    assert re.search(rf"^threads +{fastnn.get_num_threads()} \(decided by: .+\)$", shown, re.MULTILINE)
    assert re.search(r"^Python, NumPy +\d+\.\d+\S*, \d+\.\d+", shown, re.MULTILINE)
    assert shown.endswith("\n")


# ---- Levels ----


@pytest.mark.parametrize("level", _core.built_levels())
def test_levels_can_be_forced(level):
    if level not in _core.levels():
        result = run_script("import fastnn", check=False, FASTNN_ISA=level)
        assert "ImportError" in result.stderr
        return
    printed = config(FASTNN_ISA=level)
    assert printed["instruction set"].startswith(f"{level}, vectors of ")
    if level != _core.levels()[0]:
        assert printed["instruction set"].endswith("(decided by: FASTNN_ISA)")


@pytest.mark.parametrize("level", ["v5", "V4", "avx2", "1"])
def test_unknown_levels(level):
    result = run_script("import fastnn", check=False, FASTNN_ISA=level)
    assert result.returncode == 1
    error = result.stderr.strip().splitlines()[-1]
    built = ", ".join(_core.built_levels())
    assert error.startswith(f"ImportError: FASTNN_ISA={level!r} can't be used: this build has {built}, of which")


def test_no_wish_is_the_best():
    best = _core.levels()[0]
    assert config(FASTNN_ISA="")["instruction set"].startswith(best)


# ---- Imports ----

LOADED = """
import sys
before = set(sys.modules)
import numpy
alone = set(sys.modules)
import fastnn
{use}
loaded = {{name.partition(".")[0] for name in set(sys.modules) - alone}}
print(*sorted(name for name in loaded - sys.stdlib_module_names if "cython" not in name))
"""


def test_importing_brings_numpy_alone():
    assert set(run_script(LOADED.format(use="")).stdout.split()) <= {"fastnn", "numpy"}  # parts that NumPy loads late


def test_training_brings_no_more():
    use = """
model = fastnn.MLP((2, 4, 1))
model.fit([[0, 1], [1, 0]], [1, 0], epochs=3)
model.predict([1, 2])
fastnn.show_config()
"""
    printed = run_script(LOADED.format(use=use)).stdout.splitlines()[-1]
    assert set(printed.split()) <= {"fastnn", "numpy"}


def test_names():
    for name in fastnn.__all__:
        assert getattr(fastnn, name) is not None
    assert set(fastnn.__all__) <= set(dir(fastnn))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        fastnn.nothing  # noqa: B018
