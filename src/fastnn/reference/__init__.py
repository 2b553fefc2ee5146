"""The reference: every operation of fastnn in plain NumPy, written to be read.

Each function has the name and the signature of its compiled counterpart in `fastnn.ops`. Tests compare the counterpart
with it. `ACTIVATIONS`, `LOSSES` and `UPDATES` list activations, losses and optimizers by name. `train` trains a network
in the same way as the compiled trainer. Such a network consists of lists of weights, biases and activations.
"""

from __future__ import annotations

from fastnn.reference.activations import ACTIVATIONS, Activation
from fastnn.reference.dense import linear, linear_grad
from fastnn.reference.dropout import dropout_mask
from fastnn.reference.elementary import cos, exp, expm1, log, log1p, sin
from fastnn.reference.gated import gelu, gelu_grad, mish, mish_grad, silu, silu_grad
from fastnn.reference.losses import LOSSES, LossFunction, binary_cross_entropy, cross_entropy, mse_loss
from fastnn.reference.network import forward, input_gradient, loss_and_gradient
from fastnn.reference.optimizers import UPDATES, adagrad, adam, adamw, momentum, nadam, rmsprop, sgd
from fastnn.reference.rectifiers import elu, elu_grad, leaky_relu, leaky_relu_grad, relu, relu_grad, selu, selu_grad
from fastnn.reference.sigmoids import sigmoid, sigmoid_grad, softplus, softplus_grad, tanh, tanh_grad
from fastnn.reference.softmax import log_softmax, softmax
from fastnn.reference.training import train

__all__ = [
    "ACTIVATIONS",
    "LOSSES",
    "UPDATES",
    "Activation",
    "LossFunction",
    "adagrad",
    "adam",
    "adamw",
    "binary_cross_entropy",
    "cos",
    "cross_entropy",
    "dropout_mask",
    "elu",
    "elu_grad",
    "exp",
    "expm1",
    "forward",
    "gelu",
    "gelu_grad",
    "input_gradient",
    "leaky_relu",
    "leaky_relu_grad",
    "linear",
    "linear_grad",
    "log",
    "log1p",
    "log_softmax",
    "loss_and_gradient",
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
    "train",
]
__dir__ = __all__.copy
