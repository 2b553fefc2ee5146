"""Models and trainers inside code that Numba compiles, and such code in caches on disk."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from _helpers import run_script

import fastnn
from fastnn import MLP, SGD, Trainer

pytest.importorskip("numba")

import numba

from fastnn import jit

TypingError = numba.core.errors.TypingError
DTYPES = [np.float32, np.float64]


@numba.njit
def predict(model, X):
    return model.predict(X)


@numba.njit
def predict_into(model, X, out):
    return model.predict(X, out=out, n_threads=1)


@numba.njit
def train(trainer, X, y, steps):
    loss = 0.0
    for _ in range(steps):
        loss = trainer.step(X, y)
    return loss


def inputs(n=9, n_in=3, dtype=np.float64):
    return np.random.default_rng(0).normal(size=(n, n_in)).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("wrap", [lambda model: model, jit.as_numba], ids=["itself", "as_numba"])
def test_compiled_predictions_have_the_bits_of_the_model(wrap, dtype):
    model = MLP((3, 17, 5, 2), ["tanh", "gelu"], "softmax", dtype=dtype, random_state=0)
    given = wrap(model)
    for X in (
        inputs(),
        inputs()[::2, ::-1],
        inputs(dtype=np.float32),
        np.rint(inputs()).astype(int),
        inputs()[0],
        inputs()[:0],
    ):
        wanted = model.predict(X)
        np.testing.assert_array_equal(predict(given, X), wanted, strict=True)
        np.testing.assert_array_equal(given.predict(X), wanted, strict=True)
        for out in (np.empty_like(wanted), np.empty(wanted.shape[::-1], dtype).T):
            assert predict_into(given, X, out) is out
            np.testing.assert_array_equal(out, wanted)
    model.weights[0][...] *= 2
    np.testing.assert_array_equal(predict(given, inputs()), model.predict(inputs()))


def test_out_may_overlap_the_inputs():
    model = MLP((2, 5, 2), dtype=np.float64, random_state=0)
    X = inputs(6, 2)
    wanted = model.predict(X)
    predict_into(model, X, X)
    np.testing.assert_array_equal(X, wanted)


def test_compiled_predictions_can_run_in_many_threads():
    model = MLP((3, 8, 2), random_state=0)

    @numba.njit(parallel=True, nogil=True)
    def rows(model, X):
        out = np.empty((len(X), 2), np.float32)
        for i in numba.prange(len(X)):
            out[i] = model.predict(X[i])
        return out

    X = inputs(500)
    np.testing.assert_array_equal(rows(model, X), model.predict(X))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("wrap", [lambda trainer: trainer, jit.as_numba], ids=["itself", "as_numba"])
def test_compiled_steps_have_the_bits_of_the_trainer(wrap, dtype):
    X, y = inputs(20, dtype=dtype), np.sin(inputs(20))[:, :2]
    trainers = [Trainer(MLP((3, 8, 2), dropout=0.2, dtype=dtype, random_state=1), "huber", l2=0.1) for _ in range(2)]
    loss = train(wrap(trainers[0]), X, y, 7)
    assert loss == [trainers[1].step(X, y) for _ in range(7)][-1]
    assert trainers[0].updates == 7
    trainers[0].learning_rate = trainers[1].learning_rate = 0.1
    assert train(trainers[0], X[::-1, :], y[:, :], 2) == [trainers[1].step(X[::-1], y) for _ in range(2)][-1]
    turned = np.asfortranarray(X), np.asfortranarray(y)
    assert train(trainers[0], *turned, 1) == trainers[1].step(X, y)
    trainers[0].run(X, y, 2), trainers[1].run(X, y, 2)
    np.testing.assert_array_equal(trainers[0].model.to_vector(), trainers[1].model.to_vector())


def test_compiled_steps_accept_every_kind_of_target():
    X, labels = inputs(12), np.arange(12) % 3
    model, other = (MLP((3, 5, 3), "relu", "softmax", random_state=0) for _ in range(2))
    trainer, same = Trainer(model, "cross_entropy"), Trainer(other, "cross_entropy")
    assert train(trainer, X, labels, 3) == [same.step(X, labels) for _ in range(3)][-1]
    assert train(trainer, X, np.eye(3)[labels], 1) == same.step(X, np.eye(3)[labels])
    one, alike = (Trainer(MLP((3, 1), random_state=0)) for _ in range(2))
    assert train(one, X, X[:, 0], 2) == [alike.step(X, X[:, 0]) for _ in range(2)][-1]
    wrong = [
        (lambda: train(trainer, X, labels + 1, 1), ValueError, "^y: expected labels from 0"),
        (lambda: train(trainer, X, np.ones(12), 1), ValueError, "^y: expected a row of targets for each row of X"),
        (lambda: train(one, X, np.ones((12, 2)), 1), ValueError, "^y: expected rows of as many numbers as the loss takes"),
        (lambda: train(one, X, np.ones(11), 1), ValueError, "^y: expected as many rows as X"),
        (lambda: train(trainer, X, labels - 1, 1), ValueError, "^y: expected labels from 0"),
        (lambda: train(one, X, np.ones(13), 1), ValueError, "^y: expected as many rows as X"),
        (lambda: train(one, np.ones((12, 4)), np.ones(12), 1), ValueError, r"^X: expected shape \(n, n_in\)"),
        (lambda: train(one, X[:, :2], np.ones(12), 1), ValueError, r"^X: expected shape \(n, n_in\)"),
        (lambda: train(one, X[:0], np.ones(0), 1), ValueError, r"^X: expected shape \(n, n_in\)"),
        (lambda: train(Trainer(MLP((3, 3))), X, labels, 1), ValueError, "^y: expected a row of targets for each row of X"),
        (lambda: train(one, X[0], np.ones((1, 1)), 1), TypingError, "step"),
    ]
    before = one.model.to_vector(), trainer.model.to_vector()
    for call, error, message in wrong:
        with pytest.raises(error, match=message):
            call()
    for actual, expected in zip((one.model.to_vector(), trainer.model.to_vector()), before, strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_compiled_steps_that_diverge_raise():
    trainer = Trainer(MLP((3, 1), dtype=np.float64, random_state=0), optimizer=SGD(1e200))
    with pytest.raises(fastnn.DivergedError, match="nothing was changed") as caught:
        train(trainer, inputs(), np.ones(9), 100)
    assert (caught.value.epoch, len(caught.value.history)) == (1, 0) or caught.value.history.epochs == 0
    assert np.isfinite(trainer.model.to_vector()).all()


def test_compiled_steps_during_a_run_raise():
    trainer, seen = Trainer(MLP((3, 1))), []

    class InTheMiddle:
        def on_epoch_end(self, trainer, history):
            for step in (trainer.step, lambda X, y: train(trainer, X, y, 1)):
                with pytest.raises(RuntimeError, match="^this trainer is already running"):
                    step(inputs(), np.ones(9))
                seen.append(step)

    trainer.run(inputs(), np.ones(9), 1, callbacks=[InTheMiddle()])
    assert len(seen) == 2
    trainer.step(inputs(), np.ones(9))


def test_wrong_objects_raise():
    with pytest.raises(TypeError, match="^model: expected MLP or Trainer, got int"):
        jit.as_numba(3)
    scheduled = Trainer(MLP((3, 1)), optimizer=SGD(lambda step: 0.1 / (1 + step)))
    for call in (lambda: jit.as_numba(scheduled), lambda: train(scheduled, inputs(), np.ones(9), 1)):
        with pytest.raises(TypeError, match="^trainer: expected a learning rate that is a number, got the schedule"):
            call()
    for n_in in (2, 4):
        with pytest.raises(ValueError, match="^X: expected rows of n_in"):
            predict(MLP((n_in, 1)), inputs())
    for shape in ((9, 2), (8, 1), (10, 1)):
        with pytest.raises(ValueError, match="^out: expected the shape"):
            predict_into(MLP((3, 1)), inputs(), np.empty(shape, np.float32))
    read_only = np.empty((9, 1), np.float32)
    read_only.flags.writeable = False
    for out in (read_only, np.empty((9, 1)), np.empty(9, np.float32)):
        with pytest.raises(TypingError, match="predict"):
            predict_into(MLP((3, 1)), inputs(), out)
    with pytest.raises(ValueError, match="^n_threads: expected at least 1"):
        numba.njit(lambda model, X: model.predict(X, n_threads=0))(MLP((3, 1)), inputs())
    for X in ("text", inputs() + 1j, inputs()[None]):
        with pytest.raises(TypingError):
            predict(MLP((3, 1)), X)
    assert repr(jit.as_numba(MLP((3, 1)))) == f"as_numba({MLP((3, 1))!r})"


def test_global_models_and_trainers_can_be_used():
    policy = MLP((3, 4, 3), "tanh", dtype=np.float64, random_state=0)
    handle = jit.as_numba(policy)

    @numba.njit(cache=True)
    def simulate(state, steps):
        for _ in range(steps):
            state += handle.predict(state)
        return state

    wanted = np.ones(3)
    for _ in range(5):
        wanted += policy.predict(wanted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", numba.core.errors.NumbaWarning)  # a warning that it cannot be cached
        np.testing.assert_array_equal(simulate(np.ones(3), 5), wanted)


CACHED = """
import sys
import numpy as np
import numba
import fastnn
from fastnn import ops

