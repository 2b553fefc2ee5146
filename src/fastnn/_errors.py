"""Errors that end training."""

from __future__ import annotations

from typing import Any

from fastnn import _state
from fastnn._history import History


class DivergedError(ArithmeticError):
    """The loss became NaN or infinite. The model is back at its last epoch whose loss was finite.

    Attributes
    ----------
    epoch : int
        The epoch in which it happened, counted from 1.
    history : History
        The epochs before; an empty one where a single step diverged.
    """

    def __init__(self, message: str, epoch: int = 1, history: History | None = None) -> None:
        super().__init__(message)
        self.epoch = epoch
        self.history = History() if history is None else history

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with all attributes, and without calling a constructor that a subclass may have."""
        return _state.new, (type(self), *self.args), _state.attributes_of(self, frozenset())

    def __setstate__(self, state: Any) -> None:
        """Take over the attributes."""
        _state.set_attributes(self, state)


DIVERGED_STEP = "loss or update of this batch is not finite; nothing was changed"
"""The message of a step that diverged."""

WEIGHTLESS = (
    "sample_weight: expected weights with a mean, got weights that sum to 0 in a batch; the parameters are those of the "
    "step before. Larger batches, or weights of one sign, have a mean."
)
"""The message about weights of both signs, by whose sum a mean can't be divided."""
