"""Losses of whole rows that users write: against built-in losses, the fallback and the reference, and what goes wrong."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

numba = pytest.importorskip("numba")

from _helpers import model_of, state_of  # noqa: E402

from fastnn import MLP, SGD, DivergedError, Trainer, jit, losses, ops, reference  # noqa: E402
from fastnn.losses import Heads  # noqa: E402


def cosine_gradient(y_true, y_pred, out):
    product, p2, y2 = 0.0, 1e-12, 1e-12
    for j in range(y_pred.size):
        product += y_true[j] * y_pred[j]
        p2 += y_pred[j] * y_pred[j]
        y2 += y_true[j] * y_true[j]
    lengths = math.sqrt(p2) * math.sqrt(y2)
    for j in range(y_pred.size):
        out[j] = (product / p2 * y_pred[j] - y_true[j]) / lengths


@jit.loss(per_row=True, gradient=cosine_gradient, name="own_cosine")
def own_cosine(y_true, y_pred):
    product, p2, y2 = 0.0, 1e-12, 1e-12
    for j in range(y_pred.size):
        product += y_true[j] * y_pred[j]
        p2 += y_pred[j] * y_pred[j]
        y2 += y_true[j] * y_true[j]
    return 1.0 - product / (math.sqrt(p2) * math.sqrt(y2))


def softmax_gradient(y_true, y_pred, out):
    top, total, target = y_pred[0], 0.0, 0.0
    for j in range(y_pred.size):
        top = max(top, y_pred[j])
    for j in range(y_pred.size):
        out[j] = math.exp(y_pred[j] - top)
        total += out[j]
        target += y_true[j]
    for j in range(y_pred.size):
        out[j] = out[j] / total * target - y_true[j]


@jit.loss(per_row=True, from_logits=True, gradient=softmax_gradient, name="own_cross_entropy")
def own_cross_entropy(y_true, y_pred):
    top, total, loss = y_pred[0], 0.0, 0.0
    for j in range(y_pred.size):
        top = max(top, y_pred[j])
    for j in range(y_pred.size):
        total += math.exp(y_pred[j] - top)
    log_total = math.log(total) + top
    for j in range(y_pred.size):
        loss += y_true[j] * (log_total - y_pred[j])
    return loss


def gaussian_gradient(y_true, y_pred, out):
    precision, error = math.exp(-y_pred[1]), y_pred[0] - y_true[0]
    out[0] = error * precision
    out[1] = 0.5 * (1.0 - error * error * precision)


@jit.loss(per_row=True, n_targets=1, n_outputs=2, gradient=gaussian_gradient, name="own_gaussian", check_range=(-3, 3))
def own_gaussian(y_true, y_pred):
    error = y_pred[0] - y_true[0]
    return 0.5 * (y_pred[1] + error * error * math.exp(-y_pred[1]))


PAIRS = [
    (own_cosine, losses.Cosine(), 5),
    (own_cross_entropy, losses.CrossEntropy(), 5),
    (own_gaussian, losses.GaussianNLL(), 2),
]


def problem(loss, n_out, rows=75):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(rows, 3)), rng.normal(size=(rows, loss.n_targets(n_out)))
    return X, reference.softmax(y) if loss.name == "cross_entropy" else y


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("own", "built_in", "n_out"), PAIRS, ids=repr)
def test_own_losses_of_rows_train_like_built_in_ones(own, built_in, n_out, dtype):
    X, y = problem(built_in, n_out)
    weight = np.random.default_rng(1).choice([0.0, 0.5, 2.0], len(X))
    output = built_in.links[0] if built_in.links else "identity"
    results = []
    for loss in (own, built_in):
        trainer = Trainer(
            model_of((3, 9, n_out), output=output, dtype=dtype), loss, SGD(0.05), random_state=0, batch_size=32
        )
        history = trainer.run(X, y, 4, sample_weight=weight, validation_data=(X, y))
        results.append([trainer.step(X, y), *history["loss"], *history["val_loss"], *trainer.model.to_vector()])
    np.testing.assert_allclose(
        *results, rtol=1e-4 if dtype == np.float32 else 1e-10, atol=1e-5 if dtype == np.float32 else 1e-12
    )


@pytest.mark.parametrize(("own", "built_in", "n_out"), PAIRS, ids=repr)
def test_the_reference_and_any_number_of_threads_agree(own, built_in, n_out):
    X, y = problem(built_in, n_out)
    model = model_of((3, 9, n_out), output="softmax" if built_in.links else "tanh")
    value, gradients = model.gradient(X, y, own)
    expected = reference.loss_and_gradient(model.weights, model.biases, model.activations, X, y, own)
    assert value == pytest.approx(expected[0], rel=1e-12)
    for actual, wanted in zip(gradients[::2], expected[1], strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-10, atol=1e-14)
    outputs = reference.forward(model.weights, model.biases, model.activations, X)[-1][0 if built_in.links else 1]
    assert value == pytest.approx(own(y, outputs).mean(), rel=1e-12)
    assert own(y[0], outputs[0]) == own(y, outputs)[0]
    states = []
    for n_threads in (1, 3):
        trainer = Trainer(model_of((3, 9, n_out)), own, random_state=0, n_threads=n_threads)
        trainer.run(X, y, 2)
        states.append(state_of(trainer))
    assert states[0] == states[1]


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "exp", "softmax"])
def test_losses_of_logits_go_with_any_output_activation(activation):
    X, y = problem(losses.CrossEntropy(), 5)
    plain, model = model_of((3, 5)), model_of((3, 5), output=activation)
    model.set_vector(plain.to_vector())
    assert model.loss(X, y, own_cross_entropy) == plain.loss(X, y, own_cross_entropy)
    with pytest.raises(ValueError, match="an output activation without parameters for 'own_cross_entropy'.*'prelu'"):
        MLP((3, 5), output_activation="prelu").loss(X, y, own_cross_entropy)


def test_losses_of_single_elements_may_take_logits_too():
    @jit.loss(from_logits=True, gradient=lambda y_true, y_pred: 1 / (1 + math.exp(-y_pred)) - y_true, check_range=(0, 1))
    def own_binary(y_true, y_pred):
        return math.log1p(math.exp(y_pred)) - y_true * y_pred

    X, y = problem(losses.Cosine(), 2)
    model = model_of((3, 4, 2), output="sigmoid")
    expected = model.gradient(X, y > 0, "binary_cross_entropy")
    actual = model.gradient(X, y > 0, own_binary)
    assert actual[0] == pytest.approx(expected[0], rel=1e-12)
    for one, other in zip(actual[1], expected[1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-14)


def test_own_losses_are_heads_and_are_found_in_files(tmp_path):
    X, y = problem(losses.Cosine(), 3)
    loss, built_in = (Heads([(slice(0, 2), cosine), (2, "mse")]) for cosine in (own_cosine, losses.Cosine()))
    model = model_of((3, 4, 3))
    assert model.loss(X, y, loss) == pytest.approx(model.loss(X, y, built_in), rel=1e-12)
    for saved in (own_cosine, loss):
        Trainer(model, saved).save(tmp_path / "trainer")
        assert Trainer.load(tmp_path / "trainer").loss == saved
        assert Trainer.load(tmp_path / "trainer", custom_losses=[own_cosine]).loss == saved


def test_wrong_gradients_are_found_when_defined():
    def wrong(y_true, y_pred, out):
        for j in range(y_pred.size):
            out[j] = 2 * (y_pred[j] - y_true[j]) * (1.01 if j == 1 else 1)

    with pytest.raises(ValueError, match=r"gradient: got .* in out\[1\] at y_true = \[.*expected about .* by y_pred\[1\]"):

        @jit.loss(per_row=True, gradient=wrong)
        def squares(y_true, y_pred):
            return ((y_true - y_pred) ** 2).sum()


def fine(y_true, y_pred, out):
    out[0] = 1.0


@pytest.mark.parametrize(
    ("options", "function", "error", "message"),
    [
        ({"gradient": lambda y, p: p}, lambda y, p: p[0], TypeError, "gradient: expected a Python function of three rows"),
        ({"gradient": fine}, lambda y: 0.0, TypeError, "function: expected a Python function of two rows"),
        ({"gradient": fine}, lambda y, p: p, TypeError, "function: expected a real number"),
        ({"gradient": lambda y, p, out: p}, lambda y, p: p[0], TypeError, "gradient: expected a real number"),
        (
            {"gradient": lambda y, p, out: p[1]},
            lambda y, p: p[0],
            ValueError,
            "gradient: got .* returned at y_true = .*expected",
        ),
        ({"gradient": fine, "n_targets": 0}, lambda y, p: p[0], ValueError, "n_targets: "),
        ({"gradient": fine, "n_outputs": "2"}, lambda y, p: p[0], TypeError, "n_outputs: "),
        (
            {"gradient": fine},
            lambda y, p: p[7],
            ValueError,
            "raised IndexError.* for a row of 3 targets and 3 outputs; n_targets=",
        ),
        ({"gradient": fine, "per_row": 1}, lambda y, p: p[0], TypeError, "per_row: "),
        ({"gradient": lambda y, p: p, "per_row": False, "n_outputs": 2}, lambda y, p: p, TypeError, "n_outputs: .*per_row"),
    ],
)
def test_wrong_definitions_raise(options, function, error, message):
    with pytest.raises(error, match=message):
        jit.loss(**{"per_row": True, "name": "wrong"} | options)(function)


def test_gradients_that_return_the_loss_train_the_same():
    def both(y_true, y_pred, out):
        precision, error = math.exp(-y_pred[1]), y_pred[0] - y_true[0]
        out[0], out[1] = error * precision, 0.5 * (1.0 - error * error * precision)
        return 0.5 * (y_pred[1] + error * error * math.exp(-y_pred[1]))

    options = {"per_row": True, "n_targets": 1, "n_outputs": 2, "name": "both", "check_range": (-3, 3)}
    loss = jit.loss(gradient=numba.njit(both), **options)(own_gaussian._python)
    X, y = problem(losses.GaussianNLL(), 2)
    assert loss(y, np.ones((75, 2))) == pytest.approx(own_gaussian(y, np.ones((75, 2))), rel=1e-12)
    histories = [model_of((3, 4, 2)).fit(X, y, loss=each, epochs=5, random_state=0)["loss"] for each in (loss, own_gaussian)]
    np.testing.assert_allclose(*histories, rtol=1e-10)


def test_gradients_are_checked_on_rows_of_several_lengths():
    def gradient_for_three(y_true, y_pred, out):
        for j in range(y_pred.size):
            out[j] = 2 * (y_pred[j] - y_true[j]) / 3

    def gradient_of_three(y_true, y_pred, out):
        out[2] = 2 * (y_pred[2] - y_true[2])

    def mean_square(y_true, y_pred):
        return ((y_pred - y_true) ** 2).mean()

    with pytest.raises(ValueError, match="gradient: got .*, the derivative of mean_square"):
        jit.loss(per_row=True, gradient=gradient_for_three)(mean_square)
    third = jit.loss(per_row=True, gradient=gradient_of_three)(lambda y_true, y_pred: (y_pred[2] - y_true[2]) ** 2)
    assert third([0.0, 0.0, 1.0], [0.0, 0.0, 3.0]) == 4.0  # other rows are not required


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_functions_of_whole_rows_take_arrays(dtype):
    def gradient(y_true, y_pred, out):
        weights = np.exp(y_pred - y_pred.max())
        out[:] = weights / weights.sum() - y_true

    @jit.loss(per_row=True, from_logits=True, gradient=gradient)
    def by_arrays(y_true, y_pred):
        top = y_pred.max()
        return math.log(np.exp(y_pred - top).sum()) + top - (y_true * y_pred).sum()

    model, rng = MLP((3, 4), output_activation="softmax", dtype=dtype, random_state=0), np.random.default_rng(0)
    X, y = rng.normal(size=(9, 3)), np.eye(4)[rng.integers(0, 4, 9)]
    value, gradients = model.gradient(X, y, by_arrays)
    expected, right = model.gradient(X, y, "cross_entropy")
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    for array, other in zip(gradients, right, strict=True):
        np.testing.assert_allclose(array, other, atol=1e-6)


def test_rows_can_not_be_changed():
    def changes(y_true, y_pred):
        y_pred[0] = 0.0
        return y_pred[0]

    with pytest.raises(TypeError, match="function: Numba can't compile changes of a row of float64: .*"):
        jit.loss(per_row=True, gradient=fine, name="changes")(changes)


def test_an_index_out_of_bounds_in_training_is_a_loss_that_is_not_finite():
    def gradient(y_true, y_pred, out):
        out[2] = 1.0

    third = jit.loss(per_row=True, gradient=gradient, name="third")(lambda y_true, y_pred: y_pred[2])
    model = MLP((2, 2), random_state=0)
    before = model.to_vector()
    with pytest.raises(DivergedError):
        model.fit(np.ones((5, 2)), np.ones((5, 2)), loss=third)
    np.testing.assert_array_equal(model.to_vector(), before)


def test_numbers_of_outputs_and_targets_that_do_not_fit_raise():
    X = np.zeros((4, 3))
    with pytest.raises(ValueError, match="loss: 'own_gaussian' takes a model with 2 outputs, got a model with 3"):
        Trainer(MLP((3, 3)), own_gaussian)
    with pytest.raises(
        ValueError, match=r"y: expected shape \(4, 1\) or \(4,\).*of a model with outputs \(4, 2\), got \(4, 2\)"
    ):
        MLP((3, 2)).fit(X, np.zeros((4, 2)), loss=own_gaussian)
    with pytest.raises(ValueError, match=r"y_true, y_pred: expected shapes .*got \(4, 2\) and \(4, 2\)"):
        own_gaussian(np.zeros((4, 2)), np.zeros((4, 2)))


def test_compiled_code_takes_the_columns_of_targets():
    @numba.njit
    def train(trainer, X, y):
        return trainer.step(X, y)

    X, y = problem(losses.GaussianNLL(), 2)
    expected = Trainer(model_of((3, 4, 2)), "gaussian_nll").step(X, y)
    assert train(Trainer(model_of((3, 4, 2)), "gaussian_nll"), X, y) == expected
    assert train(Trainer(model_of((3, 4, 2)), own_gaussian), X, y) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match="y: expected a row of targets for each row of X, got one number"):
        train(Trainer(model_of((3, 4, 4)), "gaussian_nll"), X, y[:, 0])
    with pytest.raises(ValueError, match="y: expected rows of as many numbers as the loss takes"):
        train(Trainer(model_of((3, 4, 2)), "gaussian_nll"), X, np.zeros((75, 2)))


def squares_gradient(y_true, y_pred, out):
    for j in range(y_pred.size):
        out[j] = 2 * (y_pred[j] - y_true[j]) / y_pred.size


def squares(y_true, y_pred):
    return np.sum((y_pred - y_true) ** 2) / y_pred.size


own_squares = jit.loss(per_row=True, gradient=squares_gradient, name="own_squares")(squares)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_out", [1, 4, 5, 16])
@pytest.mark.parametrize("contiguous", [True, False])
def test_rows_of_any_length_and_place_are_read(dtype, n_out, contiguous):
    """Rows stand side by side or have padding in the workspace, and targets are read in place if they can be."""
    rng = np.random.default_rng(n_out)
    model, X = MLP((3, 6, n_out), random_state=0, dtype=dtype), rng.standard_normal((37, 3)).astype(dtype)
    wide = rng.standard_normal((37, n_out + 2)).astype(dtype)
    y = np.ascontiguousarray(wide[:, :n_out]) if contiguous else wide[:, :n_out]
    (value, gradients), (expected, expected_gradients) = (model.gradient(X, y, loss) for loss in (own_squares, "mse"))
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    assert value == pytest.approx(expected, rel=tolerance)
    for gradient, of_mse in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(gradient, of_mse, rtol=tolerance, atol=tolerance)


def test_a_name_refers_to_the_last_loss_in_the_next_call_of_the_same_model():
    model, X, y = MLP((2, 2), random_state=0), np.ones((3, 2)), np.zeros((3, 2))
    make = jit.loss(per_row=True, gradient=squares_gradient, name="redefined")
    make(squares)
    before = model.loss(X, y, "redefined")

    def doubled_gradient(y_true, y_pred, out):
        for j in range(y_pred.size):
            out[j] = 4 * (y_pred[j] - y_true[j]) / y_pred.size

    jit.loss(per_row=True, gradient=doubled_gradient, name="redefined")(
        lambda y_true, y_pred: 2 * squares_of(y_true, y_pred)
    )
    assert model.loss(X, y, "redefined") == pytest.approx(2 * before, rel=1e-12)


squares_of = numba.njit(squares)


@pytest.mark.usefixtures("compiles_anew")
@pytest.mark.parametrize("fastmath", [True, {"reassoc"}])
def test_functions_keep_their_fastmath(fastmath):
    def gradient(y_true, y_pred, out):
        total = 0.0
        for j in range(y_pred.size):
            out[j] = y_pred[j] - y_true[j]
            total += out[j] * out[j]
        return 0.5 * total

    def value(y_true, y_pred):
        return 0.5 * ((y_pred - y_true) ** 2).sum()

    names = [f"half_squares_{option}" for option in ("strict", "fast")]
    strict = jit.loss(per_row=True, gradient=numba.njit(gradient), name=names[0])(value)
    fast = jit.loss(per_row=True, gradient=numba.njit(fastmath=fastmath)(gradient), name=names[1])(value)
    flags = [
        bool(re.search(r"f(add|mul) [a-z ]*(fast|reassoc) ", each._block(np.dtype(np.float32), 40, 40).inspect_llvm()))
        for each in (strict, fast)
    ]
    assert flags == [False, True]
    model, rng = model_of((3, 40)), np.random.default_rng(0)
    X, y = rng.standard_normal((7, 3)), rng.standard_normal((7, 40))
    assert model.loss(X, y, fast) == pytest.approx(model.loss(X, y, strict), rel=1e-5)


@numba.njit
def smooth(y_true, y_pred, out, half, one):
    total = one - one
    for j in range(y_pred.size):
        target = y_true[j % y_true.size]
        error = abs(y_pred[j]) - min(target, half) + max(-target, y_pred[j])
        ratio = error**2 / math.sqrt(one + target * target) - (+error) ** 3
        out[-1 - j] += half * ratio
        total += ratio
    return total * half


def smooth_in_lanes(y_true, y_pred, out):
    return smooth(y_true, y_pred, out, 0.5, 1.0)


def smooth_by_rows(y_true, y_pred, out):
    if y_pred[0] > 1e30:  # lanes can't branch
        return 0.0
    return smooth(y_true, y_pred, out, 0.5, 1.0)


def elementary(y_true, y_pred, out):
    total = 0.0
    for a, b in zip(y_true, y_pred[1:]):  # noqa: B905  # Numba lacks the argument
        total += math.exp(a) + math.tanh(b) + math.log1p(a * a) - ops.relu(a) + math.atan(b) + math.log(2.0 + a * a)
    out[:] = total
    return total


@pytest.fixture
def compiles_anew(monkeypatch, tmp_path):
    """Functions that Numba loads with their caller from a cache are not compiled, and do not tell their types."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))


