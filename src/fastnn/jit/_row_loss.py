"""Losses from Python functions of whole rows."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastnn._checks.floats import as_float, float_type
from fastnn._checks.scalars import integer
from fastnn._engine import core as _core
from fastnn.jit._check import check_row_gradient
from fastnn.jit._function import JitFunction
from fastnn.jit._row_compile import RowBlock, row_loss_block
from fastnn.losses import CustomLoss

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

# The outputs of a row with which a function is tried, if it takes any number; and those of other rows for its gradient.
_OUTPUTS, _OTHER_OUTPUTS = 3, (2, 5)

_Sizes = tuple[int | None, int | None]


def checked_sizes(per_row: bool, n_targets: object, n_outputs: object) -> _Sizes:
    """Return the numbers of targets and outputs in a row that a loss needs."""
    given = {"n_targets": n_targets, "n_outputs": n_outputs}
    for name, size in given.items():
        if size is not None and not per_row:
            raise TypeError(f"{name}: expected it with per_row=True alone, got {size!r}")
    targets, outputs = (None if size is None else integer(name, size, low=1) for name, size in given.items())
    return targets, outputs


class JitRowLoss(JitFunction, CustomLoss):
    """A loss of whole rows compiled by Numba; see `fastnn.jit.loss`."""

    per_row: ClassVar[bool] = True

    def __init__(
        self, function: FunctionType, gradient: FunctionType, name: str | None, sizes: _Sizes, *, from_logits: bool
    ) -> None:
        self._n_targets, self._n_outputs = sizes
        self.one_output_per_target = self._n_targets is None  # type: ignore[misc]  # of the object
        self._from_logits = from_logits
        functions = {"function": function, "gradient": gradient}
        super().__init__(row_loss_block, functions, "input", name, _core.LOSSES, RowBlock)
        n_outputs = self._n_outputs or _OUTPUTS
        self._evaluate_rows(np.zeros((1, self.n_targets(n_outputs))), np.zeros((1, n_outputs)))  # raises if it can't be

    def n_targets(self, n_out: int) -> int:
        """Return the number of columns of targets for a model with that many outputs."""
        if self._n_outputs is not None and n_out != self._n_outputs:
            raise ValueError(f"loss: {self.name!r} takes a model with {self._n_outputs} outputs, got a model with {n_out}")
        return n_out if self._n_targets is None else self._n_targets

    def check(self, within: tuple[float, float]) -> None:
        """Raise ValueError if the gradient is wrong on rows in a range."""
        n_outputs = self._n_outputs or _OUTPUTS
        check_row_gradient(self, self._python, within, self.n_targets(n_outputs), n_outputs)
        for other in _OTHER_OUTPUTS if self._n_outputs is None else ():
            if self._takes(other):
                check_row_gradient(self, self._python, within, self.n_targets(other), other)

    def _takes(self, n_outputs: int) -> bool:
        """Return whether the functions take a row of that many outputs without raising."""
        try:
            self._evaluate_rows(np.zeros((1, self.n_targets(n_outputs))), np.zeros((1, n_outputs)))
        except ValueError:
            return False
        return True

    def value(self, y_true: ArrayLike, y_pred: ArrayLike) -> Any:
        """Return the loss of every row (n,), or of one row, computed in float64."""
        return self._of_rows(y_true, y_pred, 0)

    def gradient(self, y_true: ArrayLike, y_pred: ArrayLike) -> Any:
        """Return its derivatives by the predictions, of their shape, computed in float64."""
        return self._of_rows(y_true, y_pred, 1)

    __call__ = value

    def _of_rows(self, y_true: ArrayLike, y_pred: ArrayLike, which: int) -> Any:
        y, p = as_float("y_true", y_true), as_float("y_pred", y_pred)
        if p.ndim not in (1, 2) or y.shape != (*p.shape[:-1], self.n_targets(p.shape[-1])):
            shapes = "(n, columns of targets) and (n, outputs), or single rows"
            raise ValueError(f"y_true, y_pred: expected shapes {shapes}, got {y.shape} and {p.shape}")
        rows = (np.ascontiguousarray(np.atleast_2d(array), np.float64) for array in (y, p))
        result: NDArray[Any] = self._evaluate_rows(*rows)[which].astype(float_type(y, p))
        return result if p.ndim == 2 else result[0]

    def _evaluate_rows(self, y: NDArray[np.float64], p: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
        block = self._block(np.dtype(np.float64), y.shape[1], p.shape[1])
        try:
            return block.evaluate(y, p)
        except Exception as error:  # whatever the user's functions raised
            sizes = f"a row of {y.shape[1]} targets and {p.shape[1]} outputs; n_targets= and n_outputs= set other numbers"
            raise ValueError(f"function: {self.name} or its gradient raised {error!r} for {sizes}") from error
