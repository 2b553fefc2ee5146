"""Memory that compiled code uses: alive until a kernel returns, and as long as anything refers to a model."""

from __future__ import annotations

import gc
import sys
import warnings
import weakref

import numpy as np
import pytest
from _helpers import run_script

from fastnn import MLP, SGD, Trainer

pytest.importorskip("numba")

import numba
from numba.experimental import jitclass

from fastnn import jit

# ---- Arrays ----

# Every argument of every function is a temporary, or a part of one. Freed memory is overwritten or unmapped.
TEMPORARIES = """
import numpy as np
import numba
import fastnn
from fastnn import jit, ops

@numba.njit
def layers(x, w, b, a):
    ops.linear(x + 0.0, w + 0.0, b + 0.0, "tanh", out=np.empty_like(a))
    return (
        ops.linear(x + 0.0, w + 0.0, b + 0.0, "tanh"),
        ops.linear((x + 0.0)[:, ::-1], (w + 0.0)[::-1]),
        ops.linear(x + 0.0, w + 0.0, (b + 0.0)[::-1], out=np.empty_like(a), n_threads=1),
        ops.linear_grad(x + 0.0, w + 0.0, a + 0.0, a * 2.0, "tanh"),
        ops.softmax(a + 0.0), ops.log_softmax((a + 0.0)[:, ::-1], out=a + 0.0),
        ops.sin(a.copy()), ops.gelu((a + 0.0)[::2]), ops.sin(a.copy(), a + 0.0),
        np.array([
            ops.mse_loss(a + 0.0, a * 2.0),
            ops.binary_cross_entropy(np.abs(a), (a * a)),
            ops.cross_entropy(np.zeros(len(a), np.int32), (a * a)),
            ops.cross_entropy(np.abs(a), (a * a)),
        ]),
    )

def expected_layers(x, w, b, a):
    labels = np.zeros(len(a), np.int32)
    return (
        ops.linear(x, w, b, "tanh"), ops.linear(x[:, ::-1], w[::-1]), ops.linear(x, w, b[::-1]),
        ops.linear_grad(x, w, a, a * 2.0, "tanh"), ops.softmax(a), ops.log_softmax(a[:, ::-1]), ops.sin(a), ops.gelu(a[::2]),
        ops.sin(a),
        np.array([
            ops.mse_loss(a, a * 2.0), ops.binary_cross_entropy(np.abs(a), a * a), ops.cross_entropy(labels, a * a),
            ops.cross_entropy(np.abs(a), a * a),
        ]),
    )

@numba.njit
def update(p, g, m, v):
    q, r = p.copy(), p.copy()
    ops.sgd((p, p + 1.0), (g * 1.0, p * 2.0), 0.1)
    ops.sgd([q], [g * 1.0], 0.1)
    ops.sgd(numba.typed.List([r]), numba.typed.List([(g * 1.0)[:]]), 0.1)
    ops.momentum((p,), (g * 1.0,), ((m + 0.0,),), 0.1)
    ops.adagrad((p,), (g * 1.0,), ((v + 0.0,),), 0.1)
    ops.rmsprop((p,), (g * 1.0,), ((v + 0.0,),), 0.1)
    ops.adam((p,), (g * 1.0,), ((m + 0.0,), (v + 0.0,), np.ones(1, np.int64)), 0.1)
    ops.adamw((p,), (g * 1.0,), ((m + 0.0,), (v + 0.0,), np.ones(1, np.int64)), 0.1)
    return q, r

def expected_update(p, g, m, v):
    q, r = p.copy(), p.copy()
    for array in (p, q, r):
        ops.sgd([array], [g], 0.1)
    ops.momentum([p], [g], {"velocity": [m.copy()]}, 0.1)
    ops.adagrad([p], [g], {"sum": [v.copy()]}, 0.1)
    ops.rmsprop([p], [g], {"v": [v.copy()]}, 0.1)
    for function in (ops.adam, ops.adamw):
        function([p], [g], {"m": [m.copy()], "v": [v.copy()], "step": 1}, 0.1)
    return q, r

@numba.njit
def predict_and_step(model, trainer, x, y):
    before = model.predict(x + 0.0), model.predict((x + 0.0)[:, ::-1], out=np.empty_like(y)), model.predict(x[0] + 0.0)
    loss = trainer.step((x + 0.0)[:, :], y + 0.0)
    trainer.step(x + 0.0, y + 0.0)
    return before[0], before[1], before[2], np.array([loss])

def flat(results):
    return [array for result in results for array in (result if isinstance(result, tuple) else (result,))]

def check(actual, expected):
    for one, other in zip(flat(actual), flat(expected), strict=True):
        np.testing.assert_array_equal(one, other)

rng = np.random.default_rng(0)
for n in (2, 1500, 9000):  # of 3 columns: tens of bytes, below malloc's threshold for pages of their own, and above it
    x, w, b = rng.normal(size=(n, 4)), rng.normal(size=(4, 3)), rng.normal(size=3)
    a = np.tanh(rng.normal(size=(n, 3)))
    check(layers(x, w, b, a), expected_layers(x, w, b, a))
    p, g, m, v = (np.abs(array) for array in rng.normal(size=(4, 3 * n)))
    other = p.copy()
    check(update(p, g, m, v), expected_update(other, g, m, v))
    np.testing.assert_array_equal(p, other)
    trainers = [fastnn.Trainer(fastnn.MLP((4, 5, 3), dtype=np.float64, random_state=0)) for _ in range(2)]
    actual = predict_and_step(trainers[0].model, trainers[0], x, a)
    model = trainers[1].model
    before = model.predict(x), model.predict(x[:, ::-1]), model.predict(x[0])
    losses = [trainers[1].step(x, a) for _ in range(2)]
    check(actual, (*before, np.array(losses[:1])))
    np.testing.assert_array_equal(trainers[0].model.to_vector(), model.to_vector())
wide = [np.tanh(rng.normal(size=shape)) for shape in ((3, 200), (200, 150), (150,), (3, 150))]  # with weights above it
check(layers(*wide), expected_layers(*wide))
"""


