"""The fallback: an engine with the interface of `fastnn._core`, for machines on which the kernels could not be built.

It runs the formulas of `fastnn.reference`. Numba compiles them if Numba and SciPy are installed; otherwise they run in plain
NumPy. The loops over epochs, batches and layers run in Python.
"""

from __future__ import annotations

from fastnn import reference
from fastnn._engine.portable._blocks import BLOCK_KINDS, EMBEDDINGS, LAYER_ACTIVATIONS, NORMALIZATIONS
from fastnn._engine.portable._compile import COMPILED
from fastnn._engine.portable._elementwise import (
    activate,
    activation_derivative,
    aligned_zeros,
    first_not_finite,
    times_derivative,
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
    quick_data,
    quick_gradient,
    quick_input_gradient,
    quick_jacobian,
    quick_loss,
    quick_predict,
    quick_prediction_loss,
    quick_step,
    quick_vjp,
    softmax,
    unchecked_data,
)
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
from fastnn._engine.portable._many import get_vectors, networks_of, predict_many, set_vectors, spread
from fastnn._engine.portable._metrics import add_errors, right_classes, right_sides
from fastnn._engine.portable._network import Network
from fastnn._engine.portable._optimizers import OPTIMIZER_MOMENTS, OPTIMIZERS
from fastnn._engine.portable._rows import SparseRows, readable
from fastnn._engine.portable._run import Run, advance_many
from fastnn._engine.portable._stepper import Hold, Stepper

ACTIVATIONS, LOSSES = tuple(reference.ACTIVATIONS), tuple(reference.LOSSES)

__all__ = [
    "ACTIVATIONS",
    "BLOCK_KINDS",
    "COMPILED",
    "EMBEDDINGS",
    "FUNCTIONS",
    "LAYER_ACTIVATIONS",
    "LOSSES",
    "NORMALIZATIONS",
    "OPTIMIZERS",
    "OPTIMIZER_MOMENTS",
    "PREDICTION_LOSSES",
    "Hold",
    "Network",
    "Run",
    "SparseRows",
    "Stepper",
    "activate",
    "activation_derivative",
    "add_errors",
    "advance_many",
    "aligned_zeros",
    "built_instruction_sets",
    "c_functions",
    "copy_vectors",
    "current_instruction_set",
    "dispatching",
    "first_not_finite",
    "fma_chain",
    "get_max_threads",
    "get_vectors",
    "layer_gradients",
    "linear",
    "linear_grad",
    "linear_into",
    "log_softmax",
    "make_ufunc",
    "networks_of",
    "predict_many",
    "prediction_loss",
    "quick_data",
    "quick_gradient",
    "quick_input_gradient",
    "quick_jacobian",
    "quick_loss",
    "quick_predict",
    "quick_prediction_loss",
    "quick_step",
    "quick_vjp",
    "readable",
    "right_classes",
    "right_sides",
    "set_max_threads_",
    "set_vectors",
    "softmax",
    "spread",
    "threads_decided",
    "times_derivative",
    "unchecked_data",
    "update",
    "usable_instruction_sets",
]
