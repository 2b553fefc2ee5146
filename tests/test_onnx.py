"""ONNX files of models: ONNX Runtime gives the same predictions, and reading them gives the same model."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from _helpers import HIDDEN, OUTPUT_ONLY, run_script

from fastnn import MLP, reference
from fastnn._engine import core as _core

onnx = pytest.importorskip("onnx")

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
OPSETS = (13, 18, 20, 21)
X = np.random.default_rng(0).normal(size=(50, 3))


def model_with(activation: str, dtype: Any, sizes: tuple[int, ...] = (3, 6, 5, 2)) -> MLP:
    """Return a model with the activation in all layers that may have it, and without zeros among its parameters."""
    alone = activation in OUTPUT_ONLY
    model = MLP(sizes, "tanh" if alone else activation, activation, dtype=dtype, random_state=0)
    model.set_vector(np.random.default_rng(1).normal(size=model.n_parameters))
    return model


def assert_same_model(one: MLP, other: MLP) -> None:
    assert one.layer_sizes == other.layer_sizes
    assert one.activations == other.activations
    assert one.dtype == other.dtype
    assert one.to_vector().tobytes() == other.to_vector().tobytes()


# ---- Every activation ----


def test_every_activation_has_operators() -> None:
    from fastnn._exports.onnx_activations import FORMULAS

    assert {*FORMULAS} == {*_core.LAYER_ACTIVATIONS}


@DTYPES
@pytest.mark.parametrize("activation", _core.LAYER_ACTIVATIONS)
def test_onnx_runtime_gives_the_same_predictions(activation: str, dtype: Any, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    from _onnx_graphs import outputs_of

    model, tolerance = model_with(activation, dtype), 1e-6 if dtype == np.float32 else 1e-13
    for opset in OPSETS:
        for scale in (0.01, 1.0, 2.0 if activation == "sin" else 20.0):  # the sine of large numbers magnifies their rounding
            rows = (scale * X).astype(dtype)
            model.to_onnx(tmp_path / "a", opset=opset)
            (outputs,) = outputs_of(tmp_path / "a", rows)
            expected = model.predict(rows)
            assert outputs.dtype == dtype
            assert np.abs(outputs - expected).max() <= tolerance * max(1.0, np.abs(expected).max())


# The operator Sigmoid of ONNX Runtime has an absolute error only.
@pytest.mark.parametrize("activation", [name for name in HIDDEN if name not in ("prelu", "sigmoid", "silu")])
def test_float64_keeps_the_digits_of_small_outputs(activation: str, tmp_path: Path) -> None:
    """In a network of one unit, ONNX Runtime gives each element of the activation to 12 digits."""
    pytest.importorskip("onnxruntime")
    from _onnx_graphs import outputs_of

    model = MLP((1, 1), output_activation=activation, dtype=np.float64)
    model.weights[0][...] = 1.0
    sizes = np.geomspace(1e-8, 30.0, 400)
    z = np.concatenate([sizes, -sizes])[:, None]
    model.to_onnx(tmp_path / "a")
    np.testing.assert_allclose(outputs_of(tmp_path / "a", z)[0], reference.ACTIVATIONS[activation].value(z), rtol=1e-12)


def test_the_polynomial_of_gelu_is_accurate() -> None:
    """The operators are evaluated in NumPy here, so that no runtime is needed."""
    from fastnn._exports.onnx_activations import _ERFC_SCALE, _erfc_interval, _erfc_polynomial

    x = np.linspace(0.0, 26.0, 1001)
    t, (middle, half) = _ERFC_SCALE / (_ERFC_SCALE + x), _erfc_interval()
    assert abs(_erfc_polynomial()[-1]) < 1e-6
    values = np.exp(-x * x) * t * np.polyval(_erfc_polynomial()[::-1], (t - middle) / half)
    np.testing.assert_allclose(values, [math.erfc(value) for value in x], rtol=1e-12)


@DTYPES
@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("activation", _core.LAYER_ACTIVATIONS)
def test_a_round_trip_gives_the_same_model(activation: str, opset: int, dtype: Any, tmp_path: Path) -> None:
    for sizes in ((3, 6, 5, 2), (3, 1, 1)):
        model = model_with(activation, dtype, sizes)
        model.to_onnx(tmp_path / "a", opset=opset)
        assert_same_model(MLP.from_onnx(tmp_path / "a"), model)


@pytest.mark.parametrize("slope", [0.0, 0.01, 1.0, -0.0])
@DTYPES
def test_slopes_survive_that_look_like_another_activation(slope: float, dtype: Any, tmp_path: Path) -> None:
    model = MLP((3, 4, 1), "prelu", dtype=dtype, random_state=0)
    model.slopes[0][...] = slope
    model.biases[0][...] = -0.0
    model.to_onnx(tmp_path / "a")
    assert_same_model(MLP.from_onnx(tmp_path / "a"), model)


def test_unusual_parameters_survive(tmp_path: Path) -> None:
    model = MLP((1, 1, 1), "prelu", random_state=0)
    for value in (np.nan, np.inf, 1e-45, -0.0):
        model.weights[0][...] = model.biases[1][...] = value
        model.to_onnx(tmp_path / "a")
        assert_same_model(MLP.from_onnx(tmp_path / "a"), model)


# ---- The file ----


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    model = model_with("gelu", np.float64)
    model.to_onnx(tmp_path / "a")
    model.copy().to_onnx(str(tmp_path / "b"))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_dropout_is_left_out(tmp_path: Path) -> None:
    model = MLP((3, 4, 2), dropout=0.5, random_state=0)
    model.to_onnx(tmp_path / "a")
    assert [node.op_type for node in onnx.load(tmp_path / "a").graph.node] == ["Gemm", "Relu", "Gemm"]
    assert MLP.from_onnx(tmp_path / "a").dropout == (0.0,)


def test_options_name_ends_and_fix_the_batch(tmp_path: Path) -> None:
    model = MLP((3, 2), random_state=0)
    model.to_onnx(tmp_path / "a", input_name="weights.0", output_name="Gemm_1", batch_size=5, opset=14)
    proto = onnx.load(tmp_path / "a")
    onnx.checker.check_model(proto, full_check=True)
    (given,), (made,) = proto.graph.input, proto.graph.output
    assert (given.name, made.name) == ("weights.0", "Gemm_1")
    assert [[one.dim_value for one in end.type.tensor_type.shape.dim] for end in (given, made)] == [[5, 3], [5, 2]]
    assert [one.version for one in proto.opset_import] == [14]
    assert_same_model(MLP.from_onnx(tmp_path / "a"), model)
    model.to_onnx(tmp_path / "a")
    given = onnx.load(tmp_path / "a").graph.input[0]
    assert [one.dim_param for one in given.type.tensor_type.shape.dim] == ["batch", ""]


def test_metadata_tell_producer_architecture_and_names(tmp_path: Path) -> None:
    model = MLP((2, 4, 1), "tanh", random_state=0)
    model.feature_names = ["age", "größe"]
    model.to_onnx(tmp_path / "a")
    proto = onnx.load(tmp_path / "a")
    assert proto.producer_name == "fastnn"
    (entry,) = proto.metadata_props
    assert entry.key == "fastnn"
    names = ["age", "größe"]
    expected = {"layer_sizes": [2, 4, 1], "activations": ["tanh", "identity"], "feature_names": names}
    assert json.loads(entry.value) == expected
    assert MLP.from_onnx(tmp_path / "a").feature_names == tuple(names)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"input_name": 3}, TypeError, "input_name: expected text, got 3 of type int"),
        ({"output_name": ""}, ValueError, "output_name: expected a name, got an empty text"),
        ({"output_name": "X"}, ValueError, "input_name, output_name: expected different names, got 'X', 'X'"),
        ({"batch_size": 0}, ValueError, "batch_size: expected an integer >= 1, got 0"),
        ({"opset": 12}, ValueError, "opset: expected an integer >= 13, got 12"),
        ({"opset": 1000}, ValueError, "opset: expected at most .*, got 1000"),
        ({"version": 13}, TypeError, r"MLP.to_onnx\(\) got an unexpected keyword argument 'version'"),
    ],
)
def test_wrong_options_write_nothing(options: Any, error: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=message):
        MLP((3, 2)).to_onnx(tmp_path / "a", **options)
    assert not (tmp_path / "a").exists()


def test_a_path_must_be_one() -> None:
    for function in (MLP((3, 2)).to_onnx, MLP.from_onnx):
        with pytest.raises(TypeError, match="path: expected text, bytes or a path, got 3"):
            function(3)


def test_parameters_must_fit_into_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastnn._exports import onnx_writer

    monkeypatch.setattr(onnx_writer, "_MAX_BYTES", 31)
    with pytest.raises(ValueError, match="to_onnx: an ONNX file holds at most 31 bytes of parameters, got 32"):
        MLP((3, 2)).to_onnx(tmp_path / "a")


def test_custom_activations_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("numba")
    from _jit_activations import leaky

    with pytest.raises(ValueError, match="^activation: expected one of .*got .*fastnn.jit"):
        MLP((3, 4, 2), leaky).to_onnx(tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_only_these_methods_need_the_package_and_name_it() -> None:
    run_script("""
import sys
import fastnn
assert "onnx" not in sys.modules
sys.modules["onnx"] = None
for function in (fastnn.MLP((3, 2)).to_onnx, fastnn.MLP.from_onnx):
    try:
        function("a")
    except ImportError as error:
        assert 'pip install "fastnn-cpu[onnx]"' in str(error)
    else:
        raise SystemExit("no error")
""")
