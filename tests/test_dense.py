"""Networks of dense layers on the compiled kernels: the same as the reference, and the same bits for any layout."""

from __future__ import annotations

import numpy as np
import pytest
from _helpers import HIDDEN, LIKE_TARGETS, LOSSES_AND_LINKS

from fastnn import reference
from fastnn._engine import core as _core
from fastnn._engine.losses import native_loss
from fastnn._views import by_kind
from fastnn.losses import LOSSES
from fastnn.losses import resolve as resolve_loss

DTYPES = [np.float32, np.float64]
# Narrow outputs; widths below, equal to and above that of a vector; rows of 1 KiB.
LAYER_SIZES = [
    (1, 1),
    (7, 15, 1),
    (16, 17, 2),
    (33, 7, 3),
    (15, 16, 33, 4),
    (17, 1, 7),
    (256, 33, 16),
    (2, 256, 15),
    (128, 256, 3),
    (347, 3, 7, 2),  # with few outputs, vectors hold inputs in the gradient
    (70, 8, 5),
]
# The numbers of rows make up to three chunks of 512 rows.
ROWS = [1, 2, 15, 16, 17, 33, 513, 1030]


def network(layer_sizes, activations, dtype, seed=0):
    rng = np.random.default_rng(seed)
    made = _core.Network(tuple(layer_sizes), tuple(activations), (0.0,) * (len(layer_sizes) - 1), dtype)
    for w, b in zip(made.parameters["weights"], made.parameters["biases"], strict=True):
        w[...] = rng.normal(0, 1 / np.sqrt(w.shape[0]), w.shape)
        b[...] = rng.normal(0, 0.1, b.shape)
    return made


# The cosine of single numbers is constant, so that only rounding is left of its gradient.
OUTPUTS = {False: (1, 3, 5, 17), True: (3, 5, 17)}


def wide(made):
    """Return the network in the form that the reference takes, in float64."""
    weights, biases = (
        [array.astype(np.float64) for array in arrays] for arrays in (made.parameters["weights"], made.parameters["biases"])
    )
    return weights, biases, list(made.activations)


def inputs(n, n_in, dtype=np.float64, seed=1):
    return np.random.default_rng(seed).normal(0, 1, (n, n_in)).astype(dtype)


def targets(loss, n, n_out, dtype, seed=2):
    rng = np.random.default_rng(seed)
    if loss == "cross_entropy":
        return rng.dirichlet(np.ones(n_out), n).astype(dtype)
    if loss == "binary_cross_entropy":
        return rng.choice([0.0, 1.0], (n, n_out)).astype(dtype)
    return rng.poisson(2, (n, n_out)).astype(dtype)


def native(loss):
    return native_loss(resolve_loss(loss), "identity")


def backward(made, loss, x, y, sample_weight=None, n_threads=1):
    """Return the loss, the gradient of the parameters (an array like their storage), and that of the inputs."""
    gradient, by_input = np.zeros_like(made.storage), np.full(x.shape, np.nan, made.dtype)
    value = made.gradient(native(loss), x, y, y.ndim == 1, sample_weight, gradient, by_input, n_threads)
    return value, gradient, by_input


def assert_close(actual, expected, scale=100):
    """Assert equality to some units in the last place of the largest number, since sums round by its size."""
    tolerance = scale * float(np.finfo(actual.dtype).eps)
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * max(np.abs(expected).max(), 1e-30))


def assert_gradient(made, loss, x, y, sample_weight=None, scale=100):
    value, gradient, by_input = backward(made, loss, x, y, sample_weight)
    expected = reference.loss_and_gradient(*wide(made), x, y, loss, sample_weight)
    assert value == pytest.approx(expected[0], rel=100 * float(np.finfo(made.dtype).eps))
    for actual, wanted in zip(by_kind(made.views(gradient)), [*expected[1], *expected[2]], strict=True):
        assert_close(actual, wanted, scale)
    if sample_weight is None:
        assert_close(by_input, reference.input_gradient(*wide(made), x, y, loss), scale)


def assert_padding_is_zero(made, storage):
    for array in by_kind(made.views(storage)):
        array[...] = 0
    assert not storage.any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_rows", ROWS)
