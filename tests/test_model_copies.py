"""Copies, averages and summaries of models."""

from __future__ import annotations

import copy
import re
from itertools import pairwise

import numpy as np
import pytest
from _helpers import data, model_of
from _portable_runs import DTYPES, network_of

from fastnn import MLP, Trainer, reference
from fastnn._engine import core as _core

ARCHITECTURES = [
    {"sizes": (3, 2)},
    {"sizes": (3, 8, 5, 2)},
    {"sizes": (40, 33, 17, 6), "activation": ["prelu", "tanh"]},
    {"sizes": (2, 64, 64, 1), "activation": "prelu", "dropout": 0.2},
    {"sizes": (4, 9, 5), "activation": "gelu", "output": "softmax"},
]


@pytest.fixture(params=ARCHITECTURES, ids=lambda architecture: str(architecture["sizes"]))
def architecture(request):
    return request.param


@pytest.fixture(params=DTYPES, ids=["float64", "float32"])
def dtype(request):
    return request.param


def pair(architecture, dtype):
    """Return two models of one architecture with different parameters."""
    models = [model_of(**architecture, dtype=dtype, random_state=seed) for seed in (1, 2)]
    for seed, model in enumerate(models):
        model.set_vector(np.random.default_rng(seed).normal(size=model.n_parameters))
    return models


# ---- Blending ----


