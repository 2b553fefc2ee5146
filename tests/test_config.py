"""Threads, instruction sets, and the cost of importing."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from _helpers import run_script

import fastnn
from fastnn._engine import core as _core


@pytest.fixture
def threads():
    before = fastnn.get_num_threads()
    yield before
    fastnn.set_num_threads(before)


def config(**environment):
    """Return the output of show_config in a process with that environment."""
    text = run_script("import fastnn; fastnn.show_config()", **{"OMP_NUM_THREADS": ""} | environment).stdout
    return {line[:16].strip(): line[17:] for line in text.splitlines()}


# ---- Threads ----


@pytest.mark.usefixtures("threads")
def test_the_number_that_is_set_is_returned():
    for n in (1, 2, 7, 1024):
        fastnn.set_num_threads(n)
        assert fastnn.get_num_threads() == n
    for more in (1025, 10**9, 2**31, 2**32, 2**40):
        fastnn.set_num_threads(more)
        assert fastnn.get_num_threads() == 1024
    assert _core.threads_decided()[0] == "set_num_threads"


@pytest.mark.parametrize(("wrong", "error"), [(0, ValueError), (-1, ValueError), (1.0, TypeError), ("2", TypeError)])
def test_wrong_numbers_raise_and_change_nothing(wrong, error, threads):
    with pytest.raises(error, match=f"^n: .*got {wrong!r}"):
        fastnn.set_num_threads(wrong)
    assert fastnn.get_num_threads() == threads


def test_numbers_below_one_restore_the_default():
    """threadpoolctl may set such numbers."""
    script = """if True:
        import fastnn
        from fastnn._engine import core
        before = fastnn.get_num_threads(), core.threads_decided()
        for n in (0, -1):
            fastnn.set_num_threads(before[0] + 1)
            core.set_max_threads_(n)
            assert (fastnn.get_num_threads(), core.threads_decided()) == before"""
    run_script(script)


@pytest.mark.parametrize(("value", "expected"), [("1", "1"), ("3", "3"), ("010", "10"), ("5000", "1024")])
def test_the_environment_sets_the_number(value, expected):
    printed = config(FASTNN_NUM_THREADS=value)
    assert printed["threads"] == f"{expected} (decided by: FASTNN_NUM_THREADS)"
    assert "ignored" not in printed


@pytest.mark.parametrize("value", ["0", "-2", "two", "1.5", "2x", "2,3", "2 ", "0x2", "99999999999999999999"])
def test_wrong_environment_is_ignored_and_reported(value):
    printed = config(FASTNN_NUM_THREADS=value)
    assert printed["threads"] == config(FASTNN_NUM_THREADS="")["threads"]
    assert printed["ignored"] == f"FASTNN_NUM_THREADS must be a positive integer, got '{value}'"


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "OMP_THREAD_LIMIT"])
@pytest.mark.parametrize(("value", "count"), [("1", 1), ("1,7", 1), (" 1 , 2", 1), ("5000", None), ("", None)])
def test_openmp_bounds_the_default(name, value, count):
    unset = {"FASTNN_NUM_THREADS": "", "OMP_NUM_THREADS": "", "OMP_THREAD_LIMIT": ""}
    default = config(**unset)["threads"]
    expected = default if count is None or default.startswith("1 ") else f"{count} (decided by: {name})"
    printed = config(**unset | {name: value})
    assert printed["threads"] == expected
    assert "ignored" not in printed


@pytest.mark.parametrize(("omp", "own"), [("1", "3"), ("3", "1"), ("wrong", "2")])
def test_the_variable_of_fastnn_precedes_those_of_openmp(omp, own):
    printed = config(OMP_NUM_THREADS=omp, FASTNN_NUM_THREADS=own)
    assert printed["threads"] == f"{own} (decided by: FASTNN_NUM_THREADS)"
    assert "ignored" not in printed


@pytest.mark.parametrize("value", ["0", "-1", "all", "1.5", "2x", ",2", "0x2"])
def test_wrong_openmp_variables_are_reported(value):
    printed = config(OMP_NUM_THREADS=value, FASTNN_NUM_THREADS="")
    assert printed["threads"] == config(OMP_NUM_THREADS="", FASTNN_NUM_THREADS="")["threads"]
    assert printed["ignored"] == f"OMP_NUM_THREADS must be a positive integer, got '{value}'"


@pytest.mark.parametrize("wrong", [["FASTNN_NUM_THREADS"], ["OMP_NUM_THREADS"], ["FASTNN_NUM_THREADS", "OMP_NUM_THREADS"]])
@pytest.mark.parametrize("limit", ["1", "none"])
def test_a_wrong_variable_leaves_the_others_in_effect(wrong, limit):
    """The first error is reported, and correct variables take effect."""
    unset = {"FASTNN_NUM_THREADS": "", "OMP_NUM_THREADS": "", "OMP_THREAD_LIMIT": ""}
    default = config(**unset)["threads"]
    printed = config(**unset | dict.fromkeys(wrong, "wrong") | {"OMP_THREAD_LIMIT": limit})
    bounds = limit == "1" and not default.startswith("1 ")
    assert printed["threads"] == ("1 (decided by: OMP_THREAD_LIMIT)" if bounds else default)
    assert printed["ignored"] == f"{wrong[0]} must be a positive integer, got 'wrong'"


@pytest.mark.parametrize("name", ["FASTNN_NUM_THREADS", "OMP_NUM_THREADS", "OMP_THREAD_LIMIT"])
def test_ignored_variables_give_a_warning(name):
    unset = {"FASTNN_NUM_THREADS": "", "OMP_NUM_THREADS": "", "OMP_THREAD_LIMIT": ""}
    shown = run_script("import fastnn", **unset | {name: "many"}).stderr
    assert f"RuntimeWarning: {name} must be a positive integer, got 'many'; it is ignored" in shown
    assert run_script("import fastnn", **unset | {name: "2"}).stderr == ""


def write_files(root, files):
    """Write a tree like /proc and /sys."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


