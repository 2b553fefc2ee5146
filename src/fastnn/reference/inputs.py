"""The changes of inputs before the first layer: dropout, and a trained factor of each feature."""

from __future__ import annotations

import numpy as np

from fastnn._checks.floats import Array

__all__ = ["scale_inputs", "scale_inputs_grad"]
__dir__ = __all__.copy


def scale_inputs(x: Array, scales: Array | None = None, mask: Array | None = None) -> Array:
    """Return x * mask * scales: inputs after dropout, times the trained factor of each feature.

    D. Holzmüller, L. Grinsztajn and I. Steinwart, "Better by default: strong pre-tuned MLPs and boosted trees on tabular
    data", NeurIPS 2024, section 3, begin their networks with such a layer.

    Parameters
    ----------
    x : ndarray, shape (n, n_in)
        Rows of inputs.
    scales : ndarray, shape (n_in,) or (n_members, n_in), optional
        The factors. By default, all are 1. With factors for each member of a shared ensemble, row i is that of member
        ``i % n_members``.
    mask : ndarray, shape (n, n_in), optional
        The factors of dropout (see `dropout_mask`). By default, nothing is dropped.

    Examples
    --------
    >>> scale_inputs(np.array([[1.0, 2.0]]), np.array([3.0, 0.5]))
    array([[3., 1.]])
    """
    dropped = x if mask is None else x * mask
    return dropped if scales is None else dropped * of_rows(scales, len(x))


def scale_inputs_grad(x: Array, scales: Array | None, mask: Array | None, grad: Array) -> tuple[Array, Array | None]:
    """Return the gradients with respect to x and scales, from the gradient (n, n_in) with respect to the result.

    Without scales, the second gradient is None.

    Examples
    --------
    >>> scale_inputs_grad(np.array([[1.0, 2.0]]), np.array([3.0, 0.5]), None, np.array([[1.0, 1.0]]))
    (array([[3. , 0.5]]), array([1., 2.]))
    """
    if scales is None:
        return (grad if mask is None else grad * mask), None
    by_scales = grad * scale_inputs(x, None, mask)
    if scales.ndim == 2:
        by_scales = by_scales.reshape(-1, *scales.shape)
    return scale_inputs(grad, scales, mask), np.sum(by_scales, axis=0)


def n_members_of(scales: Array | None) -> int:
    """Return the number of members of the network with these scales of its inputs; 1 for a plain network."""
    return len(scales) if scales is not None and scales.ndim == 2 else 1


def of_rows(scales: Array, n_rows: int) -> Array:
    """Return a vector, or that of each row's member, given those of all members of a shared ensemble."""
    return scales if scales.ndim == 1 else np.tile(scales, (n_rows // len(scales), 1))
