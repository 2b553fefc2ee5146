"""Columns of categories in an ONNX graph: its inputs, and the codes of their categories."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._exports.onnx_embeddings import columns_of
from fastnn._exports.onnx_graph import Graph
from fastnn._exports.onnx_package import TensorProto, helper
from fastnn._exports.onnx_writer import Front
from fastnn.sklearn._categories import are_texts, has_categories

if TYPE_CHECKING:
    from numpy.typing import NDArray


def columns_by_input(estimator: Any) -> tuple[list[int], list[int]]:
    """Return the columns of a fitted estimator's inputs that are numbers, and those whose categories are texts."""
    found = estimator._category_columns
    texts = [column for column, known in zip(found.columns, found.categories, strict=True) if are_texts(known)]
    return [column for column in range(estimator.n_features_in_) if column not in texts], texts


def front_of(estimator: Any, input_name: str) -> Front | None:
    """Return the inputs of the graph of a fitted estimator, or None if it takes what its network takes.

    Columns of texts are an input of their own, whose name ends in "_text". Numbers are another one, if there are any.
    """
    if not has_categories(estimator):
        return None
    numbers, texts = columns_by_input(estimator)
    text_input = f"{input_name}_text"
    inputs = [(input_name, False, numbers), (text_input, True, texts)]
    names = getattr(estimator, "feature_names_in_", range(estimator.n_features_in_))
    return Front(
        [(name, is_text, len(columns)) for name, is_text, columns in inputs if columns],
        lambda graph: add_codes(graph, estimator, "to_onnx", input_name, text_input),
        {name: [names[column] for column in columns] for name, _, columns in inputs if columns},
    )


def add_codes(graph: Graph, estimator: Any, method: str, number_input: str, text_input: str = "") -> str:
    """Add the codes of categories, and return the name of the network's inputs: all columns in their order.

    `method` is the function that the user has called.

    Raises
    ------
    ValueError
        If the graph could not tell the categories apart.
    """
    found, (numbers, texts) = estimator._category_columns, columns_by_input(estimator)
    passed = [column for column in numbers if column not in found.columns]
    parts = [columns_of(graph, [numbers.index(column) for column in passed], number_input)] if passed else []
    for column, known in zip(found.columns, found.categories, strict=True):
        place = f"column {column}"
        if column in texts:
            values = columns_of(graph, [texts.index(column)], text_input)
            parts.append(_codes_of_texts(graph, values, _checked_texts(known, method, place)))
        else:
            values = columns_of(graph, [numbers.index(column)], number_input)
            parts.append(_codes_of_numbers(graph, values, _checked_numbers(known, graph.real, method, place)))
    return columns_of(graph, np.argsort([*passed, *found.columns]), graph.node("Concat", *parts, axis=1))


def _codes_of_texts(graph: Graph, values: str, known: list[str]) -> str:
    """Return the name of the codes of texts (n, 1): -1 for those that are unknown."""
    codes = graph.node(
        "LabelEncoder",
        values,
        domain="ai.onnx.ml",
        keys_strings=known,
        values_floats=np.arange(len(known), dtype=np.float32),
        default_float=-1.0,
    )
    return graph.node("Cast", codes, to=graph.real)


def _codes_of_numbers(graph: Graph, values: str, known: list[float]) -> str:
    """Return the name of the codes of numbers (n, 1): -1 for those that are missing or unknown.

    The place of the last category that is not larger is found by bisection, since the categories are in ascending order.
    """
    n, categories = len(known), graph.constant(known or [math.nan])  # no number equals NaN
    zero = helper.make_tensor("value", TensorProto.INT64, [1], [0])
    places = graph.node("ConstantOfShape", graph.node("Shape", values), value=zero)
    for bit in reversed(range((n - 1).bit_length() if n else 0)):
        step, last = graph.constant(1 << bit, TensorProto.INT64), graph.constant(n - 1, TensorProto.INT64)
        further = graph.node("Min", graph.node("Add", places, step), last)
        reached = graph.node("LessOrEqual", graph.node("Gather", categories, further), values)
        places = graph.node("Where", reached, further, places)
    found = graph.node("Equal", graph.node("Gather", categories, places), values)
    return graph.node("Where", found, graph.node("Cast", places, to=graph.real), graph.constant(-1.0))


# ---- The categories ----


def _checked_texts(known: NDArray[Any], method: str, place: str) -> list[str]:
    texts = [str(each) for each in known]
    for each in texts:
        try:
            each.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{method}: expected texts that UTF-8 can express, got {each!r} in {place}") from None
    return texts


def _checked_numbers(known: NDArray[Any], real: int, method: str, place: str) -> list[float]:
    """Return categories in the type of the graph, after a check that no other number would be taken for them."""
    dtype, numbers = helper.tensor_dtype_to_np_dtype(real), known.tolist()
    values = [_rounded(number, dtype) for number in numbers]
    wrong = [number for number, value in zip(numbers, values, strict=True) if not _stands_for(value, number, dtype)]
    if wrong or len(set(values)) < len(values):
        got = f"{wrong[0]!r}" if wrong else "some that are the same"
        raise ValueError(
            f"{method}: expected categories that {dtype}, the type of the graph, can tell from others, got {got} in {place}"
        )
    return values


def _rounded(number: float, dtype: np.dtype[Any]) -> float:
    try:
        with np.errstate(over="ignore"):
            return float(dtype.type(number))
    except OverflowError:  # an integer
        return math.inf


def _stands_for(value: float, number: float, dtype: np.dtype[Any]) -> bool:
    """Return whether a category keeps its place among the integers: other integers must not be rounded to it, nor it to one.

    Fractions that are closer to each other than numbers of the type can't be told apart in any case.
    """
    if number in (-math.inf, math.inf):
        return True
    if number != math.floor(number):
        return value != math.floor(value)
    return value == number and abs(number) < 2 ** (np.finfo(dtype).nmant + 1)
