"""The kernels that compiled code calls (kernels/c_api.h), and the arguments for them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, register_jitable

from fastnn._checks.floats import ufunc_type
from fastnn.ops._arrays import float_types

_INT, _REAL, _POINTER = types.int64, types.float64, types.voidptr
_MATRIX = (_POINTER, _INT, _INT, _INT)  # first element, number of the type, strides of rows and columns
_STORED = types.CPointer(_REAL)  # the last parameter of a kernel that stores a number there


def _kernel(name: str, result: Any, *parameters: Any) -> Any:
    """Return the kernel of that name as a function for compiled code.

    For each pointer, it takes an array, a number, a model, a trainer, or None. If the kernel stores a number, the function
    returns it together with the result of the kernel. Numba frees an object after the last operation that uses it. This
    call is such an operation, and reads the address itself, so that the object lives until the kernel
    returns.
    """

    def typed(_: Any, *arguments: Any) -> Any:
        given = zip(arguments, taken, strict=True)
        returned = types.Tuple((result, _REAL)) if stores else result
        signature = returned(*[argument if kind == _POINTER else kind for argument, kind in given])
        return signature, call

    def call(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        given = zip(signature.args, arguments, taken, strict=True)
        natives = [
            _pointer(context, builder, argument, value) if kind == _POINTER else value for argument, value, kind in given
        ]
        place = cgutils.alloca_once(builder, ir.DoubleType())
        returned = builder.call(declared(builder, name, result, *parameters), [*natives, place] if stores else natives)
        if stores:
            return context.make_tuple(builder, signature.return_type, (returned, builder.load(place)))
        return context.get_dummy_value() if result == types.void else returned

    stores = parameters[-1] == _STORED
    taken = parameters[:-1] if stores else parameters
    # Numba needs the parameters one by one.
    names = ["context", *(f"argument_{i}" for i in range(len(taken)))]
    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    typed.__signature__ = inspect.Signature([inspect.Parameter(n, positional) for n in names])  # type: ignore[attr-defined]
    typed.__name__ = name
    return intrinsic(typed)


def _pointer(context: Any, builder: Any, argument: Any, value: Any) -> Any:
    """Return the address of an array, of a number on the stack, or of a model or a trainer, or null for None."""
    if is_none(argument):
        return cgutils.voidptr_t(None)
    if isinstance(argument, types.Number):
        return builder.bitcast(cgutils.alloca_once_value(builder, value), cgutils.voidptr_t)
    struct = cgutils.create_struct_proxy(argument)(context, builder, value=value)
    if isinstance(argument, types.Array):
        return builder.bitcast(struct.data, cgutils.voidptr_t)
    return struct.address


def declared(builder: Any, name: str, result: Any, *parameters: Any) -> Any:
    """Return the kernel of that name, declared in the module that is being compiled."""
    natives = {types.void: ir.VoidType(), _INT: ir.IntType(64), _REAL: ir.DoubleType(), _POINTER: cgutils.voidptr_t}
    natives[_STORED] = ir.DoubleType().as_pointer()
    function_type = ir.FunctionType(natives[result], [natives[kind] for kind in parameters])
    return cgutils.get_or_insert_function(builder.module, function_type, name)


def _of_both_types(name: str, result: Any, *parameters: Any) -> dict[Any, Any]:
    return {number: _kernel(f"{name}_{number}", result, *parameters) for number in (types.float32, types.float64)}


FUNCTION = (types.void, _INT, _POINTER, _POINTER, _INT)
function = _of_both_types("fastnn_function", *FUNCTION)
activate = _of_both_types("fastnn_activate", types.void, _INT, _POINTER, _INT, _INT)
log_softmax = _of_both_types("fastnn_log_softmax", types.void, _POINTER, _INT, _INT)
times_derivative = _of_both_types("fastnn_times_derivative", _INT, _INT, _POINTER, _POINTER, _INT, _INT)
prediction_loss = _kernel("fastnn_prediction_loss", _REAL, _INT, _POINTER, _POINTER, _INT)
update = _of_both_types("fastnn_update", types.void, _INT, *[_POINTER] * 4, _INT, *[_REAL] * 5, _INT)
linear = _kernel("fastnn_linear", _INT, *[_INT] * 4, *_MATRIX, *_MATRIX, _POINTER, _INT, _INT, _INT, _POINTER, _INT)
predict = _kernel("fastnn_predict", _INT, _POINTER, _INT, *_MATRIX, _POINTER, _INT)
train_step = _kernel("fastnn_train_step", _INT, _POINTER, _INT, *_MATRIX, *_MATRIX, _INT, _STORED)
train_step_gradient = _kernel("fastnn_train_step_gradient", _INT, _POINTER, _INT, *_MATRIX, *_MATRIX)
accumulate = _kernel("fastnn_accumulate", _INT, _POINTER, _INT, *_MATRIX, *_MATRIX, _INT, _STORED)
accumulate_gradient = _kernel("fastnn_accumulate_gradient", _INT, _POINTER, _INT, *_MATRIX, *_MATRIX)
apply_accumulated = _kernel("fastnn_apply", _INT, _POINTER)
trainer_outputs = _kernel("fastnn_trainer_outputs", _INT, _POINTER)
vjp = _kernel("fastnn_vjp", _INT, _POINTER, _INT, *_MATRIX, *_MATRIX, _POINTER, _POINTER, _INT)
jacobian = _kernel("fastnn_jacobian", _INT, _POINTER, _INT, *_MATRIX, _POINTER, _INT)
model_loss = _kernel("fastnn_model_loss", _INT, _POINTER, _INT)  # its address, 0 for none
loss_targets = _kernel("fastnn_loss_targets", _INT, _INT)
loss_labels = _kernel("fastnn_loss_labels", _INT, _INT)
gradient = _kernel("fastnn_gradient", _INT, _POINTER, _INT, _INT, *_MATRIX, *_MATRIX, _INT, _POINTER, _POINTER, _STORED)
n_parameters = _kernel("fastnn_n_parameters", _INT, _POINTER)
overlaps_parameters = _kernel("fastnn_overlaps_parameters", _INT, _POINTER, _INT, _INT)
get_parameters = _kernel("fastnn_get_parameters", types.void, _POINTER, _POINTER)
set_parameters = _kernel("fastnn_set_parameters", types.void, _POINTER, _POINTER)

# The numbers of types in kernels/api.h, by Numba's type.
NUMBERS = {
    number: i
    for i, number in enumerate(
        (
            types.float32,
            types.float64,
            types.int8,
            types.uint8,
            types.int16,
            types.uint16,
            types.int32,
            types.uint32,
            types.int64,
            types.uint64,
            types.boolean,
        )
    )
}


def is_none(argument: Any) -> bool:
    """Return whether the type of an argument is that of None, passed or by default."""
    return argument is None or argument == types.none or (isinstance(argument, types.Omitted) and argument.value is None)


def is_readable(argument: Any, *ndims: int) -> bool:
    """Return whether a type is an array that kernels read. If `ndims` are given, it must have one of these dimensions."""
    if not isinstance(argument, types.Array) or argument.dtype not in NUMBERS:
        return False
    return argument.ndim in ndims if ndims else True


def float_of(*arguments: Any) -> Any:
    """Return the type in which functions compute with arrays of these types, the same as in Python."""
    compute, _ = float_types(*[_dtype(argument) for argument in arguments])
    return types.float32 if compute == np.float32 else types.float64


def elementwise_float_of(argument: Any) -> Any:
    """Return the type in which ufuncs compute with numbers or arrays of this type, chosen as in NumPy."""
    return types.float64 if ufunc_type(_dtype(argument)) == np.float64 else types.float32


def _dtype(argument: Any) -> np.dtype[Any]:
    return np.dtype(str(getattr(argument, "dtype", argument)).replace("boolean", "bool"))


def bare(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return an overload or its implementation without annotations, which Numba would require to agree."""
    function.__annotations__ = {}
    return function


