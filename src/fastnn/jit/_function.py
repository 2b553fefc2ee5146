"""What activations and losses made by Numba have in common."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastnn._checks.scalars import real
from fastnn.jit._compile import Block, Template, compiled

_Array = NDArray[np.float64]


class JitFunction:
    """A function of the user's own and its derivative, compiled for each dtype when it is first asked for.

    Parameters
    ----------
    template : callable
        Of the C function that networks call.
    functions : mapping
        Function and derivative, by the names of the arguments.
    uses : {"input", "output"}
        What the derivative is called with.
    name : str, optional
        The function's, if not given.
    built_in : sequence of str
        Names that it can't have.
    """

    name: str

    def __init__(
        self, template: Template, functions: Mapping[str, FunctionType], uses: str, name: str | None, built_in: Sequence[str]
    ) -> None:
        self._python = next(iter(functions.values()))
        wrapper: Any = self
        functools.update_wrapper(wrapper, self._python)  # whose place in its module is what a pickle holds
        self.name = self._python.__name__ if name is None else name
        _check_name(self.name, built_in)
        self._compiled = functools.partial(compiled, template, functions, uses)
        self._blocks: dict[np.dtype[Any], Block] = {}

    def address(self, dtype: DTypeLike) -> int:
        """Return the address of the C function for blocks, which is compiled when it is first asked for."""
        return int(self._block(np.dtype(dtype)).address)

    def __reduce__(self) -> str:
        """Be pickled by reference, as functions are; and copied not at all."""
        return self._python.__qualname__

    def _block(self, dtype: np.dtype[Any]) -> Block:
        if dtype not in self._blocks:
            self._blocks.setdefault(dtype, self._compiled(dtype))
        return self._blocks[dtype]

    def _evaluate(self, *arguments: _Array) -> tuple[_Array, _Array]:
        """Return values and derivatives for arrays of one shape."""
        points = [np.ascontiguousarray(argument).reshape(-1) for argument in arguments]
        block = self._block(points[0].dtype)
        try:
            value, derivative = block.evaluate(*points)
        except Exception as error:  # whatever the user's functions raise
            expected = "expected a number everywhere"
            raise ValueError(f"function: {self.name} or its derivative raised {error!r}, {expected}") from error
        return value.reshape(arguments[0].shape), derivative.reshape(arguments[0].shape)


def bounds(check_range: object) -> tuple[float, float] | None:
    """Return the ends of the range that a user wants a derivative to be checked in."""
    if check_range is None:
        return None
    if not isinstance(check_range, tuple | list) or len(check_range) != 2:
        raise TypeError(f"check_range: got {check_range!r}, expected (low, high) or None")
    low, high = (real("check_range", bound) for bound in check_range)
    if low >= high:
        raise ValueError(f"check_range: got {check_range!r}, expected (low, high) with low < high")
    return low, high


def _check_name(name: object, built_in: Sequence[str]) -> None:
    if not isinstance(name, str):
        raise TypeError(f"name: got {name!r}, expected a string")
    if not name or name in built_in:
        raise ValueError(f"name: got {name!r}, expected one that nothing built in has")
