"""The losses of the reference: values, gradients, ties, extreme numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fastnn import losses
from fastnn.reference import LOSSES, binary_cross_entropy, cross_entropy, mse_loss, sigmoid, softmax

# Losses with parameters have values that differ from the defaults.
CASES = [
    losses.MSE(),
    losses.MAE(),
    losses.Huber(),
    losses.Huber(0.3),
    losses.Quantile(),
    losses.Quantile(0.9),
    losses.Poisson(),
    losses.BinaryCrossEntropy(),
    losses.CrossEntropy(),
    losses.KLDivergence(),
    losses.Cosine(),
    losses.Hinge(),
    losses.SquaredHinge(0.3),
]


def targets(loss, rng, shape=(6, 4)):
    """Draw targets that suit the loss."""
    if loss.name == "poisson":
        return rng.poisson(2.0, shape).astype(float)
    if "hinge" in loss.name:
        return rng.choice([-1.0, 1.0], shape)
    if loss.name == "binary_cross_entropy":
        return rng.random(shape)
    if loss.name in ("cross_entropy", "kl_divergence"):
        return softmax(rng.normal(size=shape))
    return rng.normal(size=shape)


def mean(loss, y, p):
    function = LOSSES[loss.name]
    total = function.value(y, p, loss.parameter).sum()
    return total / (len(p) if function.mean_over == "rows" else p.size)


def mean_gradient(loss, y, p):
    function = LOSSES[loss.name]
    gradient = function.gradient(y, p, loss.parameter)
    return gradient / (len(p) if function.mean_over == "rows" else p.size)


def test_every_loss_is_tested():
    others = {name for name, loss in losses.LOSSES.items() if not loss.one_output_per_target}  # in test_row_losses.py
    assert set(LOSSES) == set(losses.LOSSES) == {loss.name for loss in CASES} | others
    assert all(name == loss.name for name, loss in LOSSES.items())
    assert [name for name, loss in LOSSES.items() if loss.mean_over == "rows"] == [
        "cross_entropy",
        "kl_divergence",
        "cosine",
    ]


@pytest.mark.parametrize("loss", CASES, ids=repr)
def test_gradients_are_finite_differences(loss):
    rng = np.random.default_rng(0)
    y, p = targets(loss, rng), rng.normal(size=(6, 4))
    got, step = mean_gradient(loss, y, p), 1e-6
    for index in np.ndindex(p.shape):
        above, below = p.copy(), p.copy()
        above[index] += step
        below[index] -= step
        expected = (mean(loss, y, above) - mean(loss, y, below)) / (2 * step)
        assert got[index] == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("loss", CASES, ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_results_have_the_type_of_the_predictions(loss, dtype):
    rng = np.random.default_rng(1)
    y, p = targets(loss, rng).astype(dtype), rng.normal(size=(6, 4)).astype(dtype)
    function = LOSSES[loss.name]
    assert function.value(y, p, loss.parameter).dtype == dtype
    assert function.gradient(y, p, loss.parameter).dtype == dtype


def test_values_are_those_of_the_formulas():
    y, p = np.array([[0.0, 0.0, 0.0]]), np.array([[-3.0, 0.5, 0.0]])
    expected = {
        losses.MSE(): ([9.0, 0.25, 0.0], [-6.0, 1.0, 0.0]),
        losses.MAE(): ([3.0, 0.5, 0.0], [-1.0, 1.0, 0.0]),
        losses.Huber(): ([2.5, 0.125, 0.0], [-1.0, 0.5, 0.0]),
        losses.Huber(2.0): ([4.0, 0.125, 0.0], [-2.0, 0.5, 0.0]),
        # Errors above the prediction have weight q, errors below it 1 - q.
        losses.Quantile(0.9): ([2.7, 0.05, 0.0], [-0.9, 0.1, 0.0]),
        losses.Poisson(): ([math.exp(-3), math.exp(0.5), 1.0], [math.exp(-3), math.exp(0.5), 1.0]),
        losses.BinaryCrossEntropy(): (
            [math.log1p(math.exp(-3)), math.log1p(math.exp(0.5)), math.log(2)],
            [1 / (1 + math.exp(3)), 1 / (1 + math.exp(-0.5)), 0.5],
        ),
    }
    for loss, (values, gradients) in expected.items():
        function = LOSSES[loss.name]
        np.testing.assert_allclose(function.value(y, p, loss.parameter), [values], rtol=1e-14)
        np.testing.assert_allclose(function.gradient(y, p, loss.parameter), [gradients], rtol=1e-14, atol=1e-16)


def test_the_quantile_loss_of_the_median_is_half_the_absolute_error():
    rng = np.random.default_rng(2)
    y, p = rng.normal(size=(5, 2)), rng.normal(size=(5, 2))
    np.testing.assert_allclose(LOSSES["quantile"].value(y, p, 0.5), LOSSES["mae"].value(y, p, 0.0) / 2)


def test_losses_of_extreme_logits_are_exact():
    z, ones, zeros = np.array([[-1e4, 1e4]]), np.ones((1, 2)), np.zeros((1, 2))
    function = LOSSES["binary_cross_entropy"]
    np.testing.assert_array_equal(function.value(ones, z, 0.0), [[1e4, 0.0]])
    np.testing.assert_array_equal(function.value(zeros, z, 0.0), [[0.0, 1e4]])
    np.testing.assert_array_equal(function.gradient(ones, z, 0.0), [[-1.0, 0.0]])
    first = np.array([[1.0, 0.0]])
    assert LOSSES["cross_entropy"].value(first, z, 0.0).sum() == 2e4
    assert LOSSES["cross_entropy"].value(first, -z, 0.0).sum() == 0.0
    # The loss of a confident, correct prediction is log(1 + exp(-40)), without cancellation.
    assert function.value(np.ones(1), np.array([40.0]), 0.0)[0] == pytest.approx(math.exp(-40), rel=1e-12)


def test_cross_entropy_of_two_classes_is_the_binary_one():
    rng = np.random.default_rng(3)
    z, y = rng.normal(size=(7, 1)), rng.random((7, 1))
    logits, rows = np.hstack([np.zeros_like(z), z]), np.hstack([1 - y, y])
    one, other = LOSSES["cross_entropy"], LOSSES["binary_cross_entropy"]
    np.testing.assert_allclose(one.value(rows, logits, 0.0).sum(axis=1), other.value(y, z, 0.0)[:, 0], rtol=1e-12)
    np.testing.assert_allclose(one.gradient(rows, logits, 0.0)[:, 1:], other.gradient(y, z, 0.0), atol=1e-15)


def test_cross_entropy_of_rows_that_do_not_sum_to_one_is_that_of_the_formula():
    rng = np.random.default_rng(4)
    z, y = rng.normal(size=(3, 4)), rng.random((3, 4))
    doubled, once = LOSSES["cross_entropy"].gradient(2 * y, z, 0.0), LOSSES["cross_entropy"].gradient(y, z, 0.0)
    np.testing.assert_allclose(doubled, 2 * once, rtol=1e-14)
    np.testing.assert_allclose(once.sum(axis=1), 0.0, atol=1e-15)


@pytest.mark.parametrize("loss", CASES, ids=repr)
def test_values_and_gradients_are_those_of_pytorch(loss):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(5)
    y, p = targets(loss, rng), 2 * rng.normal(size=(6, 4))
    functional = torch.nn.functional
    theirs = {
        "mse": functional.mse_loss,
        "mae": functional.l1_loss,
        "huber": lambda p, y: functional.huber_loss(p, y, delta=loss.parameter),
        "quantile": lambda p, y: torch.maximum(loss.parameter * (y - p), (loss.parameter - 1) * (y - p)).mean(),
        "poisson": lambda p, y: functional.poisson_nll_loss(p, y, log_input=True),
        "binary_cross_entropy": functional.binary_cross_entropy_with_logits,
        "cross_entropy": functional.cross_entropy,
        "kl_divergence": lambda p, y: functional.kl_div(p.log_softmax(1), y, reduction="batchmean"),
        "cosine": lambda p, y: functional.cosine_embedding_loss(p, y, torch.ones(len(p))),
    }
    prediction = torch.tensor(p, requires_grad=True)
    value = theirs[loss.name](prediction, torch.tensor(y))
    value.backward()
    assert mean(loss, y, p) == pytest.approx(value.item(), rel=1e-13)
    np.testing.assert_allclose(mean_gradient(loss, y, p), prediction.grad.numpy(), rtol=1e-12, atol=1e-16)


def test_mse_loss_is_the_mean_squared_error():
    y, p = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 0.0], [3.0, 5.0]])
    assert mse_loss(y, p) == 1.25
    assert type(mse_loss(y.astype(np.float32), p.astype(np.float32))) is float
    assert mse_loss([0, 1], [0, 3]) == 2.0
    # Differences of unsigned and boolean targets must not wrap around.
    assert mse_loss(np.array([3], dtype=np.uint8), np.array([5], dtype=np.uint8)) == 4.0
    assert mse_loss(np.array([True]), np.array([3.0])) == 4.0


def test_binary_cross_entropy_is_that_of_the_formula():
    z, y = np.linspace(-5, 5, 12).reshape(4, 3), np.linspace(0, 1, 12).reshape(4, 3)
    assert binary_cross_entropy(y, sigmoid(z)) == pytest.approx(mean(losses.BinaryCrossEntropy(), y, z), rel=1e-13)
    assert binary_cross_entropy([0, 1], [0, 1]) == 0.0
    assert binary_cross_entropy([1], [0]) == binary_cross_entropy([0.5], [1]) == math.inf
    assert binary_cross_entropy([1], [0.25]) == pytest.approx(math.log(4), rel=1e-15)
    assert math.isnan(binary_cross_entropy([1.0], [np.nan]))


def test_cross_entropy_is_that_of_the_formula():
    rng = np.random.default_rng(6)
    z, labels = rng.normal(size=(5, 3)), np.array([0, 2, 1, 1, 0])
    rows = np.eye(3)[labels]
    assert cross_entropy(rows, softmax(z)) == pytest.approx(mean(losses.CrossEntropy(), rows, z), rel=1e-13)
    assert cross_entropy(labels, softmax(z)) == cross_entropy(rows, softmax(z))
    assert cross_entropy(labels.astype(np.uint8), softmax(z)) == cross_entropy(rows, softmax(z))
    assert cross_entropy([0], [[1.0, 0.0]]) == 0.0
    assert cross_entropy([1], [[1.0, 0.0]]) == math.inf
    assert cross_entropy([[0.25, 0.75]], [[0.25, 0.75]]) == pytest.approx(0.5623351446188083, rel=1e-15)


@pytest.mark.parametrize("function", [mse_loss, binary_cross_entropy, cross_entropy])
def test_shapes_must_agree(function):
    # Shapes (n,) and (n, 1) would broadcast silently to (n, n).
    with pytest.raises(ValueError, match=r"y_true: expected (shape )?\(3, 1\).*got \(3,\)"):
        function([0.0, 1.0, 0.0], [[0.5], [0.5], [0.5]])
    with pytest.raises(ValueError, match="y_pred: expected at least one element, got shape"):
        function(np.empty((0, 2)), np.empty((0, 2)))
    with pytest.raises(TypeError, match="y_pred: .*got an array of dtype complex128"):
        function([[0.0]], [[1j]])


def test_wrong_probabilities_and_labels_raise():
    with pytest.raises(ValueError, match=r"y_pred: expected probabilities.*got 1\.5"):
        binary_cross_entropy([1.0], [1.5])
    with pytest.raises(ValueError, match=r"y_pred: expected probabilities.*got -0\.5"):
        cross_entropy([1], [[0.5, -0.5]])
    with pytest.raises(ValueError, match="y_true: .*got 2 in row 1"):
        cross_entropy([0, 2], [[0.5, 0.5], [0.5, 0.5]])
    with pytest.raises(ValueError, match="y_true: .*got -1 in row 0"):
        cross_entropy([-1, 0], [[0.5, 0.5], [0.5, 0.5]])
    with pytest.raises(ValueError, match=r"y_pred: expected shape \(n, n_classes\), got \(2,\)"):
        cross_entropy([0], [0.5, 0.5])
