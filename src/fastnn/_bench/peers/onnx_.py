"""ONNX Runtime: predictions from a graph of matrix products."""

from __future__ import annotations

import numpy as np

from fastnn._bench.peers._contestant import Predictor
from fastnn._bench.works import Array, PredictionWork, activations_of, initial_parameters

_OPERATORS = {"tanh": "Tanh", "relu": "Relu", "sin": "Sin"}


class OnnxPredictor(Predictor):
    """A session of the CPU provider, with all of its optimizations."""

    name = "ONNX Runtime"
    modules = ("onnxruntime", "onnx")

    def __init__(self, work: PredictionWork, n_threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = n_threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(_model(work), options, providers=["CPUExecutionProvider"])

    def predict(self, X: Array) -> Array:
        """Return the outputs."""
        return np.asarray(self._session.run(None, {"x": np.atleast_2d(X)})[0])


def _model(work: PredictionWork) -> bytes:
    """Return the network as an ONNX file."""
    from onnx import TensorProto, checker, helper, numpy_helper

    element = TensorProto.FLOAT if work.dtype == np.float32 else TensorProto.DOUBLE
    constants, nodes, value = [], [], "x"
    parameters = initial_parameters(work)
    layers = zip(parameters[::2], parameters[1::2], activations_of(work), strict=True)
    for number, (w, b, activation) in enumerate(layers, 1):
        constants += [numpy_helper.from_array(w, f"w{number}"), numpy_helper.from_array(b, f"b{number}")]
        nodes.append(helper.make_node("Gemm", [value, f"w{number}", f"b{number}"], [f"z{number}"]))
        value = f"z{number}"
        if activation != "identity":
            nodes.append(helper.make_node(_OPERATORS[activation], [value], [f"a{number}"]))
            value = f"a{number}"
    ends = [
        helper.make_tensor_value_info(name, element, [work.rows, n])
        for name, n in (("x", work.layer_sizes[0]), (value, work.layer_sizes[-1]))
    ]
    graph = helper.make_graph(nodes, "network", ends[:1], ends[1:], constants)
    # Older runtimes know these versions too.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content
