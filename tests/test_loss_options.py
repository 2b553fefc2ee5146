"""Options of losses: weights of outputs, missing targets, smoothed labels, focal losses, weights of the positive class."""

from __future__ import annotations

import numpy as np
import pytest
from _helpers import model_of, state_of, train_reference

from fastnn import MLP, SGD, Adam, Trainer, reference
from fastnn._engine import core as _core
from fastnn._engine import portable
from fastnn._engine.losses import native_loss
from fastnn._engine.training_data import training_data
from fastnn._views import by_kind
from fastnn.losses import (
    LOSSES,
    MAE,
    MSE,
    BinaryCrossEntropy,
    Cosine,
    CrossEntropy,
    GaussianNLL,
    Heads,
    Hinge,
    Huber,
    KLDivergence,
    MultiQuantile,
    Poisson,
    Quantile,
    SquaredHinge,
)

DTYPES = [np.float32, np.float64]
WEIGHTS = (0.5, 2.0, 0.0, 1.25)  # of outputs
ELEMENTWISE = [MSE, MAE, Huber, Quantile, Poisson, BinaryCrossEntropy, Hinge, SquaredHinge]
OPTIONS = [{"missing": "ignore"}, {"output_weights": WEIGHTS}, {"missing": "ignore", "output_weights": WEIGHTS}]
CASES = [
    *(
        loss(**options)
        for loss in (*ELEMENTWISE, CrossEntropy, KLDivergence, GaussianNLL, MultiQuantile)
        for options in OPTIONS
    ),
    Cosine(missing="ignore"),
    BinaryCrossEntropy(label_smoothing=0.2),
    BinaryCrossEntropy(pos_weight=3),
    BinaryCrossEntropy(pos_weight=(1, 0.2, 0, 7)),
    *(BinaryCrossEntropy(gamma=gamma) for gamma in (0.5, 1, 2, 5)),
    BinaryCrossEntropy(gamma=2, label_smoothing=0.1, pos_weight=(1, 0.2, 3, 7), missing="ignore", output_weights=WEIGHTS),
    CrossEntropy(label_smoothing=0.2),
    *(CrossEntropy(gamma=gamma) for gamma in (0.5, 1, 2, 5)),
    CrossEntropy(gamma=2, label_smoothing=0.1, missing="ignore", output_weights=WEIGHTS),
]
ids = repr


