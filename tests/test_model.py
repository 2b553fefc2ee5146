"""The model: its arguments, its parameters, and copies of it."""

from __future__ import annotations

import copy
import pickle
from itertools import pairwise

import numpy as np
import pytest
from _helpers import HIDDEN, data, forward, model_of

from fastnn import MLP, SGD, Trainer

SIZES = (3, 8, 5, 2)


# ---- Construction ----

WRONG = [
    ({"layer_sizes": 3}, TypeError, "layer_sizes: .*got 3"),
    ({"layer_sizes": None}, TypeError, "layer_sizes: .*got None"),
    ({"layer_sizes": (3,)}, ValueError, "layer_sizes: expected .*2 to 65 sizes, got 1"),
    ({"layer_sizes": [1] * 66}, ValueError, "layer_sizes: .*got 66"),
    ({"layer_sizes": (3, 0, 2)}, ValueError, "layer_sizes: expected an integer >= 1.*got 0"),
    ({"layer_sizes": (3, -4, 2)}, ValueError, "layer_sizes: .*got -4"),
    ({"layer_sizes": (3, 4.0, 2)}, TypeError, "layer_sizes: .*got 4.0 of type float"),
    ({"layer_sizes": (3, True)}, TypeError, "layer_sizes: .*got True"),
    ({"layer_sizes": "34"}, TypeError, "layer_sizes: .*got '34'"),
    ({"layer_sizes": {3, 4}}, TypeError, "layer_sizes: .*got {3, 4}"),
    ({"layer_sizes": {3: 4, 2: 1}}, TypeError, "layer_sizes: .*got {3: 4, 2: 1}"),
    ({"layer_sizes": (2**57, 128)}, ValueError, "layer_sizes"),
    ({"layer_sizes": (2**62, 1)}, ValueError, "layer_sizes"),
    ({"layer_sizes": (2**70, 128)}, ValueError, "layer_sizes"),
    ({"activation": "rleu"}, ValueError, "activation: expected one of identity, tanh.*got 'rleu'"),
    ({"activation": ["tanh"]}, ValueError, "activation: expected 2, .*got 1"),
    ({"activation": ["tanh", 3]}, TypeError, "activation: .*got 3"),
    ({"activation": "softmax"}, ValueError, "activation: .*got 'softmax'"),
    ({"activation": ["tanh", "exp"]}, ValueError, "activation: .*got 'exp'"),
    ({"activation": None}, TypeError, "activation: .*got None"),
    ({"activation": 5}, TypeError, "activation: .*got 5"),
    ({"output_activation": "liner"}, ValueError, "output_activation: expected one of identity.*got 'liner'"),
    ({"output_activation": None}, (TypeError, ValueError), "output_activation: .*got None"),
    ({"output_activation": ["tanh"]}, (TypeError, ValueError), "output_activation: .*got "),
    ({"dropout": 1.0}, ValueError, "dropout: expected a finite number >= 0 and < 1.*got 1.0"),
    ({"dropout": -0.1}, ValueError, "dropout: .*got -0.1"),
    ({"dropout": float("nan")}, ValueError, "dropout: .*got nan"),
    ({"dropout": [0.1]}, ValueError, "dropout: expected 2 rates, .*got 1"),
    ({"dropout": [0.1, 1.5]}, ValueError, "dropout: .*got 1.5"),
    ({"dropout": None}, TypeError, "dropout: .*got None"),
    ({"dropout": "0.5"}, (TypeError, ValueError), "dropout: .*got "),
    ({"dropout": [0.1, "0.1"]}, TypeError, "dropout: .*got '0.1'"),
    ({"init": "xavier"}, ValueError, "init: expected one of 'auto', 'glorot_uniform'.*got 'xavier'"),
    ({"init": None}, TypeError, "init: .*got None"),
    ({"dtype": np.float16}, ValueError, "dtype: expected float32 or float64.*got float16"),
    ({"dtype": np.int32}, ValueError, "dtype: .*got int32"),
    ({"dtype": ">f4"}, ValueError, "dtype: .*got >f4"),
    ({"dtype": "single precision"}, TypeError, "dtype: .*got 'single precision'"),
    ({"random_state": -1}, ValueError, "random_state: .*got -1"),
    ({"random_state": "seed"}, TypeError, "random_state: .*got 'seed'"),
    ({"random_state": 1.5}, TypeError, "random_state: .*got 1.5"),
]


