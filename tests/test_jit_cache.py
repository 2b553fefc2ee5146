"""Compiled functions in files: the next process finds them, but only if nothing they depend on has changed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from _helpers import run_script

from fastnn import _core

pytest.importorskip("numba")

import numba
from _jit_activations import leaky

from fastnn import jit
from fastnn.jit import _cache
from fastnn.jit._cache import fingerprint

MODULE = """
import math, os
import numba
import helper
from fastnn import jit
from fastnn.jit import _cache

FACTOR = float(os.environ.get("FACTOR", "1"))

def make(scale, uses="input"):
    derivative = (lambda z: scale) if uses == "input" else (lambda a: scale + 0.0 * a)

    @jit.activation(derivative=derivative, uses=uses, check_range=None)
    def scaled(z):
        return scale * z + FACTOR * helper.shifted(0.0) + helper.CONSTANT
    return scaled

@jit.loss(gradient=lambda y, p: 2.0 * (p - y))
def squared(y, p):
    return (p - y) ** 2.0
"""
HELPER = "import numba\nCONSTANT = 0.0\n@numba.njit\ndef shifted(z):\n    return z + 1.0\n"
# The program prints whether anything was compiled, and f(2) of every activation, in a network and in a call.
PROGRAM = """
import sys
from numba.core import event
sys.path.insert(0, sys.argv[1])
from fastnn import MLP
with event.install_recorder("numba:run_pass") as passes:
    import own
    print(own.squared(1.0, 3.0))
    for scale in sys.argv[2:]:
        activation = own.make(*eval(scale))
        model = MLP((1, 1), output_activation=activation, init="zeros")
        model.biases[0][...] = 2.0
        print(activation(2.0), model.predict([0.0])[0], activation.slope(1.0))
