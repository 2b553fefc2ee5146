"""Reading ONNX files in the manner of other exporters, and refusing everything that is no such network."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from _onnx_graphs import model_proto, node, written

from fastnn import MLP

onnx = pytest.importorskip("onnx")

RNG = np.random.default_rng(0)
W, V = RNG.normal(size=(3, 4)).astype(np.float32), RNG.normal(size=(4, 2)).astype(np.float32)
B, C = RNG.normal(size=4).astype(np.float32), RNG.normal(size=2).astype(np.float32)
ARRAYS = {"W": W, "V": V, "B": B, "C": C, "Wt": W.T, "Vt": V.T}
X = RNG.normal(size=(7, 3)).astype(np.float32)


def scalar(value: float) -> Any:
    return np.float32(value)


def between(*nodes: Any) -> list[Any]:
    """Return a network of two layers in the manner of PyTorch, with these nodes from z to a between them."""
    first = node("Gemm", "x Wt B", "z", transB=1)
    return [first, *nodes, node("Gemm", "a Vt C", "y", transB=1)]


def check(path: Path, activations: tuple[str, ...], X: Any = X) -> MLP:
    """Return the model of a file, whose predictions must be those of onnx itself."""
    model = MLP.from_onnx(path)
    assert model.activations == activations
    flat = X.reshape(len(X), -1)
    from onnx.reference import ReferenceEvaluator

    (expected,) = ReferenceEvaluator(str(path)).run(None, {"x": X})
    np.testing.assert_allclose(model.predict(flat), expected, rtol=2e-5, atol=1e-6)
    return model


# ---- Activations ----

# From the manners of torch.onnx, tf2onnx and skl2onnx, and of other versions of them.
FORMS: Mapping[str, tuple[str, list[Callable[[], Any]], dict[str, Any]]] = {
    "elu": ("elu", [lambda: node("Elu", "z", "a", alpha=1.0)], {}),
    "celu": ("elu", [lambda: node("Celu", "z", "a")], {}),
    "selu": ("selu", [lambda: node("Selu", "z", "a", alpha=1.6732632, gamma=1.050701)], {}),
    "leaky_relu": ("leaky_relu", [lambda: node("LeakyRelu", "z", "a")], {}),
    "leaky_relu as a maximum": (
        "leaky_relu",
        [lambda: node("Mul", "h z", "t"), lambda: node("Max", "t z", "a")],
        {"h": scalar(0.01)},
    ),
    "another slope": ("prelu", [lambda: node("LeakyRelu", "z", "a", alpha=0.3)], {}),
    "one slope": ("prelu", [lambda: node("PRelu", "z s", "a")], {"s": np.float32([0.2])}),
    "slopes": ("prelu", [lambda: node("PRelu", "z s", "a")], {"s": RNG.normal(size=4).astype(np.float32)}),
    "slopes in a row": ("prelu", [lambda: node("PRelu", "z s", "a")], {"s": RNG.normal(size=(1, 4)).astype(np.float32)}),
    "slopes of Keras": (
        "prelu",
        [
            lambda: node("Relu", "z", "above"),
            lambda: node("Neg", "z", "n"),
            lambda: node("Relu", "n", "below"),
            lambda: node("Mul", "s below", "t"),
            lambda: node("Sub", "above t", "a"),
        ],
        {"s": RNG.normal(size=4).astype(np.float32)},
    ),
    "relu as Clip": ("relu", [lambda: node("Clip", "z zero", "a")], {"zero": scalar(0.0)}),
    "gelu of PyTorch before opset 20": (
        "gelu",
        [
            lambda: node("Div", "z root", "t"),
            lambda: node("Erf", "t", "e"),
            lambda: node("Add", "e one", "s"),
            lambda: node("Mul", "z s", "p"),
            lambda: node("Mul", "p half", "a"),
        ],
        {"root": scalar(math.sqrt(2)), "one": scalar(1.0), "half": scalar(0.5)},
    ),
    "gelu of Keras": (
        "gelu",
        [
            lambda: node("Mul", "half z", "h"),
            lambda: node("Mul", "z root", "t"),
            lambda: node("Erf", "t", "e"),
            lambda: node("Add", "one e", "s"),
            lambda: node("Mul", "h s", "a"),
        ],
        {"root": np.float32([math.sqrt(0.5)]), "one": np.float32([1.0]), "half": np.float32([0.5])},
    ),
    "silu": ("silu", [lambda: node("Sigmoid", "z", "s"), lambda: node("Mul", "s z", "a")], {}),
    "mish": (
        "mish",
        [lambda: node("Softplus", "z", "s"), lambda: node("Tanh", "s", "t"), lambda: node("Mul", "z t", "a")],
        {},
    ),
    "softplus of PyTorch": (
        "softplus",
        [
            lambda: node("Softplus", "z", "s"),
            lambda: node("Greater", "z limit", "g"),
            lambda: node("Where", "g z s", "a"),
        ],
        {"limit": scalar(20.0)},
    ),
    "softplus that overflows": (
        "softplus",
        [lambda: node("Exp", "z", "e"), lambda: node("Add", "e one", "s"), lambda: node("Log", "s", "a")],
        {"one": scalar(1.0)},
    ),
    "sigmoid of its parts": (
        "sigmoid",
        [
            lambda: node("Mul", "z minus", "n"),
            lambda: node("Exp", "n", "e"),
            lambda: node("Add", "e one", "s"),
            lambda: node("Reciprocal", "s", "a"),
        ],
        {"minus": scalar(-1.0), "one": scalar(1.0)},
    ),
    "sigmoid with casts": (
        "sigmoid",
        [
            lambda: node("Cast", "z", "d", to=11),
            lambda: node("Sigmoid", "d", "s"),
            lambda: node("Cast", "s", "a", to=1),
        ],
        {},
    ),
    "sin": ("sin", [lambda: node("Sin", "z", "a")], {}),
    "nothing": ("identity", [lambda: node("Identity", "z", "a")], {}),
}


@pytest.mark.parametrize("form", FORMS)
def test_activations_are_recognised_in_any_form(form: str, tmp_path: Path) -> None:
    activation, nodes, arrays = FORMS[form]
    path = written(tmp_path / "a", between(*(make() for make in nodes)), {**ARRAYS, **arrays})
    model = check(path, (activation, "identity"))
    for own, given in zip([*model.weights, *model.biases], [W, V, B, C], strict=True):
        np.testing.assert_array_equal(own, given)
    if "slopes" in form:
        np.testing.assert_array_equal(model.slopes[0], arrays["s"].ravel())


@pytest.mark.parametrize(
    ("nodes", "arrays", "got"),
    [
        ([lambda: node("Elu", "z", "a", alpha=0.5)], {}, r"Elu\(alpha=0.5\)"),
        ([lambda: node("Clip", "z zero six", "a")], {"zero": scalar(0), "six": scalar(6)}, "Clip"),
        ([lambda: node("Sqrt", "z", "a")], {}, "Sqrt"),
        ([lambda: node("Sigmoid", "z", "s"), lambda: node("Sqrt", "s", "a")], {}, "Sigmoid, Sqrt"),
        ([lambda: node("Tanh", "z", "t"), lambda: node("Add", "t z", "a")], {}, "Tanh, Add"),
        ([lambda: node("LeakyRelu", "z", "s"), lambda: node("Tanh", "s", "a")], {}, "LeakyRelu, Tanh"),
        ([lambda: node("Softmax", "z", "t"), lambda: node("Exp", "t", "a")], {}, "Softmax, Exp"),
    ],
)
def test_other_functions_are_refused(nodes: Any, arrays: Any, got: str, tmp_path: Path) -> None:
    path = written(tmp_path / "a", between(*(make() for make in nodes)), {**ARRAYS, **arrays})
    expected = (
        f"node 'the a'.*expected one of the activations identity, .*prelu before node 'the y'.*another function, of {got}"
    )
    with pytest.raises(ValueError, match=expected):
        MLP.from_onnx(path)


def test_gelu_by_tanh_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a", between(node("Gelu", "z", "a", approximate="tanh")), ARRAYS, opset=20)
    with pytest.raises(ValueError, match=r"Gelu\(approximate='tanh'\)"):
        MLP.from_onnx(path)


# ---- Layers ----


LAYERS: Mapping[str, tuple[Callable[[], list[Any]], dict[str, Any]]] = {
    "Keras": (
        lambda: [
            node("MatMul", "x W", "xw"),
            node("Add", "xw B", "z"),
            node("Tanh", "z", "a"),
            node("MatMul", "a V", "av"),
            node("Add", "C av", "y"),
        ],
        {},
    ),
    "biases of shape (1, n)": (
        lambda: [
            node("MatMul", "x W", "xw"),
            node("Add", "b xw", "z"),
            node("Tanh", "z", "a"),
            node("Gemm", "a V c", "y"),
        ],
        {"b": B[None], "c": C[None]},
    ),
    "Gemm with factors": (
        lambda: [
            node("Gemm", "x w b", "z", alpha=2.0, beta=0.5, transB=1),
            node("Tanh", "z", "a"),
            node("Gemm", "a V C", "y"),
        ],
        {"w": W.T / 2, "b": 2 * B},
    ),
    "a transposed and aliased constant": (
        lambda: [
            node("Transpose", "Wt", "w", perm=[1, 0]),
            node("Identity", "B", "b"),
            node("MatMul", "x w", "xw"),
            node("Add", "xw b", "z"),
            node("Tanh", "z", "a"),
            node("Gemm", "a V C", "y"),
        ],
        {},
    ),
    "steps without effect": (
        lambda: [
            node("Cast", "x", "x2", to=1),
            node("Reshape", "x2 rows", "x3"),
            node("Gemm", "x3 W B", "z"),
            node("Dropout", "z", "d"),
            node("Tanh", "d", "t"),
            node("Flatten", "t", "f"),
            node("Reshape", "f keep", "a"),
            node("Gemm", "a V C", "v"),
            node("Identity", "v", "y"),
        ],
        {"rows": np.array([-1, 3]), "keep": np.array([0, -1])},
    ),
    "a subtracted bias": (
        lambda: [
            node("MatMul", "x W", "xw"),
            node("Sub", "xw b", "z"),
            node("Tanh", "z", "a"),
            node("Gemm", "a V C", "y"),
        ],
        {"b": -B},
    ),
}


@pytest.mark.parametrize("manner", LAYERS)
def test_layers_are_read_in_any_manner(manner: str, tmp_path: Path) -> None:
    nodes, arrays = LAYERS[manner]
    model = check(written(tmp_path / "a", nodes(), {**ARRAYS, **arrays}), ("tanh", "identity"))
    for own, given in zip([*model.weights, *model.biases], [W, V, B, C], strict=True):
        np.testing.assert_array_equal(own, given)


def test_layers_may_lack_a_bias(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x W", "z"), node("Relu", "z", "a"), node("Gemm", "a V", "y")]
    model = check(written(tmp_path / "a", nodes, ARRAYS), ("relu", "identity"))
    assert not np.concatenate(model.biases).any()


def test_constants_may_be_nodes(tmp_path: Path) -> None:
    from onnx import helper, numpy_helper

    nodes = [
        helper.make_node("Constant", [], ["w"], value=numpy_helper.from_array(W)),
        helper.make_node("Constant", [], ["b"], value_floats=B.tolist()),
        node("MatMul", "x w", "xw"),
        node("Add", "xw b", "z"),
        helper.make_node("Constant", [], ["slope"], value_float=0.01),
        node("Mul", "z slope", "t"),
        node("Max", "z t", "a"),
        node("Gemm", "a V C", "y"),
    ]
    model = check(written(tmp_path / "a", nodes, ARRAYS), ("leaky_relu", "identity"))
    np.testing.assert_array_equal(model.biases[0], B)


@pytest.mark.parametrize("opset", [11, 13])
@pytest.mark.parametrize("options", [{}, {"axis": 1}, {"axis": -1}])
def test_softmax_over_the_last_axis_ends_a_network(opset: int, options: Any, tmp_path: Path) -> None:
    path = written(tmp_path / "a", [node("Gemm", "x W B", "z"), node("Softmax", "z", "y", **options)], ARRAYS, opset=opset)
    check(path, ("softmax",))


def test_several_layers_without_activation_stay_apart(tmp_path: Path) -> None:
    check(written(tmp_path / "a", between(node("Identity", "z", "a")), ARRAYS), ("identity", "identity"))


@pytest.mark.parametrize("with_bias", [False, True])
def test_batch_normalization_becomes_part_of_the_layer(with_bias: bool, tmp_path: Path) -> None:
    nodes = [
        node("Gemm", "x W B" if with_bias else "x W", "z"),
        node("BatchNormalization", "z scale shift mean variance", "n", epsilon=0.01),
        node("Relu", "n", "a"),
        node("Gemm", "a V C", "y"),
    ]
    parts = {name: (RNG.random(4) + 0.5).astype(np.float32) for name in ("scale", "shift", "mean", "variance")}
    check(written(tmp_path / "a", nodes, {**ARRAYS, **parts}), ("relu", "identity"))


@pytest.mark.parametrize("last", ["Gemm", "MatMul"])
@pytest.mark.parametrize("steps", ["normalize", "multiply", "add", "all"])
def test_steps_after_an_activation_become_part_of_the_next_layer(steps: str, last: str, tmp_path: Path) -> None:
    operators = {
        "normalize": [node("BatchNormalization", "a scale shift mean variance", "n", epsilon=0.01)],
        "multiply": [node("Mul", "half a", "n")],
        "add": [node("Add", "a shift", "n")],
        "all": [
            node("BatchNormalization", "a scale shift mean variance", "m"),
            node("Sub", "shift m", "p"),
            node("Div", "p half", "n"),
        ],
    }[steps]
    product = node("Gemm", "n V C", "y") if last == "Gemm" else node("MatMul", "n V", "y")
    nodes = [node("Gemm", "x W B", "z"), node("Tanh", "z", "a"), *operators, product]
    parts = {name: (RNG.random(4) + 0.5).astype(np.float32) for name in ("scale", "shift", "mean", "variance")}
    arrays = {**ARRAYS, **parts, "half": np.float32([0.5])}
    check(written(tmp_path / "a", nodes, arrays), ("tanh", "identity"))


def test_a_function_before_steps_is_named_as_without_them(tmp_path: Path) -> None:
    nodes = [node("Gemm", "x W B", "z"), node("Sqrt", "z", "a"), node("Mul", "a B", "n"), node("MatMul", "n V", "y")]
    with pytest.raises(ValueError, match="another function, of Sqrt, Mul"):
        MLP.from_onnx(written(tmp_path / "a", nodes, ARRAYS))
    nodes[1] = node("Softmax", "z", "a", axis=1)
    with pytest.raises(ValueError, match="expected the end of the network after softmax"):
        MLP.from_onnx(written(tmp_path / "a", nodes, ARRAYS))
    nodes[1:3] = [node("Tanh", "z", "a"), node("Mul", "a infinite", "n")]
    with pytest.raises(ValueError, match="another function, of Tanh, Mul"):
        MLP.from_onnx(written(tmp_path / "a", nodes, {**ARRAYS, "infinite": np.float32([np.inf])}))


def test_images_are_read_as_flat_rows(tmp_path: Path) -> None:
    w = RNG.normal(size=(6, 4)).astype(np.float32)
    nodes = [node("Flatten", "x", "f"), node("Gemm", "f w B", "y")]
    path = written(tmp_path / "a", nodes, {**ARRAYS, "w": w}, shape=["n", 1, 2, 3])
    check(path, ("identity",), RNG.normal(size=(5, 1, 2, 3)).astype(np.float32))
    with pytest.raises(ValueError, match="expected inputs of shape"):
        MLP.from_onnx(written(tmp_path / "a", [node("MatMul", "x W", "y")], ARRAYS, shape=["n", 1, 2, 3]))


@pytest.mark.parametrize(("given", "dtype"), [("f2", "f4"), ("f4", "f4"), ("f8", "f8")])
def test_the_type_is_that_of_the_weights(given: str, dtype: str, tmp_path: Path) -> None:
    arrays = {name: array.astype(given) for name, array in ARRAYS.items()}
    model = MLP.from_onnx(written(tmp_path / "a", between(node("Tanh", "z", "a")), arrays, dtype=given))
    assert model.dtype == dtype
    np.testing.assert_array_equal(model.weights[0], arrays["W"])


def test_weights_may_be_inputs_with_a_default(tmp_path: Path) -> None:
    proto = model_proto([node("Gemm", "x W B", "y")], ARRAYS)
    for name in ("W", "B"):
        kind = onnx.helper.make_tensor_value_info(name, 1, ARRAYS[name].shape)
        proto.graph.input.insert(0, kind)
    (tmp_path / "a").write_bytes(proto.SerializeToString())
    np.testing.assert_array_equal(MLP.from_onnx(tmp_path / "a").weights[0], W)


# ---- Options ----


def test_an_output_can_be_chosen(tmp_path: Path) -> None:
    nodes = [*between(node("Tanh", "z", "a")), node("ArgMax", "y", "label", axis=1)]
    path = written(tmp_path / "a", nodes, {**ARRAYS, "names": np.array(["no", "yes"])}, outputs=["label", "y"])
    assert MLP.from_onnx(path, output="y").layer_sizes == (3, 4, 2)
    assert MLP.from_onnx(path, output="a").activations == ("tanh",)
    for output, message in (
        (None, "one output, got 'label', 'y'; choose one by output=…"),
        (
            "label",
            r"node 'the label' \(ArgMax\): expected one of the operators Abs, .*; output='y' ends the network before it",
        ),
        ("p", "output: expected the name of a value in the graph, got 'p'; its outputs are 'label', 'y'"),
        ("x", "output: expected the name of a value"),
    ):
        with pytest.raises(ValueError, match=message):
            MLP.from_onnx(path, output=output)


def test_the_random_state_is_for_training(tmp_path: Path) -> None:
    path = written(tmp_path / "a", between(node("Tanh", "z", "a")), ARRAYS)
    models = [MLP.from_onnx(path, random_state=seed) for seed in (1, 1, 2)]
    for model in models:
        model.fit(X, X[:, :2], batch_size=2)
    one, same, other = (model.to_vector().tobytes() for model in models)
    assert one == same != other


def test_subclasses_stay_subclasses(tmp_path: Path) -> None:
    class Mine(MLP):
        def __init__(self) -> None:
            raise AssertionError("not called")

    assert type(Mine.from_onnx(written(tmp_path / "a", between(node("Tanh", "z", "a")), ARRAYS))) is Mine


# ---- Other graphs ----


def with_external_data() -> Any:
    proto = model_proto([node("Gemm", "x W B", "y")], ARRAYS)
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return proto


def with_weights(change: Callable[[Any], None], nodes: Any = None) -> Any:
    proto = model_proto(nodes or [node("Gemm", "x W B", "y")], ARRAYS)
    change(proto.graph.initializer[0])
    return proto


def with_subgraph() -> Any:
    branch = onnx.helper.make_graph([node("Tanh", "z", "b")], "branch", [], [onnx.helper.make_empty_tensor_value_info("b")])
    choice = onnx.helper.make_node("If", ["c"], ["a"], name="choice", then_branch=branch, else_branch=branch)
    return model_proto(between(choice), {**ARRAYS, "c": np.array(True)})


def of(*nodes: Any, **arrays: Any) -> Callable[[], Any]:
    return lambda: model_proto([node(*one[:3], **(one[3] if len(one) > 3 else {})) for one in nodes], {**ARRAYS, **arrays})


FIRST = ("Gemm", "x W B", "z")
LAST = ("Gemm", "a V C", "y")
REFUSED: Mapping[str, tuple[Callable[[], Any], str]] = {
    "an unknown operator": (
        of(FIRST, ("Conv", "z", "y")),
        r"node 'the y' \(Conv\): expected one of the operators Abs, Add,",
    ),
    "an operator of another domain": (
        of(FIRST, ("Tanh", "z", "y", {"domain": "com.example"})),
        r"node 'the y' \(com.example.Tanh\): expected one of the operators",
    ),
    "a subgraph": (with_subgraph, r"node 'choice' \(If\): expected one of the operators"),
    "a product of layers": (
        of(FIRST, ("Relu", "z", "a"), ("Gemm", "a U B", "b"), ("Mul", "a b", "y"), U=np.eye(4, dtype=np.float32)),
        r"node 'the y' \(Mul\): expected Add as the only operator that combines several layers",
    ),
    "softmax in the middle": (of(FIRST, ("Softmax", "z", "a"), LAST), r"node 'the y' \(Gemm\): expected the end .* softmax"),
    "exp in the middle": (of(FIRST, ("Exp", "z", "a"), LAST), "expected the end of the network after exp"),
    "softmax over rows": (of(FIRST, ("Softmax", "z", "y", {"axis": 0})), "expected the last axis, got axis 0"),
    "a scaler": (
        of(("Sub", "x m", "s"), ("Gemm", "s W B", "y"), m=np.zeros(3, np.float32)),
        r"node 'the s' \(Sub\): expected a Gemm or MatMul on the inputs themselves.*; make this step on the data",
    ),
    "no layers": (of(("Tanh", "x", "y")), "expected a Gemm or MatMul between the input 'x' and 'y', got none"),
    "only constants": (of(("Add", "B B", "y")), "expected a Gemm or MatMul"),
    "two networks": (of(("MatMul", "x W", "z"), ("MatMul", "z x", "y")), "constant weights"),
    "constant inputs": (of(("MatMul", "W V", "z"), ("MatMul", "x z", "y")), "only constants"),
    "weights from the left": (of(("Gemm", "W x", "y")), "expected the network's values as its first input"),
    "transposed rows": (of(("Gemm", "x W B", "y", {"transA": 1})), "expected transA = 0, got 1"),
    "a bias per row": (
        of(("Gemm", "x W r", "y"), r=np.zeros((7, 1), np.float32)),
        r"expected a bias of shape \(4,\), got \(7, 1\)",
    ),
    "a bias of another layer": (
        of(FIRST, ("Relu", "z", "a"), ("Gemm", "a U z", "y"), U=np.eye(4, dtype=np.float32)),
        "expected a bias",
    ),
    "a bias of another length": (
        of(("MatMul", "x W", "z"), ("Add", "z C", "y")),
        r"expected a constant per unit, of shape \(4,\), got \(2,\)",
    ),
    "widths that differ": (of(FIRST, ("Gemm", "z W B", "y")), r"expected weights for 4 inputs, got shape \(3, 4\)"),
    "inputs of another width": (of(("MatMul", "x V", "y")), r"expected weights for 3 inputs, got shape \(4, 2\)"),
    "weights of one dimension": (of(("MatMul", "x v", "y"), v=W[:, 0]), r"expected weights of shape \(n_in, n_out\)"),
    "weights of three dimensions": (of(("MatMul", "x v", "y"), v=W[None]), r"expected weights of shape \(n_in, n_out\)"),
    "integer weights": (of(("MatMul", "x v", "y"), v=np.ones((3, 2), np.int64)), "and real numbers, got int64"),
    "empty weights": (of(("MatMul", "x v", "y"), v=np.ones((3, 0), np.float32)), r"expected weights of shape"),
    "a cast to integers": (of(FIRST, ("Cast", "z", "y", {"to": 7})), "expected a type of real numbers, got INT64"),
    "dropout in training": (
        of(FIRST, ("Dropout", "z r t", "y"), r=scalar(0.5), t=np.array(True)),
        "expected training_mode = False",
    ),
    "batch normalization in training": (
        of(FIRST, ("BatchNormalization", "z B B B B", "y", {"training_mode": 1})),
        "expected training_mode = 0",
    ),
    "batch normalization of a constant": (
        of(FIRST, ("BatchNormalization", "r z z z z", "y"), r=np.ones((1, 4), np.float32)),
        "expected training_mode = 0 and constant parameters",
    ),
    "batch normalization after an activation": (
        of(FIRST, ("Relu", "z", "a"), ("BatchNormalization", "a B B B B", "y")),
        "another function, of Relu, BatchNormalization",
    ),
    "a step after an activation": (of(FIRST, ("Relu", "z", "a"), ("Mul", "a B", "y")), "another function, of Relu, Mul"),
    "a reshape": (
        of(FIRST, ("Reshape", "z s", "y"), s=np.array([-1, 2])),
        r"expected a shape that keeps the rows, such as \(-1, 4\)",
    ),
    "a reshape to a vector": (of(FIRST, ("Reshape", "z s", "y"), s=np.array([-1])), "expected a shape that keeps the rows"),
    "another flattening": (of(FIRST, ("Flatten", "z", "y", {"axis": 0})), "expected axis 1, got 0"),
    "an attribute that does not exist": (
        of(FIRST, ("Tanh", "z", "y", {"speed": 9})),
        r"node 'the y' \(Tanh\): expected other inputs",
    ),
    "an input too few": (of(FIRST, ("Max", "-", "a"), ("PRelu", "z", "y")), "node 'the y'.*: expected other inputs"),
    "constants that grow": (
        of(
            ("Add", "tall wide", "w"),
            ("MatMul", "x w", "y"),
            tall=np.ones((9, 1), np.float32),
            wide=np.ones((1, 9), np.float32),
        ),
        "expected constants of like shapes",
    ),
    "a cycle": (
        of(("Add", "x b", "a"), ("Add", "a B", "b"), ("Add", "b B", "y")),
        "expected inputs that earlier nodes make, got 'b'",
    ),
    "a value made by itself": (of(("Tanh", "y", "y")), "expected inputs that earlier nodes make, got 'y'"),
    "a value made twice": (of(FIRST, ("Tanh", "z", "z")), "expected a new name for its output, got 'z'"),
    "an output that nothing makes": (of(FIRST), "expected a node that makes the output 'y', got none"),
    "another output of a node": (
        lambda: model_proto(
            [node(*FIRST), onnx.helper.make_node("Dropout", ["z"], ["d", "mask"]), node("Mul", "d mask", "y")], ARRAYS
        ),
        "expected the first output of another node, got 'mask'",
    ),
    "weights in another file": (
        with_external_data,
        "the array 'W': expected values in the file itself.*external_data=False",
    ),
    "a huge shape": (with_weights(lambda t: t.dims.__setitem__(0, 2**62)), "the array 'W': expected data for shape"),
    "negative lengths": (
        with_weights(lambda t: t.dims.__setitem__(slice(None), [-3, -4])),
        r"the array 'W': expected a shape without negative numbers, got \[-3, -4\]",
    ),
    "too little data": (with_weights(lambda t: setattr(t, "raw_data", t.raw_data[:-1])), r"48 in all, got 47"),
    "texts": (with_weights(lambda t: setattr(t, "data_type", 8)), "the array 'W': expected type FLOAT, .*got STRING"),
    "an unknown type": (
        with_weights(lambda t: setattr(t, "data_type", 999)),
        "the array 'W': expected type FLOAT, .*got 999",
    ),
    "two arrays of one name": (
        lambda: _with_array(model_proto([node(*FIRST), node("Tanh", "z", "y")], ARRAYS)),
        "expected arrays with different names",
    ),
    "a division by zero": (of(FIRST, ("Div", "z zero", "y"), zero=scalar(0.0)), "another function, of Div"),
    "a gap that is small": (
        of(FIRST, ("Greater", "z low", "g"), ("Where", "g z zero", "y"), low=scalar(1e-5), zero=scalar(0.0)),
        "another function, of Greater, Where",
    ),
    "two inputs": (
        lambda: _with_input(model_proto([node(*FIRST), node("Add", "z more", "y")], ARRAYS)),
        "expected a graph with one input, got 'x', 'more'",
    ),
    "too many layers": (
        lambda: model_proto(
            [node("MatMul", f"{'x' if i == 0 else f'v{i}'} U", "y" if i == 64 else f"v{i + 1}") for i in range(65)],
            {"U": np.eye(3, dtype=np.float32)},
        ),
        "layer_sizes: expected .*, got 66",
    ),
    "nothing": (lambda: onnx.ModelProto(), "not an ONNX file, or one without nodes"),
}


def _with_array(proto: Any) -> Any:
    proto.graph.initializer.append(proto.graph.initializer[0])
    return proto


def _with_input(proto: Any) -> Any:
    proto.graph.input.append(onnx.helper.make_tensor_value_info("more", 1, ["n", 4]))
    return proto


@pytest.mark.parametrize("case", REFUSED)
def test_other_graphs_are_refused(case: str, tmp_path: Path) -> None:
    make, message = REFUSED[case]
    proto = make() if callable(make) else make
    (tmp_path / "net.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(ValueError, match=f"(?s)^{tmp_path}/net.onnx: .*{message}"):
        MLP.from_onnx(tmp_path / "net.onnx")


@pytest.mark.parametrize(
    "content", [b"", b"\x00", b"onnx", b"PK\x03\x04" + bytes(100), bytes(1000), b"\xff" * 1000], ids=repr
)
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ValueError, match="not an ONNX file"):
        MLP.from_onnx(tmp_path / "a")


def test_missing_files_are_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        MLP.from_onnx(tmp_path / "a")


@pytest.mark.parametrize("value", ["[", "[1]", '{"feature_names": 3}', '{"feature_names": ["a"]}'])
def test_damaged_metadata_are_refused(value: str, tmp_path: Path) -> None:
    proto = model_proto([node("Gemm", "x W B", "y")], ARRAYS)
    onnx.helper.set_model_props(proto, {"fastnn": value})
    (tmp_path / "a").write_bytes(proto.SerializeToString())
    with pytest.raises(ValueError, match=f"^{tmp_path}/a: "):
        MLP.from_onnx(tmp_path / "a")


def test_truncated_files_are_refused(tmp_path: Path) -> None:
    MLP((3, 4, 2), random_state=0).to_onnx(tmp_path / "a")
    whole = (tmp_path / "a").read_bytes()
    for length in [*range(0, whole.index(b"layer_sizes"), 7), len(whole) - 1]:
        (tmp_path / "a").write_bytes(whole[:length])
        with pytest.raises(ValueError, match=f"^{tmp_path}/a: "):
            MLP.from_onnx(tmp_path / "a")
