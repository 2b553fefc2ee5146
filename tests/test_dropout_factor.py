"""The factor of the probabilities of dropout, and its schedules, against the reference and by every way to train."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from _helpers import data

from fastnn import MLP, SGD, AdamW, Trainer, fit_many, reference
from fastnn._engine import core as _core
from fastnn.schedules import Cosine, FlatCosine


def falling(steps):
    """Return the values of a schedule of a program."""
    return np.maximum(0.0, 1.0 - steps / 20)


FACTORS = [FlatCosine(1.0, 20), falling, 0.5, 0.0]
SIZES = [(3, 5, 4, 2), (6, 40, 33, 3)]
DROPOUT = {"dropout": [0.2, 0.6], "input_dropout": 0.3}


def model_of(sizes=SIZES[0], seed=1, **options):
    return MLP(sizes, "tanh", random_state=seed, **{"dtype": np.float64, **DROPOUT, **options})


def trainer_of(sizes, factor, optimizer=None, **options):
    optimizer = AdamW(0.01) if optimizer is None else optimizer
    return Trainer(model_of(sizes), optimizer=optimizer, random_state=5, dropout_factor=factor, **options)


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize(
    "optimizer", [SGD(0.05), AdamW(Cosine(0.01, 30), weight_decay=Cosine(0.5, 25))], ids=["SGD", "AdamW"]
)
def test_training_is_that_of_the_reference(factor, optimizer):
    for sizes in SIZES:
        X, y = data(50, sizes[0], sizes[-1])
        given = {"batch_size": 16, "l2": Cosine(0.1, 20), "dropout_factor": factor}
        vectors = []
        for n_threads in (1, 3):
            trainer = Trainer(model_of(sizes), optimizer=optimizer, random_state=5, n_threads=n_threads, **given)
            parameters = [p.copy() for p in trainer.model.parameters]
            history = trainer.run(X, y, 5)
            vectors.append(trainer.model.to_vector())
        assert np.array_equal(*vectors)
        losses = reference.train(
            *(parameters[::2], parameters[1::2], trainer.model.activations, X, y),
            **(given | DROPOUT),
            optimizer=optimizer,
            epochs=5,
            rng=np.random.default_rng(5),
        )
        np.testing.assert_allclose(vectors[0], np.concatenate([p.ravel() for p in parameters]), rtol=0, atol=1e-10)
        np.testing.assert_allclose(history["loss"], losses, rtol=1e-10)
        last = np.arange(3, 20, 4)
        np.testing.assert_array_equal(history["dropout_factor"], factor(last) if callable(factor) else [factor] * 5)


def test_a_factor_is_one_of_the_probabilities():
    X, y = data(50, 6, 3)
    plain = Trainer(model_of(SIZES[1], dropout=[0.1, 0.3], input_dropout=0.15), random_state=0)
    halved = Trainer(model_of(SIZES[1]), random_state=0, dropout_factor=0.5)
    assert plain.run(X, y, 3)["loss"].tolist() == halved.run(X, y, 3)["loss"].tolist()
    assert np.array_equal(plain.model.to_vector(), halved.model.to_vector())
    off = Trainer(model_of(SIZES[1]), random_state=0, dropout_factor=0.0, shuffle=False)
    without = Trainer(model_of(SIZES[1], dropout=0.0, input_dropout=0.0), random_state=0, shuffle=False)
    assert off.run(X, y, 3)["loss"].tolist() == without.run(X, y, 3)["loss"].tolist()


@pytest.mark.parametrize("factor", FACTORS)
def test_single_steps_shards_and_many_models_agree_with_runs(factor):
    for sizes in SIZES:
        X, y = data(50, sizes[0], sizes[-1])
        given = {"batch_size": 50, "shuffle": False}
        by_run, by_steps, by_parts = (trainer_of(sizes, factor, **given) for _ in range(3))
        by_run.run(X, y, 6)
        for _ in range(6):
            by_steps.step(X, y)
            by_parts.accumulate(X, y)
            by_parts.apply()
        assert np.array_equal(by_run.model.to_vector(), by_steps.model.to_vector())
        np.testing.assert_allclose(by_parts.model.to_vector(), by_run.model.to_vector(), rtol=1e-9, atol=1e-11)
        by_shards, halved = (
            Trainer(model, random_state=5, n_shards=2, **options)
            for model, options in (
                (model_of(sizes), {"dropout_factor": factor}),
                (model_of(sizes, dropout=[0.1, 0.3], input_dropout=0.15), {}),
            )
        )
        losses = [trainer.run(X, y, 3)["loss"].tolist() for trainer in (by_shards, halved)]
        assert (losses[0] == losses[1]) == (factor == 0.5)
        models = [model_of(sizes, k) for k in range(4)]
        alone = [model.copy() for model in models]
        given = {"epochs": 3, "batch_size": 16, "random_state": 1, "dropout_factor": factor}
        for model, own, found in zip(models, alone, fit_many(models, X, y, **given), strict=True):
            expected = own.fit(X, y, **given)
            assert np.array_equal(model.to_vector(), own.to_vector())
            assert found["dropout_factor"].tolist() == expected["dropout_factor"].tolist()


def test_sparse_rows_are_trained_like_dense_ones():
    sparse = pytest.importorskip("scipy.sparse")
    rng = np.random.default_rng(0)
    X = sparse.csr_array(np.where(rng.random((60, 30)) < 0.2, rng.normal(size=(60, 30)), 0.0))
    _, y = data(60, 3, 2)
    vectors = []
    for given in (X, X.toarray()):
        trainer = trainer_of((30, 20, 9, 2), FlatCosine(1.0, 8), batch_size=16)
        trainer.run(given, y, 2)
        vectors.append(trainer.model.to_vector())
    np.testing.assert_allclose(*vectors, rtol=0, atol=1e-10)


@pytest.mark.parametrize("factor", [FACTORS[0], 0.5])
def test_training_continues_from_files_copies_and_pickles(factor, tmp_path):
    X, y = data(50, 6, 3)
    whole, part = (trainer_of(SIZES[1], factor) for _ in range(2))
    whole.run(X, y, 7)
    part.run(X, y, 3)
    part.save(tmp_path / "trainer.safetensors")
    others = [Trainer.load(tmp_path / "trainer.safetensors"), copy.deepcopy(part), pickle.loads(pickle.dumps(part))]
    for other in others:
        assert other.dropout_factor == factor
        other.run(X, y, 4)
        assert np.array_equal(other.model.to_vector(), whole.model.to_vector())
    own = trainer_of(SIZES[1], falling)
    with pytest.raises(TypeError, match="dropout_factor: .*falling"):
        own.save(tmp_path / "own.safetensors")


def test_assignments_take_effect_between_epochs():
    X, y = data(50, 6, 3)
    whole, changed = trainer_of(SIZES[1], lambda steps: np.where(steps < 2, 0.5, 1.0)), trainer_of(SIZES[1], 0.5)

    def change(trainer, history):
        trainer.dropout_factor = 1.0

    whole.run(X, y, 3)
    history = changed.run(X, y, 3, callbacks=[Caller(change)])
    assert np.array_equal(whole.model.to_vector(), changed.model.to_vector())
    assert history["dropout_factor"].tolist() == [0.5, 1.0, 1.0]


class Caller:
    """A callback that calls a function."""

    def __init__(self, function):
        self.on_epoch_end = function


@pytest.mark.parametrize(
    ("factor", "error", "message"),
    [
        (1.5, ValueError, "dropout_factor: expected .*1.*got 1.5"),
        (-0.1, ValueError, "dropout_factor: expected .*0.*got -0.1"),
        ("half", TypeError, "dropout_factor: expected a finite number >= 0 and <= 1 or a schedule .*'half'"),
        (FlatCosine, TypeError, "dropout_factor: expected an object, FlatCosine"),
    ],
)
def test_wrong_factors_raise(factor, error, message):
    with pytest.raises(error, match=message):
        Trainer(model_of(), dropout_factor=factor)
    trainer = Trainer(model_of())
    with pytest.raises(error, match=message):
        trainer.dropout_factor = factor
    assert trainer.dropout_factor == 1.0


def test_factors_that_can_not_take_effect_raise():
    X, y = data(50, 3, 2)
    with pytest.raises(ValueError, match="dropout_factor: expected 1.0 for a model without dropout, got 0.5"):
        Trainer(MLP((3, 2)), dropout_factor=0.5)
    too_much = Trainer(model_of(), dropout_factor=lambda steps: 0.9 + 0.1 * steps)
    with pytest.raises(
        ValueError, match="dropout_factor: expected finite values >= 0 and <= 1 from the schedule, got .* step 2"
    ):
        too_much.run(X, y, 3)
    if _core.c_functions():
        with pytest.raises(TypeError, match="trainer: expected dropout_factor=1.0 for steps in compiled code, got 0.5"):
            Trainer(model_of(), dropout_factor=0.5)._native_handle  # noqa: B018
        with pytest.raises(TypeError, match="trainer: expected dropout_factor that is a number, got the schedule"):
            Trainer(model_of(), dropout_factor=falling)._native_handle  # noqa: B018


def test_pytorch_gets_no_factor():
    pytest.importorskip("torch")
    for factor in (0.5, falling):
        with pytest.raises(ValueError, match="to_torch: expected .*dropout_factor"):
            Trainer(model_of(input_dropout=0.0), dropout_factor=factor).to_torch()
