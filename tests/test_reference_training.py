"""The training loop of the reference: order, batches, clipping, schedules, and whole runs against PyTorch."""

from __future__ import annotations

import copy
from itertools import pairwise

import numpy as np
import pytest

from fastnn.losses import CrossEntropy
from fastnn.optimizers import OPTIMIZERS, SGD, Adam
from fastnn.reference import UPDATES, dropout_mask, forward, loss_and_gradient, train
from fastnn.schedules import InverseTime

ACTIVATIONS = ["tanh", "relu", "identity"]


def network(seed=0, sizes=(3, 8, 6, 2), dtype=np.float64):
    rng = np.random.default_rng(seed)
    weights = [(rng.normal(size=pair) * 0.7).astype(dtype) for pair in pairwise(sizes)]
    return weights, [np.zeros(n, dtype=dtype) for n in sizes[1:]]


def data(rows=25):
    rng = np.random.default_rng(99)
    X = rng.normal(size=(rows, 3))
    return X, np.stack([np.sin(X[:, 0]), X[:, 1] * X[:, 2]], axis=1)


def by_hand(seed_of_rng, epochs, batch_size, optimizer, sample_weight=None, **options):
    """Train like `train`, in one flat loop with every step written out."""
    weights, biases = network()
    X, y = data()
    rng, state, losses = np.random.default_rng(seed_of_rng), {}, []
    for _ in range(epochs):
        order, summed, count = rng.permutation(25), 0.0, 0.0
        for start in range(0, 25, batch_size):
            rows = order[start : start + batch_size]
            row_weights = np.ones(len(rows)) if sample_weight is None else sample_weight[rows]
            value, gw, gb = loss_and_gradient(
                weights, biases, ACTIVATIONS, X[rows], y[rows], sample_weight=row_weights, **options
            )
            UPDATES[optimizer.name](optimizer, weights + biases, gw + gb, state, optimizer.learning_rate)
            summed, count = summed + row_weights.sum() * value, count + row_weights.sum()
        losses.append(summed / count)
    return weights, biases, losses


@pytest.mark.parametrize("name", UPDATES)  # not Muon, whose updates differ between layers
@pytest.mark.parametrize("weighted", [False, True])
def test_training_equals_steps_written_out(name, weighted):
    sample_weight = np.random.default_rng(5).random(25) if weighted else None
    optimizer = OPTIMIZERS[name]()
    expected = by_hand(7, 3, 10, optimizer, sample_weight, l1=0.01, l2=0.02)
    weights, biases = network()
    losses = train(
        weights,
        biases,
        ACTIVATIONS,
        *data(),
        optimizer=optimizer,
        epochs=3,
        batch_size=10,
        rng=np.random.default_rng(7),
        sample_weight=sample_weight,
        l1=0.01,
        l2=0.02,
    )
    np.testing.assert_allclose(losses, expected[2], rtol=1e-13)
    for got, wanted in zip(weights + biases, expected[0] + expected[1], strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-11, atol=1e-15)


def test_the_same_seed_gives_the_same_bits():
    runs = []
    for seed in (1, 1, 2):
        weights, biases = network()
        rng = np.random.default_rng(seed)
        options = {"optimizer": Adam(), "epochs": 3, "batch_size": 4, "dropout": 0.3}
        losses = train(weights, biases, ACTIVATIONS, *data(), rng=rng, **options)
        runs.append((losses, weights[0].tobytes()))
    assert runs[0] == runs[1] != runs[2]


def test_without_shuffling_rows_are_used_in_order():
    X, y = data()
    whole, parts = network(), network()
    train(*whole, ACTIVATIONS, X, y, optimizer=SGD(0.1), epochs=1, batch_size=10, shuffle=False)
    for rows in (slice(0, 10), slice(10, 20), slice(20, 25)):
        train(*parts, ACTIVATIONS, X[rows], y[rows], optimizer=SGD(0.1), epochs=1, batch_size=32, shuffle=False)
    np.testing.assert_array_equal(whole[0][0], parts[0][0])


def test_schedules_count_steps_across_epochs():
    scheduled, constant = network(), network()
    seen = []

    def schedule(steps):
        seen.extend(steps.tolist())
        return InverseTime(0.1, 0.5)(steps)

    options = {"epochs": 1, "batch_size": 10, "shuffle": False}
    train(*scheduled, ACTIVATIONS, *data(), optimizer=SGD(schedule), **options | {"epochs": 2})
    assert seen == list(range(6))
    X, y = data()
    for step in range(6):
        rows = slice(10 * (step % 3), 10 * (step % 3) + 10)
        rate = 0.1 / (1 + 0.5 * step)
        train(*constant, ACTIVATIONS, X[rows], y[rows], optimizer=SGD(rate), **options)
    np.testing.assert_array_equal(scheduled[0][0], constant[0][0])


