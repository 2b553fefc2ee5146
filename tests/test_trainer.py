"""Training against the reference, step by step: optimizers, losses, activations, and every option."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from _helpers import (
    HIDDEN,
    LOSSES_AND_LINKS,
    assert_same_trajectory,
    data,
    links_of,
    model_of,
    optimizer_of,
    train_reference,
    trained,
)

from fastnn import MLP, SGD, Adam, Trainer, losses
from fastnn._engine import core as _core
from fastnn.schedules import Cosine, Exponential, InverseScaling, InverseTime, Step, Warmup

# Tiny networks, of up to 8 units and 8 rows in float64, have their own path; up to 4 outputs are stored transposed.
NETWORKS = [((3, 8, 5, 2), 8), ((3, 8, 5, 2), 10), ((7, 19, 33, 2), 7), ((11, 40, 17, 9), 16), ((130, 6, 5), 9), ((4, 1), 3)]
EVERYTHING = {"l1": 1e-4, "l2": 1e-3, "clip_value": 0.05, "clip_norm": 0.2}


@pytest.mark.parametrize("row", _core.OPTIMIZERS)
@pytest.mark.parametrize("network", NETWORKS[:2], ids=str)
def test_a_thousand_steps_of_every_optimizer_follow_the_reference(row, network):
    steps = -(-25 // network[1])
    trainer, X, y = trained(25, network, optimizer=optimizer_of(row))
    assert_same_trajectory(trainer, X, y, 7, -(-1000 // steps), 1e-10)
    assert trainer.updates >= 1000


@pytest.mark.parametrize("row", _core.OPTIMIZERS)
def test_a_thousand_steps_with_every_option_follow_the_reference(row):
    optimizer = optimizer_of(row, learning_rate=Warmup(InverseTime(0.02, 1e-3), 20))
    trainer, X, y = trained(25, optimizer=optimizer, dropout=[0.1, 0.3], **EVERYTHING)
    sample_weight = np.random.default_rng(3).random(25)
    sample_weight[::5] = 0.0
    assert_same_trajectory(trainer, X, y, 7, 334, 1e-10, sample_weight=sample_weight)


@pytest.mark.parametrize("row", _core.OPTIMIZERS)
@pytest.mark.parametrize("network", NETWORKS[2:], ids=str)
def test_networks_of_any_size_follow_the_reference(row, network):
    # Steps are small, so that rounding errors do not grow: RMSProp divides by small numbers.
    trainer, X, y = trained(25, network, optimizer=optimizer_of(row, learning_rate=0.002), l2=1e-3)
    assert_same_trajectory(trainer, X, y, 7, 40, 1e-10)


@pytest.mark.parametrize(("loss", "output"), LOSSES_AND_LINKS)
@pytest.mark.parametrize("network", NETWORKS[:2], ids=str)
def test_losses_with_each_output_activation_follow_the_reference(loss, output, network):
    # The cosine's gradient grows as outputs come near to 0, and rounding errors with it.
    rate = 0.001 if loss == "cosine" else 0.02
    trainer, X, y = trained(25, network, loss, output=output, optimizer=SGD(rate))
    assert_same_trajectory(trainer, X, y, 7, 70, 1e-10)


@pytest.mark.parametrize(("loss", "output"), [pair for pair in LOSSES_AND_LINKS if losses.LOSSES[pair[0]].links])
def test_a_thousand_steps_of_classification_follow_the_reference(loss, output):
    trainer, X, y = trained(25, ((11, 12, 5), 10), loss, output=output, optimizer=Adam(0.003), l2=1e-3)
    assert_same_trajectory(trainer, X, y, 7, 334, 1e-10)


@pytest.mark.parametrize("loss", [losses.Huber(0.3), losses.Quantile(0.9)], ids=repr)
def test_losses_with_parameters_follow_the_reference(loss):
    model = model_of((3, 8, 5, 2))
    trainer = Trainer(model, loss, SGD(0.05), batch_size=10, random_state=7)
    assert_same_trajectory(trainer, *data(25, 3, 2), 7, 70, 1e-10)


@pytest.mark.parametrize("rows_of", ["labels", "probabilities"])
def test_labels_and_probabilities_follow_the_reference(rows_of):
    trainer, X, y = trained(25, ((4, 12, 6), 10), "cross_entropy", optimizer=Adam(0.01))
    y = np.random.default_rng(4).dirichlet(np.ones(6), 25) if rows_of == "probabilities" else y.astype(np.uint8)
    assert_same_trajectory(trainer, X, y, 7, 70, 1e-10)


@pytest.mark.parametrize("activation", HIDDEN)
@pytest.mark.parametrize("network", NETWORKS[:2], ids=str)
@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_activations_follow_the_reference(activation, network, dropout):
    trainer, X, y = trained(25, network, activation=activation, dropout=dropout, optimizer=SGD(0.02, momentum=0.5))
    assert_same_trajectory(trainer, X, y, 7, 70, 1e-10)


def test_layers_with_different_activations_follow_the_reference():
    trainer, X, y = trained(25, activation=["gelu", "sigmoid"], output="softplus", optimizer=Adam())
    assert_same_trajectory(trainer, X, y, 7, 70, 1e-10)


@pytest.mark.parametrize("network", NETWORKS[:2], ids=str)
@pytest.mark.parametrize("option", [*EVERYTHING, "shuffle", "clip_norm and clip_value"])
@pytest.mark.parametrize("row", ["sgd", "adam"])
def test_each_option_follows_the_reference(row, option, network):
    options = {name: EVERYTHING[name] for name in option.split(" and ") if name in EVERYTHING}
    options |= {"shuffle": False} if option == "shuffle" else {}
    trainer, X, y = trained(25, network, optimizer=optimizer_of(row), **options)
    assert_same_trajectory(trainer, X, y, 7, 70, 1e-10)


SCHEDULES = [
    InverseTime(0.1, 0.01),
    InverseScaling(0.1),
    Step(0.1, 30, 0.5),
    Exponential(0.1, 0.99),
    Cosine(0.1, 100, 0.01),
    Warmup(0.1, 50),
    lambda steps: 0.1 / (1 + steps),
    lambda steps: np.where(steps % 2, 0.0, 0.1),
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: getattr(s, "__name__", type(s).__name__))
def test_schedules_follow_the_reference(schedule):
    trainer, X, y = trained(25, optimizer=SGD(schedule))
    assert_same_trajectory(trainer, X, y, 7, 70, 1e-10)


def test_learning_rates_of_a_long_epoch_follow_the_reference():
    # The epoch has more steps than the number of rates evaluated at a time.
    X, y = np.linspace(0, 1, 70_000)[:, None], np.zeros((70_000, 1))
    schedule = InverseTime(0.1, 1e-3)
    trainer = Trainer(MLP((1, 1), random_state=0), "mse", SGD(schedule), batch_size=1, random_state=0)
    history = trainer.run(X, y, 2)
    np.testing.assert_array_equal(history["learning_rate"], schedule(np.array([69_999, 139_999])))


@pytest.mark.parametrize("network", [((3, 4, 2), 8), ((3, 20, 2), 8), ((3, 20, 30), 8)])
def test_large_gradients_are_not_clipped_by_default(network):
    """Gradients are clipped only if that is asked for."""
    trainer, X, y = trained(25, network, optimizer=SGD(1e-12))
    before = trainer.model.to_vector()
    gradients = trainer.model.gradient(X, 1e9 * y)[1]
    trainer.step(X, 1e9 * y)
    change = 1e12 * (before - trainer.model.to_vector())
    assert np.abs(change).max() > 1e6
    np.testing.assert_allclose(
        change, np.concatenate([g.ravel() for g in gradients]), rtol=1e-3, atol=1e-3 * np.abs(change).max()
    )


def test_callbacks_see_the_learning_rate_of_the_last_step():
    schedule = InverseTime(0.1, 1e-2)

    class Watch:
        def on_epoch_end(self, trainer, history):
            return None

    trainer, X, y = trained(25, ((3, 2), 4), optimizer=SGD(schedule))
    history = trainer.run(X, y, 5, callbacks=[Watch()])
    np.testing.assert_array_equal(history["learning_rate"], schedule(np.arange(6, 35, 7)))


@pytest.mark.parametrize(("rows", "batch_size"), [(1536, 1024), (1100, 512), (1300, 1200)])
def test_short_batches_after_batches_of_several_chunks_follow_the_reference(rows, batch_size):
    """Rows count in their own batch, even if its chunks are as long as those of the batch before."""
    trainer, X, y = trained(rows, ((3, 8, 5, 2), batch_size), optimizer=SGD(0.1))
    assert_same_trajectory(trainer, X, y, 7, 3, 1e-10)


def test_learning_rates_of_a_long_run_are_those_of_the_schedule():
    # Learning rates are evaluated some 65 000 steps at a time.
    trainer, X, y = trained(20, ((3, 2), 1), optimizer=SGD(InverseTime(0.1, 1e-3)))
    history = trainer.run(X, y, 5000)
    np.testing.assert_array_equal(history["learning_rate"], InverseTime(0.1, 1e-3)(np.arange(19, 100_000, 20)))
    parts, X, y = trained(20, ((3, 2), 1), optimizer=SGD(InverseTime(0.1, 1e-3)))
    for epochs in (1999, 1, 3000):
        parts.run(X, y, epochs)
    np.testing.assert_array_equal(parts.model.to_vector(), trainer.model.to_vector())


@pytest.mark.parametrize("network", [((5, 16, 3), 700), ((5, 16, 9), 1100)], ids=str)
@pytest.mark.parametrize("row", ["sgd", "adam"])
def test_batches_of_several_chunks_follow_the_reference(row, network):
    trainer, X, y = trained(1500, network, optimizer=optimizer_of(row, learning_rate=0.02), dropout=0.2, clip_norm=0.3)
    assert_same_trajectory(trainer, X, y, 7, 10, 1e-10, sample_weight=np.random.default_rng(3).random(1500))


@pytest.mark.parametrize("batch_size", [1, 7, 25, 26, 1000])
def test_every_batch_size_follows_the_reference(batch_size):
    trainer, X, y = trained(25, ((3, 8, 5, 2), batch_size), optimizer=SGD(0.02))
    assert_same_trajectory(trainer, X, y, 7, 20, 1e-10)
    assert trainer.updates == 20 * -(-25 // batch_size)


@pytest.mark.parametrize("network", NETWORKS[:2], ids=str)
def test_batches_without_weight_do_not_count_in_the_loss(network):
    trainer, X, y = trained(24, network, optimizer=Adam(0.01), shuffle=False)
    sample_weight = np.ones(24)
    sample_weight[: network[1]] = 0.0
    assert_same_trajectory(trainer, X, y, 7, 20, 1e-10, sample_weight=sample_weight)


@pytest.mark.parametrize("network", NETWORKS[:3], ids=str)
@pytest.mark.parametrize("row", _core.OPTIMIZERS)
def test_float32_follows_float64_to_rounding(row, network):
    sizes, batch_size = network
    model = MLP(sizes, "tanh", random_state=1)
    double = model_of(sizes)
    double.set_vector(model.to_vector())
    X, y = data(25, sizes[0], sizes[-1])
    weights, _, losses_ = train_reference(double, X, y, 7, optimizer=optimizer_of(row), epochs=30, batch_size=batch_size)
    history = Trainer(model, optimizer=optimizer_of(row), batch_size=batch_size, random_state=7).run(X, y, 30)
    np.testing.assert_allclose(history["loss"], losses_, rtol=1e-4)
    for got, wanted in zip(model.weights, weights, strict=True):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, wanted, rtol=1e-2, atol=1e-3)


# Results of the padded rows of a tiny network must have no effect.
@pytest.mark.parametrize(("loss", "output", "size"), [("mse", "identity", 1e25), ("poisson", "exp", 200.0)])
def test_padded_rows_have_no_effect(loss, output, size):
    model = MLP((1, 1), output_activation=output, init="zeros")
    model.weights[0][...], model.biases[0][...] = -size, size
    value = Trainer(model, loss, SGD(0.0)).step(np.ones((3, 1)), np.zeros((3, 1)))
    assert value == (1.0 if loss == "poisson" else 0.0)
    assert np.isfinite(model.to_vector()).all()


def test_the_history_has_the_losses_and_rates_of_each_epoch():
    trainer, X, y = trained(25, optimizer=SGD(Exponential(0.05, 0.9)), l1=0.1)
    X_val, y_val = data(13, 3, 2, seed=5)
    weight_val = np.arange(13.0)
    losses_seen, vectors = [], []

    class Watch:
        def on_epoch_end(self, trainer, history):
            losses_seen.append(history["loss"][-1])
            vectors.append(trainer.model.to_vector())

    history = trainer.run(X, y, 6, validation_data=(X_val, y_val, weight_val), callbacks=[Watch()])
    assert list(history) == ["loss", "val_loss", "learning_rate", "seconds"]
    assert history.epochs == trainer.epochs == len(vectors) == 6
    np.testing.assert_array_equal(history["loss"], losses_seen)
    np.testing.assert_allclose(history["learning_rate"], 0.05 * 0.9 ** np.arange(2, 18, 3))
    assert (history["seconds"] > 0).all()
    assert history["seconds"].sum() < 5
    for vector, val_loss in zip(vectors, history["val_loss"], strict=True):
        model = model_of((3, 8, 5, 2))
        model.set_vector(vector)
        assert val_loss == model.loss(X_val, y_val, sample_weight=weight_val)  # validation losses have no penalties
    assert list(trainer.run(X, y)) == ["loss", "learning_rate", "seconds"]


def test_a_run_of_no_epochs_changes_nothing():
    trainer, X, y = trained(25)
    before = trainer.model.to_vector()
    assert trainer.run(X, y, 0).epochs == 0
    np.testing.assert_array_equal(trainer.model.to_vector(), before)
    assert trainer.updates == 0


@pytest.mark.parametrize("row", _core.OPTIMIZERS)
@pytest.mark.parametrize("rows", [4, 8, 25, 600])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_step_equals_a_run_of_one_batch(row, rows, dropout):
    options = {"optimizer": optimizer_of(row), "dropout": dropout, "l2": 0.1, "shuffle": False}
    one, X, y = trained(rows, ((3, 8, 5, 2), rows), **options)
    other, _, _ = trained(rows, ((3, 8, 5, 2), rows), **options)
    weight = np.random.default_rng(0).random(rows)
    for updates in range(1, 5):
        assert one.step(X, y, weight) == pytest.approx(other.run(X, y, sample_weight=weight)["loss"][0], rel=1e-14)
        assert one.updates == other.updates == updates
    np.testing.assert_array_equal(one.model.to_vector(), other.model.to_vector())


def test_batch_sizes_beyond_the_rows_mean_all_rows():
    for sizes in ((3, 4, 2), (3, 20, 2)):
        vectors = []
        for batch_size in (4, 32, 10**12):
            trainer, X, y = trained(4, (sizes, batch_size))
            trainer.run(X, y, 3)
            vectors.append(trainer.model.to_vector())
        np.testing.assert_array_equal(vectors[1:], vectors[:1] * 2)


@pytest.mark.parametrize("sizes", [(3, 8, 5, 2), (3, 20, 30), (5, 40, 17, 1), (9, 3)])
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_steps_do_not_depend_on_the_batches_before(sizes, loss, dtype):
    """Batches of any size, one after the other, give the results of a new trainer."""
    if loss == "cross_entropy" and sizes[-1] == 1:
        return
    model = model_of(sizes, "gelu", links_of(loss)[0], dtype=dtype)
    X, y = data(700, sizes[0], sizes[-1], loss)
    rng = np.random.default_rng(0)
    trainer = Trainer(model, loss, Adam(0.01), l2=0.01, clip_norm=1.0)
    for rows in (500, 40, 1, 700, 33, 16, 500, 17, 40):
        weight = rng.uniform(0, 1, rows) if rows % 3 else None
        fresh = pickle.loads(pickle.dumps(trainer))
        assert fresh.step(X[:rows], y[:rows], weight) == trainer.step(X[:rows], y[:rows], weight)
        np.testing.assert_array_equal(fresh.model.to_vector(), trainer.model.to_vector())
        np.testing.assert_array_equal(fresh._moments, trainer._moments)


def test_a_step_ignores_the_batch_size_and_counts_as_an_update():
    trainer, X, y = trained(25, ((3, 8, 5, 2), 2), optimizer=SGD(lambda steps: 0.1 * (steps == 1)))
    before = trainer.model.to_vector()
    assert trainer.step(X, y) == trainer.model.loss(X, y)
    np.testing.assert_array_equal(trainer.model.to_vector(), before)  # the learning rate of step 0 is 0
    trainer.step(X, y)
    assert (trainer.model.to_vector() != before).all()
    assert trainer.updates == 2


@pytest.mark.parametrize("network", NETWORKS[:2], ids=str)
def test_training_continues_from_weights_written_between_runs(network):
    trainer, X, y = trained(25, network, optimizer=SGD(0.02))
    for factor in (0.5, -2.0):
        for p in trainer.model.parameters:
            p *= factor
        rng = np.random.default_rng(0)
        trainer._rng.bit_generator.state = rng.bit_generator.state
        assert_same_trajectory(trainer, X, y, 0, 5, 1e-10)


def test_training_continues_from_weights_written_by_a_callback():
    trainer, X, y = trained(25, optimizer=SGD(0.02), shuffle=False)

    class Halve:
        def on_epoch_end(self, trainer, history):
            for w in trainer.model.weights:
                w *= 0.5

    trainer.run(X, y, 3, callbacks=[Halve()])
    by_hand, _, _ = trained(25, optimizer=SGD(0.02), shuffle=False)
    for _ in range(3):
        by_hand.run(X, y)
        Halve().on_epoch_end(by_hand, None)
    np.testing.assert_array_equal(trainer.model.to_vector(), by_hand.model.to_vector())


def test_without_a_random_state_the_generator_of_the_model_is_used():
    one, two = model_of((3, 8, 2), random_state=5), model_of((3, 8, 2), random_state=5)
    X, y = data(25, 3, 2)
    one.fit(X, y, epochs=3, batch_size=10)
    Trainer(two, batch_size=10, random_state=two._rng).run(X, y, 3)
    np.testing.assert_array_equal(one.to_vector(), two.to_vector())


def test_fit_equals_a_run_of_a_trainer():
    one, two = model_of((3, 8, 2)), model_of((3, 8, 2))
    X, y = data(25, 3, 2)
    options = {"l1": 0.1, "clip_norm": 1.0, "shuffle": False, "random_state": 3}
    history = one.fit(X, y, loss="huber", optimizer="rmsprop", epochs=4, batch_size=6, validation_data=(X, y), **options)
    expected = Trainer(two, "huber", "rmsprop", batch_size=6, **options).run(X, y, 4, validation_data=(X, y))
    np.testing.assert_array_equal(history["val_loss"], expected["val_loss"])
    np.testing.assert_array_equal(one.to_vector(), two.to_vector())
    with pytest.raises(TypeError, match="momentum"):
        one.fit(X, y, momentum=0.9)


def test_a_network_with_one_hidden_layer_learns():
    X, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([[0], [1], [1], [0]])
    model = MLP((2, 8, 1), "tanh", random_state=0)
    history = model.fit(X, y, optimizer=Adam(0.05), epochs=500)
    assert history["loss"][-1] < 1e-4 < history["loss"][0]
    np.testing.assert_array_equal(np.rint(model.predict(X)), y)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("sizes", "loss", "output", "targets"),
    [
        ((3, 8, 2), "mse", "identity", "matrix"),
        ((3, 8, 1), "mse", "identity", "vector"),
        ((3, 8, 1), "binary_cross_entropy", "sigmoid", "vector"),
        ((3, 8, 4), "cross_entropy", "softmax", "labels"),
        ((3, 8, 4), "cross_entropy", "softmax", "matrix"),
        ((1, 4, 1), "mse", "identity", "vector"),
    ],
)
def test_arrays_that_need_no_conversion_give_the_bits_of_others(sizes, loss, output, targets, dtype):
    rng = np.random.default_rng(0)
    X = rng.random((25, sizes[0])).astype("float32")
    y = rng.integers(0, sizes[-1], 25) if targets == "labels" else rng.random((25, sizes[-1])).astype("float32")
    if targets == "vector":
        y = y[:, 0]
    if loss == "cross_entropy" and targets == "matrix":
        y = np.eye(sizes[-1], dtype="float32")[rng.integers(0, sizes[-1], 25)]
    results = []
    for kind in (dtype, "float64" if dtype == "float32" else "float32"):
        model = MLP(sizes, "tanh", output, dtype=dtype, random_state=0)
        trainer = Trainer(model, loss, SGD(0.1), batch_size=7, random_state=1)
        history = trainer.run(X.astype(kind), y if targets == "labels" else y.astype(kind), 3)
        trainer.step(X.astype(kind)[:5], (y if targets == "labels" else y.astype(kind))[:5])
        results.append((history["loss"].tobytes(), model.to_vector().tobytes()))
    assert results[0] == results[1]


@pytest.mark.parametrize("place", ["X", "y"])
def test_data_in_the_memory_of_the_parameters_are_copied_before_a_run(place):
    """Training would otherwise change them. A run without sharing gives the expected bits."""
    model, other = (MLP((2, 2, 2), "tanh", dtype="float64", random_state=0) for _ in range(2))
    shared = model.biases[0][None]  # (1, 2), contiguous
    given = {"X": np.ones((1, 2)), "y": np.ones((1, 2))}
    expected = given | {place: shared.copy()}
    Trainer(other, optimizer=SGD(0.1), random_state=0).run(**expected, epochs=4)
    Trainer(model, optimizer=SGD(0.1), random_state=0).run(**(given | {place: shared}), epochs=4)
    assert model.to_vector().tobytes() == other.to_vector().tobytes()
