"""The dense layer of the reference, and its gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fastnn.reference import ACTIVATIONS, linear, linear_grad

FROM_OUTPUT = [name for name, activation in ACTIVATIONS.items() if activation.uses == "output"]
FROM_INPUT = [name for name, activation in ACTIVATIONS.items() if activation.uses == "input"]


@pytest.fixture
def layer():
    rng = np.random.default_rng(0)
    return rng.normal(size=(7, 3)), rng.normal(size=(3, 4)), rng.normal(size=4)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_linear_is_a_matrix_product_with_bias_and_activation(layer, activation):
    x, w, b = layer
    expected = ACTIVATIONS[activation].value(x @ w + b)
    np.testing.assert_array_equal(linear(x, w, b, activation), expected)
    np.testing.assert_allclose(linear(x[0], w, b, activation), expected[0], rtol=1e-13)
    np.testing.assert_array_equal(linear(x, w, activation=activation), ACTIVATIONS[activation].value(x @ w))
    out = np.empty((7, 4))
    assert linear(x, w, b, activation, out=out, n_threads=2) is out
    np.testing.assert_array_equal(out, expected)


def test_types_of_results_are_those_of_numpy(layer):
    x, w, b = layer
    single = [array.astype(np.float32) for array in layer]
    assert linear(*single, "gelu").dtype == np.float32
    assert linear(x, *single[1:]).dtype == np.float64
    assert linear([[1, 2, 3]], w, b).dtype == np.float64
    np.testing.assert_array_equal(linear(x.tolist(), w.tolist(), b.tolist()), linear(x, w, b))
    out = np.empty((7, 4), dtype=np.float32)
    np.testing.assert_allclose(linear(x, w, b, out=out), linear(x, w, b).astype(np.float32))


@pytest.mark.parametrize("activation", FROM_OUTPUT)
@pytest.mark.parametrize("rows", [(7,), (), (2, 3)], ids=str)
def test_linear_grad_gives_finite_differences(layer, activation, rows):
    x, w, b = layer
    x = x[: math.prod(rows)].reshape(*rows, -1)
    direction = np.random.default_rng(1).normal(size=(*x.shape[:-1], 4))
    a = linear(x, w, b, activation)
    grads = linear_grad(x, w, a, direction, activation)
    arrays, step = [x, w, b], 1e-6
    for which, grad in enumerate(grads):
        assert grad.shape == arrays[which].shape
        for index in np.ndindex(grad.shape):
            losses = []
            for change in (step, -step):
                moved = [array.copy() for array in arrays]
                moved[which][index] += change
                losses.append((linear(*moved, activation) * direction).sum())
            assert grad[index] == pytest.approx((losses[0] - losses[1]) / (2 * step), rel=1e-6, abs=1e-8)


def test_linear_grad_has_the_types_of_the_arguments(layer):
    x, w, b = (array.astype(np.float32) for array in layer)
    a = linear(x, w, b, "tanh")
    assert all(grad.dtype == np.float32 for grad in linear_grad(x, w, a, np.ones_like(a), "tanh"))


@pytest.mark.parametrize("activation", FROM_INPUT)
def test_linear_grad_needs_the_output_to_tell(layer, activation):
    x, w, b = layer
    a = linear(x, w, b, activation)
    with pytest.raises(
        ValueError, match=f"activation: expected one of 'identity', 'tanh', .*got '{activation}', whose derivative"
    ):
        linear_grad(x, w, a, a, activation)


def test_wrong_arguments_raise(layer):
    x, w, b = layer
    a = linear(x, w, b)
    cases = [
        (lambda: linear(x, w.T), r"x: expected (shape )?\(\.\.\., 4\).*got \(7, 3\)"),
        (lambda: linear(x, w[0]), r"w: expected (shape )?\(\.\.\., n_in, n_out\).*got \(4,\)"),
        (lambda: linear(x, w, b[:1]), r"b: expected (shape )?\(\.\.\., 4\).*got \(1,\)"),
        (lambda: linear(x, w, b, "tan"), "activation: expected one of 'identity', 'tanh'.*got 'tan'"),
        (lambda: linear(x, w, out=np.empty((7, 1))), r"out: expected (shape )?\(7, 4\).*got \(7, 1\)"),
        (lambda: linear(x, w, n_threads=0), "n_threads: .*got 0"),
        (lambda: linear_grad(x, w, a[:1], a, "tanh"), r"a: expected (shape )?\(7, 4\).*got \(1, 4\)"),
        (lambda: linear_grad(x, w, a, a[0], "tanh"), r"grad_a: expected (shape )?\(7, 4\).*got \(4,\)"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="activation: expected a name.*got 3 of type int"):
        linear(x, w, b, 3)
