"""The results of a model: predictions for any kind of array, losses, gradients."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from _helpers import HIDDEN, KINDS, LIKE_TARGETS, LOSSES_AND_LINKS, data, forward, links_of, model_of

from fastnn import MLP, losses, reference, set_num_threads
from fastnn._config import get_num_threads
from fastnn._engine import core as _core

SIZES = (3, 8, 5, 2)


# ---- Predictions ----


@pytest.mark.parametrize("activation", HIDDEN)
@pytest.mark.parametrize("output", _core.ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_predictions_are_those_of_the_reference(activation, output, dtype):
    for sizes in (SIZES, (3, 30, 7)):
        model = MLP(sizes, activation, output, dtype=dtype, random_state=0)
        X = np.random.default_rng(0).normal(size=(300, 3)).astype(dtype)
        expected = forward(model, X)
        result = model.predict(X)
        assert (result.dtype, result.flags.c_contiguous) == (dtype, True)
        tolerance = {"rtol": 1e-12, "atol": 1e-14} if dtype == np.float64 else {"rtol": 1e-4, "atol": 1e-5}
        np.testing.assert_allclose(result, expected[-1], **tolerance)
        for got, wanted in zip(model.hidden_activations(X), expected[:-1], strict=True):
            np.testing.assert_allclose(got, wanted, **tolerance)
        # The bits are the same for one row, a few or none, by calling the model, and by several threads.
        assert result.tobytes() == np.stack([model.predict(row) for row in X]).tobytes()
        assert result.tobytes() == np.concatenate([model.predict(X[:1]), model.predict(X[1:8]), model(X[8:])]).tobytes()
        assert all(result.tobytes() == model.predict(X, n_threads=n).tobytes() for n in (1, 2, 3, 7))
        assert model.predict(X[:0]).shape == (0, sizes[-1])
        assert [a.shape for a in model.hidden_activations(X[:0])] == [(0, n) for n in sizes[1:-1]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_few_rows_of_large_layers_have_the_bits_of_many(dtype, three_threads):
    """Threads share the outputs of each layer if there are few rows."""
    for sizes in ((1000, 1030, 3), (600, 1100, 700, 40), (3, 2000, 1)):
        model = MLP(sizes, "tanh", "softmax" if sizes[-1] > 1 else "sigmoid", dtype=dtype, random_state=0)
        X = np.random.default_rng(0).normal(size=(40, sizes[0])).astype(dtype)
        layers = [*model.hidden_activations(X), model.predict(X)]
        tolerance = {"rtol": 1e-11, "atol": 1e-13} if dtype == np.float64 else {"rtol": 1e-3, "atol": 1e-5}
        for got, wanted in zip(layers, forward(model, X), strict=True):
            np.testing.assert_allclose(got, wanted, **tolerance)
        for n in (1, 2, 3, 5, 8, 9):
            for n_threads in (None, 1, 2, 3, 7):
                assert model.predict(X[:n], n_threads=n_threads).tobytes() == layers[-1][:n].tobytes()
            for some, all_ in zip(model.hidden_activations(X[:n]), layers, strict=False):
                assert some.tobytes() == all_[:n].tobytes()
        assert model.predict(np.asfortranarray(X[:3], dtype=np.float64)).tobytes() == layers[-1][:3].tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_kind_of_array_can_be_predicted(kind, dtype):
    for sizes in ((5, 8, 2), (5, 3), (20, 30, 7)):
        model = MLP(sizes, "tanh", dtype=dtype, random_state=0)
        X = KINDS[kind](np.random.default_rng(0).integers(0, 6, (33, sizes[0])).astype(float))
        plain = np.asarray(X).astype(bool if "bool" in kind else float).astype(dtype)
        expected = model.predict(plain)
        assert model.predict(X).tobytes() == expected.tobytes()
        if kind != "memoryview":
            assert model.predict(X[3]).tobytes() == expected[3].tobytes()
        assert model(X).tobytes() == expected.tobytes()
        out = np.empty((33, sizes[-1]), dtype)
        assert model.predict(X, out=out, n_threads=2).tobytes() == expected.tobytes()
        for got, wanted in zip(model.hidden_activations(X), model.hidden_activations(plain), strict=True):
            np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("activation", HIDDEN)
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_that_are_not_finite_do_not_affect_others(activation, wrong, dtype):
    # NaN and infinity propagate as in NumPy, within their row.
    model = MLP(SIZES, activation, dtype=dtype, random_state=0)
    X = np.random.default_rng(0).normal(size=(9, 3))
    expected = model.predict(X)
    X[4, 1] = wrong
    result = model.predict(X)
    np.testing.assert_array_equal(np.delete(result, 4, axis=0), np.delete(expected, 4, axis=0))
    if np.isnan(wrong):
        assert np.isnan(result[4]).all()


@pytest.mark.parametrize("sizes", [(3, 5, 2), (3, 20, 1), (3, 9, 17, 4), (3, 70, 3), (3, 5, 9)])
@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu", "identity"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_predictions_for_infinity_are_as_in_numpy(activation, sizes, dtype):
    """The padding behind a layer's last unit adds nothing to sums, although an infinite input makes it NaN."""
    model = model_of(sizes, activation, dtype=dtype)
    X = np.random.default_rng(0).normal(size=(40, 3))
    X[::3, 1], X[1::9, 2] = np.inf, -np.inf
    with np.errstate(invalid="ignore"):
        expected = forward(model, X)[-1]
    assert np.isfinite(expected).all() or activation not in ("tanh", "sigmoid")
    for rows in (1, 5, 40):  # threads share the outputs of few rows
        for n_threads in (1, 3):
            found = model.predict(X[:rows], n_threads=n_threads)
            np.testing.assert_allclose(found, expected[:rows], rtol=1e-4 if dtype == np.float32 else 1e-10)


