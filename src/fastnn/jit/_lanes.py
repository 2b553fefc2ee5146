"""Lanes: the type of one number for each of several rows that are computed together.

A function whose control flow does not depend on the numbers in a row compiles for lanes just as for numbers. Each row gets
the operations of the function in their order, and therefore the same bits.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core.typeconv import Conversion
from numba.extending import lower_cast, models, register_model

NUMBERS = types.Float | types.Integer | types.Boolean
_BYTES = 64  # a block of lanes of the kernels


class Lanes(types.Type):
    """One number of a type for each of the rows that are computed together. Numbers of other types convert to them."""

    def __init__(self, number: Any) -> None:
        self.number, self.count = number, 8 * _BYTES // number.bitwidth
        super().__init__(name=f"Lanes({number})")

    def can_convert_from(self, _: Any, other: Any) -> Any:
        """Return how Numba may convert another type to this one."""
        return Conversion.safe if isinstance(other, NUMBERS) else None

    def unify(self, _: Any, other: Any) -> Any:
        """Return the type of a variable that is assigned both."""
        return self if isinstance(other, NUMBERS) else None


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    """Vectors, which stand in memory without alignment, since Numba aligns the arrays that users make to 32 bytes only."""

    def __init__(self, manager: Any, lanes: Lanes) -> None:
        super().__init__(manager, lanes, ir.VectorType(manager.lookup(lanes.number).get_value_type(), lanes.count))

    def get_data_type(self) -> Any:
        return ir.LiteralStructType([self.get_value_type()], packed=True)

    def as_data(self, builder: Any, value: Any) -> Any:
        return builder.insert_value(ir.Constant(self.get_data_type(), ir.Undefined), value, 0)

    def from_data(self, builder: Any, value: Any) -> Any:
        return builder.extract_value(value, 0)

    def load_from_data_pointer(self, builder: Any, ptr: Any, align: int | None = None) -> Any:
        return self.from_data(builder, builder.load(ptr, align=align))


@lower_cast(types.Float, Lanes)
@lower_cast(types.Integer, Lanes)
@lower_cast(types.Boolean, Lanes)
def _number_to_lanes(context: Any, builder: Any, source: Any, lanes: Lanes, value: Any) -> Any:
    vector, place = context.get_value_type(lanes), ir.IntType(32)
    number = context.cast(builder, value, source, lanes.number)
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), number, place(0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(place, lanes.count), [0] * lanes.count))
