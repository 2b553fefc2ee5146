"""Part 1 of the demonstration: the tutorial's network learns XOR."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import NeuralNetwork, reference
from fastnn._output.report import Report, Result, largest_difference, stopwatch
from fastnn.optimizers import SGD

if TYPE_CHECKING:
    from numpy.typing import NDArray

_X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
_Y = np.array([[0], [1], [1], [0]])
_EPOCHS, _BATCH, _RATE = 10_000, 4, 0.1
# For the parameters, which are float64. One start in a hundred comes so close to a saddle that rounding errors exceed this.
_TOLERANCE = 1e-9
_STUCK = 0.1  # a higher loss remains only if the network cannot tell two of the four rows apart


def run(report: Report, seed: int) -> Result:
    """Train with fastnn, with a hand-written loop, and with the reference."""
    report.heading("1  XOR: NeuralNetwork(2, 2, 1, 0.1)")
    report.line("10 000 epochs of plain gradient descent, batches of 4, learning rate 0.1, float64")
    # The class draws from NumPy's legacy global generator.
    np.random.seed(seed)  # noqa: NPY002
    network = NeuralNetwork(2, 2, 1, _RATE)
    by_hand, by_reference = ([np.array(p) for p in _parameters(network)] for _ in range(2))
    before = _loss(network)
    _, seconds = stopwatch(lambda: network.train(_X, _Y, _EPOCHS, _BATCH, _RATE))
    after = _loss(network)

    shown = [
        f"{a} xor {b} is {y},  predicted {p:9.6f}"
        for (a, b), (y,), p in zip(_X, _Y, network.y_pred.ravel() + 0, strict=True)
    ]
    beside = [f"loss before training {before:10.3g}", f"loss after training  {after:10.3g}", "", ""]
    report.block([f"{row:<40}{note}" for row, note in zip(shown, beside, strict=True)])
    if after > _STUCK:
        report.line("Training got stuck, as it does with two tanh units from 13 of 100 random starts. Try another --seed.")
        report.line()

    report.time("training, fastnn", seconds)
    report.timed("training, NumPy code for this network", lambda: _train_by_hand(*by_hand), seconds)
    losses = report.timed("training, NumPy (fastnn.reference)", lambda: _train_by_reference(*by_reference), seconds)
    between_numpys = largest_difference(by_hand, by_reference)
    difference = max(largest_difference(_parameters(network), other) for other in (by_hand, by_reference))
    agrees = report.verdict("parameters in all three", difference, max(_TOLERANCE, 100 * between_numpys))
    if between_numpys > _TOLERANCE:
        report.line(f"From this start, rounding errors grow: the two NumPy versions differ by {between_numpys:.0e}.")
    return Result(losses, agrees)


def _parameters(network: NeuralNetwork) -> list[NDArray[Any]]:
    return [network.W1, network.b1, network.W2, network.b2]


def _loss(network: NeuralNetwork) -> float:
    return float(np.mean((network.forward(_X) - _Y) ** 2))


def _train_by_hand(W1: NDArray[Any], b1: NDArray[Any], W2: NDArray[Any], b2: NDArray[Any]) -> None:
    """Train in place, by code for this network only."""
    X, Y = _X.astype(float), _Y.astype(float)
    for _ in range(_EPOCHS):
        for start in range(0, len(X), _BATCH):
            x, y = X[start : start + _BATCH], Y[start : start + _BATCH]
            h = np.tanh(x @ W1 + b1)
            delta_2 = 2 / y.size * (h @ W2 + b2 - y)
            delta_1 = delta_2 @ W2.T * (1 - h * h)
            W2 -= _RATE * (h.T @ delta_2)
            b2 -= _RATE * delta_2.sum(axis=0)
            W1 -= _RATE * (x.T @ delta_1)
            b1 -= _RATE * delta_1.sum(axis=0)


def _train_by_reference(W1: NDArray[Any], b1: NDArray[Any], W2: NDArray[Any], b2: NDArray[Any]) -> list[float]:
    """Train in place; return the loss of every epoch."""
    return reference.train(
        [W1, W2],
        [b1.ravel(), b2.ravel()],
        ["tanh", "identity"],
        _X,
        _Y,
        optimizer=SGD(_RATE),
        epochs=_EPOCHS,
        batch_size=_BATCH,
        shuffle=False,
    )