@pytest.mark.parametrize("tau", [1e-3, 0.25, 0.995])
def test_blend_is_the_reference(architecture, dtype, tau):
    target, model = pair(architecture, dtype)
    expected, source, generator = target.to_vector().astype(float), model.to_vector(), repr(target._rng.bit_generator.state)
    reference.blend([expected], [source.astype(float)], tau)
    target.blend(model, tau)
    tolerance = 1e-6 if dtype is np.float32 else 1e-14
    np.testing.assert_allclose(target.to_vector(), expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(model.to_vector(), source)
    assert repr(target._rng.bit_generator.state) == generator
    np.testing.assert_array_equal(target._network.storage.sum(), copy.deepcopy(target)._network.storage.sum())  # padding: 0


def test_the_fallback_blends(architecture, dtype):
    networks = [network_of(model) for model in pair(architecture, dtype)]
    expected = networks[0].storage.copy()
    reference.blend([expected], [networks[1].storage], 0.3)
    networks[0].blend(networks[1], 0.3)
    np.testing.assert_array_equal(networks[0].storage, expected)
    other = network_of(model_of((7, 2), dtype=dtype))
    with pytest.raises(ValueError, match="same layout"):
        networks[0].blend(other, 0.3)


def test_the_ends_are_exact(architecture, dtype):
    target, model = pair(architecture, dtype)
    model.weights[0][0, 0], target.weights[0][1, 1] = np.inf, np.nan
    before = target.to_vector()
    target.blend(model, 0)
    target.blend(target, 0.5)
    np.testing.assert_array_equal(target.to_vector(), before)
    target.blend(model, np.float32(1))
    np.testing.assert_array_equal(target.to_vector(), model.to_vector())


@pytest.mark.parametrize(
    ("other", "tau", "error", "message"),
    [
        (MLP((3, 5, 2)), 0.1, ValueError, r"other: expected a model with layer_sizes \(3, 4, 2\), got one with \(3, 5, 2\)"),
        (MLP((3, 4, 2), "tanh"), 0.1, ValueError, "other: expected a model with activations "),
        (MLP((3, 4, 2), dtype=float), 0.1, ValueError, "other: expected a model with dtype float32, got one with float64"),
        (MLP((3, 4, 2)).to_vector(), 0.1, TypeError, "other: expected MLP, got ndarray"),
        (MLP((3, 4, 2)), 1.5, ValueError, "tau: expected a finite number >= 0 and <= 1, got 1.5"),
        (MLP((3, 4, 2)), -0.1, ValueError, "tau: expected"),
        (MLP((3, 4, 2)), np.nan, ValueError, "tau: expected"),
        (MLP((3, 4, 2)), True, TypeError, "tau: expected"),
    ],
)
def test_what_does_not_blend(other, tau, error, message):
    target = MLP((3, 4, 2), random_state=0)
    before = target.to_vector()
    with pytest.raises(error, match=f"^{message}"):
        target.blend(other, tau)
    np.testing.assert_array_equal(target.to_vector(), before)


def test_blending_copies_with_custom_activations():
    pytest.importorskip("numba")
    from fastnn import jit

    if not hasattr(_core, "c_functions") or not _core.c_functions():
        pytest.skip("needs the compiled extension")

    @jit.activation(derivative=lambda z: 2 * z, uses="input")
    def squared_for_blending(z):
        return z * z

    model = MLP((3, 4, 2), squared_for_blending, random_state=0)
    target = model.copy()
    model.weights[0][...] += 1
    target.blend(model, 0.5)
    np.testing.assert_allclose(target.weights[0], model.weights[0] - 0.5, rtol=1e-6)


def test_engine_refuses_other_layouts():
    with pytest.raises(ValueError, match="same layout"):
        model_of((3, 4, 2))._network.blend(model_of((3, 50, 2))._network, 0.5)
    with pytest.raises(ValueError, match="same layout"):
        model_of((3, 4, 2))._network.blend(model_of((3, 4, 2), dtype=np.float32)._network, 0.5)


# ---- Copies ----


def test_copies_are_independent(architecture, dtype):
    model = model_of(**architecture, dtype=dtype)
    X, y = data(30, model.layer_sizes[0], model.layer_sizes[-1])
    before, twin = model.to_vector(), model.copy()
    twin.fit(X, y, epochs=2)
    np.testing.assert_array_equal(model.to_vector(), before)
    model.fit(X, y, epochs=2)  # draws what the copy drew
    np.testing.assert_array_equal(model.to_vector(), twin.to_vector())
    assert not np.array_equal(model.to_vector(), before)


def test_copies_keep_class_and_attributes():
    class Named(MLP):
        pass

    model = Named((2, 3, 1))
    model.label, model.feature_names = ["a"], ["b", "c"]
    twin = model.copy()
    assert (type(twin), twin.label, twin.feature_names) == (Named, ["a"], ("b", "c"))
    assert twin.label is not model.label


# ---- Numbers ----


def test_n_parameters(architecture, dtype):
    model = model_of(**architecture, dtype=dtype)
    assert type(model.n_parameters) is int
    assert model.n_parameters == model.to_vector().size
    with pytest.raises(AttributeError):
        model.n_parameters = 3


def test_summary(architecture, dtype):
    model = model_of(**architecture, dtype=dtype)
    summary, sizes = model.summary(), model.layer_sizes
    assert summary.n_parameters == model.n_parameters
    assert summary.n_bytes == model.to_vector().nbytes
    assert summary.storage_bytes == model._network.storage.nbytes
    assert summary.multiply_adds == sum(w.size for w in model.weights)
    assert [(layer.n_in, layer.n_out) for layer in summary.layers] == list(pairwise(sizes))
    assert [layer.activation for layer in summary.layers] == list(model.activations)
    lines = str(summary).splitlines()
    assert repr(summary) == str(summary)
    assert len({len(line) for line in lines[:-1]}) == 1  # aligned
    for number, (line, layer) in enumerate(zip(lines[2:], summary.layers, strict=False), 1):
        cells = re.split("  +", line.strip())
        shapes = [f"(n, {layer.n_in})", f"(n, {layer.n_out})"]
        assert cells[0].split()[0] == str(number)
        assert cells[1:4] == [*shapes, layer.activation]
        assert [int(cell.replace(",", "")) for cell in cells[-3:]] == [
            layer.n_parameters,
            layer.n_bytes,
            layer.multiply_adds,
        ]
    assert ("dropout" in lines[0]) == any(model.dropout)
    assert lines[-1].startswith(model.dtype.name)


def test_target_network_follows():
    """A target network in a loop over batches."""
    model = MLP((3, 16, 2), random_state=0)
    target, trainer = model.copy(), Trainer(model)
    X, y = data(32, 3, 2)
    expected = target.to_vector().astype(float)
    for _ in range(20):
        trainer.step(X, y)
        target.blend(model, 0.05)
        expected += 0.05 * (model.to_vector() - expected)
    np.testing.assert_allclose(target.to_vector(), expected, atol=1e-6)