def compiled_functions_of(loss, dtype, n_targets, n_out):
    block = loss._block(np.dtype(dtype), n_targets, n_out)
    return block, [str(s) for function in block._functions.values() for s in function.nopython_signatures]


@pytest.mark.usefixtures("compiles_anew")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n_targets", "n_out"), [(1, 5), (33, 37)])
def test_rows_in_lanes_have_the_bits_of_rows_one_by_one(dtype, n_targets, n_out):
    options = {"per_row": True, "n_targets": n_targets, "n_outputs": n_out, "check_range": None}
    made = [
        jit.loss(gradient=gradient, name=name, **options)(lambda y_true, y_pred: y_pred[0])
        for name, gradient in (("in_lanes", smooth_in_lanes), ("by_rows", smooth_by_rows))
    ]
    lanes, rows = (compiled_functions_of(loss, dtype, n_targets, n_out)[1] for loss in made)
    assert sum("Lanes" in each for each in lanes) == 2  # of the function, and of the gradient
    assert sum("Lanes" in each for each in rows) == 1
    rng, model = np.random.default_rng(0), model_of((3, n_out), dtype=dtype)
    for n in (1, 7, 16, 35):
        X, y = rng.standard_normal((n, 3)).astype(dtype), rng.standard_normal((n, n_targets)).astype(dtype)
        (value, gradients), (expected, expected_gradients) = (model.gradient(X, y, loss) for loss in made)
        assert value == expected
        for gradient, other in zip(gradients, expected_gradients, strict=True):
            np.testing.assert_array_equal(gradient, other)


