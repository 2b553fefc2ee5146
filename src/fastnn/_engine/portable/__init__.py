"""The fallback: the engine with the interface of `fastnn._core`, where the kernels could not be built.

It runs the formulas of `fastnn.reference`: compiled by Numba if Numba and SciPy are installed, otherwise in plain NumPy. The
loops over epochs, batches and layers are Python's.
"""

from __future__ import annotations

from fastnn import reference
from fastnn._engine.portable._compile import COMPILED
from fastnn._engine.portable._elementwise import (
    activate,
    activation_slope,
    aligned_zeros,
    first_not_finite,
    times_slope,
    update,
)
from fastnn._engine.portable._functions import (
    FUNCTIONS,
    PREDICTION_LOSSES,
    c_functions,
    dispatching,
    layer_gradients,
    linear,
    linear_grad,
    linear_into,
    log_softmax,
    make_ufunc,
    prediction_loss,
    quick_prediction_loss,
    softmax,
)
from fastnn._engine.portable._layers import LAYER_ACTIVATIONS
from fastnn._engine.portable._machine import (
    built_levels,
    copy_vectors,
    current_level,
    fma_chain,
    get_max_threads,
    levels,
    set_max_threads_,
    threads_decided,
)
from fastnn._engine.portable._network import Network
from fastnn._engine.portable._rows import SparseRows, readable
from fastnn._engine.portable._run import Run
from fastnn._engine.portable._stepper import Stepper
from fastnn.reference.updates import RULES

ACTIVATIONS, LOSSES, OPTIMIZERS = tuple(reference.ACTIVATIONS), tuple(reference.LOSSES), tuple(RULES)

__all__ = [
    "ACTIVATIONS",
    "COMPILED",
    "FUNCTIONS",
    "LAYER_ACTIVATIONS",
    "LOSSES",
    "OPTIMIZERS",
    "PREDICTION_LOSSES",
    "Network",
    "Run",
    "SparseRows",
    "Stepper",
    "activate",
    "activation_slope",
    "aligned_zeros",
    "built_levels",
    "c_functions",
    "copy_vectors",
    "current_level",
    "dispatching",
    "first_not_finite",
    "fma_chain",
    "get_max_threads",
    "layer_gradients",
    "levels",
    "linear",
    "linear_grad",
    "linear_into",
    "log_softmax",
    "make_ufunc",
    "prediction_loss",
    "quick_prediction_loss",
    "readable",
    "set_max_threads_",
    "softmax",
    "threads_decided",
    "times_slope",
    "update",
]
