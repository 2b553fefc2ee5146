"""Losses and optimizers of fastnn.ops inside code that Numba compiles: they have the same bits as outside."""

from __future__ import annotations

import copy
import inspect
from itertools import combinations

import numpy as np
import pytest

from fastnn import ops

pytest.importorskip("numba")

import numba
from numba.core.registry import cpu_target

from fastnn import jit
from fastnn.reference.optimizers import STATES

TypingError = numba.core.errors.TypingError
DTYPES = [np.float32, np.float64]


def numbers(shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


# ---- Losses ----


@numba.njit
def squared(y, p):
    return ops.mse_loss(y, p)


@numba.njit
def binary(y, p):
    return ops.binary_cross_entropy(y, p)


@numba.njit
def classes(y, p):
    return ops.cross_entropy(y, p)


def test_compiled_losses_have_the_bits_of_ops():
    y, p = numbers((33, 5)), numbers((33, 5), seed=1)
    assert squared(y, p) == ops.mse_loss(y, p)
    assert squared(y.astype(np.float32), np.asfortranarray(p)) == ops.mse_loss(y.astype(np.float32), p)
    likely = ops.softmax(p)
    assert binary((y > 0) * 1.0, likely) == ops.binary_cross_entropy((y > 0) * 1.0, likely)
    assert binary(np.eye(3), np.eye(3)) == 0.0
    assert binary(np.eye(3), 1 - np.eye(3)) == np.inf
    labels = np.arange(33) % 5
    assert classes(labels, likely) == ops.cross_entropy(labels, likely)
    assert classes(likely, likely) == ops.cross_entropy(likely, likely)


def test_wrong_arguments_of_losses_raise():
    wrong = [
        (lambda: squared(np.ones(3), np.ones(4)), ValueError, "^y_true: expected the shape of y_pred"),
        (lambda: squared(np.ones((0, 2)), np.ones((0, 2))), ValueError, "^y_pred: expected at least one element"),
        (lambda: binary(np.ones(2), np.array([0.5, 1.5])), ValueError, "^y_pred: expected probabilities"),
        (lambda: classes(np.array([0, 2]), np.full((2, 2), 0.5)), ValueError, "^y_true: expected labels from 0"),
        (lambda: classes(np.array([0, -1]), np.full((2, 2), 0.5)), ValueError, "^y_true: expected labels from 0"),
        (lambda: binary(np.ones(2), np.array([0.5, -0.5])), ValueError, "^y_pred: expected probabilities"),
        (lambda: classes(np.array([0]), np.full((2, 2), 0.5)), ValueError, "^y_true: expected one label per row"),
        (lambda: classes(np.array([0.0, 1.0]), np.full((2, 2), 0.5)), TypingError, "cross_entropy"),
        (lambda: squared(np.ones((2, 1)), np.ones(2)), TypingError, "mse_loss"),
    ]
    for call, error, message in wrong:
        with pytest.raises(error, match=message):
            call()


# ---- Optimizers ----


@numba.njit
def sgd(params, grads, state, rate=0.1):
    ops.sgd(params, grads, rate)


@numba.njit
def momentum(params, grads, state):
    ops.momentum(params, grads, state, 0.1, nesterov=True)


@numba.njit
def adagrad(params, grads, state):
    ops.adagrad(params, grads, state)


@numba.njit
def rmsprop(params, grads, state):
    ops.rmsprop(params, grads, state, decay=0.9)


@numba.njit
def adam(params, grads, state):
    ops.adam(params, grads, state, learning_rate=0.1)


@numba.njit
def adamw(params, grads, state):
    ops.adamw(params, grads, state, weight_decay=0.1)


@numba.njit
def nadam(params, grads, state):
    ops.nadam(params, grads, state, momentum_decay=0.1)


@numba.njit
def lion(params, grads, state):
    ops.lion(params, grads, state, weight_decay=0.1)


OPTIMIZERS = {
    "sgd": (sgd, {"learning_rate": 0.1}),
    "momentum": (momentum, {"learning_rate": 0.1, "nesterov": True}),
    "adagrad": (adagrad, {}),
    "rmsprop": (rmsprop, {"decay": 0.9}),
    "adam": (adam, {"learning_rate": 0.1}),
    "adamw": (adamw, {"weight_decay": 0.1}),
    "nadam": (nadam, {"momentum_decay": 0.1}),
    "lion": (lion, {"weight_decay": 0.1}),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_compiled_optimizers_have_the_bits_of_ops(name, dtype):
    compiled, options = OPTIMIZERS[name]
    params = numbers((3, 4), dtype), numbers(4, dtype, 1)
    wanted = [param.copy() for param in params]
    state, kept = ((), None) if name == "sgd" else (jit.optimizer_state(name, params), {})
    for step in range(4):
        grads = np.cos(params[0] * step), np.sin(params[1] + step)
        compiled(params, grads, state)
        getattr(ops, name)(wanted, grads, *([] if kept is None else [kept]), **options)
    for actual, expected in zip(params, wanted, strict=True):
        np.testing.assert_array_equal(actual, expected)
    if name in ("adam", "adamw", "nadam"):
        assert state[-1][0] == kept["step"] == 4


@pytest.mark.parametrize("name", [*OPTIMIZERS, *("linear", "linear_grad", "softmax", "log_softmax")])
def test_compiled_optimizers_have_the_parameters_and_defaults_of_ops(name):
    """Numba compares the overload's signature with that of the function."""
    context = cpu_target.typing_context
    context.refresh()
    templates = context.resolve_value_type(getattr(ops, name)).templates
    (overload,) = [template._overload_func for template in templates if hasattr(template, "_overload_func")]
    inside, outside = (inspect.signature(function).parameters.values() for function in (overload, getattr(ops, name)))
    assert [(p.name, p.default) for p in inside] == [(p.name, p.default) for p in outside]


def test_lists_of_parameters_are_updated():
    params = numba.typed.List([numbers((3, 4)), numbers((2, 5), seed=1)])
    wanted = [param.copy() for param in params]
    grads = numba.typed.List([np.cos(param) for param in params])
    sgd(params, grads, ())
    ops.sgd(wanted, list(grads), 0.1)
    for actual, expected in zip(params, wanted, strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_gradients_may_be_parameters_and_of_other_types():
    params = np.ones(4), np.full(4, 2.0)
    sgd(params, (params[1], np.arange(4, dtype=np.float32)), ())
    np.testing.assert_array_equal(params[0], 1 - 0.1 * 2.0)
    np.testing.assert_allclose(params[1], 2 - 0.1 * np.arange(4), rtol=1e-15)
    params = np.ones(4), np.full(4, 2.0)
    sgd(params, params[::-1], ())
    np.testing.assert_array_equal(params[0], 1 - 0.1 * 2.0)
    np.testing.assert_array_equal(params[1], 2 - 0.1 * 1.0)


def test_wrong_arguments_of_optimizers_raise():
    params = np.ones((2, 3)), np.ones(3)
    state = jit.optimizer_state("momentum", params)
    fixed, zero = np.ones(3), np.zeros(1, int)
    fixed.flags.writeable = False
    wrong = [
        (lambda: sgd(params, (params[0], params[1][:2]), ()), ValueError, "^grads: expected the shapes"),
        (lambda: sgd(params, params[:1], ()), ValueError, "^grads, state: expected one array per parameter"),
        (lambda: momentum(params, params, (state[0][:1],)), ValueError, "^grads, state"),
        (lambda: momentum(params, params, ((np.zeros((2, 2)), state[0][1]),)), ValueError, "^state: expected the shapes"),
        (lambda: adam(params, params, (state[0], state[0][:1], np.zeros(1, int))), ValueError, "^grads, state"),
        (lambda: adam(params, params, (state[0], params[:1] * 2, np.zeros(1, int))), TypingError, "adam"),
        (
            lambda: adam(params, params, (state[0], (np.zeros((3, 2)), state[0][1]), zero)),
            ValueError,
            "^state: expected the shapes",
        ),
        (lambda: sgd(params, (params[0].T.copy(), params[1]), ()), ValueError, "^grads: expected the shapes"),
        (lambda: sgd((params[0].T,), (params[0].T,), ()), TypingError, "sgd"),
        (lambda: sgd((fixed,), (fixed,), ()), TypingError, "sgd"),
        (lambda: adam(params, params, state), TypingError, "adam"),
        (
            lambda: adam(params, params, (*state * 2, np.zeros(0, int))),
            ValueError,
            "^state: expected an array with one number",
        ),
        (
            lambda: adam(params, params, (*state * 2, np.array([-1]))),
            ValueError,
            "^state: expected a number of updates",
        ),
        (lambda: adam(params, params, (*state * 2, np.zeros(1))), TypingError, "adam"),
        (lambda: sgd(params, params, (), -0.1), ValueError, "^learning_rate: expected a finite number >= 0"),
        (lambda: sgd(params, params, (), np.inf), ValueError, "^learning_rate: expected a finite number >= 0"),
        (lambda: sgd(params, params, (), np.nan), ValueError, "^learning_rate: expected a finite number >= 0"),
        (lambda: sgd(params[0], params[0], ()), TypingError, "sgd"),
        (lambda: sgd((np.ones(3, int),), (np.ones(3),), ()), TypingError, "sgd"),
        (lambda: jit.optimizer_state("adam", 3), TypeError, "^params: expected a list of arrays, got int"),
        (lambda: jit.optimizer_state("adam", [np.ones(2), 3]), TypeError, r"^params\[1\]: expected an array, got int"),
        (lambda: jit.optimizer_state("sgd", params), ValueError, "^name: expected one of momentum, .*, got 'sgd'"),
    ]
    for call, error, message in wrong:
        with pytest.raises(error, match=message):
            call()
    for array in (*params, *state[0]):
        assert np.unique(array).size == 1


def shared_states(name):
    """Yield parameters and a state of which two arrays share memory, as tuples and as lists."""
    lists = ("params", *[kept for kept in STATES[name] if kept != "step"])
    every = [(kept, index) for kept in lists for index in (0, 2)]
    for one, other in combinations(every, 2):
        for shift in (0, 19) if other[0] != "params" else ():
            for first, second in ((0, shift), (shift, 0)):
                flat = np.arange(1.0, 40.0)
                arrays = {kept: [np.ones(20) for _ in range(3)] for kept in lists}
                arrays[one[0]][one[1]], arrays[other[0]][other[1]] = flat[first : first + 20], flat[second : second + 20]
                step = (np.ones(1, np.int64),) if "step" in STATES[name] else ()
                yield flat, tuple(arrays["params"]), (*[tuple(arrays[kept]) for kept in lists[1:]], *step)


@pytest.mark.parametrize(("name", "compiled"), [("momentum", momentum), ("adam", adam), ("adamw", adamw)])
def test_states_that_share_memory_raise_and_change_nothing(name, compiled):
    """Compiled code behaves like fastnn.ops outside."""
    grads = (np.ones(20),) * 3
    for flat, params, state in shared_states(name):
        before = copy.deepcopy((flat, params, state))
        with pytest.raises(ValueError, match="^state: expected an array of its own"):
            compiled(params, grads, state)
        np.testing.assert_equal((flat, params, state), before)
    room = np.ones((9, 20))  # side by side
    step = (np.ones(1, np.int64),) if "step" in STATES[name] else ()
    n = 3 * (len(STATES[name]) - len(step) + 1)
    parts = [tuple(room[i : i + 3]) for i in range(0, n, 3)]
    compiled(parts[0], grads, (*parts[1:], *step))
    assert (room[:3] != 1).all()


def test_parameters_may_share_memory():
    """They are updated one after the other; empty arrays overlap nothing."""
    flat = np.zeros(40)
    momentum((flat[:20], flat[10:30]), (np.ones(20), np.ones(20)), jit.optimizer_state("momentum", (flat[:20], flat[10:30])))
    assert (flat[10:20] < flat[:10]).all()
    assert (flat[30:] == 0).all()
    momentum((flat[:20], flat[30:30]), (np.ones(20), np.ones(0)), ((np.zeros(20), flat[5:5]),))
