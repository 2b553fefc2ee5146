"""The derivatives of models in code that Numba compiles.

Gradients with respect to the parameters are one vector in the order of `MLP.to_vector`: compiled code has no type for a
list of arrays of several numbers of dimensions.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.core.errors import RequireLiteralValue, TypingError
from numba.extending import overload_method, register_jitable

from fastnn._engine import core as _core
from fastnn.jit import _kernels
from fastnn.jit._handle_types import ModelType, integers_of
from fastnn.jit._kernels import NUMBERS, apart, bare, column_stride, is_none, is_readable, row_stride, rows_of
from fastnn.jit._results import delivery_of, is_thread_count, of_rows, place_of, threads_of
from fastnn.jit._targets import Targets, targets_of
from fastnn.losses import LOSSES, resolve

# ---- Jacobians ----


@register_jitable
def _jacobian_shape(model: Any, X: Any) -> Any:
    n_in, n_out = integers_of(model)
    return X.shape[:-1] + (n_out, n_in)  # noqa: RUF005  Numba knows no starred tuples


@overload_method(ModelType, "jacobian")
@bare
def _jacobian(model: Any, X: Any, out: Any = None, n_threads: Any = None) -> Any:
    if not is_readable(X, 1, 2) or not is_thread_count(n_threads):
        return None
    kernel, number, threads = _kernels.jacobian, NUMBERS[X.dtype], threads_of(n_threads)

    def run(model: Any, X: Any, result: Any, n_threads: Any) -> None:
        _check_columns(model, X)
        if kernel(model, rows_of(X), X, number, row_stride(X), column_stride(X), result, threads(n_threads)) != 0:
            raise MemoryError("there is no memory for the Jacobian's workspace")

    place = place_of(model, out, X.ndim + 1, _jacobian_shape)
    return None if place is None else of_rows(place, delivery_of(out), register_jitable(bare(run)))


@register_jitable
def _check_columns(model: Any, X: Any) -> None:
    if X.shape[-1] != integers_of(model)[0]:
        raise ValueError("X: expected rows of n_in numbers, got rows of another length")


# ---- Vector-Jacobian products ----

_count = _kernels.n_parameters


@register_jitable
def _vector_shape(model: Any, _: Any) -> Any:
    return (_count(model),)


@register_jitable
def _input_shape(_: Any, X: Any) -> Any:
    return X.shape


@overload_method(ModelType, "vjp", prefer_literal=True)
@bare
def _vjp(model: Any, X: Any, G: Any, inputs: Any = False, out: Any = None, n_threads: Any = None) -> Any:
    if not is_readable(X, 1, 2) or not is_readable(G, X.ndim) or not is_thread_count(n_threads):
        return None
    by_inputs = _written("inputs", inputs, bool)
    run = _product(X, G, n_threads)
    if by_inputs:
        return _vjp_and_input_gradient(model, X, out, run)
    place, deliver = place_of(model, out, 1, _vector_shape), delivery_of(out)
    if place is None:
        return None

    def vjp(model: Any, X: Any, G: Any, inputs: Any = False, out: Any = None, n_threads: Any = None) -> Any:
        vector = place(model, X, G, out)
        run(model, X, G, vector, None, n_threads)
        return deliver(vector, out)

    return bare(vjp)


def _vjp_and_input_gradient(model: Any, X: Any, out: Any, run: Any) -> Any:
    if not is_none(out) and not (isinstance(out, types.BaseTuple) and len(out) == 2):
        return None
    first, second = (out, out) if is_none(out) else out
    split = _two_none if is_none(out) else _two_apart
    place, place_input = place_of(model, first, 1, _vector_shape), place_of(model, second, X.ndim, _input_shape)
    deliver, deliver_input = delivery_of(first), delivery_of(second)
    if place is None or place_input is None:
        return None

    def vjp(model: Any, X: Any, G: Any, inputs: Any = False, out: Any = None, n_threads: Any = None) -> Any:
        first, second = split(out)
        vector, rows = place(model, X, G, first), place_input(model, X, G, second)
        run(model, X, G, vector, rows, n_threads)
        return deliver(vector, first), deliver_input(rows, second)

    return bare(vjp)


@register_jitable
def _two_none(_: Any) -> Any:
    return None, None


@register_jitable
def _two_apart(out: Any) -> Any:
    if not apart(out[0], out[1]):
        raise ValueError("out: expected two arrays that share no memory, got some that do")
    return out


def _product(X: Any, G: Any, n_threads: Any) -> Any:
    """Return the kernel's call, into a vector and rows that are contiguous and apart from X and G; the rows may be None."""
    kernel, x_number, g_number, threads = _kernels.vjp, NUMBERS[X.dtype], NUMBERS[G.dtype], threads_of(n_threads)

    def run(model: Any, X: Any, G: Any, vector: Any, rows: Any, n_threads: Any) -> None:
        _check_columns(model, X)
        if rows_of(G) != rows_of(X) or G.shape[G.ndim - 1] != integers_of(model)[1]:
            raise ValueError("G: expected the shape of the model's outputs for X, got another")
        status = kernel(
            model, rows_of(X), X, x_number, row_stride(X), column_stride(X),
            G, g_number, row_stride(G), column_stride(G), vector, rows, threads(n_threads),
        )  # fmt: skip
        if status != 0:
            raise MemoryError("there is no memory for the gradient's workspace")

    return register_jitable(bare(run))


