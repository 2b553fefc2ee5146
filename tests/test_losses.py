"""The compiled losses against the reference, in a network that returns its inputs: values, gradients, weights, labels."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import reference
from fastnn._engine import core as _core
from fastnn._engine.losses import native_loss
from fastnn.losses import LOSSES, Huber, Quantile
from fastnn.losses import resolve as resolve_loss

DTYPES = [np.float32, np.float64]
CASES = [
    # test_row_losses.py has the others; the cosine's gradient by a single output is all rounding.
    *(loss() for name, loss in LOSSES.items() if loss.one_output_per_target and name != "cosine"),
    Huber(0.3),
    Huber(10.0),
    Quantile(0.1),
    Quantile(0.95),
]
SHAPES = [(1, 1), (2, 2), (15, 3), (16, 4), (17, 5), (33, 16), (5, 17), (600, 1), (513, 33)]


def native(loss):
    return native_loss(resolve_loss(loss), "identity")


def passing(n, dtype):
    """Return a network whose outputs are its inputs, so that both have the same gradients."""
    network = _core.Network((n, n), ("identity",), (0.0,), dtype)
    network.parameters["weights"][0][...] = np.eye(n)
    return network


def evaluate(loss, p, y, sample_weight=None, n_threads=1):
    """Return the compiled loss and its gradient with respect to p."""
    gradient = np.full_like(p, np.nan)
    labels = y.ndim == 1
    value = passing(p.shape[1], p.dtype).gradient(
        native(loss), p, y, labels, sample_weight, input_gradient=gradient, n_threads=n_threads
    )
    return value, gradient


def reference_of(loss, p, y, sample_weight=None):
    function, p, y = reference.LOSSES[loss.name], p.astype(np.float64), y.astype(np.float64)
    weights = np.ones(len(p)) if sample_weight is None else sample_weight
    shares = weights / weights.sum() / (p.shape[1] if function.mean_over == "elements" else 1)
    value = (function.value(y, p, loss.parameter) * shares[:, np.newaxis]).sum()
    return value, function.gradient(y, p, loss.parameter) * shares[:, np.newaxis]


def data(loss, shape, dtype, seed=0):
    """Return predictions, and targets of the kind that the loss takes."""
    rng = np.random.default_rng(seed)
    p, y = rng.normal(0, 2, shape), rng.normal(0, 2, shape)
    if loss.name == "poisson":
        y = rng.poisson(3.0, shape)
    if "hinge" in loss.name:
        y = rng.choice([-1.0, 1.0], shape)
    if loss.name == "binary_cross_entropy":
        y = rng.choice([0.0, 1.0, 0.25], shape)
    if loss.name in ("cross_entropy", "kl_divergence"):
        y = rng.dirichlet(np.ones(shape[1]), shape[0])
    return p.astype(dtype), y.astype(dtype)


def assert_same(actual, expected, dtype):
    (value, gradient), (wanted, wanted_gradient) = actual, expected
    eps = float(np.finfo(dtype).eps)
    assert value == pytest.approx(wanted, rel=100 * eps, abs=100 * eps)
    largest = np.abs(wanted_gradient).max()
    np.testing.assert_allclose(gradient, wanted_gradient, rtol=100 * eps, atol=20 * eps * largest)


def test_registry_has_the_losses_of_the_reference():
    assert set(LOSSES) == set(_core.LOSSES) == set(reference.LOSSES)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("loss", CASES, ids=repr)
def test_values_and_gradients_are_those_of_the_reference(loss, shape, dtype):
    p, y = data(loss, shape, dtype)
    actual = evaluate(loss, p, y)
    assert_same(actual, reference_of(loss, p, y), dtype)
    value, gradient = evaluate(loss, p, y, n_threads=3)
    assert value == actual[0]
    np.testing.assert_array_equal(gradient, actual[1])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", CASES, ids=repr)
def test_weighted_losses_are_those_of_the_reference(loss, dtype):
    for shape in [(33, 5), (600, 1)]:
        p, y = data(loss, shape, dtype)
        rng = np.random.default_rng(1)
        for weights in (rng.uniform(0, 3, len(p)), rng.choice([0.0, 1.0, 2.0], len(p)), 1e-6 * np.ones(len(p))):
            assert_same(evaluate(loss, p, y, weights), reference_of(loss, p, y, weights), dtype)
        plain = evaluate(loss, p, y)
        value, gradient = evaluate(loss, p, y, np.ones(len(p)))
        assert value == plain[0]
        np.testing.assert_array_equal(gradient, plain[1])
        value, gradient = evaluate(loss, p, y, np.zeros(len(p)))
        assert value == 0
        np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_of_weight_zero_are_left_out(dtype):
    for loss in CASES:
        p, y = data(loss, (33, 5), dtype)
        weights = np.ones(33)
        weights[7:20] = 0
        value, gradient = evaluate(loss, p, y, weights)
        kept = weights > 0
        assert_same((value, gradient[kept]), reference_of(loss, p[kept], y[kept]), dtype)
        np.testing.assert_array_equal(gradient[~kept], 0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_losses_with_kinks_are_those_of_the_reference_at_the_kinks(dtype):
    """The formulas change at errors of 0 and +-delta."""
    y = np.zeros((1, 7), dtype)
    p = np.array([[-3, -0.5, -0.25, 0, 0.25, 0.5, 3]], dtype)
    gradients = {
        "mae": (LOSSES["mae"](), [-1, -1, -1, 0, 1, 1, 1]),
        "huber": (Huber(0.5), [-0.5, -0.5, -0.25, 0, 0.25, 0.5, 0.5]),
        "quantile": (Quantile(0.25), [-0.25, -0.25, -0.25, 0, 0.75, 0.75, 0.75]),
    }
    for loss, expected in gradients.values():
        _, gradient = evaluate(loss, p, y)
        np.testing.assert_allclose(gradient * 7, [expected], rtol=1e-6)
        assert_same(evaluate(loss, p, y), reference_of(loss, p, y), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_losses_of_large_logits_are_exact(dtype):
    logits = np.array([[0, 30, -30], [1e3, 0, -1e3], [-1e4, 1e4, 1e4], [1e30, -1e30, 0]], dtype)
    for y in (np.eye(3)[[0, 1, 2, 0]], np.eye(3)[[1, 0, 0, 1]]):
        for name in ("binary_cross_entropy", "cross_entropy"):
            loss = LOSSES[name]()
            value, gradient = evaluate(loss, logits, y.astype(dtype))
            assert np.isfinite(value)
            assert np.isfinite(gradient).all()
            assert_same((value, gradient), reference_of(loss, logits, y), dtype)
    rates = np.array([[-1e4], [-100], [0], [50]], dtype)
    y = np.array([[0], [1], [2], [3]], dtype)
    assert_same(evaluate(LOSSES["poisson"](), rates, y), reference_of(LOSSES["poisson"](), rates, y), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_classes", [2, 4, 5, 17])
def test_labels_equal_one_hot_rows(n_classes, dtype):
    """Integer labels stand for one-hot rows."""
    loss, rng = LOSSES["cross_entropy"](), np.random.default_rng(0)
    labels = rng.integers(0, n_classes, 600)
    labels[-1] = n_classes - 1
    p = rng.normal(0, 2, (600, n_classes)).astype(dtype)
    value, gradient = evaluate(loss, p, np.eye(n_classes, dtype=dtype)[labels])
    wide = np.repeat(labels, 3)[::3]
    for y in (*(labels.astype(code) for code in "bBhHiIlLqQ"), wide, labels[::-1].copy()[::-1]):
        same_value, same_gradient = evaluate(loss, p, y)
        assert same_value == value
        np.testing.assert_array_equal(same_gradient, gradient)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_out", [1, 3, 7])
def test_targets_of_any_kind_give_the_same_loss(n_out, dtype):
    loss = LOSSES["mse"]()
    p = np.random.default_rng(0).normal(0, 2, (40, n_out)).astype(dtype)
    y = np.random.default_rng(1).integers(0, 2, (40, n_out))
    value, gradient = evaluate(loss, p, y.astype(dtype))
    layouts = [
        *(y.astype(code) for code in "?bBhHiIlLqQfd"),
        np.asfortranarray(y.astype(dtype)),
        np.repeat(y.astype(dtype), 2, axis=0)[::2],
        np.repeat(y.astype(dtype), 2, axis=1)[:, ::2],
        np.ascontiguousarray(y.astype(dtype)[::-1, ::-1])[::-1, ::-1],
        np.broadcast_to(y, y.shape),
    ]
    for given in layouts:
        same_value, same_gradient = evaluate(loss, p, given)
        assert same_value == value
        np.testing.assert_array_equal(same_gradient, gradient)


def test_wrong_arrays_raise():
    loss, p = LOSSES["mse"](), np.ones((4, 3))
    for y in (np.ones((3, 3)), np.ones((4, 2)), np.ones((4, 3, 1))):
        with pytest.raises(ValueError, match="expected shape"):
            evaluate(loss, p, y)
    for labels in (np.zeros(3, int), np.zeros(4)):
        with pytest.raises(ValueError, match="expected 4 integer labels"):
            evaluate(LOSSES["cross_entropy"](), p, labels)
    with pytest.raises(TypeError, match="must be converted before"):
        evaluate(loss, p, p.astype(">f8"))
    for weights in (np.ones(3), np.ones(4, np.float32), np.ones(8)[::2]):
        with pytest.raises(ValueError, match="^sample_weight"):
            evaluate(loss, p, p, weights)
