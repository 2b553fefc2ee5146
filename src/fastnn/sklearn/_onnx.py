"""The estimators as ONNX graphs. Importing this module registers them with skl2onnx, which it needs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

try:
    from onnx import TensorProto
    from skl2onnx import update_registered_converter
    from skl2onnx._parse import _parse_sklearn_classifier, sklearn_parsers_map
    from skl2onnx._supported_operators import sklearn_operator_name_map
    from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, guess_proto_type
    from skl2onnx.common.shape_calculator import (
        calculate_linear_classifier_output_shapes,
        calculate_linear_regressor_output_shapes,
    )
    from skl2onnx.common.utils_classifier import get_label_classes
except ImportError as error:
    raise ImportError(f'conversion to ONNX needs skl2onnx: pip install "fastnn-cpu[onnx]" ({error})') from error

from fastnn.reference.rectifiers import SELU_ALPHA, SELU_SCALE
from fastnn.sklearn import _patching
from fastnn.sklearn._classifier import MLPClassifier
from fastnn.sklearn._originals import ORIGINALS
from fastnn.sklearn._regressor import MLPRegressor

# The options of skl2onnx for scikit-learn's classifier.
_OPTIONS = {"zipmap": [True, False, "columns"], "output_class_labels": [False, True], "nocl": [True, False]}


# ---- The network ----


class _Graph:
    """A helper that adds operators to a model.

    Parameters
    ----------
    scope, container : Scope, ModelComponentContainer
        The objects of skl2onnx to which to add the operators.
    dtype : int
        The type of real numbers, of `onnx.TensorProto`.
    """

    def __init__(self, scope: Any, container: Any, dtype: int) -> None:
        self._scope, self._container, self.dtype = scope, container, dtype

    def node(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add an operator, and return the name of its output."""
        if output is None:
            output = self._scope.get_unique_variable_name(operator.lower())
        name = self._scope.get_unique_operator_name(operator)
        self._container.add_node(operator, list(inputs), [output], name=name, **attributes)
        return str(output)

    def constant(self, values: Any, dtype: int | None = None) -> str:
        """Add an array, by default of real numbers, and return its name."""
        array = np.asarray(values)
        name = self._scope.get_unique_variable_name("constant")
        content = [str(text).encode() for text in array.flat] if dtype == TensorProto.STRING else array.ravel()
        self._container.add_initializer(name, self.dtype if dtype is None else dtype, array.shape, content)
        return str(name)


def _elu(graph: _Graph, z: str) -> str:
    zero, one = graph.constant(0.0), graph.constant(1.0)
    below = graph.node("Sub", graph.node("Exp", graph.node("Min", z, zero)), one)
    return graph.node("Add", graph.node("Max", z, zero), below)


def _selu(graph: _Graph, z: str) -> str:
    scale, limit = SELU_SCALE, SELU_SCALE * SELU_ALPHA
    above = graph.node("Mul", graph.node("Max", z, graph.constant(0.0)), graph.constant(scale))
    below = graph.node("Sub", graph.node("Exp", graph.node("Min", z, graph.constant(0.0))), graph.constant(1.0))
    return graph.node("Add", above, graph.node("Mul", below, graph.constant(limit)))


def _leaky_relu(graph: _Graph, z: str) -> str:
    return graph.node("Max", z, graph.node("Mul", z, graph.constant(0.01)))


def _prelu(graph: _Graph, z: str, slopes: Any) -> str:
    zero = graph.constant(0.0)
    below = graph.node("Mul", graph.node("Min", z, zero), graph.constant(slopes))
    return graph.node("Add", graph.node("Max", z, zero), below)


def _softplus(graph: _Graph, z: str) -> str:
    small = graph.node("Exp", graph.node("Neg", graph.node("Abs", z)))
    bend = graph.node("Log", graph.node("Add", small, graph.constant(1.0)))
    return graph.node("Add", graph.node("Max", z, graph.constant(0.0)), bend)


def _gelu(graph: _Graph, z: str) -> str:
    # ONNX Runtime supports Erf only in float32.
    scaled = graph.node("Cast", graph.node("Mul", z, graph.constant(math.sqrt(0.5))), to=TensorProto.FLOAT)
    erf = graph.node("Cast", graph.node("Erf", scaled), to=graph.dtype)
    share = graph.node("Mul", graph.node("Add", erf, graph.constant(1.0)), graph.constant(0.5))
    return graph.node("Mul", z, share)


# Elu, LeakyRelu, PRelu and Softplus consist of other operators, because ONNX Runtime supports these four only in float32.
_ACTIVATIONS: Mapping[str, Callable[[_Graph, str], str]] = {
    "identity": lambda graph, z: z,
    "tanh": lambda graph, z: graph.node("Tanh", z),
    "sigmoid": lambda graph, z: graph.node("Sigmoid", z),
    "relu": lambda graph, z: graph.node("Relu", z),
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "gelu": _gelu,
    "silu": lambda graph, z: graph.node("Mul", z, graph.node("Sigmoid", z)),
    "softplus": _softplus,
    "sin": lambda graph, z: graph.node("Sin", z),
    "exp": lambda graph, z: graph.node("Exp", z),
    "softmax": lambda graph, z: graph.node("Softmax", z, axis=1),
    "selu": _selu,
    "mish": lambda graph, z: graph.node("Mul", z, graph.node("Tanh", _softplus(graph, z))),
}
_CONVERTIBLE = (*_ACTIVATIONS, "prelu")


