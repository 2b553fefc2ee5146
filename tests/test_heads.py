"""Several heads on one network: against the reference, against each loss on its own, in files, and wrong ones."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from _helpers import model_of, state_of

from fastnn import MLP, Adam, Trainer, losses, ops, reference
from fastnn._engine import core as _core
from fastnn._engine import portable
from fastnn._engine.losses import native_loss
from fastnn.losses import MSE, BinaryCrossEntropy, Cosine, CrossEntropy, GaussianNLL, Heads, Huber, MultiQuantile

MIXED = Heads(
    [
        (slice(3, 6), "cross_entropy", 0.5),
        (slice(0, 2), "mse", 1.0),
        (2, Huber(0.7), 2.0),
        (slice(6, 10), GaussianNLL(), 0.25),
        (slice(10, 13), MultiQuantile(non_crossing=True), 1.5),
        (slice(13, 15), "binary_cross_entropy", 0.3),
        (slice(15, 33), "cosine", 0.0),
        (slice(33, None), "cross_entropy"),
    ]
)
N_OUT = 53

OPTIONAL = Heads(
    [
        (slice(3, 6), CrossEntropy(missing="ignore", output_weights=(1.0, 2.0, 0.5), label_smoothing=0.1), 0.5),
        (slice(0, 2), MSE(missing="ignore", output_weights=(3.0, 1.0)), 1.0),
        (2, Huber(0.7, output_weights=(2.0,)), 2.0),
        (slice(6, 10), GaussianNLL(missing="ignore"), 0.25),
        (slice(10, 13), MultiQuantile(non_crossing=True, missing="ignore"), 1.5),
        (slice(13, 15), BinaryCrossEntropy(missing="ignore", pos_weight=(3.0, 0.5), gamma=1.5, label_smoothing=0.2), 0.3),
        (slice(15, 33), Cosine(missing="ignore"), 0.7),
        (slice(33, None), CrossEntropy(gamma=2.0), 1.0),
    ]
)


def data(rows, seed=0):
    """Return logits, and targets of MIXED: labels, 2, 1, 2, 1, 2 and 18 columns, labels."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(rows, 28))
    y[:, 0], y[:, -1] = rng.integers(0, 3, rows), rng.integers(0, 20, rows)
    y[:, 7:9] = rng.integers(0, 2, (rows, 2))
    return rng.normal(size=(rows, N_OUT)), y


def partly_missing(y, seed=3):
    """Return targets of OPTIONAL, of which some are missing: in a row for some heads only, for all, and for none."""
    gone = np.random.default_rng(seed).random(y.shape) < 0.3
    gone[:, [3, 27]] = False  # of Huber and of the last cross-entropy, which observe all
    gone[::4] = False
    y = np.where(gone, np.nan, y)
    y[1::5, 0] = -1
    return y


def evaluate(loss, z, y, weight=None, n_threads=1, engine=_core, labels=False):
    network = engine.Network((z.shape[1],) * 2, ("identity",), (0.0,), z.dtype)
    network.parameters["weights"][0][...] = np.eye(z.shape[1])
    gradient = np.full_like(z, np.nan)
    native = native_loss(loss, "identity", z.shape[1])
    return network.gradient(native, z, y, labels, weight, input_gradient=gradient, n_threads=n_threads), gradient


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", [1, 16, 35, 700])
@pytest.mark.parametrize("heads", [MIXED, OPTIONAL], ids=["plain", "options"])
def test_heads_are_the_weighted_sum_of_the_losses_on_their_own(heads, rows, dtype):
    z, y = data(rows)
    if heads is OPTIONAL:
        y = partly_missing(y)
    weight = np.random.default_rng(1).uniform(0.5, 2, rows)
    weight[1:4] = 0
    total, wanted = 0.0, np.zeros_like(z)
    eye = [np.eye(N_OUT)], [np.zeros(N_OUT)], ["identity"]
    for columns, targets, labels, factor, loss in heads.parts(N_OUT):
        own = [np.eye(columns.stop - columns.start)], [np.zeros(columns.stop - columns.start)], ["identity"]
        of_head = np.nan_to_num(y[:, targets.start], nan=-1).astype(int) if labels else y[:, targets]
        value, *_ = reference.loss_and_gradient(*own, z[:, columns], of_head, loss, weight)
        _, gradient = evaluate(loss, z[:, columns].copy(), of_head, weight, labels=labels)
        total += factor * value
        wanted[:, columns] = factor * gradient
    assert reference.loss_and_gradient(*eye, z, y, heads, weight)[0] == pytest.approx(total, rel=1e-12)
    tolerance = 200 * float(np.finfo(dtype).eps)
    for engine in (_core, portable):
        value, gradient = evaluate(heads, z.astype(dtype), y.astype(dtype), weight, engine=engine)
        assert value == pytest.approx(total, rel=tolerance)
        np.testing.assert_allclose(gradient, wanted, rtol=tolerance, atol=tolerance * np.abs(wanted).max())
    value, gradient = evaluate(heads, z.astype(dtype), y.astype(dtype), weight)
    again, same = evaluate(heads, z.astype(dtype), y.astype(dtype), weight, n_threads=3)
    assert value == again
    np.testing.assert_array_equal(gradient, same)


