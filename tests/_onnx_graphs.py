"""Helpers of the tests of ONNX files: graphs by hand, and ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def outputs_of(path: Any, X: Any) -> list[NDArray[Any]]:
    """Return the outputs of a checked file in ONNX Runtime. X is the input, or a mapping from names to inputs."""
    import onnx
    import onnxruntime

    onnx.checker.check_model(str(path), full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    outputs = session.run(None, X if isinstance(X, dict) else {session.get_inputs()[0].name: X})
    for declared, output in zip(session.get_outputs(), outputs, strict=True):
        assert len(declared.shape) == output.ndim
        assert declared.shape[1:] == list(output.shape[1:])
    return outputs


def node(operator: str, inputs: str, output: str, **attributes: Any) -> Any:
    """Return a node; names of inputs are separated by spaces, and "-" stands for one that is left out."""
    from onnx import helper

    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(operator, names, [output], name=f"the {output}", **attributes)


def model_proto(nodes: list[Any], arrays: dict[str, Any], **options: Any) -> Any:
    """Return a model with the input x and the output y of these nodes.

    Options are `opset`, the shape and the dtype of the input, and the names of the outputs.
    """
    from onnx import helper, numpy_helper

    dtype = helper.np_dtype_to_tensor_dtype(np.dtype(options.get("dtype", np.float32)))
    inputs = [helper.make_tensor_value_info("x", dtype, options.get("shape", ["n", 3]))]
    outputs = [helper.make_tensor_value_info(name, dtype, None) for name in options.get("outputs", ["y"])]
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "by hand", inputs, outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", options.get("opset", 18))], ir_version=9)


def written(path: Any, nodes: list[Any], arrays: dict[str, Any], **options: Any) -> Any:
    """Write a model to a file, and return the file's path."""
    path.write_bytes(model_proto(nodes, arrays, **options).SerializeToString())
    return path
