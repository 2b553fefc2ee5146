"""Columns of categories in an ONNX graph: its inputs, and the codes of their categories."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._exports.onnx_embeddings import columns_of
from fastnn._exports.onnx_graph import Graph
from fastnn._exports.onnx_package import helper
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
        If categories that are numbers are the same in the type of the graph.
    """
    found, own = estimator._category_columns, text_columns(estimator)
    others = [column for column in range(estimator.n_features_in_) if column not in own]
    passed = [column for column in others if column not in found.columns]
    parts = [columns_of(graph, [others.index(column) for column in passed], numbers)] if passed else []
    for column, known in zip(found.columns, found.categories, strict=True):
        if column in own:
            parts.append(_codes_of_texts(graph, columns_of(graph, [own.index(column)], texts), known))
        else:
            values = _values(graph, column, known)
            parts.append(_codes_of_numbers(graph, columns_of(graph, [others.index(column)], numbers), values))
    return columns_of(graph, np.argsort([*passed, *found.columns]), graph.node("Concat", *parts, axis=1))


def _codes_of_texts(graph: Graph, column: str, known: NDArray[Any]) -> str:
    """Return the name of the codes of a column (n, 1) of texts: -1 for those that are unknown."""
    codes = graph.node(
        "LabelEncoder",
        column,
        domain="ai.onnx.ml",
        keys_strings=[str(each) for each in known],
        values_floats=np.arange(len(known), dtype=np.float32),
        default_float=-1.0,
    )
    return graph.node("Cast", codes, to=graph.real)


def _codes_of_numbers(graph: Graph, column: str, known: NDArray[Any]) -> str:
    """Return the name of the codes of a column (n, 1) of numbers: -1 for those that are missing or unknown."""
    matches = graph.node("Cast", graph.node("Equal", column, graph.constant(known)), to=graph.real)  # (n, categories)
    places = graph.constant(np.arange(1, len(known) + 1)[:, np.newaxis])
    return graph.node("Sub", graph.node("MatMul", matches, places), graph.constant(1.0))


def _values(graph: Graph, column: int, known: NDArray[Any]) -> NDArray[Any]:
    """Return the categories of a column of numbers in the type of the graph."""
    if not len(known):
        return np.array([np.nan])  # which no input equals
    dtype = helper.tensor_dtype_to_np_dtype(graph.real)
    values = known.astype(dtype)
    if len(np.unique(values)) < len(known):
        raise ValueError(
            f"to_onnx: expected categories that differ in {dtype}, the type of the network, got others in column {column}; "
            "texts can be categories too"
        )
    return values