def _written(argument: str, kind: Any, expected: type) -> Any:
    """Return the value of an argument that is written in the call, or its default."""
    value = getattr(kind, "literal_value", getattr(kind, "value", kind))
    if not isinstance(value, expected):
        raise RequireLiteralValue(f"{argument}: expected a {expected.__name__} that is written in the call, got a variable")
    return value


# ---- Losses and their gradients ----


@overload_method(ModelType, "loss", prefer_literal=True)
@bare
def _loss(model: Any, X: Any, y: Any, loss: Any = None, sample_weight: Any = None) -> Any:
    run = _evaluation(X, y, loss, sample_weight)
    if run is None:
        return None
    return bare(lambda model, X, y, loss=None, sample_weight=None: run(model, X, y, None, None))


@overload_method(ModelType, "gradient", prefer_literal=True)
@bare
def _gradient(model: Any, X: Any, y: Any, loss: Any = None, sample_weight: Any = None, out: Any = None) -> Any:
    run, place = _evaluation(X, y, loss, sample_weight), place_of(model, out, 1, _vector_shape)
    if run is None or place is None:
        return None
    deliver, array = delivery_of(out), _array_of(y)

    def gradient(model: Any, X: Any, y: Any, loss: Any = None, sample_weight: Any = None, out: Any = None) -> Any:
        vector = place(model, X, array(y), out)
        value = run(model, X, y, vector, None)
        return value, deliver(vector, out)

    return bare(gradient)


@overload_method(ModelType, "input_gradient", prefer_literal=True)
@bare
def _input_gradient(model: Any, X: Any, y: Any, loss: Any = None, sample_weight: Any = None, out: Any = None) -> Any:
    run = _evaluation(X, y, loss, sample_weight)
    if run is None:
        return None
    place, deliver, array = place_of(model, out, X.ndim, _input_shape), delivery_of(out), _array_of(y)
    if place is None:
        return None

    def gradient(model: Any, X: Any, y: Any, loss: Any = None, sample_weight: Any = None, out: Any = None) -> Any:
        rows = place(model, X, array(y), out)
        run(model, X, y, None, rows)
        return deliver(rows, out)

    return bare(gradient)


def _array_of(y: Any) -> Any:
    """Return a function of y that returns it if it is an array, given its type, and None otherwise."""
    return _itself if isinstance(y, types.Array) else _none


@register_jitable
def _itself(y: Any) -> Any:
    return y


@register_jitable
def _none(_: Any) -> Any:
    return None


def _evaluation(X: Any, y: Any, loss: Any, sample_weight: Any) -> Any:
    """Return a function of (model, X, y, vector, rows) that returns a loss, and fills in its gradients that aren't None."""
    targets = targets_of(X, y)
    if targets is None or not is_none(sample_weight):
        return None
    return _evaluation_of(_number_of(loss), NUMBERS[X.dtype], targets)


def _evaluation_of(loss_number: int, x_number: int, targets: Targets) -> Any:
    find, targets_in, labels_in, kernel = _kernels.model_loss, _kernels.loss_targets, _kernels.loss_labels, _kernels.gradient
    y_number, are_labels, y_row, y_column = targets

    def run(model: Any, X: Any, y: Any, vector: Any, rows: Any) -> float:
        loss = find(model, loss_number)
        if loss == 0:
            raise ValueError("loss: expected one that suits the model's output activation and outputs, got another")
        labels = are_labels(X, y, integers_of(model)[0], targets_in(loss), labels_in(loss))
        status, value = kernel(
            model, loss, rows_of(X), X, x_number, row_stride(X), column_stride(X),
            y, y_number, y_row(y), y_column(y), labels, vector, rows,
        )  # fmt: skip
        if status != 0:
            raise MemoryError("there is no memory for the gradient's workspace")
        return value

    return register_jitable(bare(run))


def _number_of(loss: Any) -> int:
    """Return the number of a loss in kernels/registry.h, or -1 for that of the model, given the type of the argument."""
    if is_none(loss):
        return -1
    name = _written("loss", loss, str)
    try:
        found = resolve(name)
    except ValueError as error:
        raise TypingError(str(error)) from error
    if type(found) is not LOSSES.get(found.name):
        raise TypingError(f"loss: {name!r} has no number in compiled code; fastnn.jit.as_numba(model, loss) takes it there")
    return _core.LOSSES.index(found.name)