def test_temporaries_live_until_the_kernel_returns():
    run_script(TEMPORARIES, timeout=300, MALLOC_PERTURB_="165", MALLOC_MMAP_THRESHOLD_=str(2**17), NUMBA_OPT="1")


# ---- Models and trainers ----


@numba.njit
def rolled(model, x, steps):
    for _ in range(steps):
        x = model.predict(x)
        yield x[0]


@numba.njit
def trained(trainer, X, y, steps):
    for _ in range(steps):
        yield trainer.step(X, y)


@numba.njit
def first_of(models, x):
    return models[0].predict(x)


@numba.njit
def last_of(models):
    return models.pop()


@numba.njit
def same(value):
    return value


@numba.njit
def in_a_container(model):
    kept = [(model, 1.0)]
    kept.append((model, 2.0))
    return kept


def model(**options):
    return MLP((2, 8, 2), "tanh", dtype=np.float64, random_state=0, **options)


def litter():
    """Overwrite freed memory."""
    gc.collect()
    return [np.random.default_rng(0).normal(size=size) for size in range(1, 300)]


X = np.array([[0.1, 0.2], [0.3, -0.4]])
WRAPPED = pytest.mark.parametrize("wrap", [lambda value: value, jit.as_numba], ids=["itself", "as_numba"])


@WRAPPED
def test_a_generator_keeps_its_model_alive(wrap):
    owner = model()
    gone = weakref.ref(owner)
    generator = rolled(wrap(owner), X[0], 4)
    first = next(generator)
    del owner
    litter()
    assert gone() is not None
    expected = list(rolled.py_func(model(), X[0], 4))
    assert [first, *generator] == expected
    del generator
    gc.collect()
    assert gone() is None


@WRAPPED
def test_a_generator_keeps_its_trainer_alive(wrap):
    """This includes a trainer whose variable has been assigned another one."""
    trainer = Trainer(model(), optimizer=SGD(0.1))
    generator = trained(wrap(trainer), X, X, 3)
    losses = [next(generator)]
    trainer.__setstate__(trainer.__getstate__())
    litter()
    losses.append(next(generator))
    gone = weakref.ref(trainer)
    del trainer
    litter()
    losses.append(next(generator))
    other = Trainer(model(), optimizer=SGD(0.1))
    assert [*losses, *generator] == [other.step(X, X) for _ in range(3)]  # Numba never frees generators that have not ended
    del generator
    gc.collect()
    assert gone() is None


