"""Steps by losses and by gradients in one trainer, whose workspace each finds as others left it."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
from _helpers import state_of

from fastnn import MLP, SGD, Muon, SharedEnsemble, Trainer
from fastnn.embeddings import Categorical

# Workspaces with parts that depend on the kind of step: lists of touched rows of tables, the path of tiny networks, members.
MODELS = {
    "tiny": lambda: MLP((2, 3, 2), "tanh", dtype=np.float64, random_state=0),
    "usual": lambda: MLP((2, 20, 17, 2), "gelu", dtype=np.float64, random_state=0),
    "dropout": lambda: MLP((2, 20, 2), "silu", dropout=0.5, dtype=np.float64, random_state=0),
    "table": lambda: MLP(
        (2, 9, 2), "tanh", embeddings=[Categorical(0, n_categories=20_000, width=3)], dtype=np.float64, random_state=0
    ),
    "members": lambda: MLP((2, 9, 2), "tanh", shared=SharedEnsemble(5), dtype=np.float64, random_state=0),
}
OPTIMIZERS = {"sgd": SGD(0.1), "momentum": SGD(0.01, momentum=0.9), "muon": Muon(0.01)}


def _step(trainer, kind, n, number):
    rng = np.random.default_rng(number)
    X = np.column_stack([rng.integers(0, 20_000, n), rng.normal(size=n)]).astype(float)
    G = rng.normal(size=(n, 2))
    if kind == "loss":
        trainer.step(X, G)
    elif kind == "outputs":
        trainer.step_gradient(X, G)
    else:
        trainer.accumulate(X, G)
        trainer.apply()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", MODELS)
def test_steps_of_all_kinds_are_those_of_new_trainers(name, optimizer):
    """The workspace of a step by a gradient of all parameters has other parts than that of the step before or after it."""
    pairs = [kinds for kinds in itertools.product(["loss", "outputs", "all"], repeat=2) if kinds[0] != kinds[1]]
    for first, second in pairs:
        trainer = Trainer(MODELS[name](), optimizer=OPTIMIZERS[optimizer], random_state=1, n_threads=2)
        for number, kind in enumerate((first, second, first, second)):
            other = copy.deepcopy(trainer)  # which has no workspace yet
            _step(trainer, kind, 1, number)
            _step(other, kind, 1, number)
            assert state_of(trainer) == state_of(other), (first, second, number)
