"""Losses of rows in lanes: blocks of rows are transposed in registers to arrays of lanes, and gradients back."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import carray, types
from numba.extending import intrinsic

import fastnn.jit._lane_arithmetic  # noqa: F401  # registers the functions of lanes
from fastnn.jit._lanes import Lanes

# ---- Transposition of squares of vectors ----


def _shuffled(builder: Any, a: Any, b: Any, places: list[int]) -> Any:
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), len(places)), places))


def _transposed(builder: Any, vectors: list[Any]) -> list[Any]:
    """Return the columns of a square, by exchanges between pairs of its rows (Eklundh, 1972)."""
    n, result, distance = len(vectors), list(vectors), 1
    while distance < n:
        upper = [n + k - distance if k & distance else k for k in range(n)]
        lower = [n + k if k & distance else k + distance for k in range(n)]
        for i in range(n):
            if not i & distance:
                a, b = result[i], result[i + distance]
                result[i], result[i + distance] = _shuffled(builder, a, b, upper), _shuffled(builder, a, b, lower)
        distance *= 2
    return result


def _joined(builder: Any, vectors: list[Any]) -> Any:
    """Return one vector of the elements of all, of which there is a power of two."""
    while len(vectors) > 1:
        places = list(range(2 * vectors[0].type.count))
        vectors = [_shuffled(builder, a, b, places) for a, b in zip(vectors[::2], vectors[1::2], strict=True)]
    return vectors[0]


def _places(builder: Any, lanes: Lanes, width: int, arguments: Any) -> list[Any]:
    """Return the addresses of some columns of each row. The last row stands for those that do not exist."""
    rows, row, last, column = arguments[:4]
    vector = ir.VectorType(rows.type.pointee, width).as_pointer()
    numbers = [row.type(i) for i in range(lanes.count)]
    existing = [builder.select(builder.icmp_signed("<", number, last), number, last) for number in numbers]
    places = [builder.gep(rows, [builder.add(builder.mul(i, row), column)]) for i in existing]
    return [builder.bitcast(place, vector) for place in places]


def _mover(lanes: Lanes, width: int, move: Any) -> Any:
    """Return a function that moves columns of rows, which are `row` elements apart, to lanes or from them."""

    def typed(_: Any, rows: Any, row: Any, last: Any, column: Any, columns: Any) -> Any:
        arguments = types.CPointer(lanes.number), types.intp, types.intp, types.intp, types.CPointer(lanes)

        def call(context: Any, builder: Any, _: Any, values: Any) -> Any:
            vectors = builder.bitcast(values[4], context.get_value_type(lanes).as_pointer())
            first = builder.gep(vectors, [values[3]])
            at = [builder.gep(first, [ir.IntType(64)(j)]) for j in range(width)]
            move(builder, width, _places(builder, lanes, width, values), at, lanes.number.bitwidth // 8)
            return context.get_dummy_value()

        return types.void(*arguments), call

    return intrinsic(typed)


def _to_lanes(builder: Any, width: int, rows: list[Any], columns: list[Any], align: int) -> None:
    vectors = [builder.load(place, align=align) for place in rows]
    squares = [_transposed(builder, vectors[i : i + width]) for i in range(0, len(rows), width)]
    for place, parts in zip(columns, zip(*squares, strict=True), strict=True):
        builder.store(_joined(builder, list(parts)), place)


def _to_rows(builder: Any, width: int, rows: list[Any], columns: list[Any], align: int) -> None:
    vectors = [builder.load(place) for place in columns]
    for i in range(0, len(rows), width):
        parts = [_shuffled(builder, vector, vector, list(range(i, i + width))) for vector in vectors]
        for place, vector in zip(rows[i : i + width], _transposed(builder, parts), strict=True):
            builder.store(vector, place, align=align)


def _moving(jit: Any, lanes: Lanes, n_columns: int, move: Any) -> Any:
    """Return a function that moves all columns. The last ones, if they do not fill a vector, go with some before them."""
    width = min(lanes.count, 1 << (n_columns.bit_length() - 1))
    move_columns, whole = _mover(lanes, width, move), n_columns - n_columns % width

    def moving(rows: Any, row: Any, last: Any, columns: Any) -> None:
        for column in range(0, whole, width):
            move_columns(rows, row, last, column, columns)
        if whole < n_columns:
            move_columns(rows, row, last, n_columns - width, columns)

    return jit(moving, forceinline=True)


# ---- Other functions for compiled code ----


def _stack(lanes: Lanes, n: int) -> Any:
    """Return a function that returns the address of an array on the stack."""

    def typed(_: Any) -> Any:
        def call(context: Any, builder: Any, _: Any, __: Any) -> Any:
            with builder.goto_entry_block():
                place = builder.alloca(context.get_value_type(lanes), ir.IntType(32)(n))
                return builder.bitcast(place, context.get_data_type(lanes).as_pointer())

        return types.CPointer(lanes)(), call

    return intrinsic(typed)


def _offset(pointer: Any) -> Any:
    """Return a function that returns the address of a later element."""

    def typed(_: Any, first: Any, n: Any) -> Any:
        return pointer(pointer, types.intp), lambda _, builder, __, values: builder.gep(values[0], [values[1]])

    return intrinsic(typed)


def _lane(lanes: Lanes) -> Any:
    """Return a function that returns the number of one row."""

    def typed(_: Any, vector: Any, i: Any) -> Any:
        return lanes.number(lanes, types.intp), lambda _, builder, __, values: builder.extract_element(*values)

    return intrinsic(typed)


def lane_rows(jit: Any, number: Any, value_of: Any, f: Any, gradient_of: Any, n_targets: int, n_out: int) -> Any:
    """Return the function that computes values and gradients of rows, as many at a time as there are lanes."""
    lanes = Lanes(number)
    count, pointer = lanes.count, types.CPointer(number)
    read_targets, read_outputs = (_moving(jit, lanes, n, _to_lanes) for n in (n_targets, n_out))
    write_gradients, offset, lane = _moving(jit, lanes, n_out, _to_rows), _offset(pointer), _lane(lanes)
    stack_of_targets, stack_of_outputs = _stack(lanes, n_targets), _stack(lanes, n_out)

    def values_and_gradients(y: Any, p: Any, value: Any, gradient: Any, rows: Any, y_row: Any, p_row: Any) -> None:
        targets, outputs, gradients = stack_of_targets(), stack_of_outputs(), stack_of_outputs()
        for first in range(0, rows, count):
            last = min(count, rows - first) - 1
            read_targets(offset(y, first * y_row), y_row, last, targets)
            read_outputs(offset(p, first * p_row), p_row, last, outputs)
            target, output, out = carray(targets, n_targets), carray(outputs, n_out), carray(gradients, n_out)
            for j in range(n_out):
                out[j] = 0
            result = value_of(gradient_of(target, output, out), f, target, output)
            for i in range(last + 1):
                value[first + i] = lane(result, i)
            write_gradients(offset(gradient, first * p_row), p_row, last, gradients)

    return jit(values_and_gradients, forceinline=True)
