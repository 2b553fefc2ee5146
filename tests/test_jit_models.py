"""Custom activations in models, copies and files."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from _helpers import data

from fastnn import MLP, Adam, Trainer, _custom, reference
from fastnn._custom import CustomActivation

pytest.importorskip("numba")

from _jit_activations import SIZES, exponential, leaky, swish

from fastnn import jit


def test_models_show_custom_activations():
    model = MLP(SIZES, [leaky, "tanh"], swish)
    assert model.activations == (leaky, "tanh", swish)
    text = "activation=[<activation 'leaky'>, 'tanh'], output_activation=<activation 'swish'>"
    assert repr(model) == f"MLP((3, 13, 9, 2), {text}, dtype=float32)"
    assert "activation=<activation 'leaky'>," in repr(MLP(SIZES, leaky))
    assert leaky.__name__ == "leaky"
    assert leaky.__doc__ == "Return z if it is positive, else a hundredth of it."


def test_initial_weights_are_those_of_glorot():
    one, other = (MLP(SIZES, leaky, init=init, random_state=0) for init in ("auto", "glorot_uniform"))
    np.testing.assert_array_equal(one.to_vector(), other.to_vector())


@pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_share_the_activation(copied):
    assert copied(leaky) is leaky
    model = MLP(SIZES, [leaky, "tanh"], exponential, random_state=0)
    twin = copied(model)
    assert twin.activations == model.activations
    X = data(30, 3, 2)[0]
    np.testing.assert_array_equal(model.predict(X), twin.predict(X))
    trainer = copied(Trainer(model))
    assert trainer.model.activations == model.activations


def test_activations_that_are_not_names_of_a_module_cannot_be_pickled():
    nameless = jit.activation(derivative=lambda z: 1.0)(lambda z: z)
    with pytest.raises((pickle.PicklingError, AttributeError), match="(?i)can't (pickle|get local object).*<lambda>"):
        pickle.dumps(nameless)
    model = MLP((2, 3, 1), nameless)
    assert copy.deepcopy(model).activations == model.activations


def test_files_name_the_activation(tmp_path, monkeypatch):
    path = tmp_path / "a file"
    model = MLP(SIZES, [leaky, "tanh"], exponential, random_state=0)
    X, y = data(30, 3, 2)
    trainer = Trainer(model, optimizer=Adam(0.01), batch_size=7, random_state=0)
    trainer.run(X, y, 2)
    monkeypatch.setattr(_custom, "ACTIVATIONS", {"swish": swish})
    for kept, load in ((model, MLP.load), (trainer, Trainer.load)):
        kept.save(path)
        with pytest.raises(ValueError, match=r"a file: custom_activations: expected one named 'leaky', got none$"):
            load(path)
        with pytest.raises(ValueError, match="custom_activations: expected one named 'e to the z', got 'leaky', 'swish'"):
            load(path, custom_activations=[leaky, swish])
    loaded = Trainer.load(path, custom_activations=(swish, exponential, leaky))
    assert loaded.model.activations == model.activations
    assert MLP.load(path, custom_activations=[leaky, exponential]).predict(X).tobytes() == model.predict(X).tobytes()
    for t in (trainer, loaded):
        t.run(X, y, 2)
    assert loaded.model.to_vector().tobytes() == model.to_vector().tobytes()


def test_activations_are_found_by_name(tmp_path, monkeypatch):
    """Names are accepted wherever those of built-in activations are; of several definitions, the last one counts."""
    monkeypatch.setattr(_custom, "ACTIVATIONS", {"leaky": leaky, "e to the z": exponential})
    model = MLP(SIZES, ["leaky", "tanh"], "e to the z", random_state=0)
    assert model.activations == (leaky, "tanh", exponential)
    assert MLP(SIZES, "leaky").activations == (leaky, leaky, "identity")
    X = data(30, 3, 2)[0]
    layers = reference.forward(model.weights, model.biases, ["leaky", "tanh", "e to the z"], X)
    np.testing.assert_allclose(model.predict(X), layers[-1][1], rtol=1e-5)
    for keep, load in ((model.save, MLP.load), (Trainer(model).save, lambda path: Trainer.load(path).model)):
        keep(tmp_path / "a file")
        assert load(tmp_path / "a file").activations == model.activations

    other = jit.activation(derivative=lambda z: 1.0, name="leaky")(lambda z: z)
    assert MLP.load(tmp_path / "a file").activations[0] is MLP(SIZES, "leaky").activations[0] is other
    assert MLP.load(tmp_path / "a file", custom_activations=[leaky]).activations[0] is leaky
    with pytest.raises(ValueError, match="derivative"):
        jit.activation(derivative=lambda z: 2.0, name="wrong")(lambda z: z)
    with pytest.raises(ValueError, match="activation: expected one of .*got 'wrong'"):
        MLP(SIZES, "wrong")


@pytest.mark.parametrize("given", [leaky, "leaky", None, ["leaky"], [leaky, 3]])
def test_activations_given_to_load_are_checked(given, tmp_path):
    MLP(SIZES).save(tmp_path / "a file")
    for load in (MLP.load, Trainer.load):
        with pytest.raises(TypeError, match="^custom_activations: expected a list of activations made by fastnn.jit, got "):
            load(tmp_path / "a file", custom_activations=given)


def test_different_activations_of_a_network_must_have_different_names(monkeypatch):
    monkeypatch.setattr(_custom, "ACTIVATIONS", {})
    other = jit.activation(derivative=lambda z: 1.0, name="leaky")(lambda z: z)
    assert MLP(SIZES, [leaky, leaky], leaky)
    for arguments in (([leaky, other],), (leaky, other)):
        with pytest.raises(ValueError, match="^activation: expected a different name for each, got leaky, leaky"):
            MLP(SIZES, *arguments)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"activation": len}, TypeError, "activation: .*jit.activation .*got <built-in function len> of type"),
        ({"activation": [leaky]}, ValueError, "activation: expected 2, one per hidden layer, got 1"),
        ({"activation": [leaky, len]}, TypeError, "activation: .*jit.activation .*got <built-in function len> of type"),
        ({"output_activation": len}, TypeError, "output_activation: .*jit.activation .*got <built-in function len> of type"),
        ({"output_activation": [leaky]}, TypeError, "output_activation: .*got"),
    ],
    ids=str,
)
def test_models_refuse_unsuitable_activations(options, error, message):
    with pytest.raises(error, match=f"^{message}"):
        MLP(SIZES, **options)


def test_any_subclass_of_the_base_class_is_accepted_as_an_activation():
    """Networks and the reference require only the base class."""

    class Borrowed(CustomActivation):
        name = "borrowed"

        def address(self, dtype):
            return leaky.address(dtype)

        def value(self, z):
            return leaky.value(z)

        def slope(self, z):
            return leaky.slope(z)

    X = data(5, 3, 2)[0]
    one, other = (MLP(SIZES, activation, random_state=0) for activation in (Borrowed(), leaky))
    np.testing.assert_array_equal(one.predict(X), other.predict(X))
