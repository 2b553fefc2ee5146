"""Runs, steps and calls in the workspace that another one has left: their results are those of a new trainer or model."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
from _helpers import run_script, state_of

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


LOSSES = ["mse", "mae", "poisson", "binary_cross_entropy", "cross_entropy", "kl_divergence", "cosine", "hinge"]


def _calls():
    X, Y = np.full((400, 7), 0.5), np.full((400, 2), 0.5)
    targets = {loss: np.ones_like(Y) if loss == "hinge" else Y for loss in LOSSES}
    calls = {"vjp": lambda model: model.vjp(X, Y), "jacobian": lambda model: model.jacobian(X)}
    for loss, y in targets.items():
        calls[f"loss {loss}"] = lambda model, y=y, loss=loss: model.loss(X, y, loss)
        calls[f"gradient {loss}"] = lambda model, y=y, loss=loss: model.gradient(X, y, loss)
    return calls


def _flat(result):
    """Return all numbers of arrays in lists and tuples."""
    if isinstance(result, list | tuple):
        return np.concatenate([_flat(each) for each in result])
    return np.ravel(result)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_call_of_a_model_gives_the_bits_of_a_new_model(dtype):
    calls = _calls()
    model = MLP((7, 3, 2), dtype=dtype, random_state=0)
    expected = {name: call(copy.deepcopy(model)) for name, call in calls.items()}
    for first, second in itertools.permutations(calls, 2):
        calls[first](model)
        found = calls[second](model)
        np.testing.assert_array_equal(_flat(found), _flat(expected[second]), err_msg=f"{second} after {first}")


def test_no_call_writes_beyond_a_workspace_that_fits_another_loss():
    # glibc ends the process if a call has written over the bounds of its blocks of memory.
    run_script("""if True:
        import numpy as np
        from fastnn import MLP
        X, y = np.ones((400, 7)), np.full((400, 2), 0.5)
        model = MLP((7, 3, 2), dtype=np.float64, random_state=0)
        for _ in range(20):
            for first, second in (("mse", "cosine"), ("binary_cross_entropy", "cross_entropy"), ("mae", "kl_divergence")):
                model.gradient(X, y, first)
                model.gradient(X, y, second)
        arrays = [np.zeros(size) for size in range(1, 5000, 7)]
    """)
