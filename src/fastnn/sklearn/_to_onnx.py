"""Estimators as ONNX files, without skl2onnx."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn.base import is_classifier

from fastnn._exports import onnx_writer
from fastnn._exports.onnx_graph import FileGraph
from fastnn._exports.onnx_package import TensorProto
from fastnn._native import parts_of
from fastnn._storage.write_file import FilePath
from fastnn.sklearn._onnx_categories import front_of
from fastnn.sklearn._onnx_classes import add_labels, add_probabilities, is_text


def to_onnx(estimator: Any, path: FilePath, input_name: str, output_names: Sequence[str] | None, **options: Any) -> None:
    """Write a fitted estimator to an ONNX file; see the method of the same name."""
    classifies = is_classifier(estimator)
    expected = ("label", "probabilities") if classifies else ("y",)
    names = expected if output_names is None else output_names
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise TypeError(f"output_names: expected names such as {expected}, got {names!r}")
    if len(names) != len(expected):
        raise ValueError(f"output_names: expected {len(expected)} such as {expected}, got {len(names)}")
    layers, stage = parts_of(estimator.network_)
    description = onnx_writer.describe(layers, getattr(estimator, "feature_names_in_", None), estimator.n_features_in_)
    if classifies:
        description["classes"] = estimator.classes_.tolist()
        options["head"] = _head(estimator, *names)
    front = front_of(estimator, input_name)
    onnx_writer.write(
        path,
        layers,
        input_name=input_name,
        output_names=names,
        description=description,
        stage=stage,
        front=front,
        **options,
    )


def _head(classifier: Any, labels: str, probabilities: str) -> onnx_writer.Head:
    """Return the function that adds labels and probabilities to the network."""

    def add(graph: FileGraph, outputs: str) -> list[tuple[str, int, int | None]]:
        classes, kind, several = classifier.classes_, classifier._classes.kind, classifier._classes.several
        found = add_probabilities(graph, outputs, two_columns=classifier.n_outputs_ == 1)
        graph.rename(found, probabilities)
        add_labels(graph, probabilities if found == outputs else outputs, classes, kind, labels)
        columns = max(classifier.n_outputs_, 2)
        integers = several or not is_text(classes)
        return [
            (labels, TensorProto.INT64 if integers else TensorProto.STRING, len(classes) if several else None),
            (probabilities, graph.real, columns),
        ]

    return add
