"""Compilation of Python functions of whole rows to a native function of several rows."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np
from numba import carray, types
from numpy.typing import NDArray

from fastnn.jit._compile import RAISED, Block, check_number, compile_alone, has_raised

_Array = NDArray[np.float64]


class RowBlock(Block):
    """A C function of rows of targets and predictions, their losses and derivatives, and `kernels/api.h`'s five counts."""

    n_counts = 5
    options_of_users = MappingProxyType({"boundscheck": True})

    def evaluate(self, *points: _Array) -> tuple[_Array, _Array]:
        """Return values (n,) and derivatives (n, n_out) in float64; an exception of the user's function passes through."""
        y, p = points
        value, derivative = np.empty(len(p)), np.empty_like(p)
        arrays = (y, p, value, derivative)
        self._call(*[array.ctypes.data for array in arrays], len(p), y.shape[1], p.shape[1], y.shape[1], p.shape[1])
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
        if not out:
            check_number(argument, function, result)
        elif result != types.none:
            name = function.py_func.__name__
            raise TypeError(
                f"{argument}: expected a function that stores its results in out, got {name}, which returns {result}"
            )


def row_loss_block(number: Any, jit: Any, f: Any, gradient_of: Any, uses: str) -> Any:
    """Return the function that `CustomLoss.address` describes."""

    def values_and_gradients(
        y: Any, p: Any, value: Any, gradient: Any, rows: Any, n_targets: Any, n_out: Any, y_row: Any, p_row: Any
    ) -> None:
        targets, outputs = carray(y, (rows, y_row)), carray(p, (rows, p_row))
        gradients = carray(gradient, (rows, p_row))
        for i in range(rows):
            value[i] = number(f(targets[i, :n_targets], outputs[i, :n_out]))
            for j in range(n_out):
                gradients[i, j] = 0
            gradient_of(targets[i, :n_targets], outputs[i, :n_out], gradients[i, :n_out])

    values_and_gradients = jit(values_and_gradients)

    def block(
        y: Any, p: Any, value: Any, gradient: Any, rows: Any, n_targets: Any, n_out: Any, y_row: Any, p_row: Any
    ) -> None:
        try:
            values_and_gradients(y, p, value, gradient, rows, n_targets, n_out, y_row, p_row)
        except Exception:  # no caller could catch it
            for i in range(rows):
                value[i] = RAISED
                for j in range(n_out):
                    gradient[i * p_row + j] = RAISED

    return block