@pytest.mark.parametrize("heads", [MIXED, OPTIONAL], ids=["plain", "options"])
def test_gradients_of_the_reference_are_finite_differences(heads):
    z, y = data(3)
    if heads is OPTIONAL:
        y[0, 1], y[1, 4], y[2, 0] = np.nan, np.nan, -1
    eye = [np.eye(N_OUT)], [np.zeros(N_OUT)], ["identity"]
    gradient, step = reference.input_gradient(*eye, z, y, heads), 1e-6
    for i, j in np.ndindex(z.shape):
        above, below = z.copy(), z.copy()
        above[i, j] += step
        below[i, j] -= step
        values = [reference.loss_and_gradient(*eye, moved, y, heads)[0] for moved in (above, below)]
        assert (values[0] - values[1]) / (2 * step) == pytest.approx(gradient[i, j], rel=1e-5, abs=1e-8)


def trained_by(trainer):
    X, y = np.random.default_rng(2).normal(size=(70, 4)), data(70)[1]
    trainer.run(X, y, 3, sample_weight=np.linspace(0, 1, 70), validation_data=(X[:9], y[:9]))
    return trainer.step(X, y)


def test_training_is_the_same_for_any_threads_and_from_files_and_pickles(tmp_path):
    states = []
    for n_threads in (1, 3):
        trainer = Trainer(model_of((4, 20, N_OUT)), MIXED, random_state=0, batch_size=33, n_threads=n_threads)
        before = trained_by(trainer)
        trainer.save(tmp_path / "trainer")
        loaded, copy = Trainer.load(tmp_path / "trainer"), pickle.loads(pickle.dumps(trainer))
        assert loaded.loss == copy.loss == MIXED
        assert hash(loaded.loss) == hash(MIXED)
        assert trained_by(trainer) == trained_by(loaded) == trained_by(copy) < before
        assert state_of(loaded) == state_of(copy) == state_of(trainer)
        states.append(state_of(trainer))
    assert states[0] == states[1]


def test_one_network_learns_a_value_and_a_class():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (500, 2))
    labels = (X[:, 0] > 0) + (X[:, 1] > 0)
    y = np.column_stack([X.sum(axis=1), labels])
    loss = Heads([(0, "mse"), (slice(1, 4), "cross_entropy", 0.5)])
    model = MLP((2, 24, 4), "tanh", random_state=0)
    history = model.fit(X, y, loss=loss, optimizer=Adam(0.01), epochs=60, validation_data=(X, y), random_state=0)
    outputs = model.predict(X)
    assert ((outputs[:, 0] - y[:, 0]) ** 2).mean() < 0.01
    assert (ops.softmax(outputs[:, 1:]).argmax(axis=1) == labels).mean() > 0.95
    assert history["val_loss"][-1] == pytest.approx(model.loss(X, y, loss))


def test_columns_may_be_a_number_a_slice_or_a_pair():
    assert Heads([(0, "mse"), (slice(1, 3), "mae", 2)]) == Heads([((0, 1), losses.MSE(), 1.0), [(1, 3), losses.MAE(), 2.0]])