def test_gradients_are_clipped_by_norm_and_value():
    X, y = data()
    weights, biases = network()
    _, gw, gb = loss_and_gradient(weights, biases, ACTIVATIONS, X, y, l2=0.1)
    clipped = [np.clip(gradient, -0.1, 0.1) for gradient in gw + gb]
    norm = np.sqrt(sum((gradient**2).sum() for gradient in clipped))
    assert max(np.abs(gradient).max() for gradient in gw + gb) > 0.1
    assert norm > 0.2
    for clip_norm, factor in ((None, 1.0), (0.2, 0.2 / (norm + 1e-6)), (1e6, 1.0)):
        changed, their_biases = network()
        train(
            changed,
            their_biases,
            ACTIVATIONS,
            X,
            y,
            optimizer=SGD(1.0),
            epochs=1,
            batch_size=25,
            shuffle=False,
            l2=0.1,
            clip_value=0.1,
            clip_norm=clip_norm,
        )
        moved = [before - after for before, after in zip(weights + biases, changed + their_biases, strict=True)]
        for got, gradient in zip(moved, clipped, strict=True):
            np.testing.assert_allclose(got, gradient * factor, rtol=1e-9, atol=1e-14)


def test_dropout_draws_one_key_per_step():
    X, y = data()
    trained, expected = network(), network()
    rates = [0.5, 0.2]
    options = {"optimizer": SGD(0.1), "epochs": 2, "batch_size": 10}
    train(*trained, ACTIVATIONS, X, y, rng=np.random.default_rng(4), dropout=rates, **options)
    rng = np.random.default_rng(4)
    weights, biases = expected
    for _ in range(2):
        order = rng.permutation(25)
        for rows in (order[:10], order[10:20], order[20:]):
            key = int(rng.integers(0, 2**64, dtype=np.uint64))
            masks = [dropout_mask(key, layer, len(rows), (8, 6)[layer], rates[layer]) for layer in range(2)]
            _, gw, gb = loss_and_gradient(weights, biases, ACTIVATIONS, X[rows], y[rows], dropout_masks=masks)
            for param, gradient in zip(weights + biases, gw + gb, strict=True):
                param -= 0.1 * gradient
    for one, other in zip(trained[0] + trained[1], weights + biases, strict=True):
        np.testing.assert_array_equal(one, other)


def test_without_dropout_no_key_is_drawn():
    rng = np.random.default_rng(6)
    train(*network(), ACTIVATIONS, *data(), optimizer=SGD(), epochs=1, batch_size=10, rng=rng)
    other = np.random.default_rng(6)
    other.permutation(25)
    assert rng.random() == other.random()


def test_batches_whose_weights_are_all_zero_do_not_count_in_the_loss():
    X, y = data()
    sample_weight = np.ones(25)
    sample_weight[:10] = 0.0
    options = {"optimizer": SGD(0.1), "epochs": 1, "batch_size": 5, "shuffle": False}
    with_zeros, without = network(), network()
    losses = train(*with_zeros, ACTIVATIONS, X, y, sample_weight=sample_weight, **options)
    assert losses == train(*without, ACTIVATIONS, X[10:], y[10:], **options)
    np.testing.assert_array_equal(with_zeros[0][0], without[0][0])
    assert train(*network(), ACTIVATIONS, X, y, sample_weight=np.zeros(25), **options) == [0.0]


def test_strided_storage_is_trained_in_place():
    weights, biases = network()
    plain = copy.deepcopy((weights, biases))
    storage = [np.zeros((len(w), 16)) for w in weights]
    views = [s[:, : w.shape[1]] for s, w in zip(storage, weights, strict=True)]
    for view, w in zip(views, weights, strict=True):
        view[:] = w
    options = {"optimizer": Adam(0.01), "epochs": 2, "batch_size": 5, "shuffle": False}
    train(views, biases, ACTIVATIONS, *data(), **options)
    train(*plain, ACTIVATIONS, *data(), **options)
    for s, view, w in zip(storage, views, plain[0], strict=True):
        np.testing.assert_allclose(view, w, rtol=1e-12)
        assert (s[:, view.shape[1] :] == 0.0).all()


