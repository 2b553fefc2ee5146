"""Wrong arguments of every public function: an error names them, and nothing changes."""

from __future__ import annotations

import numpy as np
import pytest
from _entries import ENTRIES, GOOD, SIZES, assert_refused, trainer_of
from _helpers import LIKE_TARGETS, LOSSES_AND_LINKS, data, model_of

from fastnn import MLP, SGD, NeuralNetwork, Trainer, losses
from fastnn._engine import core as _core
from fastnn.callbacks import EarlyStopping, TimeLimit

# ---- Wrong arrays ----

X, Y = GOOD
NOT_NUMBERS = {
    "text": ("text", TypeError),
    "texts": ([["a", "b", "c"]] * 10, TypeError),
    "complex": (np.zeros((10, 3), complex), TypeError),
    "dates": (np.zeros((10, 3), "M8[s]"), TypeError),
    "structured": (np.zeros(10, [("a", float), ("b", float)]), TypeError),
    "ragged": ([[1.0, 2.0, 3.0], [1.0]], (TypeError, ValueError)),
    "objects that are None": (np.full((10, 3), None), (TypeError, ValueError)),
    "None": ([[1.0, None, 2.0]] * 10, (TypeError, ValueError)),
    "objects": (np.full((10, 3), object()), TypeError),
    "large integers": (np.full((10, 3), 10**400, object), TypeError),
    "dict": ({"a": 1}, TypeError),
    "function": (len, TypeError),
}
SHAPES = {
    "nothing": (None, (TypeError, ValueError)),
    "number": (1.0, ValueError),
    "no dimensions": (np.array(1.0), ValueError),
    "empty": ([], ValueError),
    "three dimensions": (np.zeros((10, 3, 1)), ValueError),
    "few columns": (X[:, :1], ValueError),
    "many columns": (np.hstack([X, X]), ValueError),
}
WRONG_X = {**NOT_NUMBERS, **SHAPES, "row": (X[0], ValueError), "empty": (X[:0], ValueError), "turned": (X.T, ValueError)}
WRONG_Y = {**NOT_NUMBERS, **SHAPES, "few": (Y[:9], ValueError), "no": (Y[:0], ValueError), "flat": (Y[:, 0], ValueError)}
WRONG_WEIGHT = NOT_NUMBERS | {
    "number": (1.0, ValueError),
    "few": (np.ones(9), ValueError),
    "many": (np.ones(11), ValueError),
    "column": (np.ones((10, 1)), ValueError),
    "huge": (np.full(10, -1e290), ValueError),
    "all zero": (np.zeros(10), ValueError),
    "NaN": (np.array([1.0] * 9 + [np.nan]), ValueError),
    "infinite": (np.array([1.0] * 9 + [np.inf]), ValueError),
}


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("wrong", WRONG_X)
def test_wrong_inputs_raise_and_change_nothing(entry, wrong):
    trainer, (value, error) = trainer_of(), WRONG_X[wrong]
    assert_refused(trainer, lambda: ENTRIES[entry](trainer, value, Y), error, "X: ")


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("wrong", WRONG_Y)
def test_wrong_targets_raise_and_change_nothing(entry, wrong):
    trainer, (value, error) = trainer_of(), WRONG_Y[wrong]
    assert_refused(trainer, lambda: ENTRIES[entry](trainer, X, value), error, "y: ")


# A batch that is accumulated may add nothing.
@pytest.mark.parametrize(
    ("entry", "wrong"),
    [(entry, wrong) for entry in ENTRIES for wrong in WRONG_WEIGHT if (entry, wrong) != ("accumulate", "all zero")],
)
def test_wrong_sample_weights_raise_and_change_nothing(entry, wrong):
    trainer, (value, error) = trainer_of(), WRONG_WEIGHT[wrong]
    assert_refused(trainer, lambda: ENTRIES[entry](trainer, X, Y, value), error, "sample_weight: ")


@pytest.mark.parametrize("value", [1e308, 1e300, 1e-300, 1e-310, 5e-324])
def test_extreme_weights_give_the_right_loss_or_raise(value):
    model = model_of(SIZES)
    trainer = Trainer(model)
    try:
        assert model.loss(X, Y, sample_weight=np.full(10, value)) == pytest.approx(model.loss(X, Y))
        assert trainer.run(X, Y, sample_weight=np.full(10, value))["loss"] == pytest.approx(model_of(SIZES).loss(X, Y))
    except ValueError as error:
        if not str(error).startswith("sample_weight: expected"):
            raise


@pytest.mark.parametrize("wrong", {**NOT_NUMBERS, **SHAPES})
def test_wrong_inputs_of_predictions_raise(wrong):
    trainer, (value, error) = trainer_of(), (NOT_NUMBERS | SHAPES)[wrong]
    if wrong in ("nothing", "number", "no dimensions"):
        pytest.skip("in a process of its own below")
    for function in (trainer.model.predict, trainer.model, trainer.model.hidden_activations):
        assert_refused(trainer, lambda f=function: f(value), error, "X: ")


