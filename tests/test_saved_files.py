"""Files in tests/data, which an earlier version saved: they load, and training continues with the same bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import MLP, Trainer
from fastnn._engine import core as _core

HERE = Path(__file__).parent / "data"
NAMES = (
    *("adam_float32", "adamw_float64", "momentum_float64", "nadam_float64"),
    *("sharded_float32", "normalized_float32", "averaged_float32", "embedded_float32"),
    *("residual_float32", "muon_float32", "shared_float32", "full_ensemble_float32"),
)
ESTIMATOR = "classifier_float32"
ENSEMBLE = "ensemble_float32"
FUSED = _core.current_instruction_set()[0] in ("v3", "v4", "neon")


def training_data(name):
    """Return the data of the runs, drawn in the same order as when the files were made."""
    rng = np.random.default_rng(7)
    X = rng.normal(size=(40, 4)).astype(np.float32)
    numbers, labels = rng.normal(size=(40, 3)), rng.integers(0, 3, 40)
    return X, labels if name in ("adamw_float64", ESTIMATOR) else numbers


def saved(name):
    return HERE / f"{name}.safetensors"


def test_every_file_is_tested():
    assert {path.stem for path in HERE.glob("*.safetensors")} == {*NAMES, ESTIMATOR, ENSEMBLE}


@pytest.mark.parametrize("name", NAMES)
def test_training_continues_with_the_same_bits(name):
    trainer = Trainer.load(saved(name))
    trainer.run(*training_data(name), 4)
    assert_bits(trainer.model, name)


def test_an_average_continues_with_the_same_bits():
    trainer = Trainer.load(saved("averaged_float32"))
    assert (trainer.averaging, trainer.drop_last) == (fastnn.EMA(0.9), True)
    trainer.run(*training_data("averaged_float32"), 4)
    assert_bits(trainer.averaged_model(), "averaged_float32", "average")


def assert_bits(model, name, array="v"):
    """Assert that the parameters are those in tests/data after more training."""
    expected = np.load(HERE / f"{name}_later.npz")[array]
    found = model.to_vector()
    assert found.dtype == expected.dtype
    if FUSED:
        np.testing.assert_array_equal(found, expected)
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-5 if found.dtype == np.float32 else 1e-13, atol=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_the_model_can_be_loaded_alone(name):
    model, trainer = MLP.load(saved(name)), Trainer.load(saved(name))
    np.testing.assert_array_equal(model.to_vector(), trainer.model.to_vector())
    assert repr(model) == repr(trainer.model)
    assert model.feature_names == (("a", "b", "c", "d") if name == "adam_float32" else None)


def test_settings_load_as_they_were_saved():
    adam, adamw, momentum, nadam = (Trainer.load(saved(name)) for name in NAMES[:4])
    assert (adam.batch_size, adam.l2, adam.clip_norm, adam.updates) == (8, 1e-3, 0.5, 15)
    assert adam.model.dropout == (0.2, 0.0)
    assert adam.model.activations == ("tanh", "gelu", "identity")
    assert (adamw.l1, adamw.clip_value, adamw.loss.name, adamw.updates) == (1e-4, 0.1, "cross_entropy", 9)
    schedule = fastnn.schedules.Warmup(fastnn.schedules.Cosine(0.02, 40), 5)
    assert adamw.optimizer == fastnn.AdamW(schedule, weight_decay=0.01)
    assert momentum.loss == fastnn.losses.Huber(0.5)
    assert not momentum.shuffle
    assert momentum.optimizer == fastnn.SGD(0.05, momentum=0.9, nesterov=True)
    steps = fastnn.schedules.Warmup(fastnn.schedules.Step(0.02, 10, 0.5), 5)
    assert (nadam.optimizer, nadam.model.dropout) == (fastnn.NAdam(steps), (0.0, 0.1))
    assert nadam.model.activations == ("prelu", "mish", "identity")
    assert MLP.load(saved("residual_float32")).residual == ((1, 3), (2, 4), (3, 5), (0, 6))
    assert MLP.load(saved("shared_float32")).shared == fastnn.SharedEnsemble(3, scale_init="normal")
    assert MLP.load(saved("full_ensemble_float32")).shared == fastnn.SharedEnsemble(3, kind="full")
    normalized = MLP.load(saved("normalized_float32"))
    assert normalized.normalization == ("layer_norm", "rms_norm", None)
    assert normalized.normalization_place == ("before", "after", None)


@pytest.mark.filterwarnings("ignore:.*(converge|Maximum iterations)")
def test_an_estimator_continues_with_the_same_bits():
    pytest.importorskip("sklearn")
    from fastnn.sklearn import MLPClassifier

    X, labels = training_data(ESTIMATOR)
    y = np.array(["no", "maybe", "yes"])[labels]
    estimator = MLPClassifier.load(saved(ESTIMATOR))
    assert estimator.classes_.tolist() == ["maybe", "no", "yes"]
    assert estimator.get_params()["hidden_layer_sizes"] == (6, 5)
    np.testing.assert_array_equal(MLP.load(saved(ESTIMATOR)).predict(X), estimator.predict_proba(X))
    assert_bits(estimator.fit(X, y).network_, ESTIMATOR)


def test_an_ensemble_is_loaded_and_its_models_train_on():
    """The first two models share a random generator, and draw from it in turn."""
    ensemble = fastnn.Ensemble.load(saved(ENSEMBLE))
    assert [model.layer_sizes for model in ensemble] == [(4, 6, 3), (4, 6, 3), (4, 5, 2, 3)]
    assert ensemble[2].feature_names == ("a", "b", "c", "d")
    X, targets = training_data(ENSEMBLE)
    expected = np.load(HERE / f"{ENSEMBLE}_later.npz")
    tolerance = {"rtol": 0 if FUSED else 1e-5, "atol": 0 if FUSED else 1e-6}
    np.testing.assert_allclose(ensemble.predict(X), expected["mean"], **tolerance)
    for model in ensemble:
        model.fit(X, targets, epochs=2, batch_size=8)
    np.testing.assert_allclose(np.concatenate([model.to_vector() for model in ensemble]), expected["v"], **tolerance)
