"""The factor of label smoothing, and its schedules, against the reference and by every way to train."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from fastnn import MLP, SGD, AdamW, Trainer, fit_many, reference
from fastnn.losses import BinaryCrossEntropy, CrossEntropy, Heads
from fastnn.schedules import CosLog4, FlatCosine


def rising(steps):
    """Return the values of a schedule of a program."""
    return np.minimum(1.0, steps / 10)


FACTORS = [FlatCosine(1.0, 20), rising, CosLog4(1.0, 40), 0.5, 0.0]
LOSSES = {
    "labels": (CrossEntropy(label_smoothing=0.2), "softmax", 4),
    "weighted": (CrossEntropy(label_smoothing=0.2, output_weights=[1.0, 2.0, 0.5, 1.0], missing="ignore"), "softmax", 4),
    "focal": (CrossEntropy(label_smoothing=0.1, gamma=2.0), "softmax", 4),
    "binary": (BinaryCrossEntropy(label_smoothing=0.3), "sigmoid", 2),
    "pos_weight": (BinaryCrossEntropy(label_smoothing=0.3, pos_weight=3.0), "sigmoid", 2),
}
SIZES = [(3, 5), (6, 40, 33)]
CASES = [(factor, LOSSES["labels"]) for factor in FACTORS] + [(rising, of_loss) for of_loss in LOSSES.values()][1:]
EACH_CASE = pytest.mark.parametrize(("factor", "of_loss"), CASES)
EACH_LOSS = pytest.mark.parametrize("of_loss", LOSSES.values(), ids=LOSSES)


def problem(of_loss, hidden, n=50):
    loss, _, n_out = of_loss
    rng = np.random.default_rng(0)
    y = rng.integers(0, n_out, n) if isinstance(loss, CrossEntropy) else rng.integers(0, 2, (n, n_out)).astype(float)
    return rng.standard_normal((n, hidden[0])), y


def model_of(of_loss, hidden, seed=1, **options):
    _, output, n_out = of_loss
    return MLP((*hidden, n_out), "tanh", output, random_state=seed, **{"dtype": np.float64, **options})


@EACH_CASE
def test_training_is_that_of_the_reference(factor, of_loss):
    for hidden in SIZES:
        X, y = problem(of_loss, hidden)
        vectors = []
        given = {"optimizer": AdamW(0.01), "batch_size": 16, "label_smoothing_factor": factor}
        for n_threads in (1, 3):
            trainer = Trainer(model_of(of_loss, hidden), of_loss[0], random_state=5, n_threads=n_threads, **given)
            parameters = [p.copy() for p in trainer.model.parameters]
            history = trainer.run(X, y, 5)
            vectors.append(trainer.model.to_vector())
        assert np.array_equal(*vectors)
        losses = reference.train(
            *(parameters[::2], parameters[1::2], trainer.model.activations, X, y),
            **given,
            loss=of_loss[0],
            epochs=5,
            rng=np.random.default_rng(5),
        )
        np.testing.assert_allclose(vectors[0], np.concatenate([p.ravel() for p in parameters]), rtol=0, atol=1e-10)
        np.testing.assert_allclose(history["loss"], losses, rtol=1e-10)
        last = np.arange(3, 20, 4)
        expected = factor(last) if callable(factor) else [factor] * 5
        np.testing.assert_array_equal(history["label_smoothing_factor"], expected)


@EACH_LOSS
def test_a_factor_is_one_of_the_smoothing(of_loss):
    X, y = problem(of_loss, SIZES[1])
    halved = copy.copy(of_loss[0])
    object.__setattr__(halved, "label_smoothing", 0.5 * halved.label_smoothing)
    results = []
    for loss, factor in ((halved, 1.0), (of_loss[0], 0.5)):
        trainer = Trainer(model_of(of_loss, SIZES[1]), loss, random_state=0, label_smoothing_factor=factor)
        losses = trainer.run(X, y, 3)["loss"].tolist()
        results.append([*losses, trainer.step(X, y), trainer.accumulate(X, y), *trainer.model.to_vector()])
    assert results[0] == results[1]


@pytest.mark.parametrize("n", [50, 8])  # the batch of a tiny network stays where it is from one step to the next
@EACH_CASE
def test_single_steps_shards_and_many_models_agree_with_runs(factor, of_loss, n):
    hidden = SIZES[0]
    X, y = problem(of_loss, hidden, n)
    given = {"label_smoothing_factor": factor, "optimizer": SGD(0.1)}
    options = {"batch_size": n, "shuffle": False, **given}
    by_run, by_steps, by_parts, by_shards = (
        Trainer(model_of(of_loss, hidden), of_loss[0], n_shards=shards, **options) for shards in (None, None, None, 2)
    )
    for trainer in (by_run, by_shards):
        trainer.run(X, y, 6)
    for _ in range(6):
        by_steps.step(X, y)
        by_parts.accumulate(X, y)
        by_parts.apply()
    assert np.array_equal(by_run.model.to_vector(), by_steps.model.to_vector())
    for other in (by_parts, by_shards):
        np.testing.assert_allclose(other.model.to_vector(), by_run.model.to_vector(), rtol=1e-9, atol=1e-11)
    models = [model_of(of_loss, hidden, k) for k in range(4)]
    alone = [model.copy() for model in models]
    given |= {"loss": of_loss[0], "epochs": 3, "batch_size": 16, "random_state": 1}
    for model, own, found in zip(models, alone, fit_many(models, X, y, **given), strict=True):
        expected = own.fit(X, y, **given)
        assert np.array_equal(model.to_vector(), own.to_vector())
        assert found["label_smoothing_factor"].tolist() == expected["label_smoothing_factor"].tolist()


@pytest.mark.parametrize("factor", [FACTORS[0], 0.5])
def test_training_continues_from_files_copies_and_pickles(factor, tmp_path):
    of_loss = LOSSES["labels"]
    X, y = problem(of_loss, SIZES[1])
    options = {"label_smoothing_factor": factor, "random_state": 0}
    whole, part = (Trainer(model_of(of_loss, SIZES[1]), of_loss[0], **options) for _ in range(2))
    whole.run(X, y, 7)
    part.run(X, y, 3)
    part.save(tmp_path / "trainer.safetensors")
    for other in (Trainer.load(tmp_path / "trainer.safetensors"), copy.deepcopy(part), pickle.loads(pickle.dumps(part))):
        assert other.label_smoothing_factor == factor
        other.run(X, y, 4)
        assert np.array_equal(other.model.to_vector(), whole.model.to_vector())


def test_validation_has_the_smoothing_of_the_loss():
    of_loss = LOSSES["labels"]
    X, y = problem(of_loss, SIZES[0])
    model = model_of(of_loss, SIZES[0])
    history = model.fit(X, y, loss=of_loss[0], label_smoothing_factor=0.0, epochs=2, validation_data=(X, y))
    assert history["val_loss"][-1] == model.loss(X, y, of_loss[0])


def test_factors_that_can_not_take_effect_raise():
    heads = Heads([((0, 4), CrossEntropy(label_smoothing=0.1))])
    model = MLP((3, 4))
    for loss, whom in (("mse", "MSE"), (CrossEntropy(), "CrossEntropy"), (heads, "Heads")):
        with pytest.raises(
            ValueError, match=f"label_smoothing_factor: expected 1.0 for {whom}.* without label_smoothing, got 0.5"
        ):
            Trainer(model, loss, label_smoothing_factor=0.5)
    smooth = CrossEntropy(label_smoothing=0.1)
    trainer = Trainer(model, smooth, label_smoothing_factor=0.5)
    with pytest.raises(ValueError, match="label_smoothing_factor: expected 1.0 for CrossEntropy"):
        trainer.loss = CrossEntropy()
    assert trainer.loss == smooth
    with pytest.raises(ValueError, match="label_smoothing_factor: expected 1.0 for optimizer 'lbfgs', got 0.5"):
        Trainer(model, smooth, "lbfgs", label_smoothing_factor=0.5)
    with pytest.raises(ValueError, match="label_smoothing_factor: expected .*1.*got 2.0"):
        trainer.label_smoothing_factor = 2.0
    with pytest.raises(TypeError, match="label_smoothing_factor: expected a finite number >= 0 and <= 1 or a schedule"):
        trainer.label_smoothing_factor = "half"
