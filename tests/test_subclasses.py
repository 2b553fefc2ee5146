"""Subclasses with their own constructors, attributes and methods: copies keep them, and methods never called raise."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from _helpers import data

from fastnn import MLP, SGD, Adam, DivergedError, NeuralNetwork, Trainer
from fastnn._history import History
from fastnn.callbacks import EarlyStopping, TimeLimit

X, Y = data(20, 2, 1)
DUPLICATES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle {p}": lambda o, p=p: pickle.loads(pickle.dumps(o, p)) for p in range(pickle.HIGHEST_PROTOCOL + 1)},
}
by_duplicate = pytest.mark.parametrize("duplicate", DUPLICATES.values(), ids=DUPLICATES)


class Scaled(MLP):
    __slots__ = ("scale",)

    def __init__(self, n):
        super().__init__((n, 4, 1), "tanh", dropout=0.2, random_state=0)
        self.mean_, self.scale = [3.0], 7


class Shifted(MLP):
    def predict(self, X, **options):
        return super().predict(X, **options) + 1


class Named(Trainer):
    __slots__ = ("slot",)

    def __init__(self, name):
        super().__init__(Scaled(2), "mae", Adam(0.05), batch_size=6, l2=0.1)
        self.name, self.momentum, self.slot = name, 0.9, ["s"]


class Network(NeuralNetwork):
    def __init__(self, note):
        super().__init__(2, 4, 1, 0.1)
        self.note = note


class Record(History):
    __slots__ = ("slot",)

    def __init__(self, note):
        super().__init__()
        self.note, self.slot = note, 1


class Lost(DivergedError):
    __slots__ = ("slot",)

    def __init__(self, note, number):
        super().__init__(f"lost {note}", 3)
        self.note, self.slot = note, number


class Patient(EarlyStopping):
    def __init__(self, note):
        super().__init__(patience=4)
        self.note = note


@by_duplicate
def test_copies_of_models_keep_attributes(duplicate):
    model = Scaled(2)
    model.fit(X, Y, epochs=2)
    other = duplicate(model)
    assert type(other) is Scaled
    assert (other.mean_, other.scale, other.layer_sizes, other.dropout) == ([3.0], 7, (2, 4, 1), (0.2,))
    np.testing.assert_array_equal(other.to_vector(), model.to_vector())
    shallow = duplicate is copy.copy
    assert (other.mean_ is model.mean_) == (other._rng is model._rng) == shallow
    other.weights[0] += 1
    assert (other.weights[0] != model.weights[0]).all()  # the copy has parameters of its own
    if not shallow:
        other.set_vector(model.to_vector())
        model.fit(X, Y, epochs=2)
        other.fit(X, Y, epochs=2)
        np.testing.assert_array_equal(other.to_vector(), model.to_vector())


@by_duplicate
def test_copies_of_trainers_keep_attributes(duplicate):
    trainer = Named("mine")
    trainer.run(X, Y, 3)
    other = duplicate(trainer)
    assert type(other) is Named
    assert (other.name, other.momentum, other.slot, other.epochs, other.updates) == ("mine", 0.9, ["s"], 3, trainer.updates)
    shallow = duplicate is copy.copy
    assert (other.model is trainer.model) == shallow
    assert other.random_state is other.model._rng
    moments, updates = trainer._moments.copy(), trainer.updates
    trainer.step(X, Y)
    third = duplicate(trainer)
    trainer.step(X, Y)
    np.testing.assert_array_equal(other._moments, moments)
    assert (other.updates, third.updates, trainer.updates) == (updates, updates + 1, updates + 2)
    assert (third._moments != trainer._moments).any()
    if not shallow:
        other = duplicate(trainer)
        assert type(other.model) is Scaled
        for each in (trainer, other):
            each.run(X, Y, 2)
            each.step(X, Y)
        np.testing.assert_array_equal(other.model.to_vector(), trainer.model.to_vector())


@pytest.mark.parametrize("duplicate", [DUPLICATES["deepcopy"], DUPLICATES["pickle 4"]])
@pytest.mark.parametrize("whole", [lambda t: t.model, lambda t: t, lambda t: {"t": t, "m": t.model}, lambda t: [t.model, t]])
def test_a_model_and_its_trainer_stay_together(duplicate, whole):
    model = Scaled(2)
    model.trainer = trainer = Trainer(model, optimizer=Adam(0.05))
    trainer.run(X, Y, 2)
    other = duplicate(whole(trainer))
    found = other.get("t") if isinstance(other, dict) else other[1] if isinstance(other, list) else other
    found = found.trainer if isinstance(found, MLP) else found
    assert found.model.trainer is found
    assert found.updates == trainer.updates
    for each in (trainer, found):
        each.run(X, Y, 2)
    np.testing.assert_array_equal(found.model.to_vector(), model.to_vector())


@by_duplicate
def test_copies_of_the_tutorials_network_keep_attributes(duplicate):
    network = Network(["mine"])
    network.forward(X)
    other = duplicate(network)
    assert type(other) is Network
    assert other.note == ["mine"]
    np.testing.assert_array_equal(other.h1, network.h1)
    other.W1 = other.W1 + 1
    assert (other.W1 != network.W1).all()
    other.W1 = network.W1
    for each in (network, other):
        each.train(X, Y, 3, 4, 0.1)
    np.testing.assert_array_equal(other.W2, network.W2)


@by_duplicate
def test_copies_of_histories_errors_and_callbacks_keep_attributes(duplicate):
    record = Record("mine")
    record.extend(loss=[1.0, 2.0], learning_rate=[0.1, 0.1], seconds=[1.0, 1.0], val_loss=[3.0, 4.0])
    other = duplicate(record)
    assert type(other) is Record
    assert (other.note, other.slot, other.epochs) == ("mine", 1, 2)
    assert other == record
    other.append(loss=0.0, learning_rate=0.1, seconds=1.0, val_loss=0.0)
    assert record.epochs == 2

    error = Lost("mine", 5)
    error.history, error.code = record, 8
    error.add_note("noted")
    other = duplicate(error)
    assert type(other) is Lost
    assert (other.note, other.slot, other.epoch, other.code) == ("mine", 5, 3, 8)
    assert (str(other), other.args, other.__notes__) == ("lost mine", ("lost mine",), ["noted"])
    assert other.history == record

    other = duplicate(Patient("mine"))
    assert (type(other), other.note, other.patience) == (Patient, "mine", 4)


def test_load_returns_an_object_of_the_class_it_is_called_on(tmp_path):
    model, trainer = Scaled(2), Named("mine")
    trainer.run(X, Y, 2)
    model.save(tmp_path / "model")
    trainer.save(tmp_path / "trainer")
    for kind in (MLP, Scaled):
        loaded = kind.load(tmp_path / "model")
        assert type(loaded) is kind
        np.testing.assert_array_equal(loaded.to_vector(), model.to_vector())
    for kind in (Trainer, Named):
        loaded = kind.load(tmp_path / "trainer")
        assert type(loaded) is kind
        assert not hasattr(loaded, "name")  # load calls no constructor
        assert (loaded.updates, loaded.l2, type(loaded.model)) == (trainer.updates, 0.1, MLP)


def test_constructors_that_do_not_call_super_raise_an_error_that_says_so():
    class Empty(Trainer):
        def __init__(self):
            pass

    with pytest.raises(AttributeError, match=r"'Empty' object.*must call Trainer.__init__"):
        Empty().l2 = 0.5


# ---- Overridden methods ----


@pytest.mark.parametrize("name", ["loss", "gradient", "forward", "backward"])
@pytest.mark.parametrize("on", ["class", "object"])
def test_training_refuses_models_that_override_the_computation(name, on):
    own = type("Own", (MLP,), {name: lambda self, *arguments: 0.0} if on == "class" else {})
    model = own((2, 3, 1))
    if on == "object":
        setattr(model, name, lambda *arguments: 0.0)
    for train in (model.fit, lambda X, Y: Trainer(model)):
        with pytest.raises(TypeError, match=f"model: Own has a method {name} of its own, which training doesn't call"):
            train(X, Y)


def test_other_methods_may_be_overridden():
    class Own(MLP):
        def predict(self, X, **options):
            return 2 * super().predict(X, **options)

        def evaluate(self):
            return 1

    assert Own((2, 3, 1)).fit(X, Y).epochs == 1


@pytest.mark.parametrize("on", ["class", "object"])
def test_a_run_refuses_trainers_that_override_step(on):
    class Own(Trainer):
        def step(self, X, y, sample_weight=None):
            return super().step(X, y, sample_weight)

    trainer = (Own if on == "class" else Trainer)(MLP((2, 3, 1)))
    if on == "object":
        trainer.step = Own(trainer.model).step
    with pytest.raises(TypeError, match="run: .* has a step of its own, which run doesn't call"):
        trainer.run(X, Y)
    assert trainer.step(X, Y) > 0


class Sigmoid(NeuralNetwork):
    def forward(self, X):
        self.h1 = 1 / (1 + np.exp(-(X @ self.W1 + self.b1)))
        self.y_pred = self.h1 @ self.W2 + self.b2
        return self.y_pred

    def backward(self, X, y_true, y_pred):
        delta_2 = 2 * (y_pred - y_true) / y_pred.size
        delta_1 = delta_2 @ self.W2.T * self.h1 * (1 - self.h1)
        self.dW2, self.db2 = self.h1.T @ delta_2, delta_2.sum(0, keepdims=True)
        self.dW1, self.db1 = X.T @ delta_1, delta_1.sum(0)


def test_train_calls_methods_of_a_subclass():
    network, model = Sigmoid(2, 4, 1, 0.1), MLP((2, 4, 1), "sigmoid", dtype=np.float64)
    model.parameters = [network.W1, network.b1[0], network.W2, network.b2[0]]
    returned = network.train(X, Y, 30, 8, 0.2)
    Trainer(model, "mse", SGD(0.2), batch_size=8, shuffle=False).run(X, Y, 30)
    for got, wanted in zip(returned, model.parameters, strict=True):
        np.testing.assert_allclose(got.reshape(wanted.shape), wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["forward", "backward"])
@pytest.mark.parametrize("on", ["class", "object"])
def test_train_calls_either_method(name, on):
    calls = []

    def own(self, *arguments):
        calls.append([a.shape for a in arguments])
        return getattr(NeuralNetwork, name)(self, *arguments)

    kind = type("Own", (NeuralNetwork,), {name: own} if on == "class" else {})
    np.random.seed(0)  # noqa: NPY002
    network = kind(2, 4, 1, 0.1)
    np.random.seed(0)  # noqa: NPY002
    other = NeuralNetwork(2, 4, 1, 0.1)
    if on == "object":
        setattr(network, name, own.__get__(network))
    network.train(X.tolist(), Y, 2, 8, 0.1)
    other.train(X, Y, 2, 8, 0.1)
    np.testing.assert_allclose(network.W1, other.W1, rtol=1e-12)
    assert [shapes[0] for shapes in calls] == [(8, 2), (8, 2), (4, 2)] * 2
    with pytest.raises(ValueError, match="batch_size"):
        network.train(X, Y, 2, 0, 0.1)
    with pytest.raises(ValueError, match="y: .*got"):
        network.train(X, Y[:3], 2, 8, 0.1)


def test_methods_of_a_subclass_that_diverge():
    network = Sigmoid(2, 4, 1, 0.1)
    other = copy.deepcopy(network)
    with np.errstate(all="ignore"), pytest.raises(DivergedError, match="not finite in epoch") as caught:
        network.train(X, Y, 1000, 8, 1e3)
    assert caught.value.epoch > 2
    with np.errstate(all="ignore"):
        other.train(X, Y, caught.value.epoch - 1, 8, 1e3)
    for name in ("W1", "b1", "W2", "b2"):
        np.testing.assert_array_equal(getattr(network, name), getattr(other, name))


def test_settings_of_callbacks_are_checked_when_assigned():
    stopping, limit = EarlyStopping(), TimeLimit(5)
    for target, name, value, error in [
        (stopping, "patience", 0, ValueError),
        (stopping, "monitor", 3, TypeError),
        (stopping, "min_delta", -1, ValueError),
        (stopping, "restore_best", "no", TypeError),
        (limit, "seconds", 0, ValueError),
    ]:
        before = getattr(target, name)
        with pytest.raises(error, match=f"{name}: .*got {value!r}"):
            setattr(target, name, value)
        assert getattr(target, name) == before
    stopping.patience, stopping.other = np.int64(3), "mine"
    assert (stopping.patience, stopping.other) == (3, "mine")


def test_calls_of_a_model_are_those_of_its_predict():
    shifted, X = Shifted((2, 3, 1), random_state=0), np.ones((4, 2))
    np.testing.assert_array_equal(shifted(X), shifted.predict(X))
    np.testing.assert_array_equal(shifted(X), MLP((2, 3, 1), random_state=0)(X) + 1)


class WithPredict(MLP):
    def predict(self, X, **options):
        return 100 + super().predict(X, **options)


@pytest.mark.parametrize("place", ["class", "object"])
def test_metrics_refuse_an_own_predict(place):
    X, y = np.ones((4, 2)), np.ones(4)
    model = (WithPredict if place == "class" else MLP)((2, 3, 1), random_state=0)
    if place == "object":
        model.predict = lambda X, **options: np.zeros(len(X))
    model.fit(X, y)  # which needs no predictions
    with pytest.raises(TypeError, match="^metrics: .* has a method predict of its own, which training doesn't call"):
        model.fit(X, y, metrics=["mse"])
