"""Shared ensembles: the reference, its derivatives, and the engines that follow it."""

from __future__ import annotations

import numpy as np
import pytest
from _model_checks import (
    assert_central_differences,
    assert_like_the_reference,
    assert_rows_of_weight_zero_do_not_count,
    assert_the_fallback_trains_alike,
    assert_trains_like_the_reference,
    reference_of,
)
from _shared import IDS, NETWORKS, data_for, model_with

from fastnn import MLP, SGD, AdamW, LayerSettings, SharedEnsemble, Trainer, reference
from fastnn._engine import core as _core
from fastnn._engine import portable as _portable
from fastnn.losses import CrossEntropy, Heads, Huber
from fastnn.optimizers import Adam, Lion, Muon, NAdam, RMSProp


@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
def test_gradients_are_central_differences(network):
    model = model_with(*network)
    X, y, weight = data_for(model, 7)
    columns = [j for j in range(X.shape[1]) if j not in model._codes]
    bins = any(type(each).__name__ == "PiecewiseLinear" for each in model.embeddings)  # has kinks
    places = [(i, j) for i in range(len(X)) for j in columns if not (bins and j == 3)]
    assert_central_differences(model, X, y, weight, 1e-8, places)


@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 150])
def test_predictions_and_derivatives_are_those_of_the_reference(network, dtype, n):
    model = model_with(*network, dtype)
    X, y, weight = data_for(model, n)
    weight[0] = 1.0
    exact = dtype is np.float64
    assert_like_the_reference(model, X, y, weight, rtol=1e-8 if exact else 2e-3, atol=1e-10 if exact else 1e-4)


@pytest.mark.parametrize("network", NETWORKS, ids=IDS)
@pytest.mark.parametrize(
    ("optimizer", "settings"),
    [
        (SGD(0.01), {"batch_size": 5}),
        (SGD(0.01, momentum=0.9, nesterov=True), {"batch_size": 600, "l1": 0.01}),
        (Adam(0.01), {"batch_size": 16, "clip_norm": 0.1, "shuffle": True}),
        (AdamW(0.01, weight_decay=0.1), {"batch_size": 16, "l2": 0.1, "clip_value": 0.01, "drop_last": True}),
        (NAdam(0.01), {"batch_size": 64, "layer_settings": LayerSettings(learning_rate_factor={"scales": 3.0})}),
        (Lion(0.001), {"batch_size": 37, "layer_settings": LayerSettings(frozen={"scales": True})}),
        (Muon(0.01), {"batch_size": 25}),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, dict) else " ".join(value),
)
def test_training_is_that_of_the_reference(network, optimizer, settings):
    model = model_with(*network)
    X, y, weight = data_for(model, 50)
    assert_trains_like_the_reference(*(model, X, y, weight, optimizer, settings), rtol=1e-5, atol=1e-8, rtol_of_loss=1e-7)


@pytest.mark.parametrize("kind", ["mini", "full"])
def test_each_member_drops_its_own_units_and_inputs(kind):
    model = model_with((6, 20, 20, 2), "relu", 5, {"dropout": 0.3, "input_dropout": 0.2, "kind": kind})
    X, y, weight = data_for(model, 70)
    assert_trains_like_the_reference(
        *(model, X, y, weight, Adam(0.01), {"batch_size": 32}),
        **{"rtol": 1e-6, "atol": 1e-9, "rtol_of_loss": 1e-8, "dropout": 0.3, "input_dropout": 0.2},
    )


@pytest.mark.parametrize("network", [NETWORKS[i] for i in (1, 8, 11, -1)], ids=[IDS[i] for i in (1, 8, 11, -1)])
def test_the_fallback_trains_alike(network):
    model = model_with(*network)
    X, y, _ = data_for(model, 40)
    assert_the_fallback_trains_alike(model, X, y, RMSProp(0.001), gradient_atol=1e-9)


def test_each_member_is_a_network():
    model = model_with((5, 16, 9, 2), "gelu", 6)
    X, y, weight = data_for(model)
    members, losses = [], []
    for k in range(6):
        member = MLP((5, 16, 9, 2), "gelu", input_scale=True, dtype="float64")
        member.weights = [*model.weights[:-1], model.weights[-1][:, 2 * k : 2 * k + 2]]
        member.biases = [*model.biases[:-1], model.biases[-1][2 * k : 2 * k + 2]]
        member.scales[0][...] = model.scales[0][k]
        members.append(member.predict(X))
        losses.append(member.loss(X, y, "mse", weight))
    np.testing.assert_allclose(model.predict(X), np.mean(members, axis=0), rtol=1e-12)
    assert model.loss(X, y, "mse", weight) == pytest.approx(np.mean(losses), rel=1e-12)