@pytest.mark.usefixtures("compiles_anew")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_elementary_functions_in_lanes_have_the_bits_of_those_of_arrays(dtype):
    loss = jit.loss(per_row=True, n_targets=5, n_outputs=6, gradient=elementary, name="elementary", check_range=None)(
        lambda y_true, y_pred: y_pred[0]
    )
    assert sum("Lanes" in each for each in compiled_functions_of(loss, dtype, 5, 6)[1]) == 2
    rng = np.random.default_rng(0)
    y, p = rng.standard_normal((35, 5)).astype(dtype), rng.standard_normal((35, 6)).astype(dtype)
    a, b = y.astype(np.float64), p[:, 1:].astype(np.float64)
    terms = ops.exp(a) + np.tanh(b) + np.log1p(a * a) - ops.relu(a) + np.arctan(b) + np.log(2 + a * a)
    np.testing.assert_allclose(loss(y, p), terms.sum(axis=1), rtol=1e-5 if dtype == np.float32 else 1e-13)
    model = MLP((6, 6), dtype=dtype)
    model.weights[0][...] = np.eye(6)
    assert model.loss(p, y, loss) == pytest.approx(terms.sum(axis=1).mean(), rel=1e-5 if dtype == np.float32 else 1e-13)


def test_integers_in_lanes_do_not_widen_numbers():
    def gradient(y_true, y_pred, out):
        for j in range(len(y_pred)):
            out[j] = (y_pred[j] - y_true[j]) * 2 / 3
        return y_pred[0] / 3

    loss = jit.loss(per_row=True, gradient=gradient, name="thirds", check_range=None)(lambda y_true, y_pred: y_pred[0] / 3)
    model = MLP((5, 5), dtype=np.float32)
    model.weights[0][...] = np.eye(5)
    x = np.float32([[0.7, 0.1, 0.2, 0.3, 0.4]])
    expected = np.float32(x) * np.float32(2) / np.float32(3)
    np.testing.assert_array_equal(model.gradient(x, np.zeros((1, 5)), loss)[1][1], expected[0])


