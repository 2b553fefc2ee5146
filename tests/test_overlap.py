"""Arrays that share memory: results are those of separate arrays, for any offset, layout and number of threads."""

from __future__ import annotations

import numpy as np
import pytest

import fastnn
from fastnn import MLP, ops
from fastnn._engine import core as _core

THREADS = [1, 2, 3, 7]
OFFSETS = [1, 3, 16, 63, 64, 65, 511, 512, 513, 20_000]
UPDATES = ["sgd", "momentum", "adagrad", "rmsprop", "adam", "adamw", "nadam", "lion"]
LONG = 400_000  # elements enough to be divided among threads: more than twice half a MiB


@pytest.fixture(params=THREADS)
def n_threads(request):
    """Use this many threads wherever work is divided."""
    before = fastnn.get_num_threads()
    fastnn.set_num_threads(request.param)
    yield request.param
    fastnn.set_num_threads(before)


def shifted(memory, offset, forwards):
    """Return an input and an output in one array, the output some elements before or after the input."""
    low, high = memory[: memory.size - offset], memory[offset:]
    return (low, high) if forwards else (high, low)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("forwards", [True, False])
@pytest.mark.parametrize("size", [700, LONG])
def test_ufuncs_of_shifted_arrays_equal_those_of_copies(n_threads, size, forwards, dtype):
    rng = np.random.default_rng(size)
    for offset in (offset for offset in OFFSETS if offset < size):
        x, out = shifted(rng.normal(size=size + offset).astype(dtype), offset, forwards)
        expected = ops.tanh(x.copy())
        ops.tanh(x, out=out)
        np.testing.assert_array_equal(out, expected, err_msg=f"{offset}")


@pytest.mark.parametrize("name", _core.FUNCTIONS)
def test_every_ufunc_of_shifted_arrays_equals_that_of_copies(name, three_threads):
    function, rng = getattr(ops, name), np.random.default_rng(0)
    for forwards in (True, False):
        x, out = shifted(rng.uniform(0.1, 0.9, LONG), 7, forwards)
        expected = function(x.copy())
        function(x, out=out)
        np.testing.assert_array_equal(out, expected)


def views(rng, room, shape):
    """Return two random views of one array with the same shape: any offset, steps of either sign, transposed or not."""
    found = []
    for _ in range(2):
        steps = [int(rng.choice([1, 1, 2, 3])) for _ in shape]
        starts = [int(rng.integers(n - (k - 1) * step)) for n, k, step in zip(room.shape, shape, steps, strict=True)]
        slices = [slice(s, s + (k - 1) * t + 1, t) for s, k, t in zip(starts, shape, steps, strict=True)]
        view = room[tuple(slices)]
        view = view[tuple(slice(None, None, int(rng.choice([1, -1]))) for _ in shape)]
        found.append(view.T if len(set(shape)) == 1 and rng.random() < 0.3 else view)
    return found


def random_views(seed):
    """Return pairs of overlapping views: vectors, long vectors, and matrices, of each type."""
    rng = np.random.default_rng(seed)
    for case in range(18):
        dtype = rng.choice(["f2", "f4", "f8"])
        shape = [(int(rng.integers(1, 900)),), (LONG,), (int(rng.integers(1, 40)),) * 2][case % 3 if case % 9 else 1]
        room = rng.normal(size=tuple(3 * k + 5 for k in shape)).astype(dtype)
        yield views(rng, room, shape)


def test_ufuncs_of_random_views_equal_those_of_copies(n_threads):
    for x, out in random_views(1):
        expected = ops.sigmoid(x.copy())
        ops.sigmoid(x, out=out)
        np.testing.assert_array_equal(out, expected)