@pytest.mark.parametrize(
    ("heads", "error", "message"),
    [
        ([], TypeError, "heads: expected a list of tuples"),
        ("mse", TypeError, "heads: expected a list of tuples"),
        (["mse"], TypeError, r"heads\[0\]: expected \(columns, loss\)"),
        ([("a", "mse")], TypeError, r"heads\[0\]: expected a column, a slice or a pair"),
        ([(True, "mse")], TypeError, r"heads\[0\]: expected a column"),
        ([(slice(0, 4, 2), "mse")], ValueError, r"heads\[0\]: expected consecutive columns"),
        ([(-1, "mse")], ValueError, r"heads\[0\] .*got -1"),
        ([(slice(2, 2), "mse")], ValueError, r"heads\[0\] .*got 2"),
        ([(0, "msw")], ValueError, "loss: expected one of 'mse'.*got 'msw'"),
        ([(0, Heads([(0, "mse")]))], TypeError, "loss: expected an object of .*got one of Heads"),
        ([((0, 2), "mse", 0.0), (2, "mae", 0)], ValueError, "heads: expected at least one weight above 0"),
        ([(0, "mse", -1.0)], ValueError, r"heads\[0\] weight: .*got -1"),
    ],
)
def test_wrong_heads_raise(heads, error, message):
    with pytest.raises(error, match=message):
        Heads(heads)


@pytest.mark.parametrize(
    ("heads", "message"),
    [
        ([(slice(0, 4), "mse")], r"heads\[0\] has the columns 0 to 3 of a model with 3 outputs"),
        ([(slice(0, 2), "mse"), (slice(1, 3), "mae")], r"heads\[0\] and heads\[1\] both have column 1"),
        ([(0, "mse"), (2, "mae")], "all 3 outputs of the model, got none with column 1"),
        ([(0, "cross_entropy"), (slice(1, 3), "mse")], r"heads\[0\] has one column, expected one for each class"),
        ([(slice(0, 3), "gaussian_nll")], "'gaussian_nll' takes a model with 2 outputs per target"),
    ],
)
def test_heads_that_do_not_fit_the_model_raise(heads, message):
    with pytest.raises(ValueError, match=message):
        Trainer(MLP((2, 3)), Heads(heads))


def test_the_output_activation_is_the_identity():
    with pytest.raises(ValueError, match="loss: expected 'identity', got 'heads'"):
        Trainer(MLP((2, 2), output_activation="tanh"), Heads([(slice(0, 2), "mse")]))


def test_wrong_targets_are_named():
    model, X = MLP((2, 4)), np.zeros((3, 2))
    loss = Heads([(0, "poisson"), (slice(1, 4), "cross_entropy")])
    with pytest.raises(
        ValueError, match=r"y: expected shape \(3, 2\).*'heads' of a model with outputs \(3, 4\), got \(3, 4\)"
    ):
        model.loss(X, np.zeros((3, 4)), loss)
    for wrong in (-1, 3, 0.5):
        y = np.array([[1, 0], [1, wrong], [1, 2]])
        with pytest.raises(ValueError, match=rf"y: expected integer labels from 0 to 2 in column 1.*got {wrong}.* at row 1"):
            model.fit(X, y, loss=loss)
        model.loss(X, y, loss, sample_weight=[1, 0, 1])
    with pytest.raises(ValueError, match=r"y\[:, 0:1\]: expected values >= 0 for poisson"):
        model.loss(X, [[1, 0], [-1, 1], [1, 2]], loss)


def test_a_missing_target_of_one_head_leaves_the_others():
    X, model = np.ones((2, 2)), MLP((2, 4), random_state=0)
    loss = Heads([(0, MSE(missing="ignore")), (slice(1, 4), CrossEntropy(missing="ignore"))])
    p = model.predict(X)
    value = model.loss(X, [[np.nan, 2], [5.0, -1]], loss)
    expected = (p[1, 0] - 5.0) ** 2 - ops.log_softmax(p[0, 1:])[2]
    assert value == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match="y: expected some that are observed"):
        model.loss(X, np.full((2, 2), np.nan), loss)
    one = Heads([(0, "mse"), (slice(1, 4), CrossEntropy(missing="ignore"))])
    with pytest.raises(ValueError, match=r"y\[:, 0:1\]: .*got nan at row 1"):
        model.loss(X, [[1.0, 2], [np.nan, 2]], one)
    with pytest.raises(ValueError, match="missing: expected 'raise'"):
        Heads(one.heads, missing="ignore")
    with pytest.raises(ValueError, match=r"heads\[0\]: expected 1 output_weights"):
        Trainer(model, Heads([(0, MSE(output_weights=(1, 2))), (slice(1, 4), "mse")]))
