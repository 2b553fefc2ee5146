"""Part 2 of the demonstration: a network learns to read handwritten digits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import MLP, Adam, Trainer, schedules
from fastnn._cli._reference import ReferenceNetwork
from fastnn._data import load_digits
from fastnn._output import sketch as _sketch
from fastnn._output.report import Report, Result, largest_difference, per_call, stopwatch

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SIZES, _DROPOUT = (64, 128, 10), 0.4
_EPOCHS, _BATCH = 80, 32
_MAX_GREY = 16  # the grey value of black
_TOLERANCE = 1e-6  # for the losses, which are float64; in float32, rounding errors grow too much in training
_SHOWN = 3


def run(report: Report, seed: int) -> Result:
    """Train with fastnn and with the reference."""
    images, labels = load_digits()
    X = images / _MAX_GREY
    held_out = np.arange(len(X)) % 4 == 0
    X_train, y_train, X_test, y_test = X[~held_out], labels[~held_out], X[held_out], labels[held_out]

    report.heading("2  Handwritten digits: a 64-128-10 network")
    report.line("1797 images of 8 x 8 pixels by 13 writers: E. Alpaydin and C. Kaynak, UCI Machine")
    report.line(f"Learning Repository, 1998, CC BY 4.0. Every fourth is held out, {len(X_train)} are for training:")
    report.line("80 epochs of Adam, cross-entropy, batches of 32, relu, 40 % dropout, float64")
    steps = -(-len(X_train) // _BATCH) * _EPOCHS
    adam = Adam(schedules.Cosine(0.006, steps))
    trainer, single = (
        Trainer(
            MLP(_SIZES, "relu", "softmax", dropout=_DROPOUT, dtype=dtype, random_state=seed),
            "cross_entropy",
            adam,
            batch_size=_BATCH,
            random_state=seed,
        )
        for dtype in (np.float64, np.float32)
    )
    reference = ReferenceNetwork(trainer, seed)
    if report.on_terminal:
        report.line()
    history, seconds = stopwatch(lambda: trainer.run(X_train, y_train, _EPOCHS, progress=report.on_terminal))
    _, single_seconds = stopwatch(lambda: single.run(X_train, y_train, _EPOCHS))

    probabilities = trainer.model.predict(X_test)
    _show(report, probabilities, X_test, y_test)
    report.time("training, fastnn", seconds)
    report.time("training, fastnn, in float32", single_seconds, seconds)
    losses = report.timed("training, NumPy (fastnn.reference)", lambda: reference.run(X_train, y_train, _EPOCHS), seconds)
    difference = largest_difference([history["loss"]], [np.array(losses)])
    agrees = report.verdict("losses in all epochs", difference, _TOLERANCE)
    same = int((probabilities.argmax(axis=1) == reference.predict(X_test).argmax(axis=1)).sum())
    report.line(f"fastnn and NumPy read {same} of {len(X_test)} held-out images alike.")
    report.line()
    _time_one_image(report, trainer.model, X_test[0])
    return Result(losses, agrees)


def _show(report: Report, probabilities: NDArray[Any], X: NDArray[Any], y: NDArray[Any]) -> None:
    """Write the accuracy, and draw the errors with the highest probabilities."""
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != y)
    right = len(y) - len(wrong)
    report.block([f"accuracy on held-out images   {right / len(y):.1%}   ({right} of {len(y)})"])
    surest = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")][:_SHOWN]
    if not surest.size:
        return
    report.line("Wrong answers" + (f" (the {_SHOWN} with the highest probabilities):" if len(wrong) > _SHOWN else ":"))
    pictures = [[f"a {y[i]}, read as {predicted[i]}", *_sketch.image(X[i].reshape(8, 8), 1.0)] for i in surest]
    report.block(["    ".join(f"{part:<18}" for part in row) for row in zip(*pictures, strict=True)])


def _time_one_image(report: Report, model: MLP, x: NDArray[Any]) -> None:
    """Write the time of the prediction for a single image."""
    w_1, b_1, w_2, b_2 = (np.array(p) for p in model.parameters)

    def by_hand() -> NDArray[Any]:
        z = np.maximum(x @ w_1 + b_1, 0) @ w_2 + b_2
        e = np.exp(z - z.max())
        return np.asarray(e / e.sum())

    seconds = per_call(lambda: model.predict(x))
    report.time("reading one image, fastnn", seconds)
    report.time("reading one image, NumPy code for this network", per_call(by_hand), seconds)