@pytest.mark.parametrize(("changes", "error", "message"), WRONG, ids=[str(changes) for changes, _, _ in WRONG])
def test_wrong_arguments_raise(changes, error, message):
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    with pytest.raises(error, match=f"^{message}"):
        MLP(**{"layer_sizes": SIZES, "random_state": rng} | changes)
    assert rng.bit_generator.state == before


def test_models_too_large_for_the_machine_raise():
    with pytest.raises((ValueError, MemoryError)):
        MLP((2**40, 2**24))


def test_activations_are_given_for_all_layers_or_for_each():
    assert MLP(SIZES).activations == ("relu", "relu", "identity")
    assert MLP(SIZES, ["tanh", "gelu"], "softmax").activations == ("tanh", "gelu", "softmax")
    assert MLP((3, 2), "tanh").activations == ("identity",)
    assert MLP((3, 2), []).activations == ("identity",)
    assert MLP(SIZES, dropout=0.25).dropout == (0.25, 0.25)
    assert MLP(SIZES, dropout=(0, 0.5)).dropout == (0.0, 0.5)


@pytest.mark.parametrize("sizes", [(3, 8, 2), [3, 8, 2], np.array([3, 8, 2]), (n for n in (3, 8, 2))], ids=type)
def test_layer_sizes_may_be_any_iterable_of_integers(sizes):
    model = MLP(sizes)
    assert model.layer_sizes == (3, 8, 2)
    assert all(type(size) is int for size in model.layer_sizes)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, "float32", "f8", np.dtype("f4"), float], ids=str)
def test_dtypes_may_be_given_by_name_or_type(dtype):
    model = MLP(SIZES, dtype=dtype)
    assert model.dtype == np.dtype(dtype)
    assert {p.dtype for p in model.parameters} == {model.dtype}
    assert model.predict(np.zeros((2, 3))).dtype == model.dtype


def test_the_deepest_network_and_a_wide_one_compute():
    deep = model_of((2,) * 65)
    X = np.random.default_rng(0).normal(size=(5, 2))
    np.testing.assert_allclose(deep.predict(X), forward(deep, X)[-1], rtol=1e-10, atol=1e-14)
    assert len(deep.gradient(X, X)[1]) == 128
    wide = model_of((1, 5000, 1))
    np.testing.assert_allclose(wide.predict(X[:, :1]), forward(wide, X[:, :1])[-1], rtol=1e-10)


@pytest.mark.parametrize("activation", HIDDEN)
def test_initial_weights_depend_on_the_activation(activation):
    model = MLP((300, 400, 200, 5), [activation, "tanh"], "relu", dtype=np.float64, random_state=0)
    normal = dict.fromkeys(("relu", "leaky_relu", "elu", "gelu", "silu", "mish", "softplus"), np.sqrt(2 / 300))
    normal["selu"] = np.sqrt(1 / 300)
    limit = np.sqrt(6 / 700)
    assert (np.abs(model.weights[0]).max() <= limit) != (activation in normal)
    assert model.weights[0].std() == pytest.approx(normal.get(activation, limit / np.sqrt(3)), rel=0.01)
    assert np.abs(model.weights[1]).max() <= np.sqrt(6 / 600)
    assert model.weights[2].std() == pytest.approx(np.sqrt(2 / 200), rel=0.1)
    assert all((b == 0).all() for b in model.biases)


def test_initial_weights_are_chosen_by_name_and_seed():
    rng = np.random.default_rng(3)
    model = MLP((3, 4, 2), init="lecun_normal", random_state=rng)
    again = np.random.default_rng(3)
    for w in model.weights:
        np.testing.assert_array_equal(w, again.normal(0, np.sqrt(1 / len(w)), w.shape).astype(np.float32))
    assert rng.bit_generator.state == again.bit_generator.state  # the model keeps the generator that was given
    assert (MLP((3, 4), random_state=1).to_vector() == MLP((3, 4), random_state=1).to_vector()).all()
    assert (MLP((3, 4)).to_vector()[:12] != MLP((3, 4)).to_vector()[:12]).any()
    assert not MLP((3, 4), init="zeros").to_vector().any()


