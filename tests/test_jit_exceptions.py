"""Custom functions that raise inside the native loop: results are NaN, and training ends."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from fastnn import MLP, SGD, DivergedError, Trainer

pytest.importorskip("numba")

from fastnn import jit


def identity(z):
    return z


def picky_identity(z):
    if z > 20.0:
        raise ValueError("too much")
    return z


def one(z):
    return 1.0


def picky_one(z):
    if z > 20.0:
        raise ValueError("too much")
    return 1.0


def error(y, p):
    return p - y


def picky_error(y, p):
    if p > 20.0:
        raise ValueError("too much")
    return p - y


ACTIVATIONS = [
    jit.activation(derivative=one, name="picky")(picky_identity),
    jit.activation(derivative=picky_one, name="picky derivative")(identity),
    jit.activation(derivative=picky_one, uses="output", name="picky derivative of the output")(identity),
]
LOSSES = [
    jit.loss(gradient=error, name="picky loss", check_range=None)(picky_error),
    jit.loss(gradient=picky_error, name="picky gradient", check_range=None)(error),
]
of_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def called(made, dtype, *arguments):
    """Return both results for a block of numbers."""
    results = np.zeros((2, arguments[0].size), dtype)
    arrays = [argument.astype(dtype) for argument in arguments]
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (len(arrays) + 2), ctypes.c_int64)(made.address(dtype))
    function(*[array.ctypes.data for array in (*arrays, *results)], results.shape[1])
    return results


@of_dtypes
@pytest.mark.parametrize("made", [*ACTIVATIONS, *LOSSES], ids=repr)
@pytest.mark.parametrize("place", [0, 5, 12])
def test_the_whole_block_becomes_nan(made, dtype, place):
    z = np.linspace(0, 1, 13)
    z[place] = 30.0
    arguments = (z,) if made in ACTIVATIONS else (np.zeros(13), z)
    assert np.isnan(called(made, dtype, *arguments)).all()
    z[place] = 0.5
    assert np.isfinite(called(made, dtype, *arguments)).all()
    with pytest.raises(ValueError, match=f"^function: {made.name} or its derivative raised ValueError.'too much'.*number"):
        made.value(*(np.where(argument == 0.5, 30.0, argument) for argument in arguments))


@of_dtypes
@pytest.mark.parametrize("made", [*ACTIVATIONS, *LOSSES], ids=repr)
def test_training_ends_with_an_error(made, dtype):
    options = ({"activation": made}, "mse") if made in ACTIVATIONS else ({"activation": "identity"}, made)
    model = MLP((1, 3, 1), **options[0], init="zeros", dtype=dtype)
    for w in model.weights:
        w[...] = 1.0
    X = np.ones((50, 1))
    X[17] = 30.0
    before = model.to_vector()
    for trainer in (Trainer(model, options[1], SGD(0.01)), Trainer(model, options[1], SGD(0.01), batch_size=50)):
        with pytest.raises(DivergedError):
            trainer.run(X, X[:, 0], 3)
        with pytest.raises(DivergedError):
            trainer.step(X, X[:, 0])
    np.testing.assert_array_equal(model.to_vector(), before)
    assert np.isfinite(Trainer(model, options[1]).step(X[:9], X[:9, 0]))