def test_predictions_are_written_to_out():
    model = model_of(SIZES)
    X = data(7, 3, 2)[0]
    expected = model.predict(X)
    whole = np.full((14, 4), 9.0)
    for out in (np.empty((7, 2)), np.empty((2, 7)).T, whole[::2, 1:3], whole[::-2, ::-2]):
        assert model.predict(X, out=out) is out
        np.testing.assert_array_equal(out, expected)
    one = np.empty(2)
    assert model.predict(X[0], out=one) is one
    np.testing.assert_array_equal(one, expected[0])
    square = model_of((2, 8, 2))
    X = data(7, 2, 2)[0]
    expected = square.predict(X)
    np.testing.assert_array_equal(square.predict(X, out=X), expected)
    locked = np.empty((7, 2))
    locked.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        square.predict(X, out=locked)
    for wrong in (np.empty((7, 2), "f4"), np.empty((7, 2), ">f8"), np.empty((7, 3)), np.empty(14), [[0.0, 0.0]] * 7, 3):
        with pytest.raises((TypeError, ValueError), match="^out: .*got"):
            square.predict(X, out=wrong)


def test_concurrent_predictions_give_the_same_bits():
    model = model_of((3, 64, 64, 2))
    X = data(2000, 3, 2)[0]
    expected, results = model.predict(X), [None] * 8

    def work(i):
        for _ in range(5):
            results[i] = model.predict(X, n_threads=1 + i % 3)
            model.gradient(X[:100], results[i][:100])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        np.testing.assert_array_equal(result, expected)


# ---- Losses and gradients ----


@pytest.mark.parametrize(("loss", "output"), LOSSES_AND_LINKS)
@pytest.mark.parametrize("sizes", [SIZES, (5, 12, 7)], ids=str)
def test_losses_and_gradients_are_those_of_the_reference(loss, output, sizes):
    model = model_of(sizes, "gelu", output)
    X, y = data(700, sizes[0], sizes[-1], loss)
    weight = np.random.default_rng(1).random(700)
    for rows in (slice(0, 1), slice(0, 20), slice(0, 700)):
        for w in (None, weight[rows]):
            arguments = model.weights, model.biases, model.activations, X[rows], y[rows], loss, w
            value, of_weights, of_biases = reference.loss_and_gradient(*arguments)
            assert model.loss(X[rows], y[rows], loss, w) == pytest.approx(value, rel=1e-12)
            got, gradients = model.gradient(X[rows], y[rows], loss, w)
            assert got == model.loss(X[rows], y[rows], loss, w)
            for one, other in zip(gradients[::2] + gradients[1::2], of_weights + of_biases, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-14)
        expected = reference.input_gradient(model.weights, model.biases, model.activations, X[rows], y[rows], loss)
        np.testing.assert_allclose(model.input_gradient(X[rows], y[rows], loss), expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("loss", LIKE_TARGETS)
@pytest.mark.parametrize("activation", HIDDEN)
def test_gradients_are_finite_differences_of_the_loss(loss, activation):
    model = model_of((3, 4, 2), activation, links_of(loss)[0])
    X, y = data(6, 3, 2, loss)
    weight = np.linspace(0.5, 2, 6)

    def differences(array):
        result = np.empty(array.shape)
        for index in np.ndindex(array.shape):
            kept = array[index]
            array[index] = kept + 1e-6
            above = model.loss(X, y, loss, weight)
            array[index] = kept - 1e-6
            result[index] = (above - model.loss(X, y, loss, weight)) / 2e-6
            array[index] = kept
        return result

    _, gradients = model.gradient(X, y, loss, weight)
    for p, gradient in zip(model.parameters, gradients, strict=True):
        np.testing.assert_allclose(gradient, differences(p), rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(model.input_gradient(X, y, loss, weight), differences(X), rtol=1e-5, atol=1e-8)


def test_losses_by_name_or_object_and_any_threads_give_the_same():
    model = model_of((3, 100, 100, 2))
    X, y = data(700, 3, 2)
    assert model.loss(X, y, losses.Huber(1.0)) == model.loss(X, y, "huber") != model.loss(X, y, losses.Huber(0.1))
    before, expected = get_num_threads(), model.gradient(X, y)[1]
    try:
        for n in (1, 2, 5):
            set_num_threads(n)
            for one, other in zip(model.gradient(X, y)[1], expected, strict=True):
                np.testing.assert_array_equal(one, other)
    finally:
        set_num_threads(before)


def test_dropout_affects_only_training():
    with_, without = model_of(SIZES, dropout=0.5), model_of(SIZES)
    X, y = data(20, 3, 2)
    np.testing.assert_array_equal(with_.predict(X), without.predict(X))
    assert with_.loss(X, y) == without.loss(X, y)
    np.testing.assert_array_equal(with_.gradient(X, y)[1][0], without.gradient(X, y)[1][0])
    np.testing.assert_array_equal(with_.hidden_activations(X)[0], without.hidden_activations(X)[0])
