"""Arrays at unaligned addresses: kernels access only aligned elements, and get copies of such arrays."""

from __future__ import annotations

import numpy as np
import pytest
from _helpers import KINDS

from fastnn import MLP, SGD, Trainer, ops
from fastnn._engine import core as _core

unaligned = KINDS["unaligned"]


def numbers(*shape):
    return np.random.default_rng(0).uniform(0.1, 0.9, shape)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_the_kernel_that_checks_for_finite_values_refuses_unaligned_arrays(dtype):
    array = numbers(40).astype(dtype)
    assert _core.first_not_finite(array) == -1
    with pytest.raises(TypeError, match="aligned"):
        _core.first_not_finite(unaligned(array))


@pytest.mark.parametrize("weighted", [False, True])
def test_unaligned_training_data_give_the_same_bits(weighted):
    X, y = numbers(40, 3), numbers(40, 2)
    weight = np.arange(40.0) if weighted else None
    losses = []
    for of in (lambda a: a, lambda a: a if a is None else unaligned(a)):
        trainer = Trainer(MLP((3, 4, 2), dtype=np.float64, random_state=0), optimizer=SGD(0.1))
        losses.append(trainer.step(of(X), of(y), sample_weight=of(weight)))
    assert losses[0] == losses[1]
    X[7, 2] = np.nan
    with pytest.raises(ValueError, match="row 7, column 2"):
        trainer.step(unaligned(X), unaligned(y), sample_weight=weight)


def test_unaligned_sparse_rows_give_the_same_bits():
    values, columns, starts = numbers(6), np.array([0, 2, 1, 0, 1, 2], np.int32), np.array([0, 2, 3, 6])
    rows = _core.SparseRows(unaligned(values), unaligned(columns), unaligned(starts), 3)
    for array, expected in ((rows.values, values), (rows.columns, columns), (rows.row_starts, starts)):
        assert array.flags.aligned
        np.testing.assert_array_equal(array, expected)


CALLS = {
    "function": lambda a: [ops.sin(a)],
    "function into": lambda a: [ops.sin(a, a)],
    "function of another": lambda a: [ops.sin(a + 0.0, a)],
    "layer": lambda a: [ops.linear(a, a.T)],
    "layer into": lambda a: [ops.linear(np.ones((6, 4)), np.ones((4, 5)), out=a)],
    "sgd": lambda a: [ops.sgd((a,), (a + 1.0,), 0.1)],
}


@pytest.mark.parametrize("name", CALLS)
def test_compiled_functions_accept_unaligned_arrays(name):
    numba = pytest.importorskip("numba")
    compiled = numba.njit(CALLS[name])
    aligned, odd = numbers(6, 5), unaligned(numbers(6, 5))
    for actual, expected in zip(compiled(odd), compiled(aligned), strict=True):
        np.testing.assert_array_equal(actual, expected)
    np.testing.assert_array_equal(odd, aligned)


def test_compiled_optimizers_update_unaligned_arrays():
    numba = pytest.importorskip("numba")

    @numba.njit
    def update(p, g, m, v):
        ops.sgd((p,), (g,), 0.1)
        ops.momentum((p,), (g,), ((m,),), 0.1)
        ops.rmsprop((p,), (g,), ((v,),), 0.1)
        ops.adam((p,), (g,), ((m,), (v,), np.ones(1, np.int64)), 0.1)

    results = []
    for of in (np.copy, unaligned):
        arrays = [of(array) for array in numbers(4, 30)]
        update(*arrays)
        results.append(arrays)
    np.testing.assert_array_equal(*results)


def test_compiled_code_recognizes_unaligned_addresses():
    numba = pytest.importorskip("numba")
    from fastnn.jit import _kernels

    is_aligned = numba.njit(lambda a: _kernels.is_aligned(a))
    apart_or_same = numba.njit(lambda a, b: _kernels.apart_or_same(a, b))
    array = numbers(30)
    for dtype in ("f4", "f8"):
        assert is_aligned(array.astype(dtype))
        assert not is_aligned(unaligned(array.astype(dtype)))
    assert apart_or_same(array, array)
    assert not apart_or_same(array, unaligned(array))
    assert not apart_or_same(unaligned(array), array)
