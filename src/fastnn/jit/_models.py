"""Models and trainers in code that Numba compiles: where native code has them, and what it can be asked to do with them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.core import cgutils
from numba.core.imputils import lower_constant
from numba.extending import (
    NativeValue,
    make_attribute_wrapper,
    models,
    overload_method,
    register_jitable,
    register_model,
    typeof_impl,
    unbox,
)

from fastnn._errors import DivergedError
from fastnn._model import MLP
from fastnn._trainer import Trainer
from fastnn.jit import _kernels
from fastnn.jit._handles import NumbaModel, NumbaTrainer
from fastnn.jit._kernels import NUMBERS, apart, bare, column_stride, is_none, is_readable, row_stride, rows_of

_HELD: list[Any] = []  # whose addresses are constants of compiled functions


class _Handle(types.Type):
    """A type whose values are integers, the first of them an address; `attribute` is where Python's object has them."""

    attribute: str
    integers: Any


class ModelType(_Handle):
    """A model of one dtype."""

    attribute = "_native_model"
    integers = types.UniTuple(types.int64, 3)  # address, numbers of inputs and outputs

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        super().__init__(name=f"fastnn.MLP[{dtype}]")


class TrainerType(_Handle):
    """A trainer; of models of both dtypes, since its steps return Python's floats."""

    attribute = "_native_trainer"
    integers = types.UniTuple(types.int64, 4)  # the same, and whether y may be labels

    def __init__(self) -> None:
        super().__init__(name="fastnn.Trainer")


@typeof_impl.register(MLP)
@typeof_impl.register(NumbaModel)
def _typeof_model(value: Any, _: Any) -> ModelType:
    dtype = value.dtype if isinstance(value, MLP) else value._native_dtype
    return ModelType(types.float32 if dtype == np.float32 else types.float64)


@typeof_impl.register(Trainer)
@typeof_impl.register(NumbaTrainer)
def _typeof_trainer(_value: Any, _: Any) -> TrainerType:
    return TrainerType()


@register_model(ModelType)
@register_model(TrainerType)
class _HandleModel(models.StructModel):
    def __init__(self, manager: Any, handle: Any) -> None:
        super().__init__(manager, handle, [("integers", handle.integers)])


make_attribute_wrapper(ModelType, "integers", "_integers")
make_attribute_wrapper(TrainerType, "integers", "_integers")


@unbox(ModelType)
@unbox(TrainerType)
def _unbox(handle_type: Any, value: Any, c: Any) -> NativeValue:
    handle = cgutils.create_struct_proxy(handle_type)(c.context, c.builder)
    failed = cgutils.alloca_once_value(c.builder, cgutils.true_bit)
    integers = c.pyapi.object_getattr_string(value, handle_type.attribute)
    with c.builder.if_then(cgutils.is_not_null(c.builder, integers)):
        native = c.unbox(handle_type.integers, integers)
        handle.integers = native.value
        c.builder.store(native.is_error, failed)
        c.pyapi.decref(integers)
    return NativeValue(handle._getvalue(), is_error=c.builder.load(failed))


@lower_constant(ModelType)
@lower_constant(TrainerType)
def _constant(context: Any, builder: Any, handle_type: Any, value: Any) -> Any:
    """Put the address into a function that refers to the object as a variable from outside, and hold the object for good."""
    address, *others = getattr(value, handle_type.attribute)
    _HELD.append((value, value._network if isinstance(handle_type, ModelType) else value._stepper))
    # An address that is known to be one keeps the function out of caches on disk.
    pointer = context.add_dynamic_addr(builder, address, info=str(handle_type))
    integer = context.get_value_type(types.int64)
    handle = cgutils.create_struct_proxy(handle_type)(context, builder)
    handle.integers = cgutils.pack_array(builder, [builder.ptrtoint(pointer, integer), *map(integer, others)])
    return handle._getvalue()


# ---- Predictions ----