def _add_network(scope: Any, operator: Any, container: Any) -> tuple[_Graph, str]:
    """Add the network, in float64 for inputs in float64, otherwise in float32; return graph and outputs' name."""
    estimator = operator.raw_operator
    estimator._take_assigned()
    network = estimator.network_
    for activation in network.activations:
        if activation not in _CONVERTIBLE:
            known = ", ".join(_CONVERTIBLE)
            raise NotImplementedError(
                f"activation: expected one of {known}, got {activation!r}; ONNX has no functions of fastnn.jit"
            )
    double = guess_proto_type(operator.inputs[0].type) == TensorProto.DOUBLE
    graph = _Graph(scope, container, TensorProto.DOUBLE if double else TensorProto.FLOAT)
    values = graph.node("Cast", operator.inputs[0].full_name, to=graph.dtype)
    layers = zip(network.weights, network.biases, network.slopes, network.activations, strict=True)
    for weights, bias, slopes, activation in layers:
        z = graph.node("Gemm", values, graph.constant(weights), graph.constant(bias))
        values = _ACTIVATIONS[activation](graph, z) if slopes is None else _prelu(graph, z, slopes)
    return graph, values


# ---- The regressor ----


def _regressor_shapes(operator: Any) -> None:
    calculate_linear_regressor_output_shapes(operator)
    operator.outputs[0].type.shape = [operator.inputs[0].get_first_dimension(), operator.raw_operator.n_outputs_]


def _convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    graph, outputs = _add_network(scope, operator, container)
    graph.node("Identity", outputs, output=operator.outputs[0].full_name)


# ---- The classifier ----


def _classifier_shapes(operator: Any) -> None:
    calculate_linear_classifier_output_shapes(operator)
    classifier, (labels, probabilities) = operator.raw_operator, operator.outputs
    shape = [operator.inputs[0].get_first_dimension(), len(classifier.classes_)]
    if classifier._classes.several:
        labels.set_type(Int64TensorType(shape))
    # ONNX has maps from classes only to float32.
    mapped = any(
        one.type == "SklearnZipMap" and probabilities in one.inputs for one in operator.scope_inst.operators.values()
    )
    probabilities.set_type((FloatTensorType if mapped else type(probabilities.type))(shape))


def _convert_classifier(scope: Any, operator: Any, container: Any) -> None:
    graph, outputs = _add_network(scope, operator, container)
    classifier, labels = operator.raw_operator, operator.outputs[0].full_name
    names, kind = get_label_classes(scope, classifier), classifier._classes.kind
    both = kind == "binary" and len(names) == 2
    probabilities = (
        graph.node("Concat", graph.node("Sub", graph.constant(1.0), outputs), outputs, axis=1) if both else outputs
    )
    variable = operator.outputs[1]
    graph.node("Cast", probabilities, output=variable.full_name, to=guess_proto_type(variable.type))
    if kind == "multiclass":
        codes = graph.node("ArgMax", outputs, axis=1, keepdims=0)
    else:
        likely = graph.node("Greater", outputs, graph.constant(0.5))
        if kind == "multilabel-indicator":
            graph.node("Cast", likely, output=labels, to=TensorProto.INT64)
            return
        if len(names) == 1:  # the most probable one
            likely = graph.node("Less", outputs, graph.constant(0.0))
        codes = graph.node("Cast", likely, to=TensorProto.INT64)
        codes = graph.node("Reshape", codes, graph.constant([-1], TensorProto.INT64))
    texts = names.dtype.kind not in "fiub"
    dtype = TensorProto.STRING if texts else TensorProto.INT64
    graph.node("Gather", graph.constant(names if texts else names.astype(np.int64), dtype), codes, output=labels, axis=0)


# ---- Registration ----


def _register() -> None:
    # The classes of the patch are registered too: skl2onnx looks for the class itself.
    for classifier in (MLPClassifier, _patching.MLPClassifier):
        update_registered_converter(
            classifier, "FastnnMLPClassifier", _classifier_shapes, _convert_classifier, overwrite=True, options=_OPTIONS
        )
    for regressor in (MLPRegressor, _patching.MLPRegressor):
        update_registered_converter(regressor, "FastnnMLPRegressor", _regressor_shapes, _convert_regressor, overwrite=True)
    # If skl2onnx was imported under the patch, it took fastnn's classes for scikit-learn's.
    for name, original in ORIGINALS.items():
        sklearn_operator_name_map.setdefault(original, f"Sklearn{name}")
    sklearn_parsers_map.setdefault(ORIGINALS["MLPClassifier"], _parse_sklearn_classifier)


_register()
