"""The backpropagation of the reference against finite differences, for every activation with every loss that accepts it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from fastnn import losses
from fastnn.reference import ACTIVATIONS, forward, input_gradient, loss_and_gradient, softmax

HIDDEN = [name for name in ACTIVATIONS if name not in ("softmax", "exp")]
LOSSES = [loss() for loss in losses.LOSSES.values() if loss.one_output_per_target] + [
    losses.Huber(0.3),
    losses.Quantile(0.9),
]
PAIRS = [(output, loss) for loss in LOSSES for output in loss.links or ACTIVATIONS]
SIZES = (3, 5, 4, 2)
ROWS = 6


def network(rng, dtype=np.float64):
    """Draw weights and biases large enough for every derivative to matter."""
    pairs = list(pairwise(SIZES))
    weights = [rng.normal(size=pair).astype(dtype) for pair in pairs]
    biases = [rng.normal(size=n_out).astype(dtype) for _, n_out in pairs]
    return weights, biases


def data(rng, loss):
    """Draw inputs, and targets that suit the loss."""
    X, shape = rng.normal(size=(ROWS, SIZES[0])), (ROWS, SIZES[-1])
    if loss.name == "poisson":
        return X, rng.poisson(2.0, shape).astype(float)
    if loss.name == "binary_cross_entropy":
        return X, rng.random(shape)
    if loss.name in ("cross_entropy", "kl_divergence"):
        return X, softmax(rng.normal(size=shape))
    return X, rng.normal(size=shape)


def assert_gradient(gradient, function, array, step=1e-6):
    """Compare with central differences of `function()`, changing `array` element by element."""
    assert gradient.shape == array.shape
    expected = np.empty(array.shape)
    for index in np.ndindex(array.shape):
        kept = array[index]
        array[index] = kept + step
        above = function()
        array[index] = kept - step
        expected[index] = (above - function()) / (2 * step)
        array[index] = kept
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-6 * max(np.abs(expected).max(), 1e-3))


def assert_gradients(weights, biases, activations, X, y, loss, **options):
    def value():
        return loss_and_gradient(weights, biases, activations, X, y, loss, **options)[0]

    _, weight_gradients, bias_gradients = loss_and_gradient(weights, biases, activations, X, y, loss, **options)
    for gradient, array in zip(weight_gradients + bias_gradients, weights + biases, strict=True):
        assert_gradient(gradient, value, array)


@pytest.mark.parametrize(("output", "loss"), PAIRS, ids=[f"{output}-{loss!r}" for output, loss in PAIRS])
def test_gradients_of_output_layers_are_finite_differences(output, loss):
    rng = np.random.default_rng(0)
    weights, biases = network(rng)
    X, y = data(rng, loss)
    activations = ["tanh", "sigmoid", output]
    assert_gradients(weights, biases, activations, X, y, loss)
    gradient = input_gradient(weights, biases, activations, X, y, loss)
    assert_gradient(gradient, lambda: loss_and_gradient(weights, biases, activations, X, y, loss)[0], X)


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_gradients_of_hidden_layers_are_finite_differences(hidden, loss):
    rng = np.random.default_rng(1)
    weights, biases = network(rng)
    weights = [0.5 * w for w in weights]
    X, y = data(rng, loss)
    assert_gradients(weights, biases, [hidden, hidden, "identity"], X, y, loss)


@pytest.mark.parametrize("loss", [losses.MSE(), losses.CrossEntropy()], ids=repr)
def test_gradients_with_every_option_are_finite_differences(loss):
    rng = np.random.default_rng(2)
    weights, biases = network(rng)
    X, y = data(rng, loss)
    masks = [np.where(rng.random((ROWS, n)) < 0.5, 0.0, 2.0) for n in SIZES[1:-1]]
    options = {"sample_weight": rng.random(ROWS), "l1": 0.03, "l2": 0.07, "dropout_masks": masks}
    assert_gradients(weights, biases, ["tanh", "gelu", "identity"], X, y, loss, **options)


def test_forward_applies_layer_after_layer():
    rng = np.random.default_rng(3)
    weights, biases = network(rng)
    X = rng.normal(size=(ROWS, 3))
    (z0, a0), (z1, a1), (z2, a2) = forward(weights, biases, ["tanh", "relu", "softmax"], X)
    np.testing.assert_array_equal(z0, X @ weights[0] + biases[0])
    np.testing.assert_array_equal(a0, np.tanh(z0))
    np.testing.assert_array_equal(z1, a0 @ weights[1] + biases[1])
    np.testing.assert_array_equal(a1, np.maximum(z1, 0))
    np.testing.assert_array_equal(z2, a1 @ weights[2] + biases[2])
    np.testing.assert_array_equal(a2, softmax(z2))


def test_dropout_masks_are_applied_after_the_activation():
    rng = np.random.default_rng(4)
    weights, biases = network(rng)
    X = rng.normal(size=(ROWS, 3))
    mask = np.where(rng.random((ROWS, 5)) < 0.5, 0.0, 2.0)
    (_, a0), (z1, _), _ = forward(weights, biases, ["tanh", "tanh", "identity"], X, [mask, None])
    np.testing.assert_array_equal(a0, np.tanh(X @ weights[0] + biases[0]))
    np.testing.assert_array_equal(z1, (a0 * mask) @ weights[1] + biases[1])


def test_integer_weights_equal_repeated_rows():
    rng = np.random.default_rng(5)
    weights, biases = network(rng)
    X, y = data(rng, losses.MSE())
    counts = np.array([2, 0, 1, 3, 1, 0])
    for loss in ("mse", "cross_entropy"):
        weighted = loss_and_gradient(weights, biases, ["tanh", "tanh", "identity"], X, y, loss, counts)
        rows = np.repeat(np.arange(ROWS), counts)
        repeated = loss_and_gradient(weights, biases, ["tanh", "tanh", "identity"], X[rows], y[rows], loss)
        assert weighted[0] == pytest.approx(repeated[0], rel=1e-13)
        for one, other in zip(weighted[1] + weighted[2], repeated[1] + repeated[2], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-15)


def test_weights_that_are_all_zero_give_no_gradient():
    rng = np.random.default_rng(6)
    weights, biases = network(rng)
    X, y = data(rng, losses.MSE())
    arguments = weights, biases, ["tanh", "tanh", "identity"], X, y, "mse", np.zeros(ROWS)
    value, weight_gradients, bias_gradients = loss_and_gradient(*arguments)
    assert value == 0.0
    assert all((gradient == 0.0).all() for gradient in weight_gradients + bias_gradients)
    # The penalty does not depend on the rows.
    value, weight_gradients, _ = loss_and_gradient(*arguments, l2=1.0)
    assert value == pytest.approx(sum((w**2).sum() for w in weights) / 2)
    np.testing.assert_allclose(weight_gradients[0], weights[0])


def test_penalties_do_not_apply_to_biases():
    rng = np.random.default_rng(7)
    weights, biases = network(rng)
    weights[0][0, 0] = 0.0
    X, y = data(rng, losses.MSE())
    arguments = weights, biases, ["tanh", "tanh", "identity"], X, y
    plain = loss_and_gradient(*arguments)
    penalized = loss_and_gradient(*arguments, l1=0.5, l2=0.25)
    penalty = sum(0.5 * np.abs(w).sum() + 0.125 * (w**2).sum() for w in weights)
    assert penalized[0] - plain[0] == pytest.approx(penalty, rel=1e-12)
    for before, after, w in zip(plain[1], penalized[1], weights, strict=True):
        np.testing.assert_allclose(after - before, 0.5 * np.sign(w) + 0.25 * w, atol=1e-14)
    for before, after in zip(plain[2], penalized[2], strict=True):
        np.testing.assert_array_equal(before, after)


def test_labels_equal_one_hot_rows():
    rng = np.random.default_rng(8)
    weights, biases = network(rng)
    X, labels = rng.normal(size=(ROWS, 3)), np.array([0, 1, 1, 0, 1, 0])
    arguments = weights, biases, ["tanh", "tanh", "softmax"], X
    one = loss_and_gradient(*arguments, labels, "cross_entropy")
    other = loss_and_gradient(*arguments, np.eye(2)[labels], "cross_entropy")
    assert one[0] == other[0]
    np.testing.assert_array_equal(one[1][0], other[1][0])
    with pytest.raises(ValueError, match="y: expected labels from 0 to 1, got 2 in row 5"):
        loss_and_gradient(*arguments, [0, 1, 1, 0, 1, 2], "cross_entropy")


def test_flat_targets_are_accepted_for_one_output():
    w, b = [np.ones((3, 1))], [np.zeros(1)]
    X, y = np.eye(3), np.array([1, 2, 3])
    assert loss_and_gradient(w, b, ["identity"], X, y)[0] == loss_and_gradient(w, b, ["identity"], X, y[:, None])[0]


def test_losses_give_the_same_with_activation_or_from_logits():
    rng = np.random.default_rng(9)
    weights, biases = network(rng)
    for loss in (losses.Poisson(), losses.BinaryCrossEntropy(), losses.CrossEntropy()):
        X, y = data(rng, loss)
        results = [loss_and_gradient(weights, biases, ["tanh", "tanh", link], X, y, loss) for link in loss.links]
        assert results[0][0] == results[1][0]
        for one, other in zip(results[0][1], results[1][1], strict=True):
            np.testing.assert_array_equal(one, other)


def test_losses_refuse_unsuitable_output_activations():
    rng = np.random.default_rng(10)
    weights, biases = network(rng)
    for loss in LOSSES:
        X, y = data(rng, loss)
        for output in set(ACTIVATIONS) - set(loss.links or ACTIVATIONS):
            with pytest.raises(ValueError, match=f"^loss: expected .* for '{loss.name}', got '{output}'"):
                loss_and_gradient(weights, biases, ["tanh", "tanh", output], X, y, loss)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_float32_gives_float32(loss):
    rng = np.random.default_rng(11)
    weights, biases = network(rng, np.float32)
    X, y = data(rng, loss)
    value, weight_gradients, bias_gradients = loss_and_gradient(
        weights, biases, ["silu", "gelu", "identity"], X, y, loss, rng.random(ROWS), l1=0.1, l2=0.1
    )
    assert type(value) is float
    assert {gradient.dtype for gradient in weight_gradients + bias_gradients} == {np.dtype(np.float32)}
    assert input_gradient(weights, biases, ["silu", "gelu", "identity"], X, y, loss).dtype == np.float32


def test_divergence_gives_an_infinite_loss_without_warnings():
    w, b = [np.full((1, 1), 1e200)], [np.zeros(1)]
    assert loss_and_gradient(w, b, ["identity"], [[1e200]], [[0.0]])[0] == np.inf
    assert np.isinf(loss_and_gradient(w, b, ["exp"], [[1.0]], [[1.0]], "poisson")[0])


def test_wrong_arguments_raise():
    rng = np.random.default_rng(12)
    weights, biases = network(rng)
    X, y = data(rng, losses.MSE())
    names = ["tanh", "tanh", "identity"]
    cases = [
        (lambda: forward(weights, biases, names[1:], X), "lists of lengths 3, 3 and 2"),
        (lambda: forward([], [], [], X), "lists of lengths 0, 0 and 0"),
        (lambda: forward(weights[::-1], biases, names, X), r"weights\[1\]: expected shape \(2, n_out\), got \(5, 4\)"),
        (lambda: forward(weights, biases[::-1], names, X), r"biases\[0\]: expected shape \(5,\), got \(2,\)"),
        (lambda: forward(weights, biases, ["softmax", "tanh", "tanh"], X), "expected one for hidden layers, got 'softmax'"),
        (lambda: forward(weights, biases, ["tanh", "tahn", "tanh"], X), r"activations\[1\]: expected one of .*, got 'tahn'"),
        (lambda: forward(weights, biases, names, X[0]), r"X: expected shape \(n, 3\), got \(3,\)"),
        (lambda: loss_and_gradient(weights, biases, names, X, y[:1]), r"y: expected shape \(6, 2\), got \(1, 2\)"),
        (lambda: loss_and_gradient(weights, biases, names, X, y[:, 0]), r"y: expected shape \(6, 2\), got \(6,\)"),
        (lambda: loss_and_gradient(weights, biases, names, X[:0], y[:0]), "X: .*got no rows"),
        (lambda: loss_and_gradient(weights, biases, names, X, y, "mse", [1.0]), r"sample_weight: .*got \(1,\)"),
        (
            lambda: loss_and_gradient(weights, biases, names, X, y, "mse", [np.nan] * 6),
            "sample_weight: .*got weights that are not",
        ),
        (lambda: loss_and_gradient(weights, biases, names, X, y, l1=-1.0), "l1: .*got -1.0"),
        (lambda: loss_and_gradient(weights, biases, names, X, y, "huge"), "loss: .*got 'huge'"),
    ]
    for call, message in cases:
        with pytest.raises(ValueError, match=message):
            call()
