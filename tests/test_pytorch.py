"""Whole runs against PyTorch, if it is installed."""

from __future__ import annotations

import numpy as np
import pytest
from _helpers import LIKE_TARGETS, optimizer_of, trained

from fastnn import MLP, losses, ops, reference
from fastnn._engine import core as _core


def of_torch(torch, row, parameters):
    """Return PyTorch's optimizer for a row of the registry, with the parameters of `optimizer_of(row)`."""
    o = optimizer_of(row)
    match row:
        case "sgd" | "momentum" | "nesterov":
            return torch.optim.SGD(parameters, o.learning_rate, momentum=o.momentum, nesterov=o.nesterov)
        case "adagrad":
            return torch.optim.Adagrad(parameters, o.learning_rate, eps=o.epsilon)
        case "rmsprop":
            return torch.optim.RMSprop(parameters, o.learning_rate, alpha=o.decay, eps=o.epsilon)
        case "adam":
            return torch.optim.Adam(parameters, o.learning_rate, betas=(o.beta_1, o.beta_2), eps=o.epsilon)
        case "adamw":
            betas, decay = (o.beta_1, o.beta_2), o.weight_decay
            return torch.optim.AdamW(parameters, o.learning_rate, betas=betas, eps=o.epsilon, weight_decay=decay)
        case "nadam":
            betas, growth = (o.beta_1, o.beta_2), o.momentum_decay
            return torch.optim.NAdam(parameters, o.learning_rate, betas=betas, eps=o.epsilon, momentum_decay=growth)
    pytest.skip(f"PyTorch has no {row}")


def loss_of_torch(torch, loss):
    """Return PyTorch's loss of the output layer's sums, for the first output activation that the loss accepts."""
    f = torch.nn.functional
    return {
        "mse": f.mse_loss,
        "mae": f.l1_loss,
        "huber": f.huber_loss,
        "quantile": lambda z, y: 0.5 * f.l1_loss(z, y),
        "poisson": f.poisson_nll_loss,
        "hinge": lambda z, y: f.relu(1 - y * z).mean(),
        "squared_hinge": lambda z, y: f.relu(1 - y * z).square().mean(),
        "binary_cross_entropy": f.binary_cross_entropy_with_logits,
        "cross_entropy": f.cross_entropy,
        "kl_divergence": lambda z, y: f.kl_div(z.log_softmax(1), y, reduction="batchmean"),
        "cosine": lambda z, y: f.cosine_embedding_loss(z, y, torch.ones(len(z))),
    }[loss]


TORCH_RUNS = [(row, "mse", 334) for row in _core.OPTIMIZERS] + [("adam", loss, 70) for loss in LIKE_TARGETS]


@pytest.mark.parametrize(("row", "loss", "epochs"), TORCH_RUNS)
def test_training_gives_the_parameters_of_pytorch(torch, row, loss, epochs):
    options = {"optimizer": optimizer_of(row), "l2": 1e-3, "clip_value": 0.1, "clip_norm": 0.3}
    trainer, X, y = trained(25, ((3, 12, 5), 10), loss, **options)
    W1, b1, W2, b2 = theirs = [torch.tensor(np.array(p), requires_grad=True) for p in trainer.model.parameters]
    optimizer, function = of_torch(torch, row, theirs), loss_of_torch(torch, loss)
    rng, inputs, targets = np.random.default_rng(7), torch.tensor(X), torch.tensor(y)
    expected = []
    for _ in range(epochs):
        order, total = rng.permutation(25), 0.0
        for rows in (order[:10], order[10:20], order[20:]):
            value = function(torch.tanh(inputs[rows] @ W1 + b1) @ W2 + b2, targets[rows])
            value = value + 1e-3 / 2 * ((W1**2).sum() + (W2**2).sum())
            optimizer.zero_grad()
            value.backward()
            torch.nn.utils.clip_grad_value_(theirs, 0.1)
            torch.nn.utils.clip_grad_norm_(theirs, 0.3)
            optimizer.step()
            total += len(rows) * value.item()
        expected.append(total / 25)
    history = trainer.run(X, y, epochs)
    np.testing.assert_allclose(history["loss"], expected, rtol=1e-8)
    for got, wanted in zip(trainer.model.parameters, theirs, strict=True):
        np.testing.assert_allclose(got, wanted.detach().numpy(), rtol=1e-8, atol=1e-10)


