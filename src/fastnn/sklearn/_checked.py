"""The arguments of a fit after all checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Checked:
    """The checked arguments of a fit.

    Attributes
    ----------
    X, y : arrays
        The inputs, and the targets as `_check_target` returns them.
    weight : ndarray of float64, optional
        The weights of the rows.
    held_out : tuple (X, y, weight), optional
        The same for the validation data that the user passed.
    hidden : list of int
        The sizes of the hidden layers.
    first : bool
        Whether the fit begins with a new network.
    incremental : bool
        Whether the caller is `partial_fit`.
    """

    X: Any
    y: Any
    weight: NDArray[np.float64] | None
    held_out: tuple[Any, Any, Any] | None
    hidden: list[int]
    first: bool
    incremental: bool
