"""The public functions that have options, for errors about an option that belongs to another one."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator
from typing import Any

from fastnn import callbacks, optimizers
from fastnn._checks.options import Owner
from fastnn._model import MLP
from fastnn._trainer import Trainer


def owners_of_options(known: Collection[str]) -> Iterator[Owner]:
    """Yield the functions that have options, for an error of one with the options `known`."""
    of_fit = "" if "optimizer" in known else " of fit() or Trainer()"
    kinds: list[Any] = [
        optimizers.Adam,
        *optimizers.OPTIMIZERS.values(),
        optimizers.LBFGS,
    ]  # most options are meant for Adam
    for optimizer in kinds:
        place = "optimizer={owner}({option})" + of_fit
        yield optimizer.__name__, inspect.signature(optimizer).parameters, place
    of_run = "" if "callbacks" in known else " of fit() or run()"
    for callback in (callbacks.EarlyStopping, callbacks.TimeLimit, callbacks.ReduceOnPlateau):
        place = "callbacks=[fastnn.callbacks.{owner}({option})]" + of_run
        yield callback.__name__, inspect.signature(callback).parameters, place
    if "layer_sizes" not in known:
        yield (
            "MLP",
            set(inspect.signature(MLP).parameters) - {"random_state"},
            "{owner}(…, {option}), where the model is made",
        )
    yield "Trainer", inspect.signature(Trainer).parameters, "{option} of fit() or Trainer()"
    yield "run", inspect.signature(Trainer.run).parameters, "{option} of fit() or run()"
