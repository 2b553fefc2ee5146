"""The elementary functions inside compiled code: the kernels' bits on every instruction set, and vectorized loops."""

from __future__ import annotations

import re

import numpy as np
import pytest
from _helpers import run_script

from fastnn import _core, ops

pytest.importorskip("numba")

import numba

from fastnn.jit._elementary import FUNCTIONS

# Runs on each instruction set: prints whether it is fused, and the functions whose bits are not those of fastnn.ops.
PROGRAM = """
import numba
import numpy as np
from fastnn import ops
from fastnn.jit._elementary import FUNCTIONS
from fastnn.jit._llvm import FUSED

np.seterr(all="ignore")
rng = np.random.default_rng(0)
powers = 2.0 ** np.arange(-1074, 1024)
bounds = [0, 0.625, 9.5, 20, 40, 88.72284, 103.97, 709.782712893384, 745.13, np.inf, np.nan]
edges = np.concatenate([powers, 1.5 * powers, bounds])
doubles = [
    rng.integers(0, 2**64, 500_000, np.uint64).view(np.float64),
    rng.integers(0, 2**52, 1000, np.uint64).view(np.float64),  # subnormal
    *(rng.uniform(-high, high, 300_000) for high in (2, 30, 800)),
    np.exp(rng.uniform(-50, 5, 600_000)),
    *(edges, np.nextafter(edges, 0), np.nextafter(edges, np.inf)),
]
doubles = np.concatenate([sign * x for x in doubles for sign in (1, -1)])
singles = np.arange(0, 2**32, 997, np.uint64).astype(np.uint32).view(np.float32)
singles = np.concatenate([singles, edges.astype(np.float32), -edges.astype(np.float32)])

different = []
for name, function in FUNCTIONS.items():

    @numba.njit
    def loop(x, y):
        for i in range(x.size):
            y[i] = function(x[i])

    for x, integer in ((singles, np.uint32), (doubles, np.uint64)):
        y = np.empty_like(x)
        loop(x, y)
        expected = getattr(ops, name)(x)
        same = (y.view(integer) == expected.view(integer)) | (np.isnan(y) & np.isnan(expected))
        if expected.dtype != x.dtype or not same.all():
            different.append(name)
print(FUSED, *different)
"""


def in_place(function, **options):
    """Return a compiled loop over the elements of an array."""

    @numba.njit(**options)
    def loop(a):
        for i in range(a.size):
            a[i] = function(a[i])

    return loop


@pytest.mark.parametrize("isa", _core.usable_instruction_sets())
def test_compiled_functions_have_the_bits_of_the_kernels(isa):
    process = run_script(PROGRAM, FASTNN_ISA=isa, PYTHONWARNINGS="error")
    assert process.stdout.split() == [str(isa != "baseline")]


@pytest.mark.parametrize("number", ["float32", "float64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_loops_are_vectorized(name, number):
    loop = in_place(FUNCTIONS[name])
    loop.compile((numba.types.Array(getattr(numba, number), 1, "C"),))
    code = loop.inspect_llvm(loop.signatures[0])
    assert re.search(rf"store <\d+ x {number.replace('float32', 'float').replace('float64', 'double')}>", code)
    assert f"@fastnn.{name}" not in code


@pytest.mark.parametrize("name", FUNCTIONS)
def test_fastmath_in_the_caller_changes_nothing(name):
    a = np.random.default_rng(0).uniform(0, 40, 1000)
    expected = getattr(ops, name)(a)
    in_place(FUNCTIONS[name], fastmath=True)(a)
    np.testing.assert_array_equal(a, expected)


def test_types_of_results_are_those_of_ops():
    tanh = FUNCTIONS["tanh"]
    call = numba.njit(lambda x: tanh(x))
    for given in (0, 1, True, np.int8(-3), np.uint64(2)):
        assert call(given) == ops.tanh(float(given))
    assert call(np.float32(0.3)) == ops.tanh(np.float32(0.3))
    assert {str(s.return_type) for s in call.nopython_signatures if s.args[0] != numba.float32} == {"float64"}
    with pytest.raises(numba.TypingError):
        call(1j)


def test_functions_of_functions_have_the_bits_of_ops():
    log, exp = FUNCTIONS["log"], FUNCTIONS["exp"]
    call = numba.njit(lambda x: log(exp(x)) + exp(log(x)) + exp(x))
    assert call(0.5) == ops.log(ops.exp(0.5)) + ops.exp(ops.log(0.5)) + ops.exp(0.5)