@pytest.mark.parametrize("n_threads", [0, -1, 1.5, "2", True, [1]])
def test_wrong_numbers_of_threads_raise(n_threads):
    trainer = trainer_of()
    assert_refused(
        trainer, lambda: trainer.model.predict(X, n_threads=n_threads), (TypeError, ValueError), "n_threads: .*got"
    )
    with pytest.raises((TypeError, ValueError), match="^n_threads: .*got"):
        Trainer(trainer.model, n_threads=n_threads)


WRONG_LABELS = {
    "too large": ([0, 1, 1, 0, 1, 0, 0, 1, 2, 1], ValueError, "y: expected labels from 0 to 1, got 2 at row 8"),
    "negative": ([0, 1, -1, 0, 1, 0, 0, 1, 0, 1], ValueError, "y: .*got -1 at row 2"),
    "very large": (np.full(10, 2**64 - 1, np.uint64), ValueError, "y: .*got 18446744073709551615 at row 0"),
    "real": (np.zeros(10), TypeError, "y: expected integer labels, got dtype float64"),
    "few": (np.zeros(9, int), ValueError, "y: expected 10 labels, one per row of X, got 9"),
    "above one": (np.full((10, 2), 1.5), ValueError, "y: expected values between 0 and 1.*got values from 1.5 to 1.5"),
    "below zero": (np.full((10, 2), -0.5), ValueError, "y: .*got values from -0.5"),
    "three columns": (np.zeros((10, 3)), ValueError, r"y: expected (shape )?\(10, 2\).*got \(10, 3\)"),
}


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("wrong", WRONG_LABELS)
def test_wrong_labels_raise(entry, wrong):
    trainer, (value, error, message) = trainer_of("cross_entropy"), WRONG_LABELS[wrong]
    assert_refused(trainer, lambda: ENTRIES[entry](trainer, X, value), error, message)


OUTSIDE = [("binary_cross_entropy", 1.01), ("binary_cross_entropy", -0.01), ("poisson", -1)]


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize(("loss", "value"), OUTSIDE)
def test_targets_outside_the_domain_of_the_loss_raise(entry, loss, value):
    trainer, wrong = trainer_of(loss), np.zeros((10, 2))
    wrong[3, 1] = value
    assert_refused(
        trainer,
        lambda: ENTRIES[entry](trainer, X, wrong),
        ValueError,
        f"y: expected values .* for {loss}.*, got values from ",
    )


# ---- Wrong arguments of other kinds ----

OTHERS = [
    ({"epochs": -1}, ValueError, "epochs: .*got -1"),
    ({"epochs": 1.0}, TypeError, "epochs: .*got 1.0"),
    ({"epochs": True}, TypeError, "epochs: .*got True"),
    ({"epochs": "3"}, TypeError, "epochs: .*got '3'"),
    ({"epochs": None}, TypeError, "epochs: .*got None"),
    ({"epochs": 2**70}, ValueError, "epochs: .*got"),
    ({"callbacks": None}, TypeError, "callbacks: .*got None"),
    ({"callbacks": TimeLimit(1)}, TypeError, "callbacks: .*got TimeLimit"),
    ({"callbacks": [None]}, TypeError, "callbacks: .*got None"),
    ({"callbacks": [TimeLimit(1), print]}, TypeError, "callbacks: .*got <built-in function print>"),
    ({"callbacks": [EarlyStopping]}, TypeError, "callbacks: .*got <class"),
    ({"validation_data": X}, TypeError, "validation_data: .*got ndarray"),
    ({"validation_data": (X,)}, TypeError, "validation_data: .*got"),
    ({"validation_data": (X, Y, None, None)}, TypeError, "validation_data: .*got"),
    ({"validation_data": 0.1}, TypeError, "validation_data: .*got float"),
    ({"validation_data": (X, Y[:5])}, ValueError, "y: expected shape .*got"),
    ({"validation_data": (X[:, :2], Y)}, ValueError, "X: expected shape .*got"),
    ({"validation_data": (X, Y, np.zeros(10))}, ValueError, "sample_weight: .*got values"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), OTHERS, ids=[str(a)[:40] for a, _, _ in OTHERS])
def test_wrong_arguments_of_run_raise(arguments, error, message):
    trainer = trainer_of()
    assert_refused(trainer, lambda: trainer.run(X, Y, **arguments), error, message)
    assert_refused(trainer, lambda: trainer.model.fit(X, Y, **arguments), error, message)


