"""Writing ONNX files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastnn._checks.scalars import integer
from fastnn._exports.layers import Layer, Stage, widths_of
from fastnn._exports.onnx_embeddings import add_stage
from fastnn._exports.onnx_graph import FileGraph
from fastnn._exports.onnx_network import add_network, check_activations
from fastnn._exports.onnx_package import TensorProto, defs, helper
from fastnn._storage.write_file import FilePath, file_name, write_file
from fastnn._version import __version__

# The default is known to ONNX Runtime from version 1.17 on, and has all operators that are used.
DEFAULT_OPSET, _OLDEST_OPSET = 20, 13
_ML_OPSET = 2  # of the domain ai.onnx.ml
# The largest size of a protobuf message. The graph itself is far smaller than the difference.
_MAX_BYTES = 2**31 - 2**24
# Adds the operators after the network, for a graph and the name of the network's outputs. Returns the graph's outputs: for
# each, its name, its type, and the number of its columns, or None for a vector.
Head = Callable[[FileGraph, str], Sequence[tuple[str, int, int | None]]]


class Front(NamedTuple):
    """The inputs of a graph that differ from those of its network, and the operators between them."""

    inputs: Sequence[tuple[str, bool, int]]  # of each, its name, whether it has texts, and the number of its columns
    add: Callable[[FileGraph], str]  # adds the operators, and returns the name of the network's inputs
    features: Mapping[str, Sequence[Any]]  # the names or numbers of the columns of each input, for the metadata


def write(
    path: FilePath,
    layers: Sequence[Layer],
    *,
    input_name: str,
    output_names: Sequence[str],
    batch_size: int | None,
    opset: int | None,
    description: Mapping[str, Any],
    head: Head | None = None,
    stage: Stage | None = None,
    front: Front | None = None,
) -> None:
    """Write a network, with `front` and `stage` before it and what `head` adds behind it.

    The options are those of `MLP.to_onnx`. Without `front`, the graph takes the inputs of the network.
    """
    file_name(path)  # raises TypeError if it is no path
    n_in = len(layers[0].weights) if stage is None else stage.n_in
    taken = [(input_name, False, n_in)] if front is None else front.inputs
    names = list(dict.fromkeys([input_name, *(name for name, *_ in taken)]))
    _check_names(names, output_names)
    opset = DEFAULT_OPSET if opset is None else integer("opset", opset, low=_OLDEST_OPSET, high=defs.onnx_opset_version())
    rows = "batch" if batch_size is None else integer("batch_size", batch_size, low=1, high=2**31 - 1)
    check_activations(layers)
    arrays = [array for layer in layers for array in (layer.weights, layer.bias)]
    arrays += [r.projection for r in (layer.residual for layer in layers) if r is not None and r.projection is not None]
    arrays += [array for _, array in (() if stage is None else stage.embeddings) if array is not None]
    size = sum(array.size * array.itemsize for array in arrays)
    if size > _MAX_BYTES:
        raise ValueError(f"to_onnx: an ONNX file holds at most {_MAX_BYTES} bytes of parameters, got {size}; use save()")
    real = TensorProto.DOUBLE if layers[0].weights.dtype == np.float64 else TensorProto.FLOAT
    graph = FileGraph(real, opset, [*names, *output_names])
    values = input_name if front is None else front.add(graph)
    values = add_network(graph, layers, values if stage is None else add_stage(graph, stage, values))
    if head is None:
        graph.rename(values, output_names[0])
        ends: Sequence[tuple[str, int, int | None]] = [(output_names[0], real, widths_of(layers)[-1])]
    else:
        ends = head(graph, values)
    outputs = [
        helper.make_tensor_value_info(name, kind, [rows] if columns is None else [rows, columns])
        for name, kind, columns in ends
    ]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.STRING if is_texts else real, [rows, columns])
        for name, is_texts, columns in taken
    ]
    content = helper.make_graph(graph.nodes, "fastnn", inputs, outputs, graph.initializers)
    description = description if front is None else {**description, "inputs": front.features}
    write_file(path, [_serialized(content, opset, description)])


def _serialized(graph: Any, opset: int, description: Mapping[str, Any]) -> bytes:
    """Return the file's bytes, which depend only on the arguments and the version of fastnn."""
    domains = {"", *(node.domain for node in graph.node)}
    versions = [helper.make_opsetid(domain, opset if domain == "" else _ML_OPSET) for domain in sorted(domains)]
    model = helper.make_model(
        graph,
        opset_imports=versions,
        ir_version=helper.find_min_ir_version_for(versions),
        producer_name="fastnn",
        producer_version=__version__,
    )
    helper.set_model_props(model, {"fastnn": json.dumps(description)})
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _check_names(input_names: Sequence[Any], output_names: Sequence[Any]) -> None:
    given = [*(("input_name", name) for name in input_names), *(("output_name", name) for name in output_names)]
    for argument, name in given:
        if not isinstance(name, str):
            raise TypeError(f"{argument}: expected text, got {name!r} of type {type(name).__name__}")
        if not name:
            raise ValueError(f"{argument}: expected a name, got an empty text")
    names = [name for _, name in given]
    if len(set(names)) < len(names):
        raise ValueError(f"input_name, output_name: expected different names, got {', '.join(map(repr, names))}")


def describe(layers: Sequence[Layer], feature_names: Sequence[str] | None, n_in: int | None = None) -> dict[str, Any]:
    """Return the content of the metadata: the architecture, and the names of the inputs."""
    return {
        "layer_sizes": [len(layers[0].weights) if n_in is None else n_in, *widths_of(layers)],
        "activations": [str(layer.activation) for layer in layers],
        "feature_names": None if feature_names is None else list(feature_names),
    }