def test_ufuncs_of_random_views_with_where_equal_those_of_copies(n_threads):
    rng = np.random.default_rng(5)
    for x, out in random_views(2):
        where = rng.random(x.shape) < 0.5
        expected = np.where(where, ops.sigmoid(x.copy()), out)
        ops.sigmoid(x, out=out, where=where)
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("function", [ops.softmax, ops.log_softmax])
def test_softmax_of_random_views_equals_that_of_copies(function, n_threads):
    for x, out in random_views(3):
        for axis in range(x.ndim):
            expected = function(x.copy(), axis=axis)
            kept = out.copy()
            function(x, axis=axis, out=out)
            np.testing.assert_array_equal(out, expected)
            out[...] = kept


@pytest.mark.parametrize("n_threads", THREADS)
@pytest.mark.parametrize("n", [1, 9, 40, 300])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_linear_may_overwrite_each_of_its_arguments(n, dtype, n_threads):
    rng = np.random.default_rng(n)
    for step in (1, 2, -1):
        room = [rng.normal(size=(3 * n, 3 * n)).astype(dtype) for _ in range(4)]
        x, w, out = (array[n : 2 * n, n : 2 * n][::step, ::step] for array in room[:3])
        x, w, out = (array[: len(out), : len(out)] for array in (x, w, out))
        b = room[3][0, : len(out)]
        expected = ops.linear(x.copy(), w.copy(), b.copy(), "tanh", n_threads=n_threads)
        for argument in (x, w):  # the array itself, and one that begins in the middle of it
            for target in (argument, np.lib.stride_tricks.as_strided(argument, argument.shape, argument.strides)):
                kept = argument.copy()
                result = ops.linear(x, w, b, "tanh", out=target, n_threads=n_threads)
                np.testing.assert_array_equal(result, expected)
                argument[...] = kept
        biases = out[0]
        biases[...] = b
        np.testing.assert_array_equal(ops.linear(x, w, biases, "tanh", out=out, n_threads=n_threads), expected)