def test_each_member_of_the_kind_full_is_a_network():
    model = model_with((5, 16, 9, 2), "gelu", 6, {"kind": "full"})
    X, y, weight = data_for(model)
    members, losses, hidden = [], [], []
    for k in range(6):
        member = MLP((5, 16, 9, 2), "gelu", dtype="float64")
        for layer in range(2):
            r, s = model.scales[layer][k], model.output_scales[layer][k]
            member.weights[layer], member.biases[layer] = model.weights[layer] * np.outer(r, s), model.biases[layer][k]
        member.weights[2], member.biases[2] = model.weights[2][:, 2 * k : 2 * k + 2], model.biases[2][2 * k : 2 * k + 2]
        members.append(member.predict(X))
        hidden.append(member.hidden_activations(X))
        losses.append(member.loss(X, y, "mse", weight))
    np.testing.assert_allclose(model.predict(X), np.mean(members, axis=0), rtol=1e-12)
    assert model.loss(X, y, "mse", weight) == pytest.approx(np.mean(losses), rel=1e-12)
    for layer, activations in enumerate(model.hidden_activations(X)):
        np.testing.assert_allclose(activations, np.stack([of[layer] for of in hidden], axis=1), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("frozen", [0, 1, 2])
@pytest.mark.parametrize("batch_size", [10, 200])
def test_layers_behind_frozen_ones_learn_the_scales_of_their_inputs(frozen, batch_size):
    model = model_with((4, 9, 8, 7, 2), "tanh", 5, {"kind": "full"})
    X, y, weight = data_for(model, 60)
    settings = [LayerSettings(frozen=True) if layer <= frozen else None for layer in range(4)]
    options = {"batch_size": batch_size, "layer_settings": settings}
    assert_trains_like_the_reference(*(model, X, y, weight, Adam(0.01), options), rtol=1e-6, atol=1e-9, rtol_of_loss=1e-8)


def test_probabilities_are_means_and_labels_are_those_of_all_members():
    model = model_with((4, 12, 3), "tanh", 7, output_activation="softmax")
    X = data_for(model, 50)[0]
    labels = X[:, :3].argmax(axis=1)
    lists, options = reference_of(model)
    members = reference.forward(*lists, X, **options)[-1][1]
    np.testing.assert_allclose(model.predict(X), reference.mean_of_members(members, 7), rtol=1e-9)
    np.testing.assert_allclose(model.predict(X).sum(axis=1), 1.0)
    of_members = -np.log(members.reshape(50, 7, 3)[np.arange(50), :, labels])
    assert model.loss(X, labels, "cross_entropy") == pytest.approx(of_members.mean())
    smooth = CrossEntropy(label_smoothing=0.1)
    value, *_ = reference.loss_and_gradient(*lists, X, labels, smooth, **options)
    assert model.loss(X, labels, smooth) == pytest.approx(value)
    history = model.fit(X, labels, loss="cross_entropy", optimizer=Adam(0.02), epochs=60, metrics=["accuracy"])
    assert history["accuracy"][-1] > 0.8


def test_heads_have_the_means_of_the_reference():
    model = model_with((3, 10, 3), "tanh", 5)
    X, y, weight = data_for(model)
    y[::3, 0] = np.nan
    loss = Heads([(0, Huber(0.5), 1.0), (slice(1, 3), "mse", 2.0)], missing="ignore")
    lists, options = reference_of(model)
    value, *_ = reference.loss_and_gradient(*lists, X, y, loss, weight, **options)
    assert model.loss(X, y, loss, weight) == pytest.approx(value)


def test_rows_of_weight_zero_do_not_count():
    models = [model_with((6, 5, 2)) for _ in range(2)]
    X, y, _ = data_for(models[0], 20)
    assert_rows_of_weight_zero_do_not_count(models, X, y, rtol=1e-9, atol=1e-12)


def test_validation_and_early_stopping_use_the_mean_of_the_losses():
    from fastnn.callbacks import EarlyStopping

    model = model_with((3, 12, 1), "relu", 4)
    X, y, _ = data_for(model, 60)
    trainer = Trainer(model, "mse", Adam(0.01), random_state=0)
    history = trainer.run(X[:40], y[:40], 5, validation_data=(X[40:], y[40:]))
    assert history["val_loss"][-1] == pytest.approx(model.loss(X[40:], y[40:]))
    stop = EarlyStopping(patience=3, monitor="val_loss")
    history = trainer.run(X[:40], y[:40], 200, validation_data=(X[40:], y[40:]), callbacks=[stop])
    assert len(history["loss"]) < 200
    assert model.loss(X[40:], y[40:]) == pytest.approx(min(history["val_loss"]))


@pytest.mark.parametrize("averaging", ["ema", "swa"])
@pytest.mark.parametrize("kind", ["mini", "full"])
def test_averages_have_all_kinds(averaging, kind):
    model = model_with((3, 12, 1), "relu", 4, {"kind": kind})
    X, y, _ = data_for(model, 60)
    trainer = Trainer(model, "mse", Adam(0.01), averaging=averaging, random_state=0)
    trainer.run(X, y, 3)
    average = trainer.averaged_model()
    assert average.shared == model.shared
    assert (average.scales[0] != model.scales[0]).any()


def test_scales_begin_as_signs_or_normal_numbers_for_each_column():
    from fastnn.embeddings import PLR

    plain = MLP((50, 3, 1), shared=SharedEnsemble(40), random_state=0).scales[0]
    assert set(plain.ravel().tolist()) == {-1.0, 1.0}
    assert abs(plain.mean()) < 0.1
    embedded = MLP((5, 3, 1), shared=SharedEnsemble(40), embeddings=PLR([1, 3], width=4), random_state=0).scales[0]
    assert embedded.shape == (40, 2 * 4 + 3)
    np.testing.assert_array_equal(embedded[:, :4], np.repeat(embedded[:, :1], 4, axis=1))
    np.testing.assert_array_equal(embedded[:, 4:8], np.repeat(embedded[:, 4:5], 4, axis=1))
    assert len(np.unique(embedded)) == 40 * 5
    ones = MLP((5, 3, 1), shared=SharedEnsemble(4, scale_init="ones"), random_state=0)
    np.testing.assert_array_equal(ones.scales[0], 1.0)
    heads = ones.weights[1]
    assert len(np.unique(heads)) == heads.size  # each member draws its own


def test_only_the_first_scales_of_the_kind_full_are_drawn():
    model = MLP((5, 9, 8, 1), shared=SharedEnsemble(4, kind="full"), random_state=0)
    assert set(model.scales[0].ravel().tolist()) == {-1.0, 1.0}
    for array in (model.scales[1], *model.output_scales[:2]):
        np.testing.assert_array_equal(array, 1.0)
    for array in model.biases:
        np.testing.assert_array_equal(array, 0.0)
    assert [None if s is None else s.shape for s in model.scales] == [(4, 5), (4, 9), None]
    assert [None if s is None else s.shape for s in model.output_scales] == [(4, 9), (4, 8), None]
    assert [b.shape for b in model.biases] == [(4, 9), (4, 8), (4,)]


def test_wrong_scales_of_members_are_named():
    lists = [np.ones((2, 3)), np.ones((3, 4))], [np.zeros((2, 3)), np.zeros(4)], ["tanh", "identity"]
    own, scales = reference.MemberScales(np.ones((2, 3))), np.ones((2, 2))
    assert reference.forward(*lists, np.ones((1, 2)), scales=scales, members=[own, None])[-1][1].shape == (2, 2)
    for members, message in (
        ([own], "members: expected 2 entries"),
        ([own, own], "the last one None"),
        ([reference.MemberScales(np.ones((2, 2))), None], r"members\[0\]: expected scales of inputs and outputs"),
        ([reference.MemberScales(np.ones((2, 3)), scales), None], r"members\[0\]: expected scales"),
        (None, r"biases\[0\]: expected shape \(3,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            reference.forward(*lists, np.ones((1, 2)), scales=scales, members=members)


@pytest.mark.parametrize("engine", [_core, _portable])
def test_engines_refuse_scales_without_members(engine):
    with pytest.raises(ValueError, match="members"):
        engine.Network((2, 2, 2), ("tanh", "identity"), (0.0, 0.0), np.float64, scales_members=True)


def test_the_reference_refuses_residual_connections_of_members():
    lists = [np.ones((2, 2)), np.ones((2, 4))], [np.zeros(2), np.zeros(4)], ["tanh", "identity"]
    with pytest.raises(ValueError, match="residual: expected no connections in a shared ensemble, got 1"):
        reference.forward(*lists, np.ones((1, 2)), scales=np.ones((2, 2)), residual=[reference.Connection(0, 1)])


@pytest.mark.parametrize("engine", [_core, _portable])
def test_engines_refuse_residual_connections_of_members(engine):
    layers = (2, 2, 2), ("tanh", "identity"), (0.0, 0.0), np.float64
    with pytest.raises(ValueError, match=r"residual: a shared ensemble has no residual connections, got \(\(0, 1\),\)"):
        engine.Network(*layers, residual=((0, 1),), n_members=2)


def test_wrong_scales_of_the_reference_are_named():
    for scales, message in ((np.ones((2, 3)), "one per input"), (np.ones((2, 2)), "at least two members, which share 3")):
        with pytest.raises(ValueError, match=f"scales: expected .*{message}"):
            reference.forward([np.ones((2, 3))], [np.zeros(3)], ["identity"], np.ones((1, 2)), scales=scales)