@pytest.mark.parametrize("layer_sizes", LAYER_SIZES, ids=str)
def test_outputs_and_gradients_of_any_shape_are_those_of_the_reference(layer_sizes, n_rows, dtype):
    activations = (*["tanh", "silu"][: len(layer_sizes) - 2], "identity")
    made = network(layer_sizes, activations, dtype)
    x, y = inputs(n_rows, layer_sizes[0], dtype), inputs(n_rows, layer_sizes[-1], dtype, seed=2)
    out = np.full((n_rows + 2, layer_sizes[-1]), -123.0, dtype)
    made.predict(x, out[1:-1], n_threads=1)
    np.testing.assert_array_equal(out[[0, -1]], -123.0)
    assert_close(out[1:-1], reference.forward(*wide(made), x)[-1][1])
    assert_gradient(made, "mse", x, y)
    value, gradient, by_input = backward(made, "mse", x, y)
    for n_threads in (2, 3, 7):
        np.testing.assert_array_equal(made.predict(x, n_threads=n_threads), out[1:-1])
        again = backward(made, "mse", x, y, n_threads=n_threads)
        assert again[0] == value
        np.testing.assert_array_equal(again[1], gradient)
        np.testing.assert_array_equal(again[2], by_input)
    assert_padding_is_zero(made, gradient)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layer_sizes", LAYER_SIZES, ids=str)
def test_a_row_does_not_depend_on_the_others(layer_sizes, dtype):
    activations = ["gelu", "sigmoid"][: len(layer_sizes) - 2]
    for last in ("identity", "softmax"):
        made = network(layer_sizes, (*activations, last), dtype)
        x = inputs(150, layer_sizes[0], dtype)
        batch = made.predict(x)
        np.testing.assert_array_equal([made.predict(row) for row in x], batch)
        np.testing.assert_array_equal(made.predict(x[:1]), batch[:1])
        for start, size in [(0, 2), (3, 5), (7, 16), (1, 33), (20, 130)]:
            rows = np.s_[start : start + size]
            np.testing.assert_array_equal(made.predict(x[rows]), batch[rows])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", _core.ACTIVATIONS)
def test_outputs_of_every_activation_are_those_of_the_reference(activation, dtype):
    """Each activation is tried in every layer where it is allowed."""
    x = inputs(40, 7, dtype)
    for n_out in (1, 3, 5, 17):
        hidden = activation if activation in HIDDEN else "tanh"
        made = network((7, 18, 15, n_out), (hidden, hidden, activation), dtype)
        layers = made.outputs(x)
        for actual, (_, expected) in zip(layers, reference.forward(*wide(made), x), strict=True):
            assert_close(actual, expected)
        np.testing.assert_array_equal(made.predict(x), layers[-1])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("loss", "output"), LOSSES_AND_LINKS)
def test_gradients_of_output_activations_are_those_of_the_reference(loss, output, dtype):
    for n_out in OUTPUTS[loss == "cosine"]:
        made = network((7, 18, n_out), ("tanh", output), dtype)
        # The cosine's gradient is a difference of numbers that nearly cancel.
        scale = 1000 if loss == "cosine" else 100
        assert_gradient(made, loss, inputs(40, 7, dtype), targets(loss, 40, n_out, dtype), scale=scale)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", LIKE_TARGETS)
@pytest.mark.parametrize("hidden", HIDDEN)
def test_gradients_of_hidden_activations_are_those_of_the_reference(hidden, loss, dtype):
    output = LOSSES[loss].links[0] if LOSSES[loss].links else "identity"
    for n_out in OUTPUTS[loss == "cosine"][::2]:
        made = network((7, 18, 15, n_out), (hidden, hidden, output), dtype)
        # The cosine's gradient is a difference of numbers that nearly cancel.
        scale = 1000 if loss == "cosine" else 100
        assert_gradient(made, loss, inputs(40, 7, dtype), targets(loss, 40, n_out, dtype), scale=scale)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", LIKE_TARGETS)
def test_weights_and_labels_go_with_their_rows_in_every_chunk(loss, dtype):
    """Sample weights and integer labels are given for more rows than a chunk has."""
    output = LOSSES[loss].links[0] if LOSSES[loss].links else "tanh"
    for n_out in (2, 5):
        made = network((7, 18, n_out), ("tanh", output), dtype)
        x, y = inputs(1030, 7, dtype), targets(loss, 1030, n_out, dtype)
        sample_weight = np.random.default_rng(0).choice([0.0, 0.5, 3.0], 1030)
        assert_gradient(made, loss, x, y, sample_weight)
        if loss == "cross_entropy":
            labels = np.random.default_rng(0).integers(0, n_out, 1030)
            assert_gradient(made, loss, x, labels, sample_weight)
            y = labels
        value, gradient, by_input = backward(made, loss, x, y, sample_weight)
        for n_threads in (2, 3, 7):
            again = backward(made, loss, x, y, sample_weight, n_threads)
            assert again[0] == value
            np.testing.assert_array_equal(again[1], gradient)
            np.testing.assert_array_equal(again[2], by_input)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layer_sizes", [(5, 3), (5, 18, 7), (256, 7, 1)], ids=str)
