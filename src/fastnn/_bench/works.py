"""The workloads of the benchmarks, and their results by the reference.

In all workloads, hidden layers have the same activation, outputs are linear, the loss is the mean squared error, and data
are random numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastnn import MLP, SGD, Adam, reference
from fastnn._bench.shapes import Case

Array = NDArray[Any]
Optimizer = Literal["sgd", "adam"]

# Small enough that the largest network does not diverge on random targets.
RATE = 1e-3
OPTIMIZERS: tuple[Optimizer, ...] = ("sgd", "adam")
DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


@dataclass(frozen=True)
class TrainingWork:
    """A workload of whole training epochs.

    Parameters
    ----------
    case : Case
        The network, and the size of the data.
    dtype : float32 or float64
        The dtype of data, parameters, and arithmetic.
    optimizer : "sgd" or "adam"
        Plain gradient descent, or Adam with its default coefficients.
    shuffled : bool, default False
        Whether each epoch uses the rows in a new random order.
    activation : str, default "tanh"
        The activation of the hidden layers: tanh, relu or sin.
    """

    case: Case
    dtype: np.dtype[Any]
    optimizer: Optimizer
    shuffled: bool = False
    activation: str = "tanh"

    def __str__(self) -> str:
        order = "shuffled" if self.shuffled else "contiguous"
        return f"{self.case}, {self.dtype}, {self.optimizer}, {order}"


@dataclass(frozen=True)
class PredictionWork:
    """A workload of predictions of some number of rows per call, or of one row of shape (n_in,).

    Parameters
    ----------
    layer_sizes : tuple of int
        The network.
    rows : int
        The number of rows per call.
    dtype : float32 or float64
        The dtype of rows, parameters, and arithmetic.
    activation : str, default "tanh"
        The activation of the hidden layers: tanh, relu or sin.
    """

    layer_sizes: tuple[int, ...]
    rows: int
    dtype: np.dtype[Any]
    activation: str = "tanh"

    def __str__(self) -> str:
        return f"{'-'.join(map(str, self.layer_sizes))}, {self.rows} row{'s' * (self.rows > 1)}, {self.dtype}"

    @property
    def flop(self) -> int:
        """The floating-point operations in a call's matrix products."""
        return sum(2 * self.rows * n_in * n_out for n_in, n_out in pairwise(self.layer_sizes))


def model_of(layer_sizes: tuple[int, ...], dtype: np.dtype[Any], activation: str = "tanh") -> MLP:
    """Return a network with the initial parameters from which every contestant starts."""
    return MLP(layer_sizes, activation, dtype=dtype, random_state=0)


def initial_parameters(work: TrainingWork | PredictionWork) -> list[Array]:
    """Return new contiguous arrays ``[W1, b1, W2, …]``, weights of shape (n_in, n_out)."""
    layer_sizes = work.case.layer_sizes if isinstance(work, TrainingWork) else work.layer_sizes
    return [np.array(p, order="C") for p in model_of(layer_sizes, work.dtype, work.activation).parameters]


def data(work: TrainingWork) -> tuple[Array, Array]:
    """Return inputs (rows, n_in) and targets (rows, n_out)."""
    rng, case = np.random.default_rng(0), work.case
    shapes = ((case.rows, case.layer_sizes[0]), (case.rows, case.layer_sizes[-1]))
    X, y = (rng.standard_normal(shape).astype(work.dtype) for shape in shapes)
    return X, y


def rows_of(work: PredictionWork) -> Array:
    """Return the inputs: (rows, n_in), or (n_in,) if there is one row."""
    X = np.random.default_rng(1).standard_normal((work.rows, work.layer_sizes[0])).astype(work.dtype)
    return X if work.rows > 1 else X[0]


def optimizer_of(work: TrainingWork) -> SGD | Adam:
    """Return the optimizer, in the form that fastnn and its reference take."""
    return SGD(RATE) if work.optimizer == "sgd" else Adam(RATE)


def trained_by_reference(work: TrainingWork, X: Array, y: Array, epochs: int) -> list[Array]:
    """Return ``[W1, b1, W2, …]``, trained by `fastnn.reference` with the rows in order."""
    parameters = initial_parameters(work)
    reference.train(
        parameters[::2],
        parameters[1::2],
        activations_of(work),
        X,
        y,
        optimizer=optimizer_of(work),
        epochs=epochs,
        batch_size=work.case.batch_size,
        shuffle=False,
    )
    return parameters


def predicted_by_reference(work: PredictionWork, X: Array) -> Array:
    """Return the outputs (rows, n_out), or (n_out,) for one row."""
    parameters = initial_parameters(work)
    outputs = reference.forward(parameters[::2], parameters[1::2], activations_of(work), np.atleast_2d(X))[-1][1]
    return outputs.reshape(*X.shape[:-1], outputs.shape[-1])


def activations_of(work: TrainingWork | PredictionWork) -> list[str]:
    """Return one activation per layer, the output layer's last."""
    layer_sizes = work.case.layer_sizes if isinstance(work, TrainingWork) else work.layer_sizes
    return [work.activation] * (len(layer_sizes) - 2) + ["identity"]