print(len(passes.buffer) > 0)
"""


@pytest.fixture
def run(tmp_path):
    """Return a function that runs the program on some scales, in a process of its own with a cache for this test."""
    (tmp_path / "own.py").write_text(MODULE)
    (tmp_path / "helper.py").write_text(HELPER)
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}

    def run_(*scales, **environment):
        lines = run_script(PROGRAM, str(tmp_path), *scales, **(cache | environment)).stdout.splitlines()
        assert lines[0] == "4.0"
        return lines[-1] == "True", [[float(number) for number in line.split()] for line in lines[1:-1]]

    return run_


def files(tmp_path):
    return sorted((tmp_path / "cache").rglob("*.nbc"))


def test_the_next_process_compiles_nothing(run, tmp_path):
    """It does not matter what else the first process has compiled: each function has its own names for the linker."""
    assert run("(2.0,)") == (True, [[5.0, 5.0, 2.0]])
    assert run("(3.0,)") == (True, [[7.0, 7.0, 3.0]])
    kept = files(tmp_path)
    assert len(kept) == 5  # two activations for two dtypes, and the loss
    assert run("(3.0,)", "(2.0,)") == (False, [[7.0, 7.0, 3.0], [5.0, 5.0, 2.0]])
    assert files(tmp_path) == kept


def test_changes_outside_the_file_of_the_function_are_noticed(run, tmp_path):
    run("(2.0,)")
    assert run("(2.0,)", FACTOR="4") == (True, [[8.0, 8.0, 2.0]])
    (tmp_path / "helper.py").write_text(HELPER.replace("1.0", "3.0"))
    assert run("(2.0,)") == (True, [[7.0, 7.0, 2.0]])
    (tmp_path / "helper.py").write_text(HELPER.replace("CONSTANT = 0.0", "CONSTANT = 9.0"))
    assert run("(2.0,)") == (True, [[14.0, 14.0, 2.0]])
    assert run("(2.0, 'output')")[0]
    (tmp_path / "own.py").write_text(MODULE.replace("scale * z +", "scale + z +"))
    (tmp_path / "helper.py").write_text(HELPER)
    assert run("(5.0,)") == (True, [[8.0, 8.0, 5.0]])


@pytest.mark.skipif(len(_core.usable_instruction_sets()) < 2, reason="this machine has one level only")
def test_instruction_sets_with_and_without_fma_have_separate_files(run):
    fused = next(level for level in _core.usable_instruction_sets() if level != "baseline")
    assert run("(2.0,)", FASTNN_ISA="baseline")[0]
    assert run("(2.0,)", FASTNN_ISA=fused)[0]
    assert not run("(2.0,)", FASTNN_ISA="baseline")[0]


def test_damaged_and_exchanged_files_are_ignored(run, tmp_path):
    run("(2.0,)", "(3.0,)")
    kept = {path.name: path for path in files(tmp_path)}
    one, other = (kept[name] for name in sorted(kept) if "scaled" in name and name.endswith((".1.nbc", ".3.nbc")))
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    assert run("(2.0,)", "(3.0,)") == (True, [[5.0, 5.0, 2.0], [7.0, 7.0, 3.0]])
    for path in (tmp_path / "cache").rglob("*.nb?"):
        path.write_bytes(path.read_bytes()[:-9])
    assert run("(2.0,)", "(3.0,)") == (True, [[5.0, 5.0, 2.0], [7.0, 7.0, 3.0]])


def test_functions_compile_without_a_writable_directory(run, tmp_path):
    nowhere = tmp_path / "nowhere"
    nowhere.write_text("")
    (tmp_path / "__pycache__").write_text("")
    environment = {"NUMBA_CACHE_DIR": str(nowhere), "XDG_CACHE_HOME": str(nowhere), "HOME": str(nowhere)}
    for _ in range(2):
        assert run("(2.0,)", **environment) == (True, [[5.0, 5.0, 2.0]])


def test_functions_without_a_source_file_are_not_cached(tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    names = {"jit": jit}
    exec("@jit.activation(derivative=lambda z: 3.0)\ndef triple(z):\n    return 3.0 * z", names)
    assert names["triple"](2.0) == 6.0
    assert not list(tmp_path.rglob("*.nb?"))


# ---- Within a process ----


def make(scale):
    return jit.activation(derivative=lambda z: scale, name="made")(lambda z: scale * z)


def test_the_same_function_is_compiled_once():
    one, other, different = make(1.5), make(1.5), make(2.5)
    assert one.address(np.float64) == other.address(np.float64)
    assert len({a.address(t) for a in (one, different) for t in (np.float32, np.float64)}) == 4
    assert (one(1.0), different(1.0)) == (1.5, 2.5)


def with_global(**names):
    return eval("lambda z: z * A", {"A": 1.0} | names)


DIFFERENT = [
    *(with_global(A=value) for value in (1.0, 1, True, -1.0, 0.0, -0.0, math.nan, np.float32(1), np.float64(1))),
    with_global(A=np.ones(2)),
    with_global(A=np.zeros(2)),
    with_global(A=(1.0, 2.0)),
    with_global(A=(1.0, 3.0)),
    with_global(A=numba.njit(lambda z: z)),
    with_global(A=numba.njit(lambda z: -z)),
    with_global(A=numba.njit(fastmath=True)(lambda z: z)),
    with_global(A=math.sin),
    with_global(A=math.cos),
    lambda z: z * 2.0,
    lambda z: z * 3.0,
    lambda z: z + 3.0,
    lambda z, a=1.0: z * a,
    lambda z, a=2.0: z * a,
    lambda z, *, a=2.0: z * a,
    lambda z, *, a=3.0: z * a,
    lambda z: (lambda x: x + 1.0)(z),
    lambda z: (lambda x: x + 2.0)(z),
    lambda z: math.exp(z),
    lambda z: np.exp(z),
    lambda z: z in {1.0, 2.0},
    lambda z: z in {1.0, 3.0},
]


def test_fingerprints_depend_on_everything_a_function_uses():
    prints = [fingerprint(function) for function in DIFFERENT]
    assert None not in prints
    assert len(set(prints)) == len(prints)
    assert [fingerprint(function) for function in DIFFERENT] == prints


def test_recursive_functions_have_a_fingerprint():
    names = {}
    exec("def fall(z):\n    return fall(z - 1.0) if z > 0.0 else z", names)
    assert fingerprint(names["fall"]) is not None


@pytest.mark.parametrize("unknown", [object(), [1.0], {"a": 1}, leaky, numba.vectorize(lambda z: z)], ids=type)
def test_functions_with_unknown_objects_have_no_fingerprint(unknown):
    assert fingerprint(with_global(A=unknown)) is None


def test_the_argument_of_the_derivative_is_part_of_the_key():
    def square(z):
        return z * z

    def itself(value):
        return value

    of_input, of_output = (
        jit.activation(derivative=itself, uses=uses, check_range=None)(square) for uses in ("input", "output")
    )
    assert (of_input.slope(3.0), of_output.slope(3.0)) == (3.0, 9.0)
    assert of_input.address(np.float32) != of_output.address(np.float32)


def test_derivatives_are_part_of_the_key():
    def line(z):
        return z

    pair = [jit.activation(derivative=derivative, check_range=None)(line) for derivative in (lambda z: 1.0, lambda z: 2.0)]
    assert [made.slope(0.0) for made in pair] == [1.0, 2.0]


def test_the_kind_of_function_is_part_of_the_key():
    def both(z, p=4.0):
        return z + p

    def one(z, p=0.0):
        return 1.0

    activation = jit.activation(derivative=one, name="both kinds")(both)
    loss = jit.loss(gradient=one, name="both kinds", check_range=None)(both)
    assert (activation(1.0), loss(1.0, 2.0)) == (5.0, 3.0)


@pytest.mark.parametrize(("name", "other"), [("__version__", "0"), ("_own_code", lambda: b"0"), ("FUSED", None)])
def test_code_that_fastnn_adds_is_part_of_the_key(name, other, monkeypatch):
    before = fingerprint(with_global(A=1.0))
    monkeypatch.setattr(_cache, name, other)
    assert fingerprint(with_global(A=1.0)) not in (before, None)