@pytest.mark.filterwarnings("ignore::numba.core.errors.NumbaPendingDeprecationWarning")
def test_containers_keep_their_models_alive():
    wanted = model().predict(X[0])
    np.testing.assert_array_equal(first_of((model(), 1.0), X[0]), wanted)
    np.testing.assert_array_equal(first_of([model(), model()], X[0]), wanted)
    with pytest.raises(TypeError, match="heterogeneous list"):
        first_of([model(), MLP((2, 2))], X[0])
    models = numba.typed.List()
    models.append(model())
    litter()
    np.testing.assert_array_equal(first_of(models, X[0]), wanted)
    np.testing.assert_array_equal(last_of(models).predict(X[0]), wanted)
    owner = model()
    kept = in_a_container(owner)
    assert [entry[0] for entry in kept] == [owner, owner]


def test_an_instance_of_a_jitclass_keeps_its_model_alive():
    @jitclass([("policy", numba.typeof(model()))])
    class Agent:
        def __init__(self, policy):
            self.policy = policy

        def act(self, x):
            return self.policy.predict(x)

    agent = Agent(model())
    litter()
    np.testing.assert_array_equal(agent.act(X[0]), model().predict(X[0]))
    assert agent.policy is agent.policy


def test_types_are_known_before_anything_is_compiled():
    run_script("import numba, fastnn; from fastnn import jit; print(numba.typeof(jit.as_numba(fastnn.MLP((2, 1)))))")


def test_models_can_be_compared_by_identity():
    are_same = numba.njit(lambda a, b: (a is b, a is not b))
    for one, other in ((model(), model()), (Trainer(model()), Trainer(model()))):
        assert are_same(one, one) == (True, False)
        assert are_same(one, other) == (False, True)


@pytest.mark.parametrize("kind", [lambda: model(), lambda: Trainer(model())], ids=["model", "trainer"])
@WRAPPED
def test_compiled_functions_return_the_object_itself(kind, wrap):
    value = wrap(kind())
    before = sys.getrefcount(value)
    for _ in range(10):
        assert same(value) is value
    assert sys.getrefcount(value) == before


def test_a_closure_keeps_its_model_alive():
    def made():
        owner = model()
        return numba.njit(lambda x: owner.predict(x)), numba.njit(lambda: owner)

    predict, owner = made()
    wanted = model().predict(X[0])
    np.testing.assert_array_equal(predict(X[0]), wanted)
    litter()
    np.testing.assert_array_equal(predict(X[0]), wanted)
    owner().__setstate__(model().__getstate__())  # which replaces the network
    litter()
    np.testing.assert_array_equal(predict(X[0]), wanted)
    np.testing.assert_array_equal(owner().predict(X[0]), wanted)


@WRAPPED
def test_a_global_trainer_is_looked_up_at_each_step(wrap):
    trainer = Trainer(model(), optimizer=SGD(0.1))
    given = wrap(trainer)
    step, itself = numba.njit(lambda X, y: given.step(X, y)), numba.njit(lambda: given)
    other = Trainer(model(), optimizer=SGD(0.1))
    for rate in (0.1, 0.5):
        trainer.learning_rate = other.learning_rate = rate
        assert step(X, X) == other.step(X, X)
    trainer.__setstate__(trainer.__getstate__())
    litter()
    assert step(X, X) == other.step(X, X)
    np.testing.assert_array_equal(trainer.model.to_vector(), other.model.to_vector())
    assert itself() is given
    references = sys.getrefcount(given)
    assert all(itself() is given for _ in range(5))
    assert sys.getrefcount(given) == references
    trainer.learning_rate = lambda update: 0.1
    with pytest.raises(TypeError, match="^trainer: expected a learning rate that is a number, got a schedule"):
        step(X, X)


def test_global_trainers_can_be_used_in_threads():
    trainers = tuple(Trainer(model(), optimizer=SGD(0.1)) for _ in range(4))

    @numba.njit(parallel=True)
    def step_all(X, y, steps):
        losses = np.zeros(4)
        for i in numba.prange(4):
            for _ in range(steps):
                losses[i] = trainers[i].step(X, y)
        return losses

    other = Trainer(model(), optimizer=SGD(0.1))
    losses = [other.step(X, X) for _ in range(5)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", numba.core.errors.NumbaWarning)
        np.testing.assert_array_equal(step_all(X, X, 5), losses[-1])