@numba.njit(cache=True)
def everything(model, x, w, b):
    a = ops.linear(ops.tanh(x), w, b, "gelu")
    return ops.softmax(ops.silu(a)), model.predict(x), ops.mse_loss(a, a + 1.0)

x = np.linspace(-1, 1, 12).reshape(4, 3)
w, b = np.ones((3, 2)), np.zeros(2)
model = fastnn.MLP((3, 4, 1), "tanh", dtype=np.float64, random_state=0)
soft, predicted, loss = everything(model, x, w, b)
a = ops.linear(ops.tanh(x), w, b, "gelu")
assert np.array_equal(soft, ops.softmax(ops.silu(a))) and np.array_equal(predicted, model.predict(x)) and loss == 1.0
print(sum(everything.stats.cache_hits.values()), sum(everything.stats.cache_misses.values()))
"""


def test_cached_code_works_in_another_process(tmp_path):
    """Its machine code must call kernels at the addresses of the new process."""
    program = tmp_path / "program.py"
    program.write_text(CACHED)
    runs = [run_script(f"import runpy; runpy.run_path({str(program)!r})").stdout.split() for _ in range(2)]
    assert runs == [["0", "1"], ["1", "0"]]


def test_importing_fastnn_does_not_import_numba():
    run_script("import sys, fastnn, fastnn.ops; fastnn.ops.tanh(1.0); assert not {'numba', 'llvmlite'} & set(sys.modules)")
