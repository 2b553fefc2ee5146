"""Compilation of Python functions of whole rows to a native function of several rows."""

from __future__ import annotations

from contextlib import suppress
from types import FunctionType, MappingProxyType
from typing import Any

import numpy as np
from numba import carray, types
from numba.extending import overload
from numpy.typing import NDArray

from fastnn.jit._compile import RAISED, Block, check_number, compile_alone, has_raised, python_of
from fastnn.jit._kernels import bare
from fastnn.jit._lane_rows import lane_rows
from fastnn.jit._lanes import Lanes
from fastnn.jit._translate import cells_of, names_of

_Array = NDArray[np.float64]

# Rows of this many elements or fewer have no padding; see `kernels/api.h`.
_UNPADDED = 4
# Attributes of arrays, by which functions can tell lanes from numbers.
_OF_MEMORY = frozenset({"ctypes", "dtype", "itemsize", "nbytes", "strides", "view"})
# The number of elements of a row, its targets and twice its outputs, up to which its lanes stand on the stack.
_MAX_IN_LANES = 1024


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
        result = compile_alone(argument, function, _arguments(argument, self._number), f"row of {self._number}")
        if _may_be_in_lanes(*self._sizes) and not _looks_at_memory(function.py_func, set()):
            with suppress(Exception):  # Numba raises many kinds; without lanes, rows are computed one by one
                compile_alone(argument, function, _arguments(argument, Lanes(self._number)), "row in lanes")
        function.disable_compile()  # or rows that can be changed would be another case
        if argument == "function" or result != types.none:
            check_number(argument, function, result)


def _may_be_in_lanes(n_targets: int, n_out: int) -> bool:
    """Return whether rows of these sizes are computed in lanes. The compiler puts shorter ones into vectors itself."""
    return max(n_targets, n_out) > _UNPADDED and n_targets + 2 * n_out <= _MAX_IN_LANES


def _looks_at_memory(function: FunctionType, seen: set[FunctionType]) -> bool:
    """Return whether a function, or one that it calls, may look at the memory of arrays, where lanes differ from numbers."""
    seen.add(function)
    names = names_of(function.__code__)
    called = [*(value for name, value in function.__globals__.items() if name in names), *cells_of(function)]
    functions = {each for each in map(python_of, called) if isinstance(each, FunctionType)} - seen
    return not names.isdisjoint(_OF_MEMORY) or any(_looks_at_memory(each, seen) for each in functions)


def _arguments(argument: str, number: Any) -> tuple[Any, ...]:
    row = types.Array(number, 1, "C", readonly=True)
    return (row, row, types.Array(number, 1, "C")) if argument == "gradient" else (row, row)


def _value(returned: Any, f: Any, target: Any, output: Any) -> Any:
    """Return the loss of a row: what the gradient has returned, or else that of the function."""
    raise NotImplementedError


@overload(_value)
@bare
def _value_in_compiled_code(returned: Any, f: Any, target: Any, output: Any) -> Any:
    if returned == types.none:
        return lambda returned, f, target, output: f(target, output)
    return lambda returned, f, target, output: returned


def _way(f: Any, gradient_of: Any, in_lanes: Any, by_rows: Any) -> Any:
    """Return the way of computing rows that the functions which training calls have been compiled for."""
    raise NotImplementedError


@overload(_way)
@bare
def _way_in_compiled_code(f: Any, gradient_of: Any, in_lanes: Any, by_rows: Any) -> Any:
    values, gradients = (
        [s.return_type for s in function.dispatcher.nopython_signatures if isinstance(s.args[0].dtype, Lanes)]
        for function in (f, gradient_of)
    )
    if gradients and (gradients != [types.none] or values):
        return lambda f, gradient_of, in_lanes, by_rows: in_lanes
    return lambda f, gradient_of, in_lanes, by_rows: by_rows


def row_loss_block(number: Any, jit: Any, f: Any, gradient_of: Any, uses: str, n_targets: int, n_out: int) -> Any:
    """Return the function that `CustomLoss.address` describes.

    The compiler knows the numbers of targets and outputs, and finds that no index is out of bounds. It unrolls the loops of
    the user's functions over short rows, so that it can compute several rows at once. Longer rows are computed in lanes, if
    the functions can be.
    """
    packed_targets, packed_outputs = n_targets <= _UNPADDED, n_out <= _UNPADDED

    def by_rows(y: Any, p: Any, value: Any, gradient: Any, rows: Any, y_row: Any, p_row: Any) -> None:
        targets, outputs = carray(y, (rows, y_row)), carray(p, (rows, p_row))
        gradients = carray(gradient, (rows, p_row))
        for i in range(rows):
            target, output, out = targets[i, :n_targets], outputs[i, :n_out], gradients[i, :n_out]
            for j in range(n_out):
                out[j] = 0
            value[i] = number(_value(gradient_of(target, output, out), f, target, output))

    by_rows = jit(by_rows, forceinline=True)
    in_lanes = by_rows
    if _may_be_in_lanes(n_targets, n_out):
        in_lanes = lane_rows(jit, number, _value, f, gradient_of, n_targets, n_out)

    def block(y: Any, p: Any, value: Any, gradient: Any, rows: Any, y_row: Any, p_row: Any) -> None:
        of_targets, of_outputs = n_targets if packed_targets else y_row, n_out if packed_outputs else p_row
        try:
            _way(f, gradient_of, in_lanes, by_rows)(y, p, value, gradient, rows, of_targets, of_outputs)
        except Exception:  # no caller could catch it
            for i in range(rows):
                value[i] = RAISED
                for j in range(n_out):
                    gradient[i * p_row + j] = RAISED

    return block
