"""Small and mid-size neural networks on the CPU, at the speed of the machine: NumPy in, NumPy out."""

from __future__ import annotations

from fastnn import callbacks, losses, ops, optimizers, reference, schedules
from fastnn._config import get_num_threads, set_num_threads, show_config
from fastnn._errors import DivergedError
from fastnn._history import History
from fastnn._model import MLP
from fastnn._neural_network import NeuralNetwork
from fastnn._trainer import Trainer
from fastnn._version import __version__
from fastnn.optimizers import SGD, AdaGrad, Adam, AdamW, RMSProp

__all__ = [
    "MLP",
    "SGD",
    "AdaGrad",
    "Adam",
    "AdamW",
    "DivergedError",
    "History",
    "NeuralNetwork",
    "RMSProp",
    "Trainer",
    "__version__",
    "callbacks",
    "get_num_threads",
    "losses",
    "ops",
    "optimizers",
    "reference",
    "schedules",
    "set_num_threads",
    "show_config",
]