def test_an_index_out_of_bounds_in_lanes_raises_too():
    def gradient(y_true, y_pred, out):
        out[len(y_true)] = 1.0

    with pytest.raises(ValueError, match="raised IndexError.* for a row of 7 targets and 7 outputs"):
        jit.loss(per_row=True, n_targets=7, n_outputs=7, gradient=gradient, name="eighth")(lambda y_true, y_pred: y_pred[6])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lanes_may_stand_in_arrays_tuples_and_lists(dtype):
    def gradient(y_true, y_pred, out):
        errors, ends = np.empty_like(out), (y_pred[0], y_pred[-1])
        for j in range(y_pred.size):
            errors[j] = y_pred[j] - y_true[j]
        kept = [2.0 * error for error in errors]
        for j in range(y_pred.size):
            out[j] = kept[j] + 0.0 * (ends[0] + ends[1])

    def value(y_true, y_pred):
        squares = np.empty_like(y_pred)
        for j in range(y_pred.size):
            squares[j] = (y_pred[j] - y_true[j]) ** 2
        total = 0.0
        for square in squares:
            total += square
        return total

    loss = jit.loss(per_row=True, gradient=gradient, name="kept", n_outputs=7)(value)
    rng, model = np.random.default_rng(0), model_of((3, 7), dtype=dtype)
    X, y = rng.standard_normal((37, 3)).astype(dtype), rng.standard_normal((37, 7)).astype(dtype)
    assert sum("Lanes" in each for each in compiled_functions_of(loss, dtype, 7, 7)[1]) == 2
    for _ in range(20):
        assert model.loss(X, y, loss) == pytest.approx(7 * model.loss(X, y, "mse"), rel=1e-5)
    for own, other in zip(model.gradient(X, y, loss)[1], model.gradient(X, y, "mse")[1], strict=True):
        np.testing.assert_allclose(own, 7 * other, rtol=1e-4, atol=1e-5)


@numba.njit
def bits_of(row):
    return row.view(np.int64)[0]


def looks_at_sizes(y_true, y_pred, out):
    out[0] = 1.0 * y_pred.itemsize


def looks_at_bits(y_true, y_pred, out):
    out[0] = 1.0 * bits_of(y_pred)


@pytest.mark.parametrize("gradient", [looks_at_sizes, looks_at_bits])
def test_functions_that_look_at_memory_get_rows_one_by_one(gradient):
    loss = jit.loss(per_row=True, gradient=gradient, name="looking", check_range=None)(lambda y_true, y_pred: y_pred[0])
    p = np.arange(1.0, 11.0).reshape(2, 5)
    expected = [8.0, 8.0] if gradient is looks_at_sizes else p[:, 0].view(np.int64).astype(np.float64)
    np.testing.assert_array_equal(loss.gradient(np.zeros((2, 5)), p)[:, 0], expected)