def test_exclusive_or_is_learned():
    X, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([[0], [1], [1], [0]])
    weights, biases = network(1, (2, 4, 1))
    losses = train(weights, biases, ["tanh", "identity"], X, y, optimizer=Adam(0.05), epochs=400, batch_size=4)
    assert losses[-1] < 1e-3 < losses[0]
    assert X.dtype.kind == "i"
    np.testing.assert_array_equal(np.rint(forward(weights, biases, ["tanh", "identity"], X)[-1][1]), y)


def test_float32_stays_float32():
    weights, biases = network(dtype=np.float32)
    train(weights, biases, ACTIVATIONS, *data(), optimizer=Adam(), epochs=2, batch_size=10, dropout=0.5, clip_norm=1.0)
    assert {param.dtype for param in weights + biases} == {np.dtype(np.float32)}


def test_wrong_arguments_raise():
    X, y = data()
    options = {"optimizer": SGD(), "epochs": 1, "batch_size": 10}
    cases = [
        ({"epochs": -1}, ValueError, "epochs: expected an integer >= 0.*got -1"),
        ({"batch_size": 0}, ValueError, "batch_size: .*got 0"),
        ({"batch_size": 2.5}, TypeError, "batch_size: .*got 2.5 of type float"),
        ({"dropout": 1.0}, ValueError, r"dropout: .*got 1\.0"),
        ({"dropout": [0.5]}, ValueError, "dropout: expected 2.*got 1 probabilities"),
        ({"clip_value": 0.0}, ValueError, r"clip_value: .*got 0\.0"),
        ({"clip_norm": -1.0}, ValueError, r"clip_norm: .*got -1\.0"),
        ({"sample_weight": np.ones(24)}, ValueError, r"sample_weight: expected (shape )?\(25,\).*got \(24,\)"),
        ({"optimizer": SGD(lambda steps: -steps)}, ValueError, "rate"),
    ]
    for changes, error, message in cases:
        with pytest.raises(error, match=message):
            train(*network(), ACTIVATIONS, X, y, **options | changes)
    with pytest.raises(ValueError, match=r"y: expected (shape )?\(25, 2\).*got \(24, 2\)"):
        train(*network(), ACTIVATIONS, X, y[:24], **options)
    with pytest.raises(ValueError, match="X: .*got no rows"):
        train(*network(), ACTIVATIONS, X[:0], y[:0], **options)


@pytest.mark.parametrize("loss", ["mse", CrossEntropy()], ids=repr)
def test_a_run_gives_the_parameters_of_pytorch(loss):
    torch = pytest.importorskip("torch")
    X, y = data()
    target = y if loss == "mse" else (X[:, 0] > 0).astype(np.int64)
    weights, biases = network()
    theirs = [torch.tensor(param, requires_grad=True) for param in weights + biases]
    losses = train(
        weights,
        biases,
        ["gelu", "silu", "identity" if loss == "mse" else "softmax"],
        X,
        target,
        loss=loss,
        optimizer=SGD(0.05, momentum=0.9, nesterov=True),
        epochs=20,
        batch_size=10,
        shuffle=False,
        l2=0.01,
        clip_value=0.5,
        clip_norm=0.3,
    )
    optimizer = torch.optim.SGD(theirs, 0.05, momentum=0.9, nesterov=True)
    functional, rows = torch.nn.functional, np.array_split(np.arange(25), [10, 20])
    for epoch in range(20):
        summed = 0.0
        for batch in rows:
            h = functional.gelu(torch.tensor(X[batch]) @ theirs[0] + theirs[3])
            h = functional.silu(h @ theirs[1] + theirs[4])
            z = h @ theirs[2] + theirs[5]
            wanted = torch.tensor(target[batch])
            value = functional.mse_loss(z, wanted) if loss == "mse" else functional.cross_entropy(z, wanted)
            value = value + 0.005 * sum((w**2).sum() for w in theirs[:3])
            optimizer.zero_grad()
            value.backward()
            torch.nn.utils.clip_grad_value_(theirs, 0.5)
            torch.nn.utils.clip_grad_norm_(theirs, 0.3)
            optimizer.step()
            summed += len(batch) * value.item()
        assert losses[epoch] == pytest.approx(summed / 25, rel=1e-11)
    for param, their in zip(weights + biases, theirs, strict=True):
        np.testing.assert_allclose(param, their.detach().numpy(), rtol=1e-10, atol=1e-12)
