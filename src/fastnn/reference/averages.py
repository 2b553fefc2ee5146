"""The average of two networks, by which a target network follows another one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

__all__ = ["blend"]
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
