"""The portable backend: what `fastnn._core` offers, as a second opinion and where nothing could be compiled.

One text of the training step serves twice: compiled by Numba where Numba and SciPy are installed, else as NumPy runs it.
The reasons of what is done stand with the kernels; here stands what is done, in the fewest words.
"""

from __future__ import annotations

from fastnn._engine.portable._activations import ACTIVATIONS, LAYER_ACTIVATIONS
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
from fastnn._engine.portable._losses import LOSSES
from fastnn._engine.portable._machine import (
    built_instruction_sets,
    copy_vectors,
    current_instruction_set,
    fma_chain,
    get_max_threads,
    set_max_threads_,
    threads_decided,
    usable_instruction_sets,
)
from fastnn._engine.portable._network import Network
from fastnn._engine.portable._optimizers import OPTIMIZER_MOMENTS, OPTIMIZERS
from fastnn._engine.portable._rows import SparseRows, readable
from fastnn._engine.portable._run import Run
from fastnn._engine.portable._stepper import Stepper

__all__ = [
    "ACTIVATIONS",
    "COMPILED",
    "FUNCTIONS",
    "LAYER_ACTIVATIONS",
    "LOSSES",
    "OPTIMIZERS",
    "OPTIMIZER_MOMENTS",
    "PREDICTION_LOSSES",
    "Network",
    "Run",
    "SparseRows",
    "Stepper",
    "activate",
    "activation_slope",
    "aligned_zeros",
    "built_instruction_sets",
    "c_functions",
    "copy_vectors",
    "current_instruction_set",
    "dispatching",
    "first_not_finite",
    "fma_chain",
    "get_max_threads",
    "layer_gradients",
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
    "usable_instruction_sets",
]