@pytest.mark.parametrize("seed", [5, np.random.SeedSequence(5), np.random.PCG64(5), np.random.RandomState(5)], ids=type)
def test_seeds_may_be_whatever_numpy_accepts(seed):
    model = MLP(SIZES, random_state=seed)
    assert np.isfinite(model.to_vector()).all()
    model.fit(*data(10, 3, 2))


# ---- Parameters ----


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", [SIZES, (3, 2), (5, 17, 16), (40, 256, 1)], ids=str)
def test_parameters_are_live_views(sizes, dtype):
    model = MLP(sizes, dtype=dtype, random_state=0)
    X = np.random.default_rng(0).normal(size=(4, sizes[0]))
    assert [w.shape for w in model.weights] == list(pairwise(sizes))
    assert [b.shape for b in model.biases] == [(n,) for n in sizes[1:]]
    assert all(p is q for p, q in zip(model.parameters[::2], model.weights, strict=True))
    assert all(p is q for p, q in zip(model.parameters[1::2], model.biases, strict=True))
    rng = np.random.default_rng(1)
    for p in model.parameters:
        before = model.predict(X)
        p[...] = rng.normal(size=p.shape) + 1
        assert (model.predict(X) != before).any()
    np.testing.assert_allclose(model.predict(X), forward(model, X)[-1], rtol=1e-4)
    view = model.weights[0]
    model.set_vector(np.zeros(model.to_vector().size))
    assert not view.any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_vectors_hold_all_parameters(dtype):
    model = MLP(SIZES, dtype=dtype, random_state=0)
    vector = model.to_vector()
    np.testing.assert_array_equal(vector, np.concatenate([p.ravel() for p in model.parameters]))
    assert vector.dtype == dtype
    vector[...] = 0  # the vector is a copy
    assert model.weights[0].any()
    for kind in (list, tuple, np.int16, lambda v: v[::-1][::-1], lambda v: v.astype(">f8"), lambda v: v.astype(object)):
        numbers = np.arange(vector.size) % 100
        model.set_vector(kind(numbers))
        np.testing.assert_array_equal(model.to_vector(), numbers)


@pytest.mark.parametrize("wrong", [np.zeros(5), np.zeros((87, 1)), 3.0, [], "text", None, np.zeros(87, complex)], ids=repr)
def test_wrong_vectors_raise_and_change_nothing(wrong):
    model = MLP(SIZES, random_state=0)
    before = model.to_vector()
    with pytest.raises((TypeError, ValueError), match="^v: .*got "):
        model.set_vector(wrong)
    np.testing.assert_array_equal(model.to_vector(), before)


# ---- Copies ----


@pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_equal_and_share_nothing(copied):
    model = MLP((3, 8, 5, 2), ["tanh", "gelu"], "softmax", dropout=[0.1, 0.2], dtype=np.float64, random_state=4)
    twin = copied(model)
    for name in ("layer_sizes", "activations", "dropout", "dtype"):
        assert getattr(twin, name) == getattr(model, name)
    np.testing.assert_array_equal(twin.to_vector(), model.to_vector())
    twin.weights[0][...] = 0
    assert model.weights[0].any()


def test_a_copy_trains_to_the_same_bits():
    model = MLP(SIZES, dropout=0.5, random_state=4)
    X, y = data(20, 3, 2)
    twin, third = copy.deepcopy(model), pickle.loads(pickle.dumps(model))
    for m in (model, twin, third):
        m.fit(X, y, epochs=3, batch_size=6)
    np.testing.assert_array_equal(model.to_vector(), twin.to_vector())
    np.testing.assert_array_equal(model.to_vector(), third.to_vector())


def test_repr_shows_the_arguments():
    assert repr(MLP((3, 2))) == "MLP((3, 2), output_activation='identity', dtype=float32)"
    assert "output_activation='identity', dropout=[0.0, 0.5], dtype" in repr(MLP((3, 4, 4, 2), dropout=[0.0, 0.5]))
    model = MLP(SIZES, "tanh", "softmax", dtype=float)
    text = "MLP((3, 8, 5, 2), activation='tanh', output_activation='softmax', dtype=float64)"
    assert repr(model) == text
    assert "activation=['tanh', 'gelu']" in repr(MLP(SIZES, ["tanh", "gelu"]))
    trainer = Trainer(model, "cross_entropy", "sgd", batch_size=8)
    assert repr(trainer) == f"Trainer({text}, loss=CrossEntropy(), optimizer={SGD()!r}, batch_size=8)"
