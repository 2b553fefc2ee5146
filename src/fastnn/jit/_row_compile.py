"""Compilation of Python functions of whole rows to a native function of several rows."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np
from numba import carray, types
from numba.extending import overload
from numpy.typing import NDArray

from fastnn.jit._compile import RAISED, Block, check_number, compile_alone, has_raised
from fastnn.jit._kernels import bare

_Array = NDArray[np.float64]


class RowBlock(Block):
    """A C function of rows of targets and predictions, their losses and derivatives, and `kernels/api.h`'s three counts."""

    n_counts = 3
    takes_arrays = True
    options_of_users = MappingProxyType({"boundscheck": True, "forceinline": True})

    def evaluate(self, *points: _Array) -> tuple[_Array, _Array]:
        """Return values (n,) and derivatives (n, n_out) in float64; an exception of the user's function passes through."""
        y, p = points
        value, derivative = np.empty(len(p)), np.empty_like(p)
        arrays = (y, p, value, derivative)
        self._call(*[array.ctypes.data for array in arrays], len(p), y.shape[1], p.shape[1])
        if has_raised(value):
            function, gradient = self._functions.values()
            for of_targets, of_outputs in zip(y, p, strict=True):
                function(of_targets, of_outputs)
                gradient(of_targets, of_outputs, np.zeros_like(of_outputs))
        return value, derivative

    def _compile_alone(self, argument: str, function: Any) -> None:
        row = types.Array(self._number, 1, "C", readonly=True)
        out = [types.Array(self._number, 1, "C")] if argument == "gradient" else []
        result = compile_alone(argument, function, (row, row, *out), f"row of {self._number}")
        function.disable_compile()  # or rows that can be changed would be another case
        if not out or result != types.none:
            check_number(argument, function, result)


def _value(returned: Any, f: Any, target: Any, output: Any) -> Any:
    """Return the loss of a row: what the gradient has returned, or else that of the function."""
    raise NotImplementedError


@overload(_value)
@bare
def _value_in_compiled_code(returned: Any, f: Any, target: Any, output: Any) -> Any:
    if returned == types.none:
        return lambda returned, f, target, output: f(target, output)
    return lambda returned, f, target, output: returned


# Rows of this many elements or fewer have no padding; see `kernels/api.h`.
_UNPADDED = 4


def row_loss_block(number: Any, jit: Any, f: Any, gradient_of: Any, uses: str, n_targets: int, n_out: int) -> Any:
    """Return the function that `CustomLoss.address` describes.

    The compiler knows the numbers of targets and outputs. It finds that no index is out of bounds, and unrolls the loops of
    the user's functions over short rows, so that it can compute several rows at once.
    """
    packed_targets, packed_outputs = n_targets <= _UNPADDED, n_out <= _UNPADDED

    def values_and_gradients(y: Any, p: Any, value: Any, gradient: Any, rows: Any, y_row: Any, p_row: Any) -> None:
        of_targets, of_outputs = n_targets if packed_targets else y_row, n_out if packed_outputs else p_row
        targets, outputs = carray(y, (rows, of_targets)), carray(p, (rows, of_outputs))
        gradients = carray(gradient, (rows, of_outputs))
        for i in range(rows):
            target, output, out = targets[i, :n_targets], outputs[i, :n_out], gradients[i, :n_out]
            for j in range(n_out):
                out[j] = 0
            value[i] = number(_value(gradient_of(target, output, out), f, target, output))

    values_and_gradients = jit(values_and_gradients, forceinline=True)

    def block(y: Any, p: Any, value: Any, gradient: Any, rows: Any, y_row: Any, p_row: Any) -> None:
        try:
            values_and_gradients(y, p, value, gradient, rows, y_row, p_row)
        except Exception:  # no caller could catch it
            for i in range(rows):
                value[i] = RAISED
                for j in range(n_out):
                    gradient[i * p_row + j] = RAISED

    return block