def test_inputs_of_any_kind_give_the_same_bits(layer_sizes, dtype):
    """Kernels read rows in place, whatever their type and strides, as if they had been converted."""
    made = network(layer_sizes, ("tanh",) * (len(layer_sizes) - 1), dtype)
    numbers, whole = inputs(37, layer_sizes[0]), np.random.default_rng(0).integers(-90, 90, (37, layer_sizes[0]))
    y = inputs(37, layer_sizes[-1], dtype, seed=2)
    raw = np.empty(numbers.size * numbers.itemsize + 1, np.uint8)[1:].view(np.float64).reshape(numbers.shape)
    raw[...] = numbers
    views = [
        *(whole.astype(code) for code in "?bBhHiIlLqQfd"),
        np.random.default_rng(0).integers(-(2**62), 2**62, numbers.shape),
        raw,
        *(
            view(numbers.astype(code))
            for code in "fd"
            for view in (
                np.asfortranarray,
                lambda a: np.repeat(np.repeat(a, 2, axis=0), 3, axis=1)[::2, ::3],
                lambda a: np.repeat(a, 2, axis=0)[::2],
                lambda a: np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1],
                lambda a: np.ascontiguousarray(a[::-1])[::-1],
                lambda a: np.broadcast_to(a, a.shape),
                lambda a: np.broadcast_to(a[3], a.shape),
            )
        ),
    ]
    for x in views:
        kept, converted = x.copy(), np.ascontiguousarray(x.astype(dtype))
        np.testing.assert_array_equal(made.predict(x), made.predict(converted))
        np.testing.assert_array_equal(made.predict(x[0]), made.predict(converted[0]))
        for actual, expected in zip(backward(made, "mse", x, y), backward(made, "mse", converted, y), strict=True):
            np.testing.assert_array_equal(actual, expected)
        np.testing.assert_array_equal(x, kept)


@pytest.mark.parametrize("dtype", DTYPES)
def test_only_the_arrays_asked_for_are_written(dtype):
    made = network((7, 18, 3), ("gelu", "tanh"), dtype)
    x, y = inputs(600, 7, dtype), inputs(600, 3, dtype, seed=2)
    value, gradient, by_input = backward(made, "mse", x, y)
    first, second = np.zeros_like(gradient), np.empty_like(by_input)
    assert made.gradient(native("mse"), x, y, False) == value
    assert made.gradient(native("mse"), x, y, False, gradient=first) == value
    assert made.gradient(native("mse"), x, y, False, input_gradient=second) == value
    np.testing.assert_array_equal(first, gradient)
    np.testing.assert_array_equal(second, by_input)


def test_wrong_arrays_raise():
    made = network((7, 18, 3), ("tanh", "tanh"), np.float32)
    x, y = inputs(4, 7, np.float32), inputs(4, 3, np.float32)
    for wrong in (x[:, :6], x[0, :6], x[np.newaxis]):
        with pytest.raises(ValueError, match="expected shape"):
            made.predict(wrong)
    for wrong in (x.astype(np.float16), x.astype(">f4"), x + 1j):
        assert not _core.readable(wrong)
        with pytest.raises(TypeError, match="must be converted before"):
            made.predict(wrong)
    for out in (np.empty((4, 3)), np.empty((3, 3), np.float32), np.empty((3, 4), np.float32).T):
        with pytest.raises(ValueError, match="out must be contiguous"):
            made.predict(x, out)
    for wrong in (made.storage[1:].copy(), made.storage.astype(np.float64), made.storage[::-1]):
        with pytest.raises(ValueError, match="a contiguous float32 array of"):
            made.gradient(native("mse"), x, y, False, gradient=wrong)
    with pytest.raises(ValueError, match="a contiguous float32 array of 28"):
        made.gradient(native("mse"), x, y, False, input_gradient=np.empty((3, 7), np.float32))
