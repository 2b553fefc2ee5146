"""Settings of layers beside parameters of inputs: scales, factors of activations, and embeddings."""

from __future__ import annotations

import numpy as np
import pytest
from _helpers import data
from _model_checks import in_order_of_averages, reference_of

from fastnn import EMA, MLP, SGD, Adam, AdamW, LayerSettings, Trainer, reference
from fastnn.embeddings import PBLD, OneHot

FROZEN = LayerSettings(frozen=True)
SETTINGS = [
    None,
    [LayerSettings({"scales": 6.0, "biases": 0.1, "alphas": 0.1}), LayerSettings({"alphas": 0.0}), None],
    [FROZEN, None, None],
    [LayerSettings(frozen={"scales": True, "biases": True}), LayerSettings(frozen={"alphas": True}), FROZEN],
    [LayerSettings(frozen={"weights": True, "biases": True, "alphas": True}), FROZEN, None],
]
CONSTANT = OneHot(columns=[0], n_categories=3)
EMBEDDINGS = {
    "none": (),
    "trained": [PBLD(columns=[0, 1], n_frequencies=5)],
    "constant": [CONSTANT],
    "constant, then trained": [CONSTANT, PBLD(columns=[2], n_frequencies=3)],
}
OPTIMIZERS = [SGD(0.05), SGD(0.02, momentum=0.9), Adam(0.01), AdamW(0.01, weight_decay=0.1)]


def by_reference(model, X, y, **options):
    """Train copies of a model's parameters, and return them and their averages, in the order of the averages."""
    lists, own = reference_of(model)
    averages = [np.zeros_like(array) for array in in_order_of_averages(model)]
    reference.train(*lists, X, y, averages=averages, **own, **options)
    of_embeddings = [array for _, array in own.get("embeddings", ())]
    order = [*lists[0], *lists[1], own["scales"], *own["alphas"], *of_embeddings]
    return [array for array in order if array is not None], averages


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
@pytest.mark.parametrize("settings", SETTINGS, ids=range(len(SETTINGS)))
@pytest.mark.parametrize("embeddings", EMBEDDINGS.values(), ids=EMBEDDINGS)
def test_training_is_that_of_the_reference(embeddings, settings, optimizer):
    X, y = data(70, 4, 2)
    X[:, 0] = np.arange(70) % 4  # of which one has no place among the categories
    options = {"input_scale": True, "parametric_activation": True, "embeddings": embeddings}
    models = [MLP((4, 20, 9, 2), "tanh", dtype=np.float64, random_state=0, **options) for _ in range(3)]
    training = {"layer_settings": settings, "averaging": EMA(0.9), "batch_size": 16, "clip_norm": 0.5}
    trainers = [Trainer(models[i], "mse", optimizer, random_state=0, n_threads=i + 1, **training) for i in range(2)]
    for trainer in trainers:
        trainer.run(X, y, epochs=3)
    wanted = by_reference(models[2], X, y, optimizer=optimizer, epochs=3, rng=np.random.default_rng(0), **training)
    for model, arrays in zip([models[0], trainers[0].averaged_model()], wanted, strict=True):
        for ours, theirs in zip(in_order_of_averages(model), arrays, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-10)
    np.testing.assert_array_equal(models[0].to_vector(), models[1].to_vector())
