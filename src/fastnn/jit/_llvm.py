"""Formulas as functions in LLVM code: numbers in code under construction, and functions for Numba."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastnn._elementary.numbers import Bits, Formula, Number
from fastnn._engine import core as _core
from fastnn.jit._lanes import Lanes

# Whether the instruction set has fused multiply-add. Compiled code depends on this, so it is part of the key of cached
# files.
FUSED = _core.current_instruction_set()[0] != "baseline"


def _of_type(number: Any, like: Any) -> Any:
    """Return a type of numbers, or that of vectors of such numbers if the other type has vectors."""
    return ir.VectorType(number, like.count) if isinstance(like, ir.VectorType) else number


def _constant(kind: Any, number: float) -> Any:
    return ir.Constant(kind, [number] * kind.count if isinstance(kind, ir.VectorType) else number)


class Float(Number):
    """A float32 or float64 in LLVM code, or a vector of them."""

    fused = FUSED

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value
        self.is_float32 = value.type == _of_type(ir.FloatType(), value.type)

    def constant(self, number: float) -> Float:
        return Float(self.builder, _constant(self.value.type, number))

    def operand(self, other: Float | float) -> Any:
        """Return the operand of an instruction for a value."""
        return other.value if isinstance(other, Float) else _constant(self.value.type, other)

    def as_int(self) -> Integer:
        integer = _of_type(ir.IntType(32 if self.is_float32 else 64), self.value.type)
        return Integer(self.builder, self.builder.bitcast(self.value, integer))

    def fma(self, b: Float | float, c: Float | float) -> Float:
        if not FUSED:
            return self * b + c
        return _intrinsic("llvm.fma", self, *(Float(self.builder, self.operand(number)) for number in (b, c)))

    def when(self, condition: Any, other: Float) -> Float:
        return Float(self.builder, self.builder.select(condition, self.value, other.value))

    def absolute(self) -> Float:
        return _intrinsic("llvm.fabs", self)

    def copysign(self, sign: Float) -> Float:
        return _intrinsic("llvm.copysign", self, sign)

    def __add__(self, other: Float | float) -> Float:
        return Float(self.builder, self.builder.fadd(self.value, self.operand(other)))

    def __sub__(self, other: Float | float) -> Float:
        return Float(self.builder, self.builder.fsub(self.value, self.operand(other)))

    def __mul__(self, other: Float | float) -> Float:
        return Float(self.builder, self.builder.fmul(self.value, self.operand(other)))

    def __truediv__(self, other: Float | float) -> Float:
        return Float(self.builder, self.builder.fdiv(self.value, self.operand(other)))

    def __neg__(self) -> Float:
        return Float(self.builder, self.builder.fneg(self.value))

    def __lt__(self, other: Float | float) -> Any:
        return self.builder.fcmp_ordered("<", self.value, self.operand(other))

    def __gt__(self, other: Float | float) -> Any:
        return self.builder.fcmp_ordered(">", self.value, self.operand(other))

    def equals(self, other: Float | float) -> Any:
        return self.builder.fcmp_ordered("==", self.value, self.operand(other))


class Integer(Bits):
    """An integer as wide as a float in LLVM code, or a vector of them."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    def constant(self, number: int) -> Integer:
        return Integer(self.builder, _constant(self.value.type, number))

    def as_float(self) -> Float:
        kind = self.value.type
        number = ir.FloatType() if kind == _of_type(ir.IntType(32), kind) else ir.DoubleType()
        return Float(self.builder, self.builder.bitcast(self.value, _of_type(number, kind)))

    def when(self, condition: Any, other: Integer) -> Integer:
        return Integer(self.builder, self.builder.select(condition, self.value, other.value))

    def __add__(self, other: Integer) -> Integer:
        return Integer(self.builder, self.builder.add(self.value, other.value))

    def __neg__(self) -> Integer:
        return Integer(self.builder, self.builder.neg(self.value))

    def __and__(self, other: Integer) -> Integer:
        return Integer(self.builder, self.builder.and_(self.value, other.value))

    def __xor__(self, other: Integer) -> Integer:
        return Integer(self.builder, self.builder.xor(self.value, other.value))

    def __lshift__(self, places: int) -> Integer:
        return Integer(self.builder, self.builder.shl(self.value, self.constant(places).value))

    def __rshift__(self, places: int) -> Integer:
        return Integer(self.builder, self.builder.ashr(self.value, self.constant(places).value))

    def equals(self, other: Integer) -> Any:
        return self.builder.icmp_unsigned("==", self.value, other.value)


def _intrinsic(name: str, *arguments: Float) -> Float:
    """Return the call of an intrinsic of LLVM for numbers or vectors of one type."""
    builder, kind = arguments[0].builder, arguments[0].value.type
    return Float(builder, builder.call(intrinsic_of(builder, name, kind, len(arguments)), [a.value for a in arguments]))


def intrinsic_of(builder: Any, name: str, kind: Any, n_arguments: int) -> Any:
    """Return the intrinsic of LLVM that takes and returns numbers of a type, or vectors."""
    suffix = f"v{kind.count}{kind.element.intrinsic_name}" if isinstance(kind, ir.VectorType) else kind.intrinsic_name
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * n_arguments), f"{name}.{suffix}")


# ---- Functions for Numba ----


def scalar_function(body: Formula) -> Any:
    """Return a function of one real number that code compiled by Numba can call.

    For float32, it computes in float32. All other types are converted to float64. For lanes, it computes in vectors.
    """

    def typed(_: Any, x: Any) -> Any:
        if isinstance(x, Lanes):
            return x(x), call
        if not isinstance(x, types.Float | types.Integer | types.Boolean):
            return None
        number = types.float32 if x == types.float32 else types.float64
        return number(number), call

    def call(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = context.get_value_type(signature.return_type)
        function_type = ir.FunctionType(number, [number])
        symbol = f"fastnn.{body.__name__}.{signature.return_type}"
        if symbol not in builder.module.globals:
            library = _library(context, body, function_type, symbol)
            context.active_code_library.add_linking_library(library)
        return builder.call(cgutils.get_or_insert_function(builder.module, function_type, symbol), arguments)

    typed.__name__ = body.__name__
    return intrinsic(typed)


def _library(context: Any, body: Formula, function_type: Any, symbol: str) -> Any:
    """Return the function as a library, which the linker inlines.

    If the function were in the caller's own module, fastmath=True would allow the reordering of its operations.
    """
    library = context.codegen().create_library(symbol)
    module = library.create_ir_module(symbol)
    function = ir.Function(module, function_type, symbol)
    function.attributes.add("alwaysinline")
    builder = ir.IRBuilder(function.append_basic_block())
    builder.ret(body(Float(builder, function.args[0])).value)
    library.add_ir_module(module)
    return library