@intrinsic
def address_of(_: Any, a: Any) -> Any:
    """Return the address of an array's first element, as a signed number.

    `a.ctypes.data` is unsigned, and Numba's sum of an unsigned and a signed number is a float64.
    """

    def call(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        struct = cgutils.create_struct_proxy(signature.args[0])(context, builder, value=arguments[0])
        return builder.ptrtoint(struct.data, context.get_value_type(types.intp))

    return types.intp(a), call


@register_jitable(forceinline=True)
def is_aligned(a: Any) -> bool:
    """Return whether a contiguous array is aligned, so that kernels may work on it in place. Its type does not tell."""
    return address_of(a) & (a.itemsize - 1) == 0


@register_jitable(forceinline=True)
def memory_of(a: Any) -> tuple[int, int]:
    """Return the addresses of an array's first byte and of the end of its last one, which are equal if it is empty."""
    start = end = address_of(a)
    for size, stride in zip(a.shape, a.strides):  # noqa: B905  Numba's has no `strict`
        if size == 0:
            return start, start
        start += min(0, (size - 1) * stride)
        end += max(0, (size - 1) * stride)
    return start, end + a.itemsize


@register_jitable(forceinline=True)
def apart(a: Any, b: Any) -> bool:
    """Return whether two arrays share no memory."""
    a_start, a_end = memory_of(a)
    b_start, b_end = memory_of(b)
    return a_start == a_end or b_start == b_end or a_end <= b_start or b_end <= a_start


@register_jitable
def apart_or_same(a: Any, b: Any) -> bool:
    """Return whether two contiguous arrays are aligned, and begin together or share no memory: kernels need this."""
    a_start, b_start = address_of(a), address_of(b)
    if not (is_aligned(a) and is_aligned(b)):
        return False
    return a_start == b_start or a_start + a.nbytes <= b_start or b_start + b.nbytes <= a_start


# The number of rows and the strides of a matrix, or of a vector, which is one row.
@register_jitable
def rows_of(a: Any) -> int:
    return a.shape[0] if a.ndim == 2 else 1


@register_jitable
def row_stride(a: Any) -> int:
    return a.strides[0] if a.ndim == 2 else 0


@register_jitable
def column_stride(a: Any) -> int:
    return a.strides[a.ndim - 1]
