"""Reading ONNX files: the graph, with its arrays, checked before anything is computed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._exports.onnx_package import TensorProto, helper, numpy_helper, onnx
from fastnn._storage.write_file import FilePath, file_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The types of arrays that are read, and the width of an element in `raw_data`.
_WIDTHS = {
    TensorProto.FLOAT: 4,
    TensorProto.DOUBLE: 8,
    TensorProto.FLOAT16: 2,
    TensorProto.BFLOAT16: 2,
    TensorProto.INT32: 4,
    TensorProto.INT64: 8,
    TensorProto.BOOL: 1,
}
_OWN_DOMAINS = ("", "ai.onnx")
_EXTERNAL = (
    "; save it in one file, with external_data=False in torch.onnx.export or by "
    "onnx.save_model(onnx.load(…), …, save_as_external_data=False)"
)
# Errors that damaged content can cause.
_DAMAGE = (KeyError, IndexError, TypeError, AttributeError, OverflowError, RecursionError)


@dataclass(frozen=True)
class OnnxGraph:
    """The content of a file.

    Attributes
    ----------
    nodes : list of NodeProto
        The nodes on which the output depends, each after those from which it takes its inputs.
    constants : dict
        The arrays that these nodes take, by name.
    input_name : str
        The name of the input.
    input_shape : list of int, or None
        Its shape, with 0 for a variable length, if the file declares one.
    output : str
        The name of the output.
    opset : int
        The version of the operators.
    metadata : dict
        The texts of the metadata by name.
    """

    nodes: list[Any]
    constants: dict[str, NDArray[Any]]
    input_name: str
    input_shape: list[int] | None
    output: str
    opset: int
    metadata: Mapping[str, str]


@contextmanager
def reading(path: FilePath) -> Iterator[bytes]:
    """Yield the bytes of a file. Errors about them become ValueError with the path."""
    name = file_name(path)
    with open(name, "rb") as file:
        content = file.read()
    try:
        yield content
    except _DAMAGE as error:
        raise ValueError(f"{name}: damaged, or not an ONNX file ({error})") from error
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def parse(content: bytes, output: str | None) -> OnnxGraph:
    """Return the graph of a file's bytes, up to one of its values, by default its only output."""
    try:
        model = onnx.ModelProto.FromString(content)
    except MemoryError:
        raise
    except Exception as error:  # protobuf has several implementations, each with errors of its own
        raise ValueError(f"not an ONNX file, or a truncated one ({error})") from error
    graph = model.graph
    if not graph.node:
        raise ValueError("not an ONNX file, or one without nodes")
    if graph.sparse_initializer:
        raise ValueError("expected dense arrays, got sparse initializers")
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    if len(tensors) < len(graph.initializer):
        raise ValueError("expected arrays with different names")
    inputs = [one for one in graph.input if one.name not in tensors]
    if len(inputs) != 1:
        raise ValueError(f"expected a graph with one input, got {_listed(one.name for one in inputs)}")
    versions = [one.version for one in model.opset_import if one.domain in _OWN_DOMAINS]
    if not versions:
        raise ValueError("expected the version of the operators, got none; the file may be truncated")
    chosen = _chosen(graph, output)
    nodes = _up_to(graph.node, chosen, {inputs[0].name, *tensors})
    used = dict.fromkeys(name for node in nodes for name in node.input if name in tensors)
    return OnnxGraph(
        nodes,
        {name: array_of(tensors[name], f"the array {name!r}") for name in used},
        inputs[0].name,
        _shape_of(inputs[0]),
        chosen,
        versions[0],
        {one.key: one.value for one in model.metadata_props},
    )


def _chosen(graph: Any, output: str | None) -> str:
    """Return the name of the value that is to be the network's output."""
    names = [one.name for one in graph.output]
    if output is None:
        if len(names) != 1:
            raise ValueError(f"expected a graph with one output, got {_listed(names)}; choose one by output=…")
        return str(names[0])
    values = {name for node in graph.node for name in node.output}
    if output not in values:
        outputs = f"its outputs are {_listed(names)}"
        raise ValueError(f"output: expected the name of a value in the graph, got {output!r}; {outputs}")
    return output


def _up_to(nodes: Any, output: str, given: set[str]) -> list[Any]:
    """Return the nodes on which a value depends, in order.

    Raises
    ------
    ValueError
        If a node takes a value that no earlier node makes, as in a cycle, or if two make the same one.
    """
    made = set(given)
    for node in nodes:
        missing = [name for name in node.input if name and name not in made]
        if missing:
            raise ValueError(f"{label(node)}: expected inputs that earlier nodes make, got {missing[0]!r}")
        again = made.intersection(name for name in node.output if name)
        if again:
            raise ValueError(f"{label(node)}: expected a new name for its output, got {min(again)!r}")
        made.update(name for name in node.output if name)
    if output not in made:
        raise ValueError(f"expected a node that makes the output {output!r}, got none")
    needed, chosen = {output}, []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            needed.update(node.input)
            chosen.append(node)
    return chosen[::-1]


def _shape_of(value: Any) -> list[int] | None:
    """Return the declared shape of an input, with 0 for variable lengths, or None."""
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type"):
        raise ValueError(f"the input {value.name!r}: expected a tensor")
    if not kind.HasField("shape"):
        return None
    lengths = [one.dim_value for one in kind.shape.dim]
    if min(lengths, default=0) < 0:
        raise ValueError(f"the input {value.name!r}: expected a shape without negative numbers, got {lengths}")
    return lengths


def array_of(tensor: Any, name: str) -> NDArray[Any]:
    """Return a tensor of a file as an array. Float16 becomes float32."""
    kind, shape = tensor.data_type, list(tensor.dims)
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise ValueError(f"{name}: expected values in the file itself, got some in another file{_EXTERNAL}")
    if kind not in _WIDTHS:
        known = ", ".join(TensorProto.DataType.Name(one) for one in _WIDTHS)
        got = TensorProto.DataType.Name(kind) if kind in TensorProto.DataType.values() else kind
        raise ValueError(f"{name}: expected type {known}, got {got}")
    if min(shape, default=0) < 0:
        raise ValueError(f"{name}: expected a shape without negative numbers, got {shape}")
    count = math.prod(shape)
    # The size comes before anything is allocated. Other fields than raw_data have one number per element.
    if tensor.HasField("raw_data"):
        stored, expected = len(tensor.raw_data), count * _WIDTHS[kind]
    else:
        stored, expected = len(getattr(tensor, helper.tensor_dtype_to_field(kind))), count
    if stored != expected:
        raise ValueError(f"{name}: expected data for shape {shape}, {expected} in all, got {stored}")
    array: NDArray[Any] = numpy_helper.to_array(tensor)
    return array.astype(np.float32) if kind in (TensorProto.FLOAT16, TensorProto.BFLOAT16) else array


def attributes_of(node: Any) -> dict[str, Any]:
    """Return the attributes of a node by name."""
    return {one.name: helper.get_attribute_value(one) for one in node.attribute}


def label(node: Any) -> str:
    """Return a node's name and operator for messages."""
    operator = node.op_type if node.domain in _OWN_DOMAINS else f"{node.domain}.{node.op_type}"
    if node.name:
        return f"node {node.name!r} ({operator})"
    return f"node with output {node.output[0]!r} ({operator})" if node.output else f"node ({operator})"


def is_standard(node: Any) -> bool:
    """Return whether a node's operator is one of ONNX itself."""
    return node.domain in _OWN_DOMAINS


def _listed(names: Any) -> str:
    return ", ".join(map(repr, names)) or "none"
