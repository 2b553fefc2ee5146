"""Random ONNX graphs and damaged files: reading gives a model that computes the same, or ValueError."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from _onnx_graphs import node, written

from fastnn import MLP

onnx = pytest.importorskip("onnx")

UNARY = ("Tanh", "Relu", "Neg", "Exp", "Sigmoid", "Elu", "Selu", "Softplus", "Abs", "Identity", "Sin", "LeakyRelu")
UNARY += ("Softmax", "Dropout", "Flatten", "Erf")
BINARY = ("Add", "Sub", "Mul", "Max", "Min", "PRelu")


def random_nodes(rng: np.random.Generator) -> list[Any]:
    """Return a MatMul and up to five other nodes, wired at random, with constants W, V, b, r, s and one."""
    nodes, values = [node("MatMul", "x W", "v0")], ["v0"]
    count = rng.integers(1, 6)
    for i in range(count):
        output = "y" if i == count - 1 else f"v{i + 1}"
        value, kind = rng.choice(values[-2:]), rng.random()
        if kind < 0.5:
            nodes.append(node(str(rng.choice(UNARY)), value, output))
        elif kind < 0.85:
            operator = str(rng.choice(BINARY))
            inputs = [value, rng.choice(["b", "s", "r", "one", values[-1], values[0]])]
            swapped = operator != "PRelu" and rng.random() < 0.3
            nodes.append(node(operator, " ".join(inputs[::-1] if swapped else inputs), output))
        else:
            nodes.append(node("Gemm", f"{value} V b", output, transB=int(rng.integers(2)), alpha=float(rng.choice([1, 2]))))
        values.append(output)
    return nodes


def random_arrays(rng: np.random.Generator) -> dict[str, Any]:
    shapes = {"W": (3, 4), "V": (4, 4), "b": (4,), "r": (1, 4), "one": (1,)}
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return arrays | {"s": np.float32(rng.choice([0, 1, -1, 0.5, 2, 0.01]))}


def test_random_graphs_are_read_as_what_they_compute_or_refused(tmp_path: Path) -> None:
    from onnx.reference import ReferenceEvaluator

    read, activations, messages = 0, set(), list[str]()
    for seed in range(400):
        rng = np.random.default_rng(seed)
        path = written(tmp_path / "a", random_nodes(rng), random_arrays(rng))
        try:
            model = MLP.from_onnx(path)
        except ValueError as error:
            messages.append(str(error))
            continue
        rows = 0.5 * rng.normal(size=(20, 3)).astype(np.float32)
        with np.errstate(all="ignore"):
            (expected,) = ReferenceEvaluator(str(path)).run(None, {"x": rows})
        scale = np.abs(expected[np.isfinite(expected)]).max(initial=1.0)
        np.testing.assert_allclose(model.predict(rows), expected, rtol=1e-4, atol=1e-5 * scale, err_msg=f"seed {seed}")
        read, activations = read + 1, activations | {*model.activations}
    assert read > 120
    assert all(re.match(rf"{path}: node 'the \w+' \(\w+\): ", message) for message in messages)
    assert len(activations) > 9


def test_damaged_files_give_a_model_or_an_error(tmp_path: Path) -> None:
    """Change, remove or insert bytes at random: nothing but ValueError may come out."""
    MLP((3, 4, 2), ["prelu"], "softmax", dtype=np.float64, random_state=0).to_onnx(tmp_path / "a")
    whole, rng, refused = (tmp_path / "a").read_bytes(), np.random.default_rng(0), 0
    for _ in range(400):
        content = bytearray(whole)
        for place in rng.integers(len(whole) - 9, size=rng.integers(1, 6)):
            if rng.random() < 0.7:
                content[place] = rng.integers(256)
            else:
                content[place : place + rng.integers(9)] = rng.bytes(rng.integers(9))
        (tmp_path / "a").write_bytes(content)
        try:
            MLP.from_onnx(tmp_path / "a")
        except ValueError as error:
            refused += str(error).startswith(f"{tmp_path}/a: ")
    assert refused > 200
