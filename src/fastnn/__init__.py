"""Small and mid-size neural networks on the CPU, at the speed of the machine: NumPy in, NumPy out.

Models and training
    `MLP` is a network with `fit`, `predict`, `gradient` and `save`. `Trainer` has the options of its training, resumes
    it with the same bits, and makes single steps. `callbacks`, `schedules`, `losses`, `optimizers` and `embeddings` have
    the parts. `fit_many`, `predict_many` and `Ensemble` are for many networks at once.

Estimators
    `fastnn.sklearn` has scikit-learn's `MLPClassifier` and `MLPRegressor`, and searches over them; `fastnn.dask` trains on
    clusters.

Functions
    `ops` has ufuncs and fused functions of arrays, for NumPy code; `reference` has the same formulas in plain NumPy.
    Functions compiled with `numba.njit` can call `ops`, models and trainers; `fastnn.jit` makes activations and
    losses of your own functions.

Examples
--------
>>> import numpy as np
>>> from fastnn import MLP, Adam
>>> X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
>>> model = MLP((2, 8, 1), "tanh", "sigmoid", random_state=0)
>>> history = model.fit(X, [0, 1, 1, 0], loss="binary_cross_entropy", optimizer=Adam(0.05), epochs=500)
>>> model.predict(X).round().ravel()
array([0., 1., 1., 0.], dtype=float32)
"""

from __future__ import annotations

import importlib as _importlib
from collections.abc import Collection as _Collection
from collections.abc import Iterator as _Iterator
from typing import TYPE_CHECKING as _TYPE_CHECKING

from fastnn import losses, optimizers
from fastnn._averaging import EMA, SWA
from fastnn._checks import options as _options
from fastnn._config import get_num_threads, set_num_threads, show_config
from fastnn._config import warn_of_environment as _warn_of_environment
from fastnn._engine.threadpools import announce as _announce_threads
from fastnn._errors import DivergedError
from fastnn._history import History
from fastnn._layer_settings import LayerSettings
from fastnn._model import MLP
from fastnn._shared_ensemble import SharedEnsemble
from fastnn._trainer import Trainer
from fastnn._version import __version__
from fastnn.optimizers import LBFGS, SGD, AdaGrad, Adam, AdamW, Lion, Muon, NAdam, RMSProp

if _TYPE_CHECKING:
    from fastnn import callbacks, embeddings, ops, reference, schedules
    from fastnn import dask as dask
    from fastnn import jit as jit
    from fastnn import sklearn as sklearn
    from fastnn._ensemble import Ensemble
    from fastnn._from_torch import from_torch
    from fastnn._many.fit import fit_many
    from fastnn._neural_network import NeuralNetwork
    from fastnn._predict_many import predict_many

# These modules are loaded when they are used: they would double the time of `import fastnn`.
_LAZY = ("callbacks", "dask", "embeddings", "jit", "ops", "reference", "schedules", "sklearn")
# The same for these names, with their modules.
_LAZY_NAMES = {
    "Ensemble": "fastnn._ensemble",
    "NeuralNetwork": "fastnn._neural_network",
    "fit_many": "fastnn._many.fit",
    "from_torch": "fastnn._from_torch",
    "predict_many": "fastnn._predict_many",
}

# dask, jit and sklearn are missing here: `from fastnn import *` must not require Dask, Numba or scikit-learn.
__all__ = [
    "EMA",
    "LBFGS",
    "MLP",
    "SGD",
    "SWA",
    "AdaGrad",
    "Adam",
    "AdamW",
    "DivergedError",
    "Ensemble",
    "History",
    "LayerSettings",
    "Lion",
    "Muon",
    "NAdam",
    "NeuralNetwork",
    "RMSProp",
    "SharedEnsemble",
    "Trainer",
    "__version__",
    "callbacks",
    "embeddings",
    "fit_many",
    "from_torch",
    "get_num_threads",
    "losses",
    "ops",
    "optimizers",
    "predict_many",
    "reference",
    "schedules",
    "set_num_threads",
    "show_config",
]


def __getattr__(name: str) -> object:
    """Load a module, or the module of a name, on first use (PEP 562)."""
    if name in _LAZY:
        return _importlib.import_module(f"fastnn.{name}")
    if name in _LAZY_NAMES:
        value = getattr(_importlib.import_module(_LAZY_NAMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'fastnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names, whether they have been loaded or not."""
    return sorted({*__all__, *_LAZY})


def _owners_of_options(known: _Collection[str]) -> _Iterator[_options.Owner]:
    """Yield the functions that have options, for errors: checks may not import models and trainers."""
    from fastnn._option_owners import owners_of_options

    return owners_of_options(known)


_options.owners_of_options = _owners_of_options
_warn_of_environment()
_announce_threads()