CGROUPS = {
    "version 2": {"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "100000 100000\n"},
    "version 2, of a parent": {
        "proc/self/cgroup": "0::/a/b\n",
        "sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
        "sys/fs/cgroup/a/cpu.max": "150000 100000\n",
    },
    "version 2, less than one": {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "20000 100000\n"},
    "version 1": {
        "proc/self/cgroup": "5:memory:/m\n4:cpu,cpuacct:/a\n",
        "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us": "100000\n",
        "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us": "100000\n",
    },
    "version 1, of a container": {
        "proc/self/cgroup": "4:cpu:/docker/0123\n",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "190000\n",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
    },
    "version 1, mounted by another name than the list's": {
        "proc/self/cgroup": "4:cpuacct,cpu:/a\n",
        "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "100000\n",
        "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n",
    },
    "version 2, of a group between": {
        "proc/self/cgroup": "0::/a/b/c\n",
        "sys/fs/cgroup/a/b/c/cpu.max": "900000 100000\n",
        "sys/fs/cgroup/a/b/cpu.max": "100000 100000\n",
        "sys/fs/cgroup/a/cpu.max": "800000 100000\n",
    },
    "version 2, a path with colons": {
        "proc/self/cgroup": "0::/a:b:c/d\n",
        "sys/fs/cgroup/a:b:c/d/cpu.max": "100000 100000\n",
    },
    "version 2, a slash at the end": {
        "proc/self/cgroup": "0::/a//b/\n",
        "sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
        "sys/fs/cgroup/a/cpu.max": "100000 100000\n",
    },
    "both versions, the second tighter": {
        "proc/self/cgroup": "4:cpu:/a\n0::/a\n",
        "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "900000\n",
        "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/a/cpu.max": "100000 100000\n",
    },
    "both versions, the first tighter": {
        "proc/self/cgroup": "4:cpu:/a\n0::/a\n",
        "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "100000\n",
        "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/a/cpu.max": "900000 100000\n",
    },
}
UNBOUNDED = {
    "no cgroup": {},
    "max": {"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/cpu.max": "max 100000\n"},
    "-1": {
        "proc/self/cgroup": "4:cpu:/a\n",
        "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "-1\n",
        "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n",
    },
    "more than there are": {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "900000000 100000\n"},
    "periods that are no times": {
        "proc/self/cgroup": "4:cpu:/a\n0::/x\n",
        "sys/fs/cgroup/x/cpu.max": "100000 -100000\n",
        "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "100000\n",
        "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "0\n",
    },
    "another controller's": {
        "proc/self/cgroup": "4:cpuset:/a\n3:memory:/a\n",
        "sys/fs/cgroup/cpuset/a/cpu.cfs_quota_us": "100000\n",
        "sys/fs/cgroup/cpuset/a/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/a/cpu.max": "100000 100000\n",
    },
    "damaged": {"proc/self/cgroup": "0\n:\n0::/x\n", "sys/fs/cgroup/x/cpu.max": "many\n"},
}


def cpus_of(tmp_path, files):
    """Return the CPUs of a process that may run on all of them and sees these files, and the reason for the limit."""
    write_files(tmp_path, files)
    return _core.usable_cpus_(str(tmp_path))


@pytest.mark.skipif(
    not hasattr(_core, "usable_cpus_") or not Path("/proc").exists(), reason="needs the extension, and Linux"
)
@pytest.mark.parametrize("files", CGROUPS.values(), ids=CGROUPS)
def test_cgroup_quotas_limit_the_cpus(files, tmp_path):
    affinity = len(os.sched_getaffinity(0))
    assert cpus_of(tmp_path, files) == ((1, "cgroup quota") if affinity > 1 else (1, "affinity"))


@pytest.mark.skipif(
    not hasattr(_core, "usable_cpus_") or not Path("/proc").exists(), reason="needs the extension, and Linux"
)
@pytest.mark.parametrize("files", UNBOUNDED.values(), ids=UNBOUNDED)
def test_files_without_a_quota_set_no_limit(files, tmp_path):
    assert cpus_of(tmp_path, files) == (len(os.sched_getaffinity(0)), "affinity")


@pytest.mark.skipif(
    not hasattr(_core, "usable_cpus_") or not Path("/proc").exists(), reason="needs the extension, and Linux"
)
@pytest.mark.parametrize("microseconds", [0, 99_999])
def test_a_quota_of_all_cpus_leaves_the_limit_to_affinity(microseconds, tmp_path):
    """A quota counts only if it is smaller than the affinity, after rounding down."""
    affinity = len(os.sched_getaffinity(0))
    quota = f"{affinity * 100_000 + microseconds} 100000\n"
    assert cpus_of(tmp_path, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": quota}) == (affinity, "affinity")


def test_the_default_is_the_number_of_cpus_this_process_may_use():
    script = """if True:
        import os
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
            import fastnn
            assert fastnn.get_num_threads() == 1, fastnn.get_num_threads()
        import fastnn
        assert 1 <= fastnn.get_num_threads() <= os.cpu_count()"""
    run_script(script, FASTNN_NUM_THREADS="")


# ---- The configuration that is shown ----


def test_show_config_prints_every_line(capsys):
    assert fastnn.show_config() is None
    shown = capsys.readouterr().out
    name, vector_bytes = _core.current_instruction_set()
    assert re.match(rf"fastnn +{re.escape(fastnn.__version__)}\n", shown)
    assert f"{name}, vectors of {vector_bytes} bytes (decided by: " in shown
    assert f"built            {', '.join(_core.built_instruction_sets())}\n" in shown
    assert f"usable here      {', '.join(_core.usable_instruction_sets())}\n" in shown
    assert re.search(rf"^threads +{fastnn.get_num_threads()} \(decided by: .+\)$", shown, re.MULTILINE)
    assert re.search(r"^Python, NumPy +\d+\.\d+\S*, \d+\.\d+", shown, re.MULTILINE)
    assert shown.endswith("\n")


# ---- Instruction sets ----


@pytest.mark.parametrize("isa", _core.built_instruction_sets())
def test_instruction_sets_can_be_forced(isa):
    if isa not in _core.usable_instruction_sets():
        result = run_script("import fastnn", check=False, FASTNN_ISA=isa)
        assert "ImportError" in result.stderr
        return
    printed = config(FASTNN_ISA=isa)
    assert printed["instruction set"].startswith(f"{isa}, vectors of ")
    if isa != _core.usable_instruction_sets()[0]:
        assert printed["instruction set"].endswith("(decided by: FASTNN_ISA)")


@pytest.mark.parametrize("isa", ["v5", "V4", "avx2", "1"])
def test_unknown_instruction_sets_are_an_import_error(isa):
    result = run_script("import fastnn", check=False, FASTNN_ISA=isa)
    assert result.returncode == 1
    error = result.stderr.strip().splitlines()[-1]
    built = ", ".join(_core.built_instruction_sets())
    assert error.startswith(f"ImportError: FASTNN_ISA={isa!r} can't be used: this build has {built}, of which")


def test_an_empty_variable_chooses_the_best_instruction_set():
    best = _core.usable_instruction_sets()[0]
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


def test_importing_fastnn_imports_only_numpy():
    assert set(run_script(LOADED.format(use="")).stdout.split()) <= {"fastnn", "numpy"}  # NumPy loads some parts late


def test_training_imports_nothing_more():
    use = """
model = fastnn.MLP((2, 4, 1))
model.fit([[0, 1], [1, 0]], [1, 0], epochs=3)
model.predict([1, 2])
fastnn.show_config()
"""
    printed = run_script(LOADED.format(use=use)).stdout.splitlines()[-1]
    assert set(printed.split()) <= {"fastnn", "numpy"}


def test_public_names_exist():
    for name in fastnn.__all__:
        assert getattr(fastnn, name) is not None
    assert set(fastnn.__all__) <= set(dir(fastnn))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        fastnn.nothing  # noqa: B018
