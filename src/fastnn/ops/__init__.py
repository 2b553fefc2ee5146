"""Drop-in functions for NumPy code: activations, the dense layer, losses and optimizers on plain arrays.

They take any array-like of real numbers, in any layout and byte order, and compute in float32 or float64 on the
compiled kernels. The elementwise ones are NumPy ufuncs; the others take arrays of other libraries by DLPack, too.
`fastnn.reference` has each of them under the same name and signature in plain NumPy.
"""

from __future__ import annotations

from fastnn.ops.activations import (
    elu,
    elu_grad,
    gelu,
    gelu_grad,
    leaky_relu,
    leaky_relu_grad,
    mish,
    mish_grad,
    relu,
    relu_grad,
    selu,
    selu_grad,
    sigmoid,
    sigmoid_grad,
    silu,
    silu_grad,
    softplus,
    softplus_grad,
    tanh,
    tanh_grad,
)
from fastnn.ops.dense import linear, linear_grad
from fastnn.ops.elementary import cos, exp, expm1, log, log1p, sin
from fastnn.ops.losses import binary_cross_entropy, cross_entropy, mse_loss
from fastnn.ops.optimizers import adagrad, adam, adamw, momentum, nadam, rmsprop, sgd
from fastnn.ops.softmax import log_softmax, softmax

__all__ = [
    "adagrad",
    "adam",
    "adamw",
    "binary_cross_entropy",
    "cos",
    "cross_entropy",
    "elu",
    "elu_grad",
    "exp",
    "expm1",
    "gelu",
    "gelu_grad",
    "leaky_relu",
    "leaky_relu_grad",
    "linear",
    "linear_grad",
    "log",
    "log1p",
    "log_softmax",
    "mish",
    "mish_grad",
    "momentum",
    "mse_loss",
    "nadam",
    "relu",
    "relu_grad",
    "rmsprop",
    "selu",
    "selu_grad",
    "sgd",
    "sigmoid",
    "sigmoid_grad",
    "silu",
    "silu_grad",
    "sin",
    "softmax",
    "softplus",
    "softplus_grad",
    "tanh",
    "tanh_grad",
]
__dir__ = __all__.copy
