"""The types of models and trainers in code that Numba compiles, and the conversion of their values from and to Python.

A value contains the address of a native object, and shares its ownership in the same way as arrays share their memory:
Numba counts the references to the value. A generator or a list therefore keeps its model alive, and a step ends with the
same network and moments with which it began.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_builtin, lower_constant
from numba.core.typing.typeof import Purpose
from numba.extending import (
    NativeValue,
    box,
    intrinsic,
    models,
    register_model,
    typeof_impl,
    unbox,
)

from fastnn._model import MLP
from fastnn._native import HANDLE, handle_of
from fastnn._trainer import Trainer
from fastnn.jit._handles import NumbaModel, NumbaTrainer

_HELD: list[Any] = []  # objects whose addresses are constants in compiled functions


class _Handle(types.Type):
    """A type whose values consist of an address and integers, as returned by `fastnn._native.handle_of`."""

    integers: Any


class ModelType(_Handle):
    """A model of one dtype."""

    integers = types.UniTuple(types.int64, 2)  # the numbers of inputs and outputs

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        super().__init__(name=f"fastnn.MLP[{dtype}]")


class TrainerType(_Handle):
    """A trainer of a model of either dtype. Its steps return Python floats."""

    # The numbers of inputs and outputs, and whether targets may be labels (1) and missing (2).
    integers = types.UniTuple(types.int64, 3)

    def __init__(self) -> None:
        super().__init__(name="fastnn.Trainer")


class OutsideTrainerType(types.Opaque):
    """A trainer that is a global or closure variable of a compiled function. Its value is the Python object."""

    def __init__(self) -> None:
        super().__init__(name="fastnn.Trainer from outside")


@typeof_impl.register(MLP)
@typeof_impl.register(NumbaModel)
def _typeof_model(value: Any, _: Any) -> ModelType:
    return ModelType(types.float32 if value.dtype == np.float32 else types.float64)


@typeof_impl.register(Trainer)
@typeof_impl.register(NumbaTrainer)
def _typeof_trainer(_value: Any, context: Any) -> TrainerType | OutsideTrainerType:
    return OutsideTrainerType() if context.purpose == Purpose.constant else TrainerType()


@register_model(ModelType)
@register_model(TrainerType)
class _HandleModel(models.StructModel):
    def __init__(self, manager: Any, handle: Any) -> None:
        owner = types.MemInfoPointer(types.voidptr)  # owns the Python object and the object at the address
        pointers = [("owner", owner), ("object", types.voidptr), ("address", types.voidptr)]
        super().__init__(manager, handle, [*pointers, ("integers", handle.integers)])


register_model(OutsideTrainerType)(models.OpaqueModel)


@unbox(ModelType)
@unbox(TrainerType)
def _unbox(handle_type: Any, value: Any, c: Any) -> NativeValue:
    handle = cgutils.create_struct_proxy(handle_type)(c.context, c.builder)
    failed = cgutils.alloca_once_value(c.builder, cgutils.true_bit)
    native = c.pyapi.object_getattr_string(value, HANDLE)
    with c.builder.if_then(cgutils.is_not_null(c.builder, native)):
        owned = c.pyapi.tuple_pack([value, native])
        with c.builder.if_then(cgutils.is_not_null(c.builder, owned)):
            address, *others = _integers(c, handle_type, c.pyapi.tuple_getitem(native, 0))
            handle.address = c.builder.inttoptr(address, cgutils.voidptr_t)
            handle.integers, handle.object = cgutils.pack_array(c.builder, others), value
            handle.owner = c.pyapi.nrt_meminfo_new_from_pyobject(value, owned)
            c.builder.store(cgutils.false_bit, failed)
            c.pyapi.decref(owned)
        c.pyapi.decref(native)
    return NativeValue(handle._getvalue(), is_error=c.builder.load(failed))


def _integers(c: Any, handle_type: Any, values: Any) -> list[Any]:
    """Return the address and the other integers of a Python tuple."""
    counted = range(1 + len(handle_type.integers))
    return [c.pyapi.long_as_longlong(c.pyapi.tuple_getitem(values, i)) for i in counted]


@box(ModelType)
@box(TrainerType)
def _box(handle_type: Any, value: Any, c: Any) -> Any:
    """Return the Python object from which the value was made."""
    python_object = cgutils.create_struct_proxy(handle_type)(c.context, c.builder, value=value).object
    c.pyapi.incref(python_object)
    c.context.nrt.decref(c.builder, handle_type, value)
    return python_object


@lower_builtin(operator.is_, ModelType, ModelType)
@lower_builtin(operator.is_, TrainerType, TrainerType)
def _is_same(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    given = zip(signature.args, arguments, strict=True)
    a, b = (cgutils.create_struct_proxy(kind)(context, builder, value=value).object for kind, value in given)
    return builder.icmp_unsigned("==", a, b)


@intrinsic
def integers_of(_: Any, handle: Any) -> Any:
    """Return the integers of a model or a trainer."""

    def read(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return cgutils.create_struct_proxy(signature.args[0])(context, builder, value=arguments[0]).integers

    return handle.integers(handle), read


# ---- Global and closure variables ----


def _address(context: Any, builder: Any, address: int, described: Any) -> Any:
    """Return a constant that is marked as an address, so that Numba does not cache the function on disk."""
    return context.add_dynamic_addr(builder, address, info=str(described))


@lower_constant(ModelType)
def _model_constant(context: Any, builder: Any, model: Any, value: Any) -> Any:
    """Return the model as a constant, and keep the object at its address alive until the process ends."""
    native = handle_of(value)
    _HELD.append((value, native))
    address, *sizes = native[0]
    integer = context.get_value_type(types.int64)
    handle = cgutils.create_struct_proxy(model)(context, builder)
    handle.owner = cgutils.voidptr_t(None)
    handle.object = _address(context, builder, id(value), model)
    handle.address = _address(context, builder, address, model)
    handle.integers = cgutils.pack_array(builder, [*map(integer, sizes)])
    return handle._getvalue()


@lower_constant(OutsideTrainerType)
def _trainer_constant(context: Any, builder: Any, trainer: Any, value: Any) -> Any:
    _HELD.append(value)
    return _address(context, builder, id(value), trainer)


@box(OutsideTrainerType)
def _box_outside(_: Any, value: Any, c: Any) -> Any:
    c.pyapi.incref(value)
    return value


@intrinsic
def present(_: Any, trainer: Any) -> Any:
    """Return the current state of a global trainer, whose settings may have been assigned in the meantime."""

    def look_up(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pyapi = context.get_python_api(builder)
        gil = pyapi.gil_ensure()
        native = pyapi.to_native_value(signature.return_type, arguments[0])
        with builder.if_then(native.is_error, likely=False):
            pyapi.err_clear()
            pyapi.gil_release(gil)
            message = "trainer: expected a learning rate that is a number, got a schedule"
            context.call_conv.return_user_exc(builder, TypeError, (message,))
        pyapi.gil_release(gil)
        return native.value

    return TrainerType()(trainer), look_up