def test_linear_of_shifted_rows_equals_that_of_copies(n_threads):
    rng = np.random.default_rng(0)
    for rows in (3, 70, 900):
        for shift in (1, 5):
            room, w = rng.normal(size=(rows + shift, 24)), rng.normal(size=(24, 24))
            for x, out in ((room[:rows], room[shift:]), (room[shift:], room[:rows])):
                expected = ops.linear(x.copy(), w)
                np.testing.assert_array_equal(ops.linear(x, w, out=out, n_threads=n_threads), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", [1, 4, 33, 700])
def test_predictions_may_overwrite_their_inputs(rows, dtype):
    model = MLP((6, 40, 6), "tanh", dtype=dtype, random_state=0)
    rng = np.random.default_rng(rows)
    for n_threads in THREADS:
        for shift in (0, 1, 3):
            room = rng.normal(size=(rows + shift, 6)).astype(dtype)
            for X, out in ((room[:rows], room[shift:]), (room[shift:], room[:rows])):
                expected = model.predict(X.copy())
                np.testing.assert_array_equal(model.predict(X, out=out, n_threads=n_threads), expected)


def updated(name, arrays, grads):
    """Return a parameter and its moments after three updates by an optimizer."""
    function, state = getattr(ops, name), {}
    for grad in grads:
        function([arrays], [grad], 0.01) if name == "sgd" else function([arrays], [grad], state, 0.01)
    return arrays.copy()


@pytest.mark.parametrize("name", UPDATES)
def test_gradients_may_be_views_of_the_parameter(name, n_threads):
    for param, grad in random_views(4):
        if not np.isfinite(param).all():
            continue
        expected_param = param.copy()
        expected = updated(name, expected_param, [grad.copy()])
        np.testing.assert_array_equal(updated(name, param, [grad]), expected)


@pytest.mark.parametrize("name", ["momentum", "adam"])
def test_gradients_may_be_views_of_a_moment(name):
    rng = np.random.default_rng(0)
    param, state, other_state = rng.normal(size=500), {}, {}
    other, function, grad = param.copy(), getattr(ops, name), rng.normal(size=500)
    function([param], [grad], state, 0.01)
    function([other], [grad], other_state, 0.01)
    first = next(kept for kept in state if kept != "step")
    for shift in (0, 1, 9):
        room = np.concatenate([state[first][0], np.zeros(shift)])
        state[first][0], gradient = room[:500], room[shift:]
        function([other], [gradient.copy()], other_state, 0.01)
        function([param], [gradient], state, 0.01)
        np.testing.assert_array_equal(param, other)


def test_linear_grad_may_be_given_one_array_for_all_arguments(n_threads):
    a = np.random.default_rng(0).uniform(0.1, 0.9, (30, 30))
    for got, expected in zip(
        ops.linear_grad(a, a, a, a, "tanh"), ops.linear_grad(a.copy(), a.copy(), a.copy(), a.copy(), "tanh"), strict=True
    ):
        np.testing.assert_array_equal(got, expected)


# ---- Training on the model's own parameters ----

TRAININGS = {
    "step": lambda trainer, X, y: trainer.step(X, y),
    "weighted step": lambda trainer, X, y: trainer.step(X, y, np.ones(len(X))),
    "step_gradient": lambda trainer, X, y: trainer.step_gradient(X, y),
    "accumulate": lambda trainer, X, y: (trainer.accumulate(X, y), trainer.apply()),
    "run": lambda trainer, X, y: trainer.run(X, y, 3),
    "validation": lambda trainer, X, y: trainer.run(X.copy(), y.copy(), 3, validation_data=(X, y)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("call", TRAININGS.values(), ids=TRAININGS)
@pytest.mark.parametrize("which", ["X", "y"])
def test_training_on_the_parameters_of_the_model_is_training_on_their_copies(call, which, dtype):
    results = []
    for copied in (False, True):
        model = MLP((16, 16, 16), "tanh", dtype=dtype, random_state=0)
        trainer = fastnn.Trainer(model, optimizer=fastnn.SGD(0.1), batch_size=4, random_state=0)
        own = model.weights[0].copy() if copied else model.weights[0]
        given = np.linspace(-1, 1, 256, dtype=dtype).reshape(16, 16)
        arrays = (own, given) if which == "X" else (given, own)
        call(trainer, *arrays)
        results.append([*model.to_vector(), *trainer.history.get("val_loss", [])])
    np.testing.assert_array_equal(*results)


def test_training_on_sparse_rows_whose_values_are_parameters():
    sparse = pytest.importorskip("scipy.sparse")
    results = []
    for copied in (False, True):
        model = MLP((16, 16), dtype="float64", random_state=0)
        values = model.weights[0].reshape(-1)
        assert np.shares_memory(values, model.weights[0])
        rows = (values.copy() if copied else values, np.tile(np.arange(16), 16), np.arange(0, 257, 16))
        X = sparse.csr_array((16, 16))
        X.data, X.indices, X.indptr = rows
        fastnn.Trainer(model, optimizer=fastnn.SGD(0.1), batch_size=4, random_state=0).run(X, np.ones((16, 16)), 2)
        results.append(model.to_vector())
    np.testing.assert_array_equal(*results)


@pytest.mark.filterwarnings("ignore:.*converge")
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_estimators_fitted_to_their_own_coefficients_are_fitted_to_copies(solver):
    pytest.importorskip("sklearn")
    from fastnn.sklearn import MLPRegressor

    given, results = np.linspace(-1, 1, 256).reshape(16, 16), []
    for copied in (False, True):
        options = {"random_state": 0, "max_iter": 3, "warm_start": True, "solver": solver}
        estimator = MLPRegressor(hidden_layer_sizes=(16,), activation="tanh", **options)
        own = estimator.fit(given, given[::-1]).coefs_[0]
        estimator.fit(given, own.copy() if copied else own)
        results.append(np.concatenate([w.ravel() for w in estimator.coefs_]))
    np.testing.assert_array_equal(*results)
