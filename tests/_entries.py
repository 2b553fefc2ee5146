"""The functions of models and trainers that take data, and helpers that test whether they refuse wrong data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from _helpers import data, links_of, model_of, state_of

from fastnn import Adam, Trainer

# Everything that takes X, y and sample weights.
ENTRIES = {
    "loss": lambda t, X, y, w=None: t.model.loss(X, y, t.loss, w),
    "gradient": lambda t, X, y, w=None: t.model.gradient(X, y, t.loss, w)[1][0],
    "input_gradient": lambda t, X, y, w=None: t.model.input_gradient(X, y, t.loss, w),
    "step": lambda t, X, y, w=None: t.step(X, y, w),
    "accumulate": lambda t, X, y, w=None: t.accumulate(X, y, w),
    "run": lambda t, X, y, w=None: t.run(X, y, 2, sample_weight=w)["loss"],
    "fit": lambda t, X, y, w=None: t.model.fit(X, y, loss=t.loss, epochs=2, sample_weight=w, random_state=0)["loss"],
    "validation": lambda t, X, y, w=None: t.run(*good_for(t), validation_data=(X, y, w))["val_loss"],
}
SIZES = (3, 8, 2)
GOOD = data(10, 3, 2)


def good_for(trainer: Trainer) -> tuple[Any, Any]:
    """Return data for a trainer."""
    sizes = trainer.model.layer_sizes
    return data(10, sizes[0], sizes[-1], trainer.loss.name)


def trainer_of(loss: str = "mse", sizes: Any = SIZES, dtype: Any = np.float64, dropout: float = 0.1) -> Trainer:
    """Return a trainer that has made a step."""
    model = model_of(sizes, "tanh", links_of(loss)[0], dtype=dtype, dropout=dropout)
    trainer = Trainer(model, loss, Adam(), batch_size=4, random_state=1)
    trainer.step(*data(10, sizes[0], sizes[-1], loss))
    return trainer


def assert_refused(trainer: Trainer, call: Callable[[], object], error: Any, message: str) -> None:
    """Assert that a call raises an error that begins with that text, and changes nothing."""
    before, model_rng = state_of(trainer), trainer.model._rng.bit_generator.state
    with pytest.raises(error, match=f"^(validation_data )?{message}"):
        call()
    assert state_of(trainer) == before
    assert trainer.model._rng.bit_generator.state == model_rng
