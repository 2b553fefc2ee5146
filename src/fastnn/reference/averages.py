"""The average of two networks, by which a target network follows another one, and those over a training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["blend", "ema_share"]
__dir__ = __all__.copy


def blend(params: Sequence[NDArray[Any]], others: Sequence[NDArray[Any]], tau: float) -> None:
    """Move each array towards another one of its shape, in place: own += tau * (other - own).

    Parameters
    ----------
    params : sequence of floating-point ndarrays
        Changed in place.
    others : sequence of ndarrays
        One per array in `params`.
    tau : float
        In [0, 1].

    References
    ----------
    B. T. Polyak and A. B. Juditsky, "Acceleration of stochastic approximation by averaging", SIAM Journal on Control and
    Optimization 30, 1992.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.zeros(2)
    >>> blend([w], [np.array([1.0, 2.0])], 0.25)
    >>> w
    array([0.25, 0.5 ])
    """
    for own, other in zip(params, others, strict=True):
        own += own.dtype.type(tau) * (other - own)


def ema_share(count: int, decay: float, bias_correction: bool = True) -> float:
    """Return the share s of new parameters w in their exponential moving average a, for the update a += s * (w - a).

    Parameters
    ----------
    count : int
        The number of parameters in the average, with the new ones, at least 1.
    decay : float
        The factor of the weights from one update to the one before, in [0, 1).
    bias_correction : bool, default True
        Whether the weights of all parameters so far sum to 1. Otherwise, the first parameters stand in place of all before.

    Examples
    --------
    >>> [round(ema_share(count, 0.5), 3) for count in (1, 2, 3)]
    [1.0, 0.667, 0.571]
    >>> [ema_share(count, 0.5, bias_correction=False) for count in (1, 2, 3)]
    [1.0, 0.5, 0.5]
    """
    if bias_correction:
        return (1.0 - decay) / (1.0 - decay**count)
    return 1.0 if count == 1 else 1.0 - decay
