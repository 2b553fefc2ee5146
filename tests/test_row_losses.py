"""Losses of whole rows, or with several outputs for each target: kernels, fallback, reference, and use in training."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from _helpers import model_of, state_of

from fastnn import MLP, Adam, Trainer, reference
from fastnn._engine import core as _core
from fastnn._engine import portable
from fastnn._engine.losses import native_loss
from fastnn.losses import Cosine, CrossEntropy, GaussianNLL, KLDivergence, MultiQuantile
from fastnn.reference.loss_functions import packed

DTYPES = [np.float32, np.float64]
CASES = [
    GaussianNLL(),
    GaussianNLL(min_variance=0.5),
    MultiQuantile(),
    MultiQuantile(q=(0.3,)),
    MultiQuantile(q=(0.05, 0.25, 0.5, 0.75, 0.95), non_crossing=True),
    KLDivergence(),
    Cosine(),
]
# Rows and columns of targets: short rows, whole vectors, rows longer than a part, several chunks.
SHAPES = [(1, 1), (2, 2), (15, 3), (17, 5), (33, 16), (5, 17), (3, 70), (2, 300), (600, 1), (520, 9)]


def outputs_of(loss, k):
    """Return the number of outputs for k columns of targets."""
    return k * (2 if isinstance(loss, GaussianNLL) else len(loss.q) if isinstance(loss, MultiQuantile) else 1)


def data(loss, shape, dtype=np.float64, seed=0):
    """Return outputs, and targets of the kind that the loss takes."""
    rng = np.random.default_rng(seed)
    p, y = rng.normal(0, 2, (shape[0], outputs_of(loss, shape[1]))), rng.normal(0, 2, shape)
    if isinstance(loss, KLDivergence):
        y = rng.dirichlet(np.ones(shape[1]), shape[0])
        y[::3] = np.eye(shape[1])[0]  # zeros
    if isinstance(loss, Cosine):
        p += np.sign(p)  # away from 0, where the gradient of a single output is all rounding
    return p.astype(dtype), y.astype(dtype)


def evaluate(loss, p, y, weight=None, n_threads=1, engine=_core):
    """Return the loss and its gradient with respect to p, by a network whose outputs are its inputs."""
    n = p.shape[1]
    network = engine.Network((n, n), ("identity",), (0.0,), p.dtype)
    network.parameters["weights"][0][...] = np.eye(n)
    gradient = np.full_like(p, np.nan)
    native = native_loss(loss, "identity", n)
    value = network.gradient(native, p, y, False, weight, input_gradient=gradient, n_threads=n_threads)
    return value, gradient


def by_reference(loss, p, y, weight=None):
    """Return the same by the reference, in float64."""
    eye, zero = [np.eye(p.shape[1])], [np.zeros(p.shape[1])]
    p, y = p.astype(float), y.astype(float)
    value, *_ = reference.loss_and_gradient(eye, zero, ["identity"], p, y, loss, weight)
    function, parameter = reference.LOSSES[loss.name], packed(loss.parameter, loss.parameters)
    weight = np.ones(len(p)) if weight is None else weight
    share = weight / np.abs(weight).sum() / (y.shape[1] if function.mean_over == "elements" else 1)
    return value, function.gradient(y, p, parameter) * share[:, None]


def assert_same(actual, expected, dtype, factor=100):
    eps = factor * float(np.finfo(dtype).eps)
    assert actual[0] == pytest.approx(expected[0], rel=eps, abs=eps)
    np.testing.assert_allclose(
        actual[1], expected[1], rtol=eps, atol=eps * max(np.abs(expected[1]).max(), 1 / len(expected[1]))
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("loss", CASES, ids=repr)
def test_kernels_and_fallback_are_the_reference(loss, shape, dtype):
    p, y = data(loss, shape, dtype)
    if isinstance(loss, MultiQuantile) and loss.non_crossing:  # rounding decides on which side of a kink a target is
        y += np.random.default_rng(1).uniform(0.1, 0.2, shape).astype(dtype)
    weight = np.random.default_rng(2).choice([0.5, 1.0, 0.0], shape[0])
    weight[0] = 2.0
    for w in (None, weight):
        expected = by_reference(loss, p, y, w)
        actual = evaluate(loss, p, y, w)
        assert_same(actual, expected, dtype)
        assert_same(evaluate(loss, p, y, w, engine=portable), expected, dtype)
        value, gradient = evaluate(loss, p, y, w, n_threads=3)
        assert value == actual[0]
        np.testing.assert_array_equal(gradient, actual[1])


@pytest.mark.parametrize("loss", CASES, ids=repr)
def test_gradients_are_finite_differences(loss):
    p, y = data(loss, (4, 3))
    p *= 0.8
    _, gradient = by_reference(loss, p, y)
    for i, j in np.ndindex(p.shape):
        values, step = [], 1e-6
        for sign in (1, -1):
            moved = p.copy()
            moved[i, j] += sign * step
            values.append(by_reference(loss, moved, y)[0])
        assert (values[0] - values[1]) / (2 * step) == pytest.approx(gradient[i, j], rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gaussian_nll_is_finite_and_bounded_below_at_any_log_variance(dtype):
    loss, s = GaussianNLL(min_variance=1e-4), np.array([-1e30, -1e3, -20.0, -9.3, 0.0, 1e3, 1e30])
    p = np.stack([np.zeros(7), s], axis=1).astype(dtype)
    for error in (0.0, 1e-3, 1.0, 100.0):
        y = np.full((7, 1), error, dtype)
        actual = evaluate(loss, p, y)
        assert_same(actual, by_reference(loss, p, y), dtype)
        each = [evaluate(loss, p[i : i + 1], y[:1])[0] for i in range(7)]
        assert np.isfinite(each).all()
        assert min(each) >= 0.5 * math.log(1e-4) - 1e-5
        by_log_variance = actual[1][:3, 1]
        assert (by_log_variance < 0).all() if error > 0.01 else (by_log_variance == 0).all()


def test_outputs_become_means_deviations_and_quantiles():
    outputs = np.random.default_rng(0).normal(size=(50, 6))
    mean, std = GaussianNLL(min_variance=0.04).mean_and_std(outputs)
    np.testing.assert_array_equal(mean, outputs[:, :3])
    np.testing.assert_allclose(std, np.maximum(np.exp(outputs[:, 3:] / 2), 0.2))
    plain = MultiQuantile(q=(0.1, 0.5, 0.9)).quantiles(outputs)
    np.testing.assert_array_equal(plain[:, 1, 0], outputs[:, 2])
    rising = MultiQuantile(non_crossing=True).quantiles(outputs.astype(np.float32) * 100)
    assert rising.shape == (50, 3, 2)
    assert rising.dtype == np.float32
    assert (np.diff(rising, axis=1) >= 0).all()


def test_trained_quantiles_have_their_share_of_the_targets_below_them_and_do_not_cross():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (2000, 1))
    y = np.sin(3 * X) + (0.1 + 0.3 * np.abs(X)) * rng.normal(size=X.shape)
    loss = MultiQuantile(q=(0.1, 0.5, 0.9), non_crossing=True)
    model = MLP((1, 24, 3), "tanh", random_state=0)
    model.fit(X, y, loss=loss, optimizer=Adam(0.01), epochs=60, batch_size=100, random_state=0)
    quantiles = loss.quantiles(model.predict(X))
    assert (np.diff(quantiles, axis=1) >= 0).all()
    np.testing.assert_allclose((y[:, None] <= quantiles).mean(axis=(0, 2)), loss.q, atol=0.03)


def test_a_trained_gaussian_knows_its_noise():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1, 1, (2000, 1))
    noise = np.exp(X - 1)
    y = X**2 + noise * rng.normal(size=X.shape)
    model = MLP((1, 24, 2), "tanh", random_state=0)
    model.fit(X, y, loss="gaussian_nll", optimizer=Adam(0.01), epochs=60, batch_size=100, random_state=0)
    mean, std = GaussianNLL().mean_and_std(model.predict(X))
    assert np.abs(mean - X**2).mean() < 0.06
    assert np.abs(std / noise - 1).mean() < 0.12


@pytest.mark.parametrize("dtype", DTYPES)
def test_kl_divergence_has_the_gradient_of_the_cross_entropy_and_a_minimum_of_zero(dtype):
    p, y = data(KLDivergence(), (40, 5), dtype)
    np.testing.assert_array_equal(evaluate(KLDivergence(), p, y)[1], evaluate(CrossEntropy(), p, y)[1])
    same = reference.softmax(p.astype(float)).astype(dtype)
    assert evaluate(KLDivergence(), p, same)[0] == pytest.approx(0.0, abs=100 * float(np.finfo(dtype).eps))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [2, 7])
def test_cosine_of_zero_rows_is_defined(n, dtype):
    zeros, ones = np.zeros((2, n), dtype), np.ones((2, n), dtype)
    for p, y in ((zeros, ones), (ones, zeros), (zeros, zeros)):
        value, gradient = evaluate(Cosine(), p, y)
        assert value == 1
        assert np.isfinite(gradient).all()


# ---- What users see ----


def trained_by(trainer, loss, k=2, rows=45):
    p, y = data(loss, (rows, k))
    X = p[:, :1] + np.arange(3)
    trainer.run(X, y, 3, sample_weight=np.linspace(0.5, 1, rows), validation_data=(X[:9], y[:9]))
    trainer.step(X, y)
    return X, y


@pytest.mark.parametrize("loss", CASES, ids=repr)
def test_trainers_are_the_same_for_any_threads_and_go_on_from_files_and_pickles(loss, tmp_path):
    sizes, output = (3, 8, outputs_of(loss, 2)), loss.links[0] if loss.links else "identity"
    states = []
    for n_threads in (1, 3):
        trainer = Trainer(model_of(sizes, output=output), loss, random_state=0, batch_size=40, n_threads=n_threads)
        trained_by(trainer, loss)
        trainer.save(tmp_path / "trainer")
        loaded, copy = Trainer.load(tmp_path / "trainer"), pickle.loads(pickle.dumps(trainer))
        assert loaded.loss == copy.loss == loss
        for other in (trainer, loaded, copy):
            trained_by(other, loss)
        assert state_of(loaded) == state_of(copy) == state_of(trainer)
        states.append(state_of(trainer))
    assert states[0] == states[1]


@pytest.mark.parametrize("loss", CASES, ids=repr)
def test_training_is_that_of_the_reference(loss):
    sizes, output = (3, 8, outputs_of(loss, 2)), loss.links[0] if loss.links else "identity"
    model = model_of(sizes, output=output)
    p, y = data(loss, (45, 2))
    X = p[:, :1] + np.arange(3)
    weights, biases = [w.copy() for w in model.weights], [b.copy() for b in model.biases]
    history = model.fit(X, y, loss=loss, optimizer=Adam(0.01), epochs=5, batch_size=10, random_state=3)
    options = {"optimizer": Adam(0.01), "epochs": 5, "batch_size": 10, "rng": np.random.default_rng(3)}
    expected = reference.train(weights, biases, model.activations, X, y, loss=loss, **options)
    np.testing.assert_allclose(history["loss"], expected, rtol=1e-9)
    for own, other in zip(model.weights, weights, strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-7, atol=1e-9)


def test_shapes_that_do_not_fit_are_named_before_anything_changes():
    X = np.zeros((4, 3))
    with pytest.raises(
        ValueError, match=r"loss: 'gaussian_nll' takes a model with 2 outputs per target.*got a model with 3 outputs"
    ):
        Trainer(MLP((3, 3)), "gaussian_nll")
    with pytest.raises(
        ValueError, match=r"'multi_quantile' takes a model with 3 outputs per target.*end in a multiple of 3"
    ):
        MLP((3, 4)).loss(X, X[:, :1], "multi_quantile")
    model = MLP((3, 4), random_state=0)
    before = model.to_vector()
    for call in (
        model.fit,
        model.loss,
        model.gradient,
        Trainer(model, "gaussian_nll").step,
        Trainer(model, "gaussian_nll").run,
    ):
        options = {} if call.__name__ in ("step", "run") else {"loss": "gaussian_nll"}
        with pytest.raises(
            ValueError, match=r"y: expected shape \(4, 2\).*'gaussian_nll' of a model with outputs \(4, 4\), got \(4, 4\)"
        ):
            call(X, np.zeros((4, 4)), **options)
    with pytest.raises(ValueError, match=r"y: expected shape \(4, 2\) for outputs of shape \(4, 4\), got \(4, 4\)"):
        reference.loss_and_gradient(model.weights, model.biases, ["identity"], X, np.zeros((4, 4)), "gaussian_nll")
    np.testing.assert_array_equal(model.to_vector(), before)
    trainer = Trainer(model, "gaussian_nll")
    with pytest.raises(ValueError, match=r"loss: expected a loss for 2 columns of targets.*got 'mse', which takes 4"):
        trainer.loss = "mse"
    assert trainer.loss == GaussianNLL()
    trainer.loss = GaussianNLL(min_variance=0.1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("min_variance", [1e-30, 1e30])
def test_no_log_variance_makes_a_gaussian_loss_nan(min_variance, dtype):
    model = MLP((2, 2), dtype=dtype)
    model.weights[0][...] = np.eye(2)
    for s in (-1e4, -104.0, -89.0, -69.0, 0.0, 69.0, 89.0, 104.0, 1e4):
        for y in (0.0, 1.0):
            value, gradients = model.gradient([[0.0, s]], [[y]], GaussianNLL(min_variance=min_variance))
            assert not np.isnan(value)
            assert not np.isnan(np.concatenate([g.ravel() for g in gradients])).any()
    for refused in (min_variance**2, 0.0):
        with pytest.raises(ValueError, match="min_variance: expected a finite number >= 1e-30"):
            GaussianNLL(min_variance=refused)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: GaussianNLL(min_variance=0.0), ValueError, "min_variance: expected a finite number >= 1e-30"),
        (lambda: MultiQuantile(q=0.5), TypeError, "q: expected a sequence of numbers"),
        (lambda: MultiQuantile(q="0.5"), TypeError, "q: expected a sequence of numbers"),
        (lambda: MultiQuantile(q=()), ValueError, "q: expected at least one number"),
        (lambda: MultiQuantile(q=(0.5, 0.5)), ValueError, "in rising order"),
        (lambda: MultiQuantile(q=(0.5, 1.0)), ValueError, "q: expected a finite number > 0 and < 1"),
        (lambda: MultiQuantile(non_crossing=1), TypeError, "non_crossing"),
    ],
)
def test_wrong_parameters_raise(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_quantiles_may_be_any_sequence():
    assert MultiQuantile(q=[0.1, 0.9]) == MultiQuantile(q=np.array([0.1, 0.9])) == MultiQuantile(q=(0.1, 0.9))
    assert hash(MultiQuantile(q=[0.1, 0.9])) == hash(MultiQuantile(q=(0.1, 0.9)))


# ---- PyTorch ----


def test_values_and_gradients_are_those_of_pytorch():
    torch = pytest.importorskip("torch")
    f = torch.nn.functional
    q = (0.1, 0.5, 0.9)

    def pinball(p, y):
        quantiles = p.reshape(-1, 3, 2)
        errors, places = y[:, None] - quantiles, torch.tensor(q, dtype=torch.float64)[None, :, None]
        return torch.maximum(places * errors, (places - 1) * errors).mean()

    def rising(p, y):
        parts = p.reshape(-1, 3, 2)
        return pinball(torch.cumsum(torch.cat([parts[:, :1], f.softplus(parts[:, 1:])], 1), 1).reshape(-1, 6), y)

    cases = {
        GaussianNLL(): lambda p, y: f.gaussian_nll_loss(p[:, :2], y, torch.exp(p[:, 2:])),
        MultiQuantile(q): pinball,
        MultiQuantile(q, non_crossing=True): rising,
        KLDivergence(): lambda p, y: f.kl_div(p.log_softmax(1), y, reduction="batchmean"),
        Cosine(): lambda p, y: f.cosine_embedding_loss(p, y, torch.ones(len(p))),
    }
    for loss, theirs in cases.items():
        p, y = data(loss, (20, 2))
        prediction = torch.tensor(p, requires_grad=True)
        expected = theirs(prediction, torch.tensor(y))
        expected.backward()
        value, gradient = evaluate(loss, p, y)
        assert value == pytest.approx(expected.item(), rel=1e-7)
        np.testing.assert_allclose(gradient, prediction.grad.numpy(), rtol=1e-7, atol=1e-15)


def test_regressors_take_losses_whose_outputs_are_their_targets_and_name_the_way_for_others():
    pytest.importorskip("sklearn")
    from fastnn.sklearn import MLPRegressor

    p, y = data(Cosine(), (40, 3))
    for loss in ("cosine", Cosine()):
        estimator = MLPRegressor(loss=loss, hidden_layer_sizes=8, max_iter=3, tol=1e9, n_iter_no_change=1, random_state=0)
        assert estimator.fit(p, y).predict(p).shape == y.shape
    for loss in ("gaussian_nll", GaussianNLL(), MultiQuantile(), KLDivergence(), "kl_divergence"):
        with pytest.raises(
            ValueError, match=r"'loss' parameter of MLPRegressor must be .*one output per target \(fastnn\.MLP"
        ):
            MLPRegressor(loss=loss).fit(p, y)