def options_of_torch(torch):
    """Return losses with options, PyTorch's functions of logits z and targets y, and whether y are labels."""
    f, u, seen = torch.nn.functional, torch.tensor([0.5, 2.0, 0.25]), lambda y: ~y.isnan()
    weights = tuple(u.tolist())
    rows = lambda y, each: (each * u).sum() / u.expand(y.shape).sum()  # noqa: E731
    return [
        (losses.MSE(output_weights=weights), lambda z, y: rows(y, f.mse_loss(z, y, reduction="none")), False),
        (losses.Huber(output_weights=weights), lambda z, y: rows(y, f.huber_loss(z, y, reduction="none")), False),
        (losses.MSE(missing="ignore"), lambda z, y: f.mse_loss(z[seen(y)], y[seen(y)]), False),
        (losses.CrossEntropy(output_weights=weights), lambda z, y: f.cross_entropy(z, y, weight=u), True),
        (losses.CrossEntropy(output_weights=weights), lambda z, y: f.cross_entropy(z, y.softmax(1), weight=u), False),
        (losses.CrossEntropy(label_smoothing=0.3), lambda z, y: f.cross_entropy(z, y, label_smoothing=0.3), True),
        (
            losses.CrossEntropy(label_smoothing=0.3, output_weights=weights),
            lambda z, y: f.cross_entropy(z, y, weight=u, label_smoothing=0.3),
            True,
        ),
        (
            losses.CrossEntropy(label_smoothing=0.3, output_weights=weights),
            lambda z, y: f.cross_entropy(z, y.softmax(1), weight=u, label_smoothing=0.3),
            False,
        ),
        (losses.CrossEntropy(missing="ignore"), lambda z, y: f.cross_entropy(z, y, ignore_index=-1), True),
        (
            losses.CrossEntropy(missing="ignore", output_weights=weights, label_smoothing=0.3),
            lambda z, y: f.cross_entropy(z, y, weight=u, ignore_index=-1, label_smoothing=0.3),
            True,
        ),
        (
            losses.BinaryCrossEntropy(pos_weight=weights),
            lambda z, y: f.binary_cross_entropy_with_logits(z, y.sigmoid(), pos_weight=u),
            False,
        ),
    ]


@pytest.mark.parametrize("i", range(11))
def test_options_of_losses_as_in_pytorch(torch, i):
    loss, function, labels = options_of_torch(torch)[i]
    rng = np.random.default_rng(i)
    X, y = rng.normal(size=(40, 2)), rng.normal(size=(40, 3))
    if labels:
        y = rng.integers(-1 if loss.missing == "ignore" else 0, 3, 40)
    elif loss.missing == "ignore":
        y[rng.random(y.shape) < 0.3] = np.nan
    model = MLP((2, 3), dtype=np.float64, random_state=0)
    W, b = (torch.tensor(np.array(p), requires_grad=True) for p in model.parameters)
    value = function(torch.tensor(X) @ W + b, torch.tensor(y))
    value.backward()
    if loss.name == "cross_entropy" and not labels:
        y = np.exp(y) / np.exp(y).sum(axis=1, keepdims=True)
    if loss.name == "binary_cross_entropy":
        y = 1 / (1 + np.exp(-y))
    got, gradients = model.gradient(X, y, loss)
    assert got == pytest.approx(value.item(), rel=1e-12)
    for gradient, wanted in zip(gradients, (W.grad, b.grad), strict=True):
        np.testing.assert_allclose(gradient, wanted.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in _core.ACTIVATIONS if name not in ("identity", "sin", "exp", "softmax")])
def test_activations_and_derivatives_as_pytorch(torch, name):
    z = torch.linspace(-19, 19, 6001, requires_grad=True)
    expected = getattr(torch.nn.functional, name)(z)
    expected.sum().backward()
    value = getattr(ops, name)(z.detach().numpy())
    argument = value if reference.ACTIVATIONS[name].uses == "output" else z.detach().numpy()
    np.testing.assert_allclose(value, expected.detach().numpy(), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(getattr(ops, f"{name}_grad")(argument), z.grad.numpy(), rtol=1e-12, atol=1e-14)
