"""Errors that end training."""

from __future__ import annotations

from typing import Any

from fastnn import _state
from fastnn._history import History


class DivergedError(ArithmeticError):
    """The loss became NaN or infinite. The model has the parameters of the last epoch with a finite loss again.

    Attributes
    ----------
    epoch : int
        The epoch in which the loss became NaN or infinite, counted from 1.
    history : History
        The history of the epochs before. It is empty if a single step diverged.

    Examples
    --------
    >>> import numpy as np
    >>> import fastnn
    >>> X = np.linspace(-1, 1, 50)[:, np.newaxis]
    >>> try:
    ...     fastnn.MLP((1, 8, 1), random_state=0).fit(X, X**2, optimizer=fastnn.SGD(1e6), epochs=100)
    ... except fastnn.DivergedError as error:
    ...     print(error.epoch == len(error.history["loss"]) + 1)
    True
    """

    def __init__(self, message: str, epoch: int = 1, history: History | None = None) -> None:
        super().__init__(message)
        self.epoch = epoch
        self.history = History() if history is None else history

    def __reduce__(self) -> tuple[Any, ...]:
        """Return the parts for a pickle, with all attributes. No constructor of a subclass is called."""
        return _state.new, (type(self), *self.args), _state.attributes_of(self, frozenset())

    def __setstate__(self, state: Any) -> None:
        """Set the attributes from a pickle."""
        _state.set_attributes(self, state)


IN_USE = "this trainer is already running, in another thread or in the caller of a callback"
"""The message of a trainer that another caller holds."""

DIVERGED_STEP = "loss or update of this batch is not finite; nothing was changed"
"""The message of a step that diverged."""

DIVERGED_PART = "loss of this batch is not finite; nothing was added"
"""The message of a batch that is not accumulated."""

DIVERGED_UPDATE = "the accumulated update is not finite; the parameters have not changed"
"""The message of an update with accumulated gradients that diverged."""

NOTHING_ACCUMULATED = "apply: nothing was accumulated; trainer.accumulate(X, y) adds the gradient of a batch"
"""The message of an update without gradients."""

WEIGHTLESS = (
    "sample_weight: expected weights with a mean, got weights that sum to 0 in a batch; the parameters are those of the "
    "step before. Larger batches, or weights of one sign, have a mean."
)
"""The message about weights of both signs that sum to zero, so that their mean is undefined."""
