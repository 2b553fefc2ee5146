"""Settings of the parameters of embeddings, which are those of the first layer."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from _helpers import data
from _model_checks import in_order_of_averages, reference_of

from fastnn import EMA, MLP, SGD, Adam, AdamW, LayerSettings, Lion, RMSProp, Trainer, fit_many, reference
from fastnn.embeddings import PBLD, Categorical, OneHot

KIND = "embedding_parameters"
EMBEDDINGS = [
    OneHot(columns=[0], n_categories=3),
    PBLD(columns=[1, 2], n_frequencies=5),
    Categorical(columns=[4], n_categories=5, width=3),
]
FIRST = {
    "all": LayerSettings(0.1, frozen={"biases": True}),
    "each": LayerSettings({KIND: [None, 0.1, 2.0]}, weight_decay_factor={KIND: [None, 0.5, None]}),
    "decay": LayerSettings({KIND: 0.5}, weight_decay_factor={KIND: 1.5}),
    "frozen": LayerSettings(frozen={KIND: True}),
    "one frozen": LayerSettings({"weights": 0.3}, frozen={KIND: (None, False, True)}),
    "first layer frozen": LayerSettings(frozen=True),
    "trained alone": LayerSettings(frozen={"weights": True, "biases": True, "scales": True}),
}
OPTIMIZERS = [
    SGD(0.05),
    SGD(0.02, momentum=0.9),
    Adam(0.01),
    AdamW(0.01, weight_decay=0.3),
    RMSProp(0.01),
    Lion(0.001, weight_decay=0.3),
]
CASES = [
    (first, optimizer)
    for first in FIRST.values()
    for optimizer in OPTIMIZERS
    if hasattr(optimizer, "weight_decay") or first.weight_decay_factor == 1.0
]


def problem(n=70):
    X, y = data(n, 5, 2)
    X[:, 0], X[:, 4] = np.arange(n) % 4, np.arange(n) % 5
    return X, y


def model_of(dtype=np.float64, seed=0):
    return MLP((5, 20, 9, 2), "tanh", dtype=dtype, random_state=seed, input_scale=True, embeddings=EMBEDDINGS)


def trained_by_reference(model, X, y, **options):
    lists, own = reference_of(model)
    reference.train(*lists, X, y, **own, **options)
    arrays = [*lists[0], *lists[1], own["scales"], *[array for _, array in own["embeddings"]]]
    return [array for array in arrays if array is not None]


@pytest.mark.parametrize(("first", "optimizer"), CASES, ids=repr)
@pytest.mark.parametrize("options", [{}, {"clip_norm": 0.5, "l2": 0.01, "averaging": EMA(0.9)}], ids=["plain", "clipped"])
def test_training_is_that_of_the_reference(first, optimizer, options):
    X, y = problem()
    training = {"layer_settings": [first, None, None], "batch_size": 16, **options}
    trainers = [Trainer(model_of(), "mse", optimizer, random_state=0, n_threads=n, **training) for n in (1, 3)]
    for trainer in trainers:
        trainer.run(X, y, epochs=3)
    averages = {"averages": [np.zeros_like(a) for a in in_order_of_averages(model_of())]} if "averaging" in options else {}
    training |= {"optimizer": optimizer, "epochs": 3, "rng": np.random.default_rng(0), **averages}
    tolerance = 0.01 if isinstance(optimizer, Lion) else 1e-10  # a step of Lion has the size of the learning rate
    wanted = trained_by_reference(model_of(), X, y, **training)
    for ours, theirs in zip(in_order_of_averages(trainers[0].model), wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=tolerance)
    np.testing.assert_array_equal(trainers[0].model.to_vector(), trainers[1].model.to_vector())


def test_frozen_embeddings_and_their_moments_stay_as_they_are():
    X, y = problem()
    for first in ("frozen", "one frozen", "first layer frozen"):
        model = model_of()
        before, layer = [None if p is None else p.copy() for p in model.embedding_parameters], model.weights[0].copy()
        trainer = Trainer(model, layer_settings=[FIRST[first], None, None], random_state=0)
        trainer.run(X, y, 3)
        stays = [np.array_equal(p, old) for p, old in zip(model.embedding_parameters, before, strict=True)]
        assert stays == [True, first != "one frozen", True]
        assert np.array_equal(model.weights[0], layer) == (first == "first layer frozen")
        for moment in trainer._moments:
            kept = model._views(moment)[KIND]
            assert [p is not None and bool(p.any()) for p in kept] == [False, first == "one frozen", False]


def test_one_setting_for_all_layers_is_for_embeddings_too():
    X, y = problem()
    models = [model_of() for _ in range(3)]
    settings = [LayerSettings(0.1), [LayerSettings(0.1)] * 3, [LayerSettings(0.1 * np.ones(1)[0])] * 3]
    for model, own in zip(models, settings, strict=True):
        model.fit(X, y, optimizer=SGD(0.1), layer_settings=own, random_state=0)
    slower = model_of()
    slower.fit(X, y, optimizer=SGD(0.1 * 0.1), random_state=0)
    for model in models:
        np.testing.assert_allclose(model.to_vector(), slower.to_vector(), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_training_continues_from_files_copies_and_pickles(dtype, tmp_path):
    X, y = problem()
    for first in (FIRST["each"], FIRST["one frozen"]):
        options = {"layer_settings": [first, None, None], "optimizer": AdamW(0.01, weight_decay=0.1), "random_state": 0}
        whole, part = (Trainer(model_of(dtype), **options) for _ in range(2))
        whole.run(X, y, 5)
        part.run(X, y, 2)
        part.save(tmp_path / "trainer.safetensors")
        for other in (Trainer.load(tmp_path / "trainer.safetensors"), copy.deepcopy(part), pickle.loads(pickle.dumps(part))):
            assert other.layer_settings == part.layer_settings
            other.run(X, y, 3)
            np.testing.assert_array_equal(other.model.to_vector(), whole.model.to_vector())


def test_single_steps_shards_and_many_models_agree_with_runs():
    X, y = problem(50)
    options = {"layer_settings": (FIRST["each"], None, None), "optimizer": AdamW(0.01, weight_decay=0.1)}
    by_run, by_steps, by_parts = (Trainer(model_of(), **options, batch_size=50, shuffle=False) for _ in range(3))
    by_shards = Trainer(model_of(), **options, batch_size=50, shuffle=False, n_shards=1)
    for trainer in (by_run, by_shards):
        trainer.run(X, y, 4)
    for _ in range(4):
        by_steps.step(X, y)
        by_parts.accumulate(X, y)
        by_parts.apply()
    np.testing.assert_array_equal(by_steps.model.to_vector(), by_run.model.to_vector())
    for other in (by_parts, by_shards):
        np.testing.assert_allclose(other.model.to_vector(), by_run.model.to_vector(), rtol=1e-9, atol=1e-11)
    models = [model_of(seed=k) for k in range(3)]
    alone = [model.copy() for model in models]
    fit_many(models, X, y, **options, epochs=2, random_state=1)
    for model, own in zip(models, alone, strict=True):
        own.fit(X, y, **options, epochs=2, random_state=1)
        np.testing.assert_array_equal(model.to_vector(), own.to_vector())


def test_settings_may_change_during_a_training():
    X, y = problem()
    trainer, plain = (Trainer(model_of(), optimizer=SGD(0.05), random_state=0) for _ in range(2))
    frozen = [LayerSettings(frozen={KIND: True}), None, None]
    for settings in (frozen, None, frozen):
        trainer.layer_settings = settings
        before = trainer.model.embedding_parameters[1].copy()
        trainer.step(X, y)
        assert np.array_equal(trainer.model.embedding_parameters[1], before) == (settings is not None)
    assert plain.step(X, y) > 0.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            [LayerSettings({KIND: [0.1, 0.1]}), None, None],
            r"\[0\].learning_rate_factor.*expected 3 values, one per embed.*got 2",
        ),
        (
            [LayerSettings(frozen={KIND: [True, True, True]}), None, None],
            r"frozen.*\[0\]: expected None for an embedding without",
        ),
        (
            [None, LayerSettings({KIND: 0.1}), None],
            r"layer_settings\[1\].learning_rate_factor: expected the kinds .*weights, biases",
        ),
        ([LayerSettings(frozen=True)] * 3, "expected parameters that are not frozen, got none"),
    ],
)
def test_settings_without_effect_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Trainer(model_of(), layer_settings=settings)
    trainer = Trainer(model_of())
    with pytest.raises(ValueError, match=message):
        trainer.layer_settings = settings
    assert trainer.layer_settings is None


def test_models_without_such_parameters_refuse_them():
    for model in (MLP((5, 4, 1)), MLP((5, 4, 1), embeddings=EMBEDDINGS[:1])):
        with pytest.raises(
            ValueError, match="expected the kinds of parameters that are there, weights, biases, got 'embedding"
        ):
            Trainer(model, layer_settings=[LayerSettings({KIND: 0.1}), None])


@pytest.mark.parametrize("value", [[-1.0], "a", [[0.1]], None])
def test_wrong_values_raise(value):
    with pytest.raises((TypeError, ValueError), match=r"learning_rate_factor\['embedding_parameters'\]"):
        LayerSettings({KIND: value})
    with pytest.raises(TypeError, match=r"learning_rate_factor\['weights'\]"):
        LayerSettings({"weights": [0.1]})
