"""Averages of every kind of parameters: scales of inputs, alphas, and those of embeddings."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from _embedded import data_for as rows_with_codes
from _model_checks import in_order_of_averages, reference_of
from _parts import data_for

from fastnn import EMA, MLP, SWA, Adam, Trainer, callbacks, reference
from fastnn.embeddings import PBLD, PLR, Categorical, OneHot, PiecewiseLinear

EMBEDDINGS = [
    Categorical(1, n_categories=3, width=4),
    PLR(4, n_frequencies=2, width=3, sigma=0.5),
    OneHot(0, n_categories=2),
    PiecewiseLinear(2, bins=[-1.0, 0.1, 2.0]),
    PBLD(3, n_frequencies=2, sigma=0.5),
]
MODELS = {
    "scales": {"input_scale": True, "input_dropout": 0.2},
    "alphas": {"parametric_activation": [True, False], "dropout": 0.2},
    "scales and alphas": {"input_scale": True, "parametric_activation": True, "normalization": "layer_norm"},
    "embeddings and scales": {"embeddings": EMBEDDINGS, "input_scale": True, "input_dropout": 0.2},
    "embeddings": {"embeddings": EMBEDDINGS},
    "embeddings and alphas": {"embeddings": EMBEDDINGS, "parametric_activation": True, "normalization": "rms_norm"},
}
AVERAGES = pytest.mark.parametrize("averaging", [EMA(0.9), SWA(2)], ids=repr)
EACH = pytest.mark.parametrize("options", MODELS.values(), ids=MODELS)


def model_of(options, **others):
    return MLP((6, 14, 9, 2), ["silu", "tanh"], random_state=0, **options, **others)


def data_of(model, n=61):
    return (rows_with_codes if model.embeddings else data_for)(model, n)[:2]


@AVERAGES
@EACH
@pytest.mark.parametrize("batch_size", [8, 64])
def test_the_reference(options, averaging, batch_size):
    model = model_of(options, dtype=np.float64)
    X, y = data_of(model)
    lists, others = reference_of(model)
    averages = [np.zeros(v.shape) for v in in_order_of_averages(model)]
    trainer = Trainer(
        *(model, "mse", Adam(0.01)), batch_size=batch_size, averaging=averaging, random_state=3, drop_last=batch_size == 8
    )
    reference.train(
        *(*lists, X, y),
        **others,
        optimizer=Adam(0.01),
        epochs=3,
        batch_size=batch_size,
        rng=np.random.default_rng(3),
        dropout=options.get("dropout", 0.0),
        input_dropout=options.get("input_dropout", 0.0),
        averaging=averaging,
        averages=averages,
        drop_last=batch_size == 8,
    )
    trainer.run(X, y, epochs=3)
    for own, expected in zip(in_order_of_averages(trainer.averaged_model()), averages, strict=True):
        np.testing.assert_allclose(own, expected, rtol=1e-7, atol=1e-10)


@AVERAGES
@EACH
def test_training_continues_with_the_same_bits(options, averaging, tmp_path):
    model = model_of(options)
    X, y = data_of(model)
    whole = Trainer(model, averaging=averaging, batch_size=16, random_state=2)
    parts = copy.deepcopy(whole)
    whole.run(X, y, epochs=6)
    for _ in range(3):
        parts.run(X, y, epochs=2)
        parts.save(tmp_path / "a")
        again = Trainer.load(tmp_path / "a")
        np.testing.assert_array_equal(again.averaged_model().to_vector(), parts.averaged_model().to_vector())
        parts = again
    np.testing.assert_array_equal(parts.averaged_model().to_vector(), whole.averaged_model().to_vector())
    np.testing.assert_array_equal(parts.model.to_vector(), whole.model.to_vector())


@AVERAGES
@EACH
def test_files_and_predictions_of_the_averaged_model(options, averaging, tmp_path):
    model = model_of(options)
    X, y = data_of(model)
    trainer = Trainer(model, averaging=averaging, batch_size=16, random_state=2)
    history = trainer.run(X, y, 3, validation_data=(X, y))
    average = trainer.averaged_model()
    assert not np.array_equal(average.to_vector(), model.to_vector())
    assert history["val_loss"][-1] == average.loss(X, y)
    average.save(tmp_path / "a")
    np.testing.assert_array_equal(MLP.load(tmp_path / "a").predict(X), average.predict(X))


@EACH
def test_the_best_epoch_and_shards(options):
    model = model_of(options)
    X, y = data_of(model, 64)
    kept = []

    class Watch:
        def on_epoch_end(self, trainer, history):
            kept.append((history["val_loss"][-1], trainer.averaged_model().to_vector()))

    for n_shards in (1, 2):
        kept.clear()
        trainer = Trainer(model_of(options), optimizer=Adam(0.1), averaging="ema", batch_size=16, n_shards=n_shards)
        stopping = callbacks.EarlyStopping("val_loss", patience=None)
        trainer.run(X, y, 5, validation_data=(X, y), callbacks=[Watch(), stopping])
        best = min(kept, key=lambda epoch: epoch[0])[1]
        np.testing.assert_array_equal(trainer.averaged_model().to_vector(), best)
