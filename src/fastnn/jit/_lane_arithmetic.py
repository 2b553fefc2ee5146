"""Arithmetic of lanes in code that Numba compiles."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.core.typing import signature
from numba.extending import lower_builtin, overload, type_callable

from fastnn.jit._kernels import bare
from fastnn.jit._lanes import NUMBERS, Lanes
from fastnn.jit._llvm import intrinsic_of


def _common(*arguments: Any) -> Lanes | None:
    """Return the type of lanes among the arguments, if the others are numbers or the same lanes."""
    lanes = next((argument for argument in arguments if isinstance(argument, Lanes)), None)
    return lanes if all(argument == lanes or isinstance(argument, NUMBERS) for argument in arguments) else None


def _register(function: Any, build: Callable[..., Any], n_arguments: int) -> None:
    """Make a function of lanes, or of lanes and numbers, available in compiled code. `build` emits it for vectors."""

    def of_one(x: Any) -> Any:
        return None if (lanes := _common(x)) is None else signature(lanes, lanes)

    def of_two(a: Any, b: Any) -> Any:
        return None if (lanes := _common(a, b)) is None else signature(lanes, lanes, lanes)

    def lowered(_: Any, builder: Any, __: Any, vectors: Any) -> Any:
        return build(builder, *vectors)

    type_callable(function)(lambda _: of_one if n_arguments == 1 else of_two)
    lower_builtin(function, *[Lanes] * n_arguments)(lowered)


def _intrinsic(name: str) -> Callable[[Any, Any], Any]:
    return lambda builder, a: builder.call(intrinsic_of(builder, name, a.type, 1), [a])


def _first_if(comparison: str) -> Callable[[Any, Any, Any], Any]:
    """Return the minimum or maximum as Python has it: the second number if it compares, and else the first."""

    def build(builder: Any, a: Any, b: Any) -> Any:
        return builder.select(builder.fcmp_ordered(comparison, b, a), b, a)

    return build


for _name in ("add", "sub", "mul", "truediv"):
    for _function in (getattr(operator, _name), getattr(operator, f"i{_name}")):
        _instruction = {"truediv": "fdiv"}.get(_name, f"f{_name}")
        _register(_function, lambda builder, a, b, name=_instruction: getattr(builder, name)(a, b), 2)
_register(operator.neg, lambda builder, a: builder.fneg(a), 1)
_register(operator.pos, lambda _, a: a, 1)
_register(max, _first_if(">"), 2)
_register(min, _first_if("<"), 2)
for _function in (abs, math.fabs, np.abs, np.fabs):
    _register(_function, _intrinsic("llvm.fabs"), 1)
for _function in (math.sqrt, np.sqrt):
    _register(_function, _intrinsic("llvm.sqrt"), 1)
del _function  # NumPy's: it would count as a part of this module


@overload(operator.pow, prefer_literal=True)
@bare
def _power(x: Any, n: Any) -> Any:
    if not isinstance(x, Lanes) or not isinstance(n, types.IntegerLiteral):
        return None
    return {2: lambda x, n: x * x, 3: lambda x, n: x * x * x}.get(n.literal_value)
