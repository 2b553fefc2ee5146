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


def text_columns(estimator: Any) -> list[int]:
    """Return the columns of a fitted estimator's inputs whose categories are texts."""
    if not has_categories(estimator):
        return []
    found = estimator._category_columns
    return [column for column, known in zip(found.columns, found.categories, strict=True) if are_texts(known)]


def front_of(estimator: Any, input_name: str) -> Front | None:
    """Return the inputs of the graph of a fitted estimator, or None if it takes what its network takes.

    Columns of texts are an input of their own, whose name ends in "_text". Numbers are another one, if there are any.
    """
    if not has_categories(estimator):
        return None
    texts = text_columns(estimator)
    others = [column for column in range(estimator.n_features_in_) if column not in texts]
    of_texts = f"{input_name}_text" if isinstance(input_name, str) else ""  # whatever is no text is refused later
    inputs = [(input_name, False, others), (of_texts, True, texts)]
    names = getattr(estimator, "feature_names_in_", range(estimator.n_features_in_))
    return Front(
        [(name, is_texts, len(columns)) for name, is_texts, columns in inputs if columns],
        lambda graph: add_codes(graph, estimator, input_name, of_texts),
        {name: [names[column] for column in columns] for name, _, columns in inputs if columns},
    )


def add_codes(graph: Graph, estimator: Any, numbers: str, texts: str = "") -> str:
    """Add the codes of categories, and return the name of the network's inputs: all columns in their order.

    `numbers` and `texts` are the names of the inputs, which have the columns of numbers, and those of texts.

    Raises
    ------
    ValueError
        If the graph could not tell the categories apart.
    """
    found, own = estimator._category_columns, text_columns(estimator)
    others = [column for column in range(estimator.n_features_in_) if column not in own]
    passed = [column for column in others if column not in found.columns]
    parts = [columns_of(graph, [others.index(column) for column in passed], numbers)] if passed else []
    for column, known in zip(found.columns, found.categories, strict=True):
        if column in own:
            parts.append(_codes_of_texts(graph, column, columns_of(graph, [own.index(column)], texts), known))
        else:
            parts.append(_codes_of_numbers(graph, column, columns_of(graph, [others.index(column)], numbers), known))
    return columns_of(graph, np.argsort([*passed, *found.columns]), graph.node("Concat", *parts, axis=1))


def _codes_of_texts(graph: Graph, column: int, values: str, known: NDArray[Any]) -> str:
    """Return the name of the codes of texts (n, 1): -1 for those that are unknown."""
    for each in known:
        try:
            str(each).encode()
        except UnicodeEncodeError:
            raise ValueError(f"to_onnx: expected texts that UTF-8 can express, got {each!r} in column {column}") from None
    codes = graph.node(
        "LabelEncoder",
        values,
        domain="ai.onnx.ml",
        keys_strings=[str(each) for each in known],
        values_floats=np.arange(len(known), dtype=np.float32),
        default_float=-1.0,
    )
    return graph.node("Cast", codes, to=graph.real)


def _codes_of_numbers(graph: Graph, column: int, values: str, known: NDArray[Any]) -> str:
    """Return the name of the codes of numbers (n, 1): -1 for those that are missing or unknown.

    The place of the last category that is not larger is found by bisection, since the categories are in ascending order.
    """
    n, categories = len(known), graph.constant(_categories(graph, column, known))
    zero = helper.make_tensor("value", TensorProto.INT64, [1], [0])
    places = graph.node("ConstantOfShape", graph.node("Shape", values), value=zero)
    for bit in reversed(range((n - 1).bit_length() if n else 0)):
        step, last = graph.constant(1 << bit, TensorProto.INT64), graph.constant(n - 1, TensorProto.INT64)
        further = graph.node("Min", graph.node("Add", places, step), last)
        reached = graph.node("LessOrEqual", graph.node("Gather", categories, further), values)
        places = graph.node("Where", reached, further, places)
    found = graph.node("Equal", graph.node("Gather", categories, places), values)
    return graph.node("Where", found, graph.node("Cast", places, to=graph.real), graph.constant(-1.0))


def _categories(graph: Graph, column: int, known: NDArray[Any]) -> NDArray[Any]:
    """Return categories in the type of the graph, in which they must differ, and integers must keep their values."""
    if not len(known):
        return np.array([np.nan])  # which no number equals
    dtype = helper.tensor_dtype_to_np_dtype(graph.real)
    numbers = known.tolist()
    values = [_rounded(number, dtype) for number in numbers]
    wrong = [number for number, value in zip(numbers, values, strict=True) if not _stands_for(value, number)]
    if wrong or len(set(values)) < len(values):
        got = f"{wrong[0]!r}" if wrong else "some that are the same"
        raise ValueError(
            f"to_onnx: expected categories that {dtype}, the type of the network, can tell apart, got {got} in column "
            f"{column}; texts can be categories too"
        )
    return np.array(values)


def _rounded(number: float, dtype: np.dtype[Any]) -> float:
    try:
        with np.errstate(over="ignore"):
            return float(dtype.type(number))
    except OverflowError:  # an integer
        return math.inf


def _stands_for(value: float, number: float) -> bool:
    """Return whether a rounded number stands for no other number that may be a category: for no other integer."""
    return value == number or not (math.isinf(value) or number == math.floor(number))
