"""The classes of a classifier in an ONNX graph: labels and probabilities, from the outputs of the network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._exports.onnx_graph import Graph
from fastnn._exports.onnx_package import TensorProto

if TYPE_CHECKING:
    from numpy.typing import NDArray


def is_text(classes: NDArray[Any]) -> bool:
    """Return whether ONNX is to have the classes as texts, and not as integers."""
    return classes.dtype.kind not in "fiub"


def add_labels(graph: Graph, outputs: str, classes: NDArray[Any], kind: str, labels: str) -> None:
    """Add the class of each row, or the indicator matrix, as a value of the name `labels`."""
    if kind == "multiclass":
        codes = graph.node("ArgMax", outputs, axis=1, keepdims=0)
    else:
        likely = graph.node("Greater", outputs, graph.constant(0.5))
        if kind == "multilabel-indicator":
            graph.node("Cast", likely, output=labels, to=TensorProto.INT64)
            return
        if len(classes) == 1:  # the most probable one
            likely = graph.node("Less", outputs, graph.constant(0.0))
        codes = graph.node("Cast", likely, to=TensorProto.INT64)
        codes = graph.node("Reshape", codes, graph.constant([-1], TensorProto.INT64))
    texts = is_text(classes)
    names = graph.constant(classes if texts else _integers(classes), TensorProto.STRING if texts else TensorProto.INT64)
    graph.node("Gather", names, codes, output=labels, axis=0)


def add_probabilities(graph: Graph, outputs: str, *, two_columns: bool) -> str:
    """Return the name of the probabilities. With `two_columns`, the outputs are those of the second of two classes."""
    if not two_columns:
        return outputs
    return graph.node("Concat", graph.node("Sub", graph.constant(1.0), outputs), outputs, axis=1)


def _integers(classes: NDArray[Any]) -> NDArray[np.int64]:
    with np.errstate(invalid="ignore"):
        integers = classes.astype(np.int64)
    if not np.array_equal(integers, classes) or (classes.dtype.kind == "u" and (integers < 0).any()):
        raise ValueError(f"classes_: expected texts or 64-bit integers for ONNX, got {classes}")
    return integers
