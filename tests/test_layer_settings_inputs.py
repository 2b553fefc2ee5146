"""Settings of layers beside parameters of inputs: scales, factors of activations, and embeddings."""

from __future__ import annotations

import numpy as np
import pytest
from _helpers import data

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
    """Train copies of a model's parameters, and return the parameters in the order of the model's, and their averages."""
    kinds = {name: [None if v is None else v.copy() for v in views] for name, views in model._views().items()}
    embedded = list(zip(model.embeddings, kinds["embedding_parameters"], strict=True)) or None
    scales, alphas = kinds["scales"][0], kinds["alphas"]
    of_embeddings = [a for a in kinds["embedding_parameters"] if a is not None]
    order = [*kinds["weights"], *kinds["biases"], scales, *[a for a in alphas if a is not None], *of_embeddings]
    averages = [np.zeros_like(array) for array in order]
    reference.train(
        *(kinds["weights"], kinds["biases"], model.activations, X, y),
        **{"scales": scales, "alphas": alphas, "embeddings": embedded, "averages": averages, **options},
    )
    return order, averages


def in_that_order(model):
    kinds = model._views()
    given = [*kinds["weights"], *kinds["biases"], kinds["scales"][0], *kinds["alphas"], *kinds["embedding_parameters"]]
    return [array for array in given if array is not None]


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
        for ours, theirs in zip(in_that_order(model), arrays, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-10)
    np.testing.assert_array_equal(models[0].to_vector(), models[1].to_vector())
