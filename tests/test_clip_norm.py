"""Clipping of norms, also where the squares of the gradients are too large for the dtype."""

from __future__ import annotations

import numpy as np
import pytest
from _helpers import assert_same_trajectory, model_of, state_of
from _portable_runs import run_formulas_as

from fastnn import MLP, SGD, Adam, AdamW, SharedEnsemble, Trainer
from fastnn._engine.optimizers import native_optimizer
from fastnn._engine.portable._optimizers import Optimizer
from fastnn.embeddings import Categorical

HUGE = {np.float32: [1e18, 3e19, 1e25, 1e38], np.float64: [1e18, 1e153, 3e155, 1e200, 1e300]}
TABLE = [Categorical(0, n_categories=3000, width=3)]
KINDS = {
    "dense": ({}, {}),
    "shared": ({"shared": SharedEnsemble(3)}, {}),
    "sparse": ({}, {}),
    "table": ({"embeddings": TABLE}, {}),
    "lazy": ({"embeddings": TABLE}, {"lazy_updates": True}),
}


def _steep(kind, dtype, clip_norm, optimizer, n_threads=None):
    """Return a trainer for which the gradient with respect to the parameters has any size."""
    options, settings = KINDS[kind]
    model = MLP((4, 20, 17, 2), "tanh", dtype=dtype, random_state=0, **options)
    return Trainer(model, optimizer=optimizer, clip_norm=clip_norm, random_state=1, n_threads=n_threads, **settings)


def _inputs(kind, dtype):
    rng = np.random.default_rng(2)
    X = rng.normal(size=(30, 4)).astype(dtype)
    X[:, 0] = rng.integers(0, 3000, 30)
    if kind != "sparse":
        return X
    X[:, 0] /= 3000
    return pytest.importorskip("scipy.sparse").csr_array(X)


@pytest.mark.parametrize("clip_norm", [1e-3, 0.5])
@pytest.mark.parametrize("dtype", list(HUGE))
@pytest.mark.parametrize("kind", KINDS)
def test_finite_gradients_of_any_size_are_clipped_to_the_norm(kind, dtype, clip_norm):
    """Plain gradient descent with a learning rate of 1 changes the parameters by the clipped gradient."""
    X = _inputs(kind, dtype)
    G = np.random.default_rng(3).normal(size=(30, 2)).astype(dtype)
    directions = []
    for size in HUGE[dtype]:
        trainer = _steep(kind, dtype, clip_norm, SGD(1.0))
        before = trainer.model.to_vector().astype(np.float64)
        with np.errstate(over="raise"):
            trainer.step_gradient(X, G * dtype(size) / dtype(1000))
        change = trainer.model.to_vector() - before
        rounding = np.finfo(dtype).eps * np.abs(before).max() * np.sqrt(change.size)
        assert np.linalg.norm(change) == pytest.approx(clip_norm, rel=1e-4, abs=rounding)
        directions.append(change)
    for change in directions[1:]:
        np.testing.assert_allclose(change, directions[0], rtol=0, atol=1e-4 * clip_norm + 4 * rounding)


@pytest.mark.parametrize("dtype", list(HUGE))
@pytest.mark.parametrize("kind", KINDS)
def test_threads_clip_huge_gradients_to_the_same_bits(kind, dtype):
    X = _inputs(kind, dtype)
    y = np.full((30, 2), np.sqrt(np.finfo(dtype).max) / 50, dtype)  # whose loss is finite
    states = []
    for n_threads in (1, 2, 3):
        trainer = _steep(kind, dtype, 0.5, AdamW(0.01), n_threads)
        for _ in range(3):
            trainer.step_gradient(X, y * dtype(1000))
        trainer.batch_size = 7
        trainer.run(X, y, 2)
        states.append(state_of(trainer))
        assert np.isfinite(trainer.model.to_vector()).all()
    assert states[0] == states[1] == states[2]


@pytest.mark.parametrize("dtype", list(HUGE))
def test_a_bound_above_a_huge_norm_changes_no_bit(dtype):
    X, size = _inputs("dense", dtype), dtype(HUGE[dtype][2] / 1000)
    G = np.random.default_rng(3).normal(size=(30, 2)).astype(dtype) * size
    bounded, free = (_steep("dense", dtype, bound, Adam(0.01)) for bound in (float(np.finfo(dtype).max), None))
    for trainer in (bounded, free):
        trainer.step_gradient(X, G)
    assert state_of(bounded) == state_of(free)


@pytest.mark.parametrize("scale", [1.0, 1e100])
def test_clipped_training_is_that_of_the_reference(scale):
    rng = np.random.default_rng(0)
    X, y = scale * rng.normal(size=(40, 3)), scale * rng.normal(size=(40, 2))
    trainer = Trainer(model_of((3, 8, 2), "relu"), optimizer=SGD(0.1), clip_norm=0.5, batch_size=10, random_state=7)
    assert_same_trajectory(trainer, X, y, 7, 2, 1e-9)


@pytest.mark.parametrize("how", ["plain", "compiled"])
@pytest.mark.parametrize("dtype", list(HUGE))
def test_the_fallback_clips_huge_gradients(dtype, how, monkeypatch):
    run_formulas_as(how, monkeypatch)
    optimizer = Optimizer(native_optimizer(SGD(0.1), 0.0, 0.0, 1e-3, None))
    direction = np.random.default_rng(0).normal(size=50)
    for size in (1.0, *HUGE[dtype]):
        g = (direction * (size / 10)).astype(dtype)
        optimizer.clip(g)
        np.testing.assert_allclose(g, 1e-3 * direction / np.linalg.norm(direction), rtol=1e-4)
