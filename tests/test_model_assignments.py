"""Assignments to a model's parameters change the model; assignments that would have no effect raise."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from fastnn import MLP, ops

SIZES = (4, 16, 16, 3)
LISTS = ["weights", "biases", "parameters"]
by_list = pytest.mark.parametrize("name", LISTS)


def model_of(dtype=np.float64, seed=0):
    model = MLP(SIZES, "tanh", dtype=dtype, random_state=seed)
    for b in model.biases:
        b[...] = np.random.default_rng(seed).normal(size=b.shape)
    return model


@by_list
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("form", [np.asarray, np.asfortranarray, lambda a: a.tolist(), lambda a: a.astype("f2")])
def test_an_assigned_element_is_copied(name, dtype, form):
    model, values = model_of(dtype), [np.round(p, 1) for p in getattr(model_of(seed=1), name)]
    X = np.random.default_rng(0).normal(size=(5, 4))
    for i in (*range(len(values)), -1, -2):
        before, view = model.predict(X), getattr(model, name)[i]
        getattr(model, name)[i] = form(values[i])
        assert getattr(model, name)[i] is view
        np.testing.assert_allclose(view, values[i], rtol=1e-3)
        assert (model.predict(X) != before).any() or i < 0
    expected = MLP(SIZES, "tanh", dtype=dtype, random_state=0)
    expected.set_vector(model.to_vector())
    np.testing.assert_array_equal(model.predict(X), expected.predict(X))


@by_list
def test_a_whole_list_is_copied(name):
    model, other, third = model_of(), model_of(seed=1), model_of(seed=2)
    setattr(model, name, getattr(other, name))
    getattr(third, name)[:] = tuple(getattr(other, name))
    for each in (model, third):
        for got, wanted in zip(getattr(each, name), getattr(other, name), strict=True):
            np.testing.assert_array_equal(got, wanted)
            assert not np.shares_memory(got, wanted)


def test_slices_and_arithmetic_in_place():
    model = model_of()
    second, third = (w.copy() for w in model.weights[1:])
    model.weights[1:] = [second * 2, third * 3]
    model.weights[0] -= 1.0
    model.weights[2] *= 2.0
    np.testing.assert_array_equal(model.weights[1], second * 2)
    np.testing.assert_array_equal(model.weights[2], third * 6)
    square = MLP((5, 5, 5, 5), random_state=0)
    kept = [w.copy() for w in square.weights]
    square.weights[:2] = square.weights[1::-1]  # each is a view of the other's memory
    square.weights[2] = square.weights[2].T
    for got, wanted in zip(square.weights, (kept[1], kept[0], kept[2].T), strict=True):
        np.testing.assert_array_equal(got, wanted)


@by_list
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda v: v.__setitem__(0, np.zeros(5)), ValueError, r"\[0\]: expected shape \(.*got \(5,\)"),
        (lambda v: v.__setitem__(0, v[0][None]), ValueError, r"\[0\]: expected shape \(.*got \(1, "),
        (lambda v: v.__setitem__(-1, 0.0), ValueError, r"\[-1\]: expected shape \(.*got \(\)"),
        (lambda v: v.__setitem__(0, ["a"]), TypeError, r"\[0\]: .*got dtype"),
        (lambda v: v.__setitem__(0, None), TypeError, r"\[0\]: "),
        (lambda v: v.__setitem__(9, np.zeros(5)), IndexError, "index"),
        (lambda v: v.__setitem__(slice(None), v[:1]), ValueError, r": expected [36] arrays, got 1 arrays"),
        (lambda v: v.__setitem__(slice(None), 7), ValueError, r": expected [36] arrays.*got 7"),
        (lambda v: v.__setitem__(slice(0, 2), [v[0] + 1, np.zeros(1)]), ValueError, r"\[1\]: expected shape .*got \(1,\)"),
        (lambda v: v.append(v[0]), TypeError, "keeps its layers"),
        (lambda v: v.extend([]), TypeError, "keeps its layers"),
        (lambda v: v.insert(0, v[0]), TypeError, "keeps its layers"),
        (lambda v: v.__iadd__([v[0]]), TypeError, "keeps its layers"),
        (lambda v: v.__imul__(2), TypeError, "keeps its layers"),
        (lambda v: v.pop(), TypeError, "keeps its layers"),
        (lambda v: v.remove(v[0]), TypeError, "keeps its layers"),
        (lambda v: v.clear(), TypeError, "keeps its layers"),
        (lambda v: v.reverse(), TypeError, "keeps its layers"),
        (lambda v: v.sort(key=len), TypeError, "keeps its layers"),
        (lambda v: v.__delitem__(0), TypeError, "keeps its layers"),
    ],
)
def test_impossible_assignments_raise_and_change_nothing(name, change, error, message):
    model = model_of()
    before = model.to_vector()
    with pytest.raises(error, match=message) as caught:
        change(getattr(model, name))
    assert error is IndexError or str(caught.value).startswith(name)
    np.testing.assert_array_equal(model.to_vector(), before)


@by_list
def test_the_lists_of_parameters_behave_like_lists(name):
    model = model_of()
    views = getattr(model, name)
    assert isinstance(views, list)
    assert repr(views) == repr(list(views))
    plain = [views[:], views + views[:0], views * 1, views.copy(), copy.copy(views), list(views)]
    for other in plain:
        assert type(other) is list
        assert all(a is b for a, b in zip(other, views, strict=True))
    for other in (copy.deepcopy(views), pickle.loads(pickle.dumps(views))):
        assert type(other) is list
        for got, wanted in zip(other, views, strict=True):
            np.testing.assert_array_equal(got, wanted)
            assert not np.shares_memory(got, wanted)
        other[0] = None  # a plain list


def test_functions_of_arrays_accept_the_lists():
    model = model_of()
    X, y = np.ones((3, 4)), np.ones((3, 3))
    before = model.loss(X, y)
    for _ in range(5):
        ops.sgd(model.parameters, model.gradient(X, y)[1], 0.1)
    assert model.loss(X, y) < before


@pytest.mark.parametrize("name", ["layer_sizes", "activations", "activation", "output_activation", "dropout", "dtype"])
def test_the_structure_of_a_model_cannot_be_assigned(name):
    model = model_of()
    with pytest.raises(AttributeError, match=f"{name}: a model keeps what it was made with; MLP"):
        setattr(model, name, getattr(model, name, "tanh"))


@pytest.mark.parametrize("name", ["loss", "optimizer", "learning_rate", "batch_size", "epochs", "l2"])
def test_settings_of_training_cannot_be_assigned_to_a_model(name):
    with pytest.raises(AttributeError, match=rf"^{name}: .*(fit\(|MLP\(…, {name}=…\))"):
        setattr(model_of(), name, "mae")


def test_other_attributes_can_be_assigned():
    class Named(MLP):
        optimizer = None

    model, named = model_of(), Named(SIZES)
    model.note, named.optimizer, named.epochs = "mine", "adam", 5
    assert (model.note, named.optimizer, named.epochs) == ("mine", "adam", 5)
    with pytest.raises(AttributeError, match="dropout"):
        named.dropout = 0.5
