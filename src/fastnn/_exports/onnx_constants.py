"""Computation with the constants of an ONNX graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._exports.onnx_operators import OPERATORS
from fastnn._exports.onnx_package import helper
from fastnn._exports.onnx_reader import label

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _axes(axes: Any) -> Any:
    return None if axes is None else tuple(np.atleast_1d(np.asarray(axes, int)).tolist())


def _reshape(array: NDArray[Any], shape: Any) -> NDArray[Any]:
    return array.reshape([array.shape[i] if n == 0 else n for i, n in enumerate(np.asarray(shape, int).tolist())])


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "Cast": lambda array, to, **_: array.astype(helper.tensor_dtype_to_np_dtype(to)),
    "Identity": lambda array: array,
    "Reshape": lambda array, shape, **_: _reshape(array, shape),
    "Squeeze": lambda array, axes=None: np.squeeze(array, _axes(axes)),
    "Transpose": lambda array, perm=None: np.transpose(array, perm),
    "Unsqueeze": lambda array, axes: np.expand_dims(array, _axes(axes)),
}
FOLDABLE: Mapping[str, Callable[..., Any]] = MappingProxyType({**OPERATORS, **_FUNCTIONS})
"""Functions of constants by operator."""


def folded(node: Any, inputs: list[Any], attributes: Mapping[str, Any]) -> NDArray[Any]:
    """Return the constant that a node makes of constants.

    Raises
    ------
    ValueError
        If fastnn does not compute the operator, or the result would be larger than its inputs.
    """
    if node.op_type not in FOLDABLE:
        raise ValueError(f"{label(node)}: expected the network's values as inputs, got only constants")
    if node.op_type in OPERATORS:
        size = int(np.prod(np.broadcast_shapes(*(one.shape for one in inputs if one is not None)), dtype=object))
        if size > max((one.size for one in inputs if one is not None), default=0):
            raise ValueError(f"{label(node)}: expected constants of like shapes, got {[one.shape for one in inputs]}")
    return np.asarray(applied(FOLDABLE[node.op_type], node, inputs, attributes))


def applied(function: Callable[..., Any], node: Any, inputs: list[Any], attributes: Mapping[str, Any]) -> Any:
    """Return the function of inputs and attributes. Raise ValueError that names the node if it does not take them."""
    try:
        return function(*inputs, **attributes)
    except (TypeError, ValueError, IndexError) as error:
        raise ValueError(f"{label(node)}: expected other inputs or attributes ({error})") from error