def data(loss, n=70, k=4, seed=0, labels=False, share=0.3):
    """Return inputs and targets (n, k) of the kind that the loss takes, of which some are missing if it ignores them."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(0, 1, (n, 3)), rng.normal(0, 2, (n, k))
    if loss.name == "poisson":
        y = rng.poisson(3.0, (n, k)).astype(float)
    if loss.name == "binary_cross_entropy":
        y = rng.choice([0.0, 1.0, 0.25], (n, k))
    if "hinge" in loss.name:
        y = rng.choice([-1.0, 1.0], (n, k))
    if labels:
        y = rng.integers(0, k, n)
        return X, np.where(rng.random(n) < share, -1, y) if loss.missing == "ignore" else y
    if loss.name in ("cross_entropy", "kl_divergence"):
        y = rng.dirichlet(np.ones(k), n)
    if loss.missing == "ignore":
        y[rng.random(y.shape) < (share / k if loss.per_row else share)] = np.nan
    return X, y


def model_for(loss, k=4, dtype=np.float64, hidden=9):
    """Return a model with k columns of targets."""
    per_target = 2 if isinstance(loss, GaussianNLL) else len(loss.q) if isinstance(loss, MultiQuantile) else 1
    return model_of((3, hidden, k * per_target), output=(*loss.links, "identity")[0], dtype=dtype)


def kinds_of_targets(loss):
    return [False, True] if loss.takes_labels else [False]


def assert_like_the_reference(model, X, y, loss, weight=None):
    eps = np.finfo(model.dtype).eps
    W, b = ([np.array(a, np.float64) for a in arrays] for arrays in (model.weights, model.biases))
    value, by_weights, by_biases = reference.loss_and_gradient(W, b, model.activations, X, y, loss, weight)
    got, gradients = model.gradient(X, y, loss, weight)
    assert got == model.loss(X, y, loss, weight)
    np.testing.assert_allclose(got, value, rtol=1e3 * eps)
    wanted = [g for pair in zip(by_weights, by_biases, strict=True) for g in pair]
    for g, w in zip(gradients, wanted, strict=True):
        np.testing.assert_allclose(g, w, rtol=1e3 * eps, atol=1e3 * eps * max(np.abs(w).max(), 1e-3))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", CASES, ids=ids)
def test_losses_and_gradients_are_those_of_the_reference(loss, dtype):
    for n in (1, 17, 530):
        for labels in kinds_of_targets(loss):
            X, y = data(loss, n, seed=3, labels=labels)
            for weight in (None, np.random.default_rng(1).choice([0.0, 1.0, 2.5, -1.0], n) if n > 5 else None):
                assert_like_the_reference(model_for(loss, dtype=dtype), X.astype(dtype), y, loss, weight)


@pytest.mark.parametrize("loss", CASES, ids=ids)
def test_gradients_are_difference_quotients(loss):
    for labels in kinds_of_targets(loss):
        X, y = data(loss, 12, labels=labels)
        model = model_for(loss)
        _, gradients = model.gradient(X, y, loss)
        gradient, vector = np.concatenate([g.ravel() for g in gradients]), model.to_vector()
        for i in range(0, vector.size, 3):
            values = []
            for h in (1e-6, -1e-6):
                moved = vector.copy()
                moved[i] += h
                model.set_vector(moved)
                values.append(model.loss(X, y, loss))
            assert gradient[i] == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", CASES, ids=ids)
def test_the_fallback_gives_the_same(loss, dtype):
    for labels in kinds_of_targets(loss):
        X, y = data(loss, 600, labels=labels)
        model = model_for(loss, dtype=dtype)
        for weight in (None, np.random.default_rng(1).choice([0.0, 1.0, 2.5, -1.0], 600)):
            native = native_loss(loss, model.activations[-1], model.layer_sizes[-1])
            prepared = training_data(X, y, weight, model.layer_sizes, loss, model.dtype)
            other = portable.Network(model.layer_sizes, tuple(model.activations), (0.0, 0.0), dtype)
            for mine, theirs in zip(by_kind(other.parameters), model.weights + model.biases, strict=True):
                mine[...] = theirs
            gradients = []
            for network in (model._network, other):
                by_input = np.zeros(X.shape, dtype)
                gradients.append((network.gradient(native, *prepared, input_gradient=by_input), by_input))
            (value, by_input), (other_value, other_by_input) = gradients
            tolerance = 1e3 * float(np.finfo(dtype).eps)
            assert value == pytest.approx(other_value, rel=tolerance)
            np.testing.assert_allclose(by_input, other_by_input, rtol=tolerance, atol=tolerance * np.abs(by_input).max())


# ---- What the means are over ----


@pytest.mark.parametrize("kind", ELEMENTWISE)
def test_a_mean_is_over_the_elements_that_are_observed(kind):
    loss = kind(missing="ignore")
    X, y = data(loss)
    model = model_for(loss)
    losses_of_columns = []
    for j in range(4):
        of_column = model_of((3, 9, 1), output=model.activations[-1])
        for a, b in zip(of_column.weights + of_column.biases, model.weights + model.biases, strict=True):
            a[...] = b if b.shape == a.shape else b[..., j : j + 1]
        seen = ~np.isnan(y[:, j])
        losses_of_columns.append((of_column.loss(X[seen], y[seen, j], kind()), seen.sum()))
    values, counts = np.array(losses_of_columns).T
    assert model.loss(X, y, loss) == pytest.approx(values @ counts / counts.sum(), rel=1e-12)
    weighted = kind(missing="ignore", output_weights=WEIGHTS)
    expected = (values * counts) @ WEIGHTS / (counts @ WEIGHTS)
    assert model.loss(X, y, weighted) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("loss", [CrossEntropy(), KLDivergence(), Cosine()], ids=ids)
def test_a_row_with_a_missing_target_is_left_out_where_rows_count_as_a_whole(loss):
    X, y = data(loss)
    model, gone = model_for(loss), np.arange(70) % 3 == 0
    expected = model.loss(X[~gone], y[~gone], loss)
    y[gone, 1] = np.nan
    assert model.loss(X, y, type(loss)(missing="ignore")) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.uint8, np.float32, np.float64])
def test_missing_labels_are_minus_one_or_nan(dtype):
    loss = CrossEntropy(missing="ignore")
    X, y = data(CrossEntropy(), labels=True)
    model, gone = model_for(loss), np.arange(70) % 3 == 0
    expected = model.gradient(X[~gone], y[~gone], CrossEntropy())
    if np.dtype(dtype).kind == "u":
        assert model.loss(X, y.astype(dtype), loss) == model.loss(X, y, CrossEntropy())
        return
    y = np.where(gone, np.nan if np.dtype(dtype).kind == "f" else -1, y).astype(dtype)
    value, gradients = model.gradient(X, y, loss)
    assert value == pytest.approx(expected[0], rel=1e-12)
    for g, wanted in zip(gradients, expected[1], strict=True):
        np.testing.assert_allclose(g, wanted, rtol=1e-9, atol=1e-12)


def test_class_weights_divide_by_the_weights_of_labels_and_not_of_probabilities():
    X, labels = data(CrossEntropy(), labels=True)
    model, u = model_for(CrossEntropy()), np.array(WEIGHTS)
    terms = -np.log(model.predict(X)[np.arange(70), labels]) * u[labels]
    loss = CrossEntropy(output_weights=WEIGHTS)
    assert model.loss(X, labels, loss) == pytest.approx(terms.sum() / u[labels].sum(), rel=1e-12)
    assert model.loss(X, np.eye(4)[labels], loss) == pytest.approx(terms.mean(), rel=1e-12)


@pytest.mark.parametrize("k", [2, 3, 4, 7, 40])
@pytest.mark.parametrize("dtype", DTYPES)
def test_class_weights_multiply_the_terms_of_the_divergence(k, dtype):
    rng = np.random.default_rng(k)
    u, weight = rng.uniform(0.1, 5, k), rng.uniform(0, 2, 70)
    u[0] = 0
    X, y = data(KLDivergence(), k=k)
    y[3] = np.eye(k)[1]
    model = model_for(KLDivergence(), k, dtype)
    terms = u * y * (np.log(np.where(y > 0, y, 1)) - np.log(model.predict(X).astype(np.float64)))
    expected = weight @ terms.sum(axis=1) / weight.sum()
    rtol = 1e-5 if dtype == np.float32 else 1e-12
    assert model.loss(X, y, KLDivergence(output_weights=u), weight) == pytest.approx(expected, rel=rtol)
    assert_like_the_reference(model, X.astype(dtype), y, KLDivergence(output_weights=u), weight)


def test_options_at_their_neutral_values_change_no_bit():
    for kind in ELEMENTWISE:
        X, y = data(kind())
        for dtype in DTYPES:
            model = model_for(kind(), dtype=dtype)
            plain = model.gradient(X, y, kind())
            for loss in (kind(missing="ignore"), kind(output_weights=(1, 1, 1, 1))):
                value, gradients = model.gradient(X, y, loss)
                assert value == plain[0]
                for g, wanted in zip(gradients, plain[1], strict=True):
                    np.testing.assert_array_equal(g, wanted)


# ---- Extremes ----


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_focal_losses_of_large_logits_are_exact(gamma, dtype):
    z = np.array([[0, 30, -30], [1e4, 0, -1e4], [-1e4, 1e4, 1e4], [1e30, -1e30, 0], [0, 0, 0]], dtype)
    network = _core.Network((3, 3), ("identity",), (0.0,), dtype)
    network.parameters["weights"][0][...] = np.eye(3)
    for y in (np.eye(3)[[0, 1, 2, 0, 1]], np.eye(3)[[1, 0, 0, 1, 2]], np.full((5, 3), 0.25)):
        for loss in (BinaryCrossEntropy(gamma=gamma), CrossEntropy(gamma=gamma, label_smoothing=0.1)):
            by_input = np.empty_like(z)
            value = network.gradient(native_loss(loss, "identity", 3), z, y.astype(dtype), False, input_gradient=by_input)
            W, b = [np.eye(3)], [np.zeros(3)]
            expected = reference.loss_and_gradient(W, b, ["identity"], z.astype(float), y, loss)[0]
            gradient = reference.input_gradient(W, b, ["identity"], z.astype(float), y, loss)
            assert np.isfinite(value)
            np.testing.assert_allclose(value, expected, rtol=1e-5 if dtype is np.float32 else 1e-12)
            np.testing.assert_allclose(by_input, gradient, rtol=1e-4 if dtype is np.float32 else 1e-12, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_not_observed_may_be_predicted_as_infinity(dtype):
    model = model_of((1, 2), dtype=dtype)
    model.weights[0][...] = [[1.0, np.finfo(dtype).max]]
    X, y = np.array([[1.0], [4.0]], dtype), [[1.0, np.nan], [2.0, np.nan]]
    value, gradients = model.gradient(X, y, MSE(missing="ignore"))
    assert np.isfinite(value)
    assert all(np.isfinite(g).all() for g in gradients)
    np.testing.assert_array_equal(gradients[0][:, 1], 0)


# ---- Training ----


@pytest.mark.parametrize("hidden", [5, 40], ids=["tiny", "general"])
@pytest.mark.parametrize("loss", CASES, ids=ids)
def test_training_is_that_of_the_reference(loss, hidden):
    for labels in kinds_of_targets(loss):
        X, y = data(loss, 41, labels=labels)
        model = model_for(loss, hidden=hidden)
        options = {"loss": loss, "optimizer": Adam(0.01), "batch_size": 4}
        weight = np.random.default_rng(5).uniform(0.5, 2, 41)
        expected = train_reference(model, X, y, 7, epochs=3, sample_weight=weight, **options)
        history = Trainer(model, random_state=7, **options).run(X, y, 3, sample_weight=weight)
        np.testing.assert_allclose(history["loss"], expected[2], rtol=1e-8)
        for got, wanted in zip(model.weights + model.biases, [*expected[0], *expected[1]], strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("loss", CASES, ids=ids)
def test_the_number_of_threads_changes_no_bit(loss, dtype):
    X, y = data(loss, 700)
    states = []
    for n_threads in (1, 3):
        trainer = Trainer(model_for(loss, dtype=dtype), loss, batch_size=600, random_state=0, n_threads=n_threads)
        history = trainer.run(X, y, 2)
        states.append((*history["loss"], *trainer.model.to_vector()))
    assert states[0] == states[1]


@pytest.mark.parametrize("loss", [MSE(missing="ignore"), CrossEntropy(missing="ignore")], ids=ids)
def test_a_batch_in_which_nothing_is_observed_has_no_gradient_and_no_weight(loss):
    for labels in kinds_of_targets(loss):
        X, y = data(loss, 32, labels=labels, share=0.0)
        model = model_for(loss)
        part = y.astype(float)
        part[8:16] = np.nan
        before = model.to_vector()
        history = Trainer(model, loss, SGD(0.1), batch_size=8, shuffle=False).run(X, part, 1)
        rest = model_for(loss)
        assert (rest.to_vector() == before).all()
        kept = np.r_[0:8, 16:32]
        expected = Trainer(rest, loss, SGD(0.1), batch_size=8, shuffle=False).run(X[kept], y[kept], 1)
        np.testing.assert_array_equal(model.to_vector(), rest.to_vector())
        assert history["loss"][0] == pytest.approx(expected["loss"][0], rel=1e-14)


@pytest.mark.parametrize("loss", CASES, ids=ids)
def test_steps_are_those_of_a_run(loss):
    X, y = data(loss, 40)
    one, other = (Trainer(model_for(loss), loss, batch_size=8, shuffle=False) for _ in range(2))
    one.run(X, y, 1, validation_data=(X, y))
    for i in range(0, 40, 8):
        other.step(X[i : i + 8], y[i : i + 8])
    np.testing.assert_array_equal(one.model.to_vector(), other.model.to_vector())


@pytest.mark.parametrize("loss", CASES, ids=ids)
def test_files_hold_the_options(loss, tmp_path):
    X, y = data(loss)
    trainer = Trainer(model_for(loss), loss, random_state=1)
    trainer.run(X, y, 1)
    trainer.save(tmp_path / "trainer.safetensors")
    loaded = Trainer.load(tmp_path / "trainer.safetensors")
    assert loaded.loss == loss
    trainer.run(X, y, 1)
    loaded.run(X, y, 1)
    assert state_of(loaded) == state_of(trainer)


def test_changed_options_take_effect():
    X, y = data(MSE())
    trainer = Trainer(model_for(MSE()), MSE())
    trainer.loss = MSE(output_weights=(0, 0, 0, 1))
    before = trainer.model.weights[-1].copy()
    trainer.step(X, y)
    np.testing.assert_array_equal(trainer.model.weights[-1][:, :3], before[:, :3])
    assert (trainer.model.weights[-1][:, 3] != before[:, 3]).all()
    with pytest.raises(ValueError, match="^loss: expected 4 output_weights, one per column of targets, got 2"):
        trainer.loss = MSE(output_weights=(1, 2))
    assert trainer.loss == MSE(output_weights=(0, 0, 0, 1))


# ---- Errors ----


@pytest.mark.parametrize("kind", LOSSES.values())
def test_wrong_options_raise(kind):
    for wrong in ("1", 3, {"a": 1}, True):
        with pytest.raises(TypeError, match="^output_weights: expected a sequence of numbers"):
            kind(output_weights=wrong)
    for wrong in ((1, -1), (1, np.nan), [np.inf]):
        with pytest.raises(ValueError, match=r"^output_weights\[\d\]: expected a finite number >= 0"):
            kind(output_weights=wrong)
    for wrong in ((), (0, 0.0)):
        with pytest.raises(ValueError, match="^output_weights: expected at least one weight above 0"):
            kind(output_weights=wrong)
    with pytest.raises(ValueError, match="^missing: expected 'raise' or 'ignore', got 'drop'"):
        kind(missing="drop")
    with pytest.raises(TypeError, match="^missing: expected 'raise' or 'ignore', got True of type bool"):
        kind(missing=True)
    if kind is Cosine:
        with pytest.raises(ValueError, match=f"^output_weights: expected None for {kind.name}"):
            kind(output_weights=(1, 2))
        return
    loss = kind(output_weights=np.array([1, 2], np.float32), missing="ignore")
    assert loss == kind(output_weights=[1.0, 2.0], missing="ignore")
    assert loss != kind()
    assert hash(loss) == hash(kind(output_weights=[1.0, 2.0], missing="ignore"))
    assert eval(repr(loss), {kind.__name__: kind}) == loss


@pytest.mark.parametrize("kind", [BinaryCrossEntropy, CrossEntropy])
def test_wrong_numbers_raise(kind):
    for wrong in (-0.1, 1.5, np.nan):
        with pytest.raises(ValueError, match="^label_smoothing: expected a finite number >= 0 and <= 1"):
            kind(label_smoothing=wrong)
    for wrong in (-1, np.inf):
        with pytest.raises(ValueError, match="^gamma: expected a finite number >= 0"):
            kind(gamma=wrong)
    with pytest.raises(TypeError, match="^gamma"):
        kind(gamma="2")


def test_wrong_pos_weights_raise():
    for wrong in (-1, np.nan):
        with pytest.raises(ValueError, match="^pos_weight: expected a finite number >= 0"):
            BinaryCrossEntropy(pos_weight=wrong)
    with pytest.raises(ValueError, match=r"^pos_weight\[1\]: expected a finite number >= 0"):
        BinaryCrossEntropy(pos_weight=(1, -1))
    with pytest.raises(ValueError, match="^loss: expected 4 pos_weight, one per column of targets, got 1"):
        Trainer(model_for(BinaryCrossEntropy()), BinaryCrossEntropy(pos_weight=(2,)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_options_have_a_meaning_in_both_dtypes_or_are_refused(dtype):
    """Smaller weights would be 0 in float32, so that nothing would be trained; a larger gamma would be infinite."""
    X, y = np.ones((4, 2)), np.eye(3)[[0, 1, 2, 0]]
    for output_weights in ([1e-300] * 3, [5e-324, 1.0, 1.0], [1e-16, 1.0, 0.0]):
        with pytest.raises(ValueError, match=r"^output_weights\[0\]: expected 0, or a number >= 1e-15, got"):
            BinaryCrossEntropy(output_weights=output_weights)
    with pytest.raises(ValueError, match=r"^gamma: expected a finite number >= 0 and <= 1e\+06"):
        CrossEntropy(gamma=1e308)
    model = MLP((2, 3), output_activation="sigmoid", dtype=dtype, random_state=0)
    expected = model.loss(X, y, "binary_cross_entropy")
    assert model.loss(X, y, BinaryCrossEntropy(output_weights=[1e-15] * 3)) == pytest.approx(expected, rel=1e-5)
    assert BinaryCrossEntropy(pos_weight=[0, 0, 0]).pos_weight == (0.0, 0.0, 0.0)  # like pos_weight=0
    assert model.loss(X, y, BinaryCrossEntropy(pos_weight=[0, 0, 0])) == model.loss(X, y, BinaryCrossEntropy(pos_weight=0))


def test_targets_of_hinge_losses_are_signs():
    model = MLP((1, 1))
    for loss in ("hinge", "squared_hinge"):
        for y, way in (([0.0, 1.0], "; 2 \\* y - 1 makes them of 0 and 1"), ([0.5, 1.0], "")):
            with pytest.raises(ValueError, match=f"^y: expected targets -1 and 1 for {loss}, got {y[0]}{way}$"):
                model.loss([[1.0], [2.0]], y, loss)
        with pytest.raises(ValueError, match="^y: expected values between -1 and 1"):
            model.loss([[1.0], [2.0]], [2, 1], loss)


def test_missing_targets_raise_unless_they_are_ignored():
    model = model_of((3, 2))
    X, y = np.ones((3, 3)), np.array([[1, 2], [np.nan, 3], [0, 1]])
    with pytest.raises(ValueError, match="^y: .*got nan at row 1, column 0; missing='ignore' of the loss takes NaN"):
        model.loss(X, y)
    with pytest.raises(ValueError, match="^y: .*got inf at row 0, column 0"):
        model.loss(X, np.where(y == 1, np.inf, y), MSE(missing="ignore"))
    with pytest.raises(ValueError, match="^X: .*got nan at row 0, column 0"):
        model.loss(np.full((3, 3), np.nan), y, MSE(missing="ignore"))
    with pytest.raises(ValueError, match="^y: expected values >= 0 for poisson"):
        model.loss(X, y - 2, Poisson(missing="ignore"))
    labels = np.array([0.0, np.nan, 1.0])
    with pytest.raises(TypeError, match=r"^y: expected integer labels.*CrossEntropy\(missing='ignore'\) takes NaN"):
        model.loss(X, labels, "cross_entropy")
    for wrong in ([0, -2, 1], [0, 2, -1]):
        with pytest.raises(ValueError, match="^y: expected labels from 0 to 1, or -1 for a missing one"):
            model.loss(X, wrong, CrossEntropy(missing="ignore"))
    with pytest.raises(ValueError, match="^y: expected labels from 0 to 1, got -1"):
        model.loss(X, [0, -1, 1], CrossEntropy())


def test_a_mean_over_nothing_raises():
    model = model_of((3, 2))
    X, nothing = np.ones((3, 3)), np.full((3, 2), np.nan)
    for y, loss, weight in (
        (nothing, MSE(missing="ignore"), None),
        ([[np.nan, 1]] * 3, MSE(missing="ignore", output_weights=(1, 0)), None),
        ([[1, 1], [np.nan, np.nan], [np.nan, np.nan]], MSE(missing="ignore"), [0, 1, 1]),
        ([-1, -1, -1], CrossEntropy(missing="ignore"), None),
        ([1, 1, -1], CrossEntropy(missing="ignore", output_weights=(1, 0)), None),
        ([1, 1, 1], CrossEntropy(output_weights=(1, 0)), None),
        ([[np.nan, 1]] * 3, CrossEntropy(missing="ignore"), None),
    ):
        with pytest.raises(ValueError, match="^y: expected some that are observed"):
            model.loss(X, y, loss, weight)
        with pytest.raises(ValueError, match="^validation_data y: expected some that are observed"):
            Trainer(model, loss).run(X, [0, 0, 0] if loss.takes_labels else X[:, :2], validation_data=(X, y, weight))


# ---- Other doors ----


@pytest.mark.filterwarnings("ignore:.*(converge|Maximum iterations)")
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("kind", [MSE, MAE])
def test_estimators_take_weights_of_outputs(kind, solver):
    pytest.importorskip("sklearn")
    from fastnn.sklearn import MLPRegressor

    X, y = data(MSE(), 50)

    def fitted(targets, loss):
        estimator = MLPRegressor(hidden_layer_sizes=(6,), loss=loss, solver=solver, max_iter=5, random_state=0, tol=0)
        return estimator.fit(X, targets)

    changed = y.copy()
    changed[:, 2] += 100  # of weight 0
    one, other = (fitted(targets, kind(output_weights=WEIGHTS)) for targets in (y, changed))
    np.testing.assert_array_equal(one.coefs_[0], other.coefs_[0])
    plain, same = fitted(y, kind()), fitted(y, kind(output_weights=(3, 3, 3, 3)))
    np.testing.assert_allclose(same.coefs_[0], plain.coefs_[0], rtol=1e-6)
    assert same.loss_ == pytest.approx(plain.loss_)
    with pytest.raises(ValueError, match="loss: expected 4 output_weights"):
        fitted(y, kind(output_weights=(1, 2)))
    changed[3, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        fitted(changed, kind(missing="ignore"))


def test_custom_losses_have_the_options():
    pytest.importorskip("numba")
    from fastnn import jit

    X, y = data(MSE())

    def made(**options):
        @jit.loss(gradient=lambda y_true, y_pred: 2.0 * (y_pred - y_true), name="squares", **options)
        def squares(y_true, y_pred):
            return (y_pred - y_true) ** 2

        return squares

    y[::5, 1] = np.nan
    model = model_for(MSE())
    for options in OPTIONS:
        targets = y if "missing" in options else np.nan_to_num(y)
        value, gradients = model.gradient(X, targets, made(**options))
        expected, wanted = model.gradient(X, targets, MSE(**options))
        assert value == pytest.approx(expected, rel=1e-12)
        for g, w in zip(gradients, wanted, strict=True):
            np.testing.assert_allclose(g, w, rtol=1e-9, atol=1e-12)
        assert_like_the_reference(model, X, targets, made(**options))
    with pytest.raises(ValueError, match="^missing"):
        made(missing="none")


def test_heads_leave_out_rows_with_a_missing_target():
    rng = np.random.default_rng(0)
    X, y = rng.normal(0, 1, (60, 3)), np.column_stack([rng.normal(0, 1, 60), rng.integers(0, 3, 60), rng.integers(0, 2, 60)])
    heads = [(0, "mse"), (slice(1, 4), CrossEntropy(gamma=2), 0.5), (4, BinaryCrossEntropy(gamma=1))]
    model = model_of((3, 9, 5))
    gone = np.arange(60) % 4 == 1
    expected = model.loss(X[~gone], y[~gone], Heads(heads))
    for column in range(3):
        y[gone, column] = np.nan
        loss = Heads(heads, missing="ignore")
        assert model.loss(X, y, loss) == pytest.approx(expected, rel=1e-12)
        assert_like_the_reference(model, X, y, loss)


def test_custom_losses_of_rows_leave_out_rows_with_a_missing_target():
    pytest.importorskip("numba")
    from fastnn import jit

    def gradient(y_true, y_pred, out):
        for i in range(len(y_pred)):
            out[i] = 2.0 * (y_pred[i] - y_true[i])

    @jit.loss(gradient=gradient, per_row=True, missing="ignore")
    def squares(y_true, y_pred):
        return ((y_pred - y_true) ** 2).sum()

    X, y = data(MSE())
    model, gone = model_for(MSE()), np.arange(70) % 3 == 0
    expected = 4 * model.loss(X[~gone], y[~gone], MSE())
    y[gone, 2] = np.nan
    assert model.loss(X, y, squares) == pytest.approx(expected, rel=1e-12)
    assert_like_the_reference(model, X, y, squares)
    with pytest.raises(ValueError, match="^output_weights: expected None for squares, which takes a row as a whole"):
        jit.loss(gradient=gradient, per_row=True, output_weights=(1, 2))(squares._python)


def test_compiled_code_takes_missing_targets():
    numba = pytest.importorskip("numba")

    @numba.njit
    def step(trainer, X, y):
        return trainer.step(X, y)

    for loss, labels in ((MSE(missing="ignore"), False), (CrossEntropy(missing="ignore", output_weights=WEIGHTS), True)):
        X, y = data(loss, 40, labels=labels)
        one, other = (Trainer(model_for(loss), loss) for _ in range(2))
        assert step(one, X, y) == other.step(X, y)
        np.testing.assert_array_equal(one.model.to_vector(), other.model.to_vector())
    with pytest.raises(ValueError, match="labels"):
        step(one, X, y - 1)
    with pytest.raises(ValueError, match="labels"):
        step(Trainer(model_for(loss), CrossEntropy()), X, y)