@overload_method(ModelType, "predict")
@bare
def _predict(model: Any, X: Any, out: Any = None, n_threads: Any = None) -> Any:
    if not is_readable(X, 1, 2) or not (is_none(n_threads) or isinstance(n_threads, types.Integer)):
        return None
    run, to = _prediction(X, n_threads), getattr(np, str(model.dtype))
    if is_none(out):

        def new(model: Any, X: Any, out: Any = None, n_threads: Any = None) -> Any:
            result = np.empty(X.shape[:-1] + (model._integers[2],), to)  # noqa: RUF005  Numba knows no starred tuples
            run(model, X, result, n_threads)
            return result

        return bare(new)

    if not isinstance(out, types.Array) or out.dtype != model.dtype or out.ndim != X.ndim or not out.mutable:
        return None

    def given(model: Any, X: Any, out: Any = None, n_threads: Any = None) -> Any:
        if out.shape[:-1] != X.shape[:-1] or out.shape[-1] != model._integers[2]:
            raise ValueError("out: got another shape than the result has")
        if out.flags.c_contiguous and apart(out, X):
            run(model, X, out, n_threads)
        else:
            result = np.empty(out.shape, to)
            run(model, X, result, n_threads)
            out[...] = result
        return out

    return bare(given)


def _prediction(X: Any, n_threads: Any) -> Any:
    """Return the kernel's call, into an array that is contiguous and apart from X."""
    kernel, number, counted = _kernels.predict, NUMBERS[X.dtype], not is_none(n_threads)

    def run(model: Any, X: Any, out: Any, n_threads: Any) -> None:
        address, n_in, _ = model._integers
        if X.shape[-1] != n_in:
            raise ValueError("X: got rows of another length than the model has inputs")
        threads = 0
        if counted:
            threads = n_threads
            if threads < 1:
                raise ValueError("n_threads: expected at least 1")
        if (
            kernel(address, rows_of(X), X.ctypes.data, number, row_stride(X), column_stride(X), out.ctypes.data, threads)
            != 0
        ):
            raise MemoryError("there is no memory for the layers' outputs")

    return register_jitable(bare(run))


# ---- Training ----


@overload_method(TrainerType, "step")
@bare
def _step(trainer: Any, X: Any, y: Any) -> Any:
    if not is_readable(X, 2) or not is_readable(y, 1, 2):
        return None
    kernel, x_number, y_number = _kernels.train_step, NUMBERS[X.dtype], NUMBERS[y.dtype]
    may_be_labels = y.ndim == 1 and isinstance(y.dtype, types.Integer)

    def step(trainer: Any, X: Any, y: Any) -> float:
        address, n_in, n_out, takes_labels = trainer._integers
        n_rows = X.shape[0]
        if X.shape[1] != n_in or n_rows == 0:
            raise ValueError("X: got another shape than (n, n_in) with at least one row")
        if y.shape[0] != n_rows:
            raise ValueError("y: got another number of rows than X has")
        labels = may_be_labels and takes_labels != 0 and n_out > 1
        if y.ndim == 1:
            if labels:
                if y.min() < 0 or y.max() >= n_out:
                    raise ValueError("y: got a label outside of 0 to n_out - 1")
            elif n_out != 1:
                raise ValueError("y: got one number a row, expected n_out")
        elif y.shape[y.ndim - 1] != n_out:
            raise ValueError("y: got rows of another length than the model has outputs")
        loss = np.empty(1)
        status = kernel(
            address, n_rows, X.ctypes.data, x_number, X.strides[0], X.strides[1],
            y.ctypes.data, y_number, y.strides[0], y.strides[y.ndim - 1], labels, loss.ctypes.data,
        )  # fmt: skip
        if status == 1:
            raise DivergedError("loss or update of this batch is not finite; nothing was changed")
        if status == 2:
            raise RuntimeError("this trainer is already running, in another thread")
        if status == 3:
            raise ValueError("y: got labels for a trainer whose loss takes none now")
        if status != 0:
            raise MemoryError("there is no memory for the step's workspace")
        return loss[0]

    return bare(step)
