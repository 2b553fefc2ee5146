"""Part 3 of the demonstration: a network fits a noisy curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import MLP, Adam, Trainer, schedules
from fastnn._cli._reference import ReferenceNetwork
from fastnn._output import sketch as _sketch
from fastnn._output.report import Report, Result, largest_difference, stopwatch

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOISE = 0.25
_SAMPLES, _END = 500, 3.0
_SIZES, _EPOCHS, _BATCH = (1, 32, 32, 1), 300, 32
_TOLERANCE = 1e-6  # for the predictions, which are float64


@dataclass(frozen=True)
class Curve(Result):
    """The data, the fit and the true curve."""

    x: NDArray[Any]
    y: NDArray[Any]
    grid: NDArray[Any]
    truth: NDArray[Any]
    fit: NDArray[Any]


def run(report: Report, seed: int) -> Curve:
    """Train with fastnn and with the reference."""
    report.heading("3  A noisy curve: a 1-32-32-1 network")
    report.line(f"{_SAMPLES} samples of sin(2 x) + x / 3 with normal noise (standard deviation {NOISE}):")
    report.line("300 epochs of Adam, squared error, batches of 32, tanh, float64")
    rng = np.random.default_rng(seed)
    x = rng.uniform(-_END, _END, (_SAMPLES, 1))
    y = _truth(x) + NOISE * rng.standard_normal(x.shape)
    adam = Adam(schedules.Cosine(0.01, -(-_SAMPLES // _BATCH) * _EPOCHS))
    model = MLP(_SIZES, "tanh", dtype=np.float64, random_state=seed)
    trainer = Trainer(model, "mse", adam, batch_size=_BATCH, random_state=seed)
    reference = ReferenceNetwork(trainer, seed)
    _, seconds = stopwatch(lambda: trainer.run(x, y, _EPOCHS))

    grid = np.linspace(-_END, _END, 1001)[:, None]
    truth, fit = _truth(grid), model.predict(grid)
    rmse = float(np.sqrt(np.mean((fit - truth) ** 2)))
    report.block(_sketch.curves([("·", x, y), ("─", grid, truth), ("●", grid, fit)], 74, 17))
    report.line("· samples    ─ true curve, where visible    ● network")
    report.block([f"root mean square error against the true curve   {rmse:.3f}   (of the samples: {NOISE})"])
    report.time("training, fastnn", seconds)
    losses = report.timed("training, NumPy (fastnn.reference)", lambda: reference.run(x, y, _EPOCHS), seconds)
    difference = largest_difference([fit], [reference.predict(grid)])
    agrees = report.verdict("curve", difference, _TOLERANCE)
    return Curve(losses, agrees, x, y, grid, truth, fit)


def _truth(x: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.sin(2 * x) + x / 3)
