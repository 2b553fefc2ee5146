"""Runs and steps in the workspace that another one has left: their results are those of a new trainer."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
from _helpers import state_of

from fastnn import MLP, SGD, Adam, DivergedError, Muon, SharedEnsemble, Trainer
from fastnn.embeddings import Categorical

N_IN, N_OUT = 5, 3


def _model(**options):
    return MLP((N_IN, 20, 17, N_OUT), "gelu", dtype=np.float32, random_state=0, **options)


MODELS = {
    "tiny": lambda: MLP((N_IN, 3, N_OUT), "tanh", dtype=np.float32, random_state=0),
    "wide": lambda: MLP((N_IN, 150, 230, N_OUT), "relu", dtype=np.float32, random_state=0),
    "dropout": lambda: _model(dropout=0.3, input_dropout=0.2),
    "normalized": lambda: _model(normalization="layer_norm", residual=[(1, 2)], parametric_activation=True),
    "members": lambda: _model(shared=SharedEnsemble(4)),
    "table": lambda: _model(embeddings=[Categorical(0, n_categories=9, width=3)]),
}
OPTIMIZERS = {"sgd": SGD(0.01), "adam": Adam(0.01), "muon": Muon(0.01)}


def _rows(n, seed):
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.integers(0, 9, n), rng.normal(size=(n, N_IN - 1))])
    return X, rng.normal(size=(n, N_OUT))


def _run(trainer, n=37, epochs=2, kind=np.float32, **options):
    X, y = _rows(n, n)
    trainer.run(X.astype(kind), y.astype(np.float32), epochs, **options)


def _diverge(trainer):
    X, y = _rows(40, 1)
    y[-1] = 3e38
    with pytest.raises(DivergedError):
        trainer.run(X, y)


def _weigh(trainer):
    """Leave the NaN of a row that does not count in the inputs of a batch."""
    X, y = _rows(30, 3)
    weights = np.ones(30)
    X[7, 1:], weights[7] = np.nan, 0.0
    trainer.run(X, y, 2, sample_weight=weights)


def _accumulate(trainer):
    for seed in (4, 5):
        trainer.accumulate(*_rows(16, seed))
    trainer.apply()


USES = {
    "run": _run,
    "longer": lambda trainer: _run(trainer, epochs=8),  # long enough for threads to own panels
    "shorter": lambda trainer: _run(trainer, n=18),
    "float64": lambda trainer: _run(trainer, kind=np.float64),
    "integers": lambda trainer: _run(trainer, kind=np.int16),
    "metrics": lambda trainer: _run(trainer, metrics=["mse"]),
    "diverges": _diverge,
    "weights": _weigh,
    "step": lambda trainer: trainer.step(*_rows(16, 2)),
    "accumulate": _accumulate,
}


# Each use follows each other one once.
IN_ALL_ORDERS = [use for pair in itertools.combinations(USES, 2) for use in pair] + [next(iter(USES))]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", MODELS)
def test_each_use_of_a_trainer_gives_the_bits_of_a_new_trainer(name, optimizer):
    for n_threads, shuffle in ((1, False), (2, True)):
        trainer = Trainer(
            MODELS[name](),
            optimizer=OPTIMIZERS[optimizer],
            batch_size=16,
            shuffle=shuffle,
            random_state=1,
            n_threads=n_threads,
        )
        for number, use in enumerate(IN_ALL_ORDERS):
            other = copy.deepcopy(trainer)  # which has no workspace yet
            USES[use](trainer)
            USES[use](other)
            assert state_of(trainer) == state_of(other), (IN_ALL_ORDERS[:number][-1:], use, n_threads)


def test_settings_that_change_between_runs_give_the_bits_of_a_new_trainer():
    changes = [("batch_size", 9), ("l2", 0.1), ("clip_norm", 0.5), ("loss", "mae"), ("optimizer", SGD(0.1))]
    back = [("n_threads", 2), ("batch_size", 16), ("loss", "mse"), ("optimizer", Adam(0.01))]
    trainer = Trainer(_model(), optimizer=Adam(0.01), batch_size=16, random_state=1, n_threads=1)
    for name, value in changes + back:
        _run(trainer)
        setattr(trainer, name, value)
        other = copy.deepcopy(trainer)
        _run(trainer)
        _run(other)
        assert state_of(trainer) == state_of(other), name


@pytest.mark.parametrize("n_threads", [1, 2])
def test_snapshots_beyond_the_cache_restore_the_same_bits(n_threads):
    model = MLP((700, 800, 11), "tanh", dtype=np.float64, random_state=0)  # 14 MB of parameters and moments
    trainer = Trainer(model, optimizer=Adam(1e-3), batch_size=8, random_state=1, n_threads=n_threads)
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(24, 700)), rng.normal(size=(24, 11))
    trainer.run(X, y)
    before = state_of(trainer)[:3]
    y[20] = 1e200
    with pytest.raises(DivergedError):
        trainer.run(X, y)
    assert state_of(trainer)[:3] == before
