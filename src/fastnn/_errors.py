"""What training can end with."""

from __future__ import annotations

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

    def __reduce__(self) -> tuple[type[DivergedError], tuple[str, int, History]]:
        """Pickle with all attributes."""
        return type(self), (str(self), self.epoch, self.history)


WEIGHTLESS = (
    "sample_weight: got weights that sum to 0 in a batch, whose weighted mean is undefined; the parameters are those of the "
    "step before. Larger batches, or weights of one sign, have a mean."
)
"""Said where a mean is to be divided by a sum of weights of both signs."""
