"""Formulas as statements in C."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastnn._elementary.numbers import Bits, Formula, Number
from fastnn._exports.c.literals import literal

_LONGEST = 90  # characters of an expression within another one


@dataclass(eq=False)
class Value:
    """The result of an operation: a number, an integer or a condition."""

    template: str  # the expression; its arguments are {0}, {1}, …
    arguments: tuple[Value, ...] = ()
    kind: str = "@real"  # the type in C
    constant: Any = None
    uses: int = 0
    text: str = ""


@dataclass
class Trace:
    """The values of a formula in the order in which they are computed."""

    dtype: np.dtype[Any]
    fused: bool
    values: dict[tuple[Any, ...], Value] = field(default_factory=dict)

    def value(self, template: str, *arguments: Value, kind: str = "@real", constant: Any = None) -> Value:
        """Return the value of an operation, which is the earlier one if the operation was there before."""
        key = (template, kind, *map(id, arguments))
        return self.values.setdefault(key, Value(template, arguments, kind, constant))

    def number(self, value: float) -> Value:
        """Return a constant."""
        scalar = self.dtype.type(value)
        if np.isfinite(scalar):
            return self.value(literal(value, self.dtype), constant=scalar)
        return self.value("@from_bits({0})", self.integer(int(scalar.view(self.unsigned))), constant=scalar)

    def integer(self, number: int) -> Value:
        """Return a constant integer, modulo the number of its values."""
        width = 8 * self.dtype.itemsize
        number %= 2**width
        suffix = "u" if width == 32 else "ull"
        return self.value(f"(@bits)0x{number:x}{suffix}", kind="@bits", constant=number)

    @property
    def unsigned(self) -> np.dtype[Any]:
        """Return the type of the bits."""
        return np.dtype(f"u{self.dtype.itemsize}")

    def statements(self, result: Value) -> tuple[list[str], str]:
        """Return the statements that compute a value, and the expression of the value.

        Values that are used more than once, and long ones, get a name.
        """
        needed, pending = set(), [result]
        while pending:
            value = pending.pop()
            if id(value) not in needed:
                needed.add(id(value))
                pending += value.arguments
                for argument in value.arguments:
                    argument.uses += 1
        lines: list[str] = []
        for value in self.values.values():
            if id(value) not in needed:
                continue
            value.text = value.template.format(*(argument.text for argument in value.arguments))
            shared = value.uses > 1 or len(value.text) > _LONGEST
            if value is not result and value.arguments and shared:
                name = f"t{len(lines) + 1}"
                lines.append(f"const {value.kind} {name} = {_bare(value.text)};")
                value.text = name
        return lines, _bare(result.text)


def _bare(text: str) -> str:
    """Return an expression without parentheses around the whole."""
    if not (text.startswith("(") and text.endswith(")")):
        return text
    depth = 0
    for i, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return text[1:-1] if i == len(text) - 1 else text
    return text


class CFloat(Number):
    """A float or double in C."""

    def __init__(self, trace: Trace, value: Value) -> None:
        self.trace, self.value = trace, value
        self.is_float32, self.fused = trace.dtype == np.float32, trace.fused

    def _of(self, template: str, *others: CFloat | float | Value) -> CFloat:
        return CFloat(self.trace, self.trace.value(template, self.value, *map(self._operand, others)))

    def _operand(self, other: CFloat | float | Value) -> Value:
        if isinstance(other, Value):
            return other
        return other.value if isinstance(other, CFloat) else self.trace.number(other)

    def _condition(self, template: str, other: CFloat | float) -> Value:
        return self.trace.value(template, self.value, self._operand(other), kind="int")

    def constant(self, number: float) -> CFloat:
        return CFloat(self.trace, self.trace.number(number))

    def as_int(self) -> CBits:
        known = self.value.constant
        if known is not None:
            return CBits(self.trace, self.trace.integer(int(known.view(self.trace.unsigned))))
        if self.value.template == "@from_bits({0})":
            return CBits(self.trace, self.value.arguments[0])
        return CBits(self.trace, self.trace.value("@to_bits({0})", self.value, kind="@bits"))

    def fma(self, b: CFloat | float, c: CFloat | float) -> CFloat:
        return self._of("@fma({0}, {1}, {2})", b, c)

    def when(self, condition: Value, other: CFloat) -> CFloat:
        return self._of("({2} ? {0} : {1})", other, condition)

    def absolute(self) -> CFloat:
        bits = self.as_int()
        return (bits & bits.constant(~self._sign)).as_float()

    def copysign(self, sign: CFloat) -> CFloat:
        mask = sign.as_int().constant(self._sign)
        magnitude = self.absolute().as_int()
        return CFloat(self.trace, (magnitude | (sign.as_int() & mask)).as_float().value)

    @property
    def _sign(self) -> int:
        return 1 << (8 * self.trace.dtype.itemsize - 1)

    def __add__(self, other: CFloat | float) -> CFloat:
        return self._of("({0} + {1})", other)

    def __sub__(self, other: CFloat | float) -> CFloat:
        return self._of("({0} - {1})", other)

    def __mul__(self, other: CFloat | float) -> CFloat:
        return self._of("({0} * {1})", other)

    def __truediv__(self, other: CFloat | float) -> CFloat:
        return self._of("({0} / {1})", other)

    def __neg__(self) -> CFloat:
        known = self.value.constant
        return self._of("(-{0})") if known is None else self.constant(-known)

    def __lt__(self, other: CFloat | float) -> Value:
        return self._condition("({0} < {1})", other)

    def __gt__(self, other: CFloat | float) -> Value:
        return self._condition("({0} > {1})", other)

    def equals(self, other: CFloat | float) -> Value:
        return self._condition("({0} == {1})", other)


class CBits(Bits):
    """An unsigned integer in C."""

    def __init__(self, trace: Trace, value: Value) -> None:
        self.trace, self.value = trace, value

    def _of(self, template: str, *others: CBits | Value) -> CBits:
        operands = [other.value if isinstance(other, CBits) else other for other in others]
        return CBits(self.trace, self.trace.value(template, self.value, *operands, kind="@bits"))

    def constant(self, number: int) -> CBits:
        return CBits(self.trace, self.trace.integer(number))

    def as_float(self) -> CFloat:
        if self.value.template == "@to_bits({0})":
            return CFloat(self.trace, self.value.arguments[0])
        return CFloat(self.trace, self.trace.value("@from_bits({0})", self.value))

    def when(self, condition: Value, other: CBits) -> CBits:
        return self._of("({2} ? {0} : {1})", other, condition)

    def __add__(self, other: CBits) -> CBits:
        return self._of("({0} + {1})", other)

    def __neg__(self) -> CBits:
        known = self.value.constant
        return self._of("(0u - {0})") if known is None else self.constant(-known)

    def __and__(self, other: CBits) -> CBits:
        return self._of("({0} & {1})", other)

    def __or__(self, other: CBits) -> CBits:
        return self._of("({0} | {1})", other)

    def __xor__(self, other: CBits) -> CBits:
        return self._of("({0} ^ {1})", other)

    def __lshift__(self, places: int) -> CBits:
        return self._of(f"({{0}} << {places})")

    def __rshift__(self, places: int) -> CBits:
        return self._of(f"(@bits)((@signed){{0}} >> {places})")

    def equals(self, other: CBits) -> Value:
        return self.trace.value("({0} == {1})", self.value, other.value, kind="int")


def body_of(formula: Formula, dtype: np.dtype[Any], *parameters: str) -> list[str]:
    """Return the statements of a function with these parameters that returns the value of a formula.

    If fused multiply-add changes the formula, both forms are there, and the preprocessor selects one of them.
    """
    fused, other = (_body(formula, Trace(dtype, fused), parameters) for fused in (True, False))
    return fused if fused == other else ["#if @FUSED", *fused, "#else", *other, "#endif"]


def _body(formula: Formula, trace: Trace, parameters: tuple[str, ...]) -> list[str]:
    given = [CFloat(trace, trace.value(name)) for name in parameters]
    lines, result = trace.statements(formula(*given).value)
    return [*lines, f"return {result};"]
