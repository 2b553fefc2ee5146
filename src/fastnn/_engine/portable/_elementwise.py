"""Functions of plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import reference
from fastnn._engine.portable._optimizers import Optimizer
from fastnn._engine.portable._rows import Array

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

_ALIGNMENT = 64  # bytes


def aligned_zeros(shape: int | tuple[int, ...], dtype: DTypeLike) -> Array:
    """Return zeros that begin at a multiple of 64 bytes."""
    n_bytes = (shape if isinstance(shape, int) else prod(shape)) * np.dtype(dtype).itemsize
    raw = np.zeros(n_bytes + _ALIGNMENT, np.uint8)
    skip = -raw.ctypes.data % _ALIGNMENT
    return raw[skip : skip + n_bytes].view(dtype).reshape(shape)


def first_not_finite(a: Array) -> int:
    """Return the flat index of the first NaN or infinity of a C-contiguous aligned float array, or -1."""
    if not (a.flags.c_contiguous and a.flags.aligned) or a.dtype not in (np.float32, np.float64):
        raise TypeError(f"a: expected a contiguous and aligned float32 or float64 array, got {_described(a)}")
    wrong = ~np.isfinite(a.reshape(-1))
    found = int(wrong.argmax()) if wrong.size else 0
    return found if wrong.size and wrong[found] else -1


def activate(name: str, z: Array) -> None:
    """Replace z by its activation, in place, over rows of its last axis."""
    _check(z)
    function = _reference(name)
    if z.size:
        z[...] = function.value(np.atleast_1d(z)).reshape(z.shape)


def activation_derivative(name: str, z: Array, slope: Array) -> None:
    """Replace z by its activation, and set slope to the derivative. Softmax, whose derivative is a matrix, raises."""
    _check_alike(z, slope, "slope must be like z")
    function = _reference(name)
    if name == "softmax":
        raise ValueError(f"slope must be like z: the derivative of {name} is a matrix")
    a = function.value(z)
    slope.reshape(-1)[:] = np.ravel(function.slope(z, a))
    z[...] = a


def times_derivative(name: str, delta: Array, a: Array) -> None:
    """Multiply delta by the derivative at the output a, in place, over rows of the last axis."""
    _check_alike(delta, a, "delta must be like a")
    function = _reference(name)
    if function.uses == "input":
        raise ValueError(f"delta must be like a: the derivative of {name} does not follow from its output")
    if a.size:
        with np.errstate(all="ignore"):
            outputs = np.atleast_1d(a)
            delta.reshape(-1)[:] = function.backward(outputs, outputs, delta.reshape(outputs.shape)).reshape(-1)


@np.errstate(all="ignore")
def update(
    optimizer: dict[str, Any],
    params: Sequence[Array],
    grads: Sequence[Any],
    moments: Sequence[Any],
    rate: float,
    updates: int,
) -> bool:
    """Make one step of an optimizer on lists of arrays, in place, and return whether this was possible.

    Each parameter, its gradient and its moments must be contiguous arrays of the same shape and dtype, float32 or float64,
    and writeable: Numba would compile for read-only ones again. No gradient may overlap an array that is written, and no
    moment may overlap a parameter or another moment. Otherwise, nothing changes.
    """
    native = Optimizer(optimizer)
    if len(moments) != native.n_moments:
        raise ValueError(f"{optimizer['name']} has {native.n_moments} moments for each parameter")
    lists = [params, grads, *moments]
    if not all(isinstance(arrays, list | tuple) and len(arrays) == len(params) for arrays in lists):
        return False
    if not all(_are_alike(*together) for together in zip(*lists, strict=True)):
        return False
    written = [array for arrays in (params, *moments) for array in arrays]
    if any(np.may_share_memory(grad, array) for grad in grads for array in written):
        return False
    if any(np.may_share_memory(a, b) for i, a in enumerate(written) for b in written[max(i + 1, len(params)) :]):
        return False
    for param, grad, *kept in zip(*lists, strict=True):
        moments_of_param = [array.reshape(-1) for array in kept]
        native.update(param.reshape(-1), grad.reshape(-1), moments_of_param, float(rate), updates + 1)
    return True


def _described(a: Array) -> str:
    return f"{a.dtype} with strides {a.strides}{'' if a.flags.writeable else ', read-only'}"


def _are_alike(*arrays: Any) -> bool:
    first = arrays[0]
    return all(
        type(a) is np.ndarray and a.flags.carray and a.dtype in (np.float32, np.float64) and a.dtype == first.dtype
        and a.shape == first.shape
        for a in arrays
    )  # fmt: skip


def _check(a: Array) -> None:
    if not a.flags.carray or a.dtype not in (np.float32, np.float64):
        raise TypeError(f"a: expected a writable contiguous float32 or float64 array, got {_described(a)}")


def _check_alike(a: Array, b: Array, message: str) -> None:
    _check(a)
    _check(b)
    if a.size != b.size or a.dtype != b.dtype:
        raise ValueError(message)


def _reference(name: str) -> Any:
    """Return the activation of the reference, whose functions are correct to within about one bit."""
    return reference.ACTIVATIONS[name]
