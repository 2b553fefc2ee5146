"""The compiled gradients against finite differences of the compiled loss, independent of the reference."""

from __future__ import annotations

import numpy as np
import pytest
from _helpers import HIDDEN, LOSSES_AND_LINKS

from fastnn._engine import core as _core
from fastnn._engine.losses import native_loss
from fastnn._views import by_kind
from fastnn.losses import LOSSES, CrossEntropy, Huber, Quantile
from fastnn.losses import resolve as resolve_loss

STEP = 1e-5  # a central difference has an error of order STEP**2, and of 1e-16 / STEP by rounding
# One network has a last layer of few outputs, which has kernels of its own; the other has none.
LAYER_SIZES = [(3, 4, 2), (2, 5, 3, 6)]


def problem(layer_sizes, activations, loss, n_rows=7):
    rng = np.random.default_rng(0)
    network = _core.Network(layer_sizes, activations, (0.0,) * len(activations), np.float64)
    for array in by_kind(network.parameters):
        array[...] = rng.normal(0, 0.8, array.shape)
    x, y = rng.normal(0, 1, (n_rows, layer_sizes[0])), rng.normal(0, 1, (n_rows, layer_sizes[-1]))
    if LOSSES[loss].links:
        y = rng.dirichlet(np.ones(layer_sizes[-1]), n_rows)
    return network, x, y, rng.uniform(0.5, 2.0, n_rows)


def central_differences(function, array):
    """Return the derivative of `function` by each element of `array`, which is changed and restored."""
    differences = np.empty(array.shape)
    for index in np.ndindex(array.shape):
        kept = array[index]
        array[index] = kept + STEP
        above = function()
        array[index] = kept - STEP
        below = function()
        array[index] = kept
        differences[index] = (above - below) / (2 * STEP)
    return differences


def check(layer_sizes, activations, loss):
    network, x, y, sample_weight = problem(layer_sizes, activations, loss.name)
    native = native_loss(resolve_loss(loss), "identity")
    for weights in (None, sample_weight):
        gradient, by_input = np.zeros_like(network.storage), np.zeros_like(x)
        network.gradient(native, x, y, False, weights, gradient, by_input)
        arrays, gradients = by_kind(network.parameters), by_kind(network.views(gradient))
        for array, actual in zip([*arrays, x], [*gradients, by_input], strict=True):
            expected = central_differences(lambda w=weights: network.gradient(native, x, y, False, w), array)
            np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=1e-6 * max(np.abs(expected).max(), 1e-3))


@pytest.mark.parametrize(("loss", "output"), LOSSES_AND_LINKS)
def test_gradients_of_output_activations_are_finite_differences(loss, output):
    for layer_sizes in LAYER_SIZES:
        hidden = ("tanh", "silu")[: len(layer_sizes) - 2]
        check(layer_sizes, (*hidden, output), LOSSES[loss]())


@pytest.mark.parametrize("hidden", HIDDEN)
def test_gradients_of_hidden_activations_are_finite_differences(hidden):
    for layer_sizes in LAYER_SIZES:
        check(layer_sizes, (hidden,) * (len(layer_sizes) - 2) + ("identity",), LOSSES["mse"]())


@pytest.mark.parametrize("loss", [Huber(0.3), Huber(5.0), Quantile(0.1), Quantile(0.9)], ids=repr)
def test_gradients_of_losses_with_parameters_are_finite_differences(loss):
    check((3, 4, 2), ("tanh", "identity"), loss)


@pytest.mark.parametrize("n_classes", [3, 6])
def test_gradients_for_labels_are_finite_differences(n_classes):
    network, x, _, _ = problem((3, 4, n_classes), ("tanh", "softmax"), "cross_entropy")
    labels, native = np.arange(7) % n_classes, native_loss(CrossEntropy(), "identity")
    gradient = np.zeros_like(network.storage)
    network.gradient(native, x, labels, True, None, gradient)
    expected = central_differences(lambda: network.gradient(native, x, labels, True), network.parameters["weights"][0])
    np.testing.assert_allclose(network.views(gradient)["weights"][0], expected, rtol=1e-6, atol=1e-9)