TRAINERS = [
    ({"model": None}, TypeError, "model: expected MLP.*got NoneType"),
    ({"loss": "msq"}, ValueError, "loss: expected one of 'mse'.*got 'msq'"),
    ({"loss": None}, TypeError, "loss: .*got None"),
    ({"loss": losses.Huber}, TypeError, "loss: .*got the class Huber"),
    ({"optimizer": "sdg"}, ValueError, "optimizer: .*got 'sdg'"),
    ({"optimizer": SGD}, TypeError, "optimizer: .*got the class SGD"),
    ({"optimizer": 0.1}, TypeError, "optimizer: .*got 0.1"),
    *[({"batch_size": value}, ValueError, "batch_size: .*got") for value in (0, -3, 2**70)],
    *[({"batch_size": value}, TypeError, "batch_size: .*got") for value in (2.0, "32", None, True)],
    *[({"shuffle": value}, TypeError, "shuffle: .*got") for value in (0, "yes", None)],
    *[({name: -0.1}, ValueError, f"{name}: .*got -0.1") for name in ("l1", "l2", "clip_norm", "clip_value")],
    *[({name: np.nan}, ValueError, f"{name}: .*got nan") for name in ("l1", "l2", "clip_norm", "clip_value")],
    *[({name: "1"}, TypeError, f"{name}: .*got '1'") for name in ("l1", "l2", "clip_norm", "clip_value")],
    *[({name: None}, TypeError, f"{name}: .*got None") for name in ("l1", "l2")],
    *[({name: 0.0}, ValueError, f"{name}: .*got 0.0") for name in ("clip_norm", "clip_value")],
    ({"random_state": -1}, ValueError, "random_state: .*got -1"),
    ({"random_state": "x"}, TypeError, "random_state: .*got 'x'"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), TRAINERS, ids=[str(a) for a, _, _ in TRAINERS])
def test_wrong_arguments_of_trainers_raise(arguments, error, message):
    model = model_of(SIZES)
    before = model.to_vector(), repr(model._rng.bit_generator.state)
    with pytest.raises(error, match=f"^{message}"):
        Trainer(**{"model": model} | arguments)
    np.testing.assert_array_equal(model.to_vector(), before[0])
    assert repr(model._rng.bit_generator.state) == before[1]


@pytest.mark.parametrize("loss", [loss for loss in LIKE_TARGETS if losses.LOSSES[loss].links])
@pytest.mark.parametrize("output", _core.ACTIVATIONS)
def test_losses_refuse_unsuitable_output_activations(loss, output):
    model = MLP(SIZES, output_activation=output)
    if (loss, output) in LOSSES_AND_LINKS:
        Trainer(model, loss)
        return
    good = data(10, 3, 2, loss)
    for call in (
        lambda: Trainer(model, loss),
        lambda: model.loss(*good, loss),
        lambda: model.gradient(*good, loss),
        lambda: model.input_gradient(*good, loss),
        lambda: model.fit(*good, loss=loss),
    ):
        with pytest.raises(
            ValueError, match=f"^loss: expected .*got '{loss}' for a model with output_activation='{output}'"
        ):
            call()


@pytest.mark.parametrize("returned", [-1.0, np.nan, np.inf, "fast", None, 1j, [0.1] * 3, np.zeros((2, 2))], ids=repr)
def test_schedules_that_return_unusable_rates_raise(returned):
    model = model_of(SIZES)
    trainer = Trainer(model, optimizer=SGD(lambda n: returned if np.ndim(returned) else np.full(n.shape, returned)))
    for call in (lambda: trainer.run(X, Y, 2), lambda: trainer.step(X, Y)):
        with pytest.raises((TypeError, ValueError), match="^learning_rate: expected .* from the schedule.*, got "):
            call()
    assert trainer.updates == 0
    np.testing.assert_array_equal(model.to_vector(), model_of(SIZES).to_vector())


def test_wrong_arguments_of_the_tutorials_class_raise():
    network = NeuralNetwork(2, 3, 1, 0.1)
    before = [p.copy() for p in (network.W1, network.b1, network.W2, network.b2)]
    X, y = np.zeros((4, 2)), np.zeros((4, 1))
    for arguments, error in (
        ((X, y[:3], 5, 4, 0.1), ValueError),
        ((X[:, :1], y, 5, 4, 0.1), ValueError),
        ((X, y, -1, 4, 0.1), ValueError),
        ((X, y, 5, 0, 0.1), ValueError),
        ((X, y, 5, 4, -0.1), ValueError),
        ((X, y, 5, 4, "fast"), TypeError),
        ((X * np.nan, y, 5, 4, 0.1), ValueError),
    ):
        with pytest.raises(error):
            network.train(*arguments)
    for p, kept in zip((network.W1, network.b1, network.W2, network.b2), before, strict=True):
        np.testing.assert_array_equal(p, kept)
    for rate, error in (("abc", TypeError), (None, TypeError), ([1], TypeError), (-1, ValueError), (np.nan, ValueError)):
        with pytest.raises(error, match="^learning_rate: expected"):
            NeuralNetwork(2, 3, 1, rate)
