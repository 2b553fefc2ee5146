"""The common base of activations and losses that Numba compiles."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from types import FunctionType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastnn._checks.scalars import real
from fastnn.jit._compile import Block, Template, compiled, python_of

_Array = NDArray[np.float64]


class JitFunction:
    """A user's function and its derivative, compiled for each dtype, and for rows of each size, on first use.

    Parameters
    ----------
    template : callable
        The function that makes the C function for networks.
    functions : mapping
        The function and its derivative, by the names of their arguments.
    uses : {"input", "output"}
        The argument of the derivative.
    name : str, optional
        The name, by default that of the function.
    built_in : sequence of str
        Names of built-in functions, which are refused.
    kind : type, default Block
        The class of the C function.
    """

    name: str

    def __init__(
        self,
        template: Template,
        functions: Mapping[str, FunctionType],
        uses: str,
        name: str | None,
        built_in: Sequence[str],
        kind: type[Block] = Block,
    ) -> None:
        self._python = python_of(next(iter(functions.values())))
        wrapper: Any = self
        functools.update_wrapper(wrapper, self._python)  # pickles contain its place in its module
        self.name = self._python.__name__ if name is None else name
        _check_name(self.name, built_in)
        self._compiled = functools.partial(compiled, kind, template, functions, uses)
        self._blocks: dict[tuple[np.dtype[Any], tuple[int, ...]], Block] = {}

    def address(self, dtype: DTypeLike, *sizes: int) -> int:
        """Return the address of the C function for blocks of numbers, or of rows of these sizes, compiled on first use."""
        return int(self._block(np.dtype(dtype), *sizes).address)

    def __reduce__(self) -> str:
        """Return the place in the module, because functions are pickled by reference."""
        return self._python.__qualname__

    def _block(self, dtype: np.dtype[Any], *sizes: int) -> Block:
        key = dtype, sizes
        if key not in self._blocks:
            self._blocks.setdefault(key, self._compiled(dtype, *sizes))
        return self._blocks[key]

    def _evaluate(self, *arguments: _Array) -> tuple[_Array, _Array]:
        """Return values and derivatives for arrays of one shape."""
        points = [np.ascontiguousarray(argument).reshape(-1) for argument in arguments]
        block = self._block(points[0].dtype)
        try:
            value, derivative = block.evaluate(*points)
        except Exception as error:  # any exception of the user's functions
            expected = "expected a number everywhere"
            raise ValueError(f"function: {self.name} or its derivative raised {error!r}, {expected}") from error
        return value.reshape(arguments[0].shape), derivative.reshape(arguments[0].shape)


def bounds(check_range: object) -> tuple[float, float] | None:
    """Return the ends of the range in which to check a derivative."""
    if check_range is None:
        return None
    if not isinstance(check_range, tuple | list) or len(check_range) != 2:
        raise TypeError(f"check_range: expected (low, high) or None, got {check_range!r}")
    low, high = (real("check_range", bound) for bound in check_range)
    if low >= high:
        raise ValueError(f"check_range: expected (low, high) with low < high, got {check_range!r}")
    return low, high


def _check_name(name: object, built_in: Sequence[str]) -> None:
    if not isinstance(name, str):
        raise TypeError(f"name: expected a string, got {name!r}")
    if not name or name in built_in:
        raise ValueError(f"name: expected one that no built-in function has, got {name!r}")
