"""The estimators as ONNX graphs. Importing this module registers them with skl2onnx, which it needs."""

from __future__ import annotations

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

from fastnn._exports.onnx_embeddings import add_stage
from fastnn._exports.onnx_graph import Graph
from fastnn._exports.onnx_network import add_network
from fastnn._native import parts_of
from fastnn.sklearn import _patching
from fastnn.sklearn._categories import has_categories
from fastnn.sklearn._classifier import MLPClassifier
from fastnn.sklearn._onnx_categories import add_codes, columns_by_input
from fastnn.sklearn._onnx_classes import add_labels, add_probabilities
from fastnn.sklearn._originals import ORIGINALS
from fastnn.sklearn._regressor import MLPRegressor

# The options of skl2onnx for scikit-learn's classifier.
_OPTIONS = {"zipmap": [True, False, "columns"], "output_class_labels": [False, True], "nocl": [True, False]}


# ---- The network ----


class _Graph(Graph):
    """The graph to which skl2onnx lets a converter add operators.

    Parameters
    ----------
    scope, container : Scope, ModelComponentContainer
        The objects of skl2onnx to which to add the operators.
    real : int
        The type of real numbers, of `onnx.TensorProto`.
    """

    def __init__(self, scope: Any, container: Any, real: int) -> None:
        super().__init__(real, container.target_opset_any_domain(""))
        self._scope, self._container = scope, container

    def node(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Add an operator, and return the name of its output."""
        if output is None:
            output = self._scope.get_unique_variable_name(operator.lower())
        name = self._scope.get_unique_operator_name(operator)
        self._container.add_node(operator, list(inputs), [output], name=name, **attributes)
        return str(output)

    def constant(self, values: Any, dtype: int | None = None, name: str = "constant") -> str:
        """Add an array, by default of real numbers, and return its name."""
        array = np.asarray(values)
        name = self._scope.get_unique_variable_name(name)
        content = [str(text).encode() for text in array.flat] if dtype == TensorProto.STRING else array.ravel()
        self._container.add_initializer(name, self.real if dtype is None else dtype, array.shape, content)
        return str(name)


def _add_network(scope: Any, operator: Any, container: Any) -> tuple[_Graph, str]:
    """Add the network, in float64 for inputs in float64 or integer categories, otherwise in float32.

    Return the graph and the name of the outputs.
    """
    estimator = operator.raw_operator
    estimator._take_assigned()
    encodes = has_categories(estimator)
    if encodes and (texts := columns_by_input(estimator)[1]):
        raise ValueError(
            f"convert_sklearn: expected categories that are numbers, got texts in column {texts[0]}; the method "
            "to_onnx(path) of the estimator writes them too"
        )
    given = guess_proto_type(operator.inputs[0].type)
    # float32 would take different integers for the same category.
    double = given == TensorProto.DOUBLE or (encodes and given == TensorProto.INT64)
    graph = _Graph(scope, container, TensorProto.DOUBLE if double else TensorProto.FLOAT)
    values = graph.node("Cast", operator.inputs[0].full_name, to=graph.real)
    if encodes:
        values = add_codes(graph, estimator, "convert_sklearn", values)
    layers, stage = parts_of(estimator.network_)
    return graph, add_network(graph, layers, values if stage is None else add_stage(graph, stage, values))


# ---- The regressor ----


def _regressor_shapes(operator: Any) -> None:
    calculate_linear_regressor_output_shapes(operator)
    operator.outputs[0].type.shape = [operator.inputs[0].get_first_dimension(), operator.raw_operator.n_outputs_]


def _convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    graph, outputs = _add_network(scope, operator, container)
    variable = operator.outputs[0]
    graph.node("Cast", outputs, output=variable.full_name, to=guess_proto_type(variable.type))


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
    variable = operator.outputs[1]
    probabilities = add_probabilities(graph, outputs, two_columns=both)
    graph.node("Cast", probabilities, output=variable.full_name, to=guess_proto_type(variable.type))
    add_labels(graph, outputs, names, kind, labels)


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
