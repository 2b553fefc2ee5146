"""Predictions of many models by one call: the bits of each model's own, whatever the models, inputs and threads."""

from __future__ import annotations

import threading
from fractions import Fraction

import numpy as np
import pytest
from _helpers import HIDDEN

import fastnn
from fastnn import MLP, Ensemble, predict_many
from fastnn._engine import core as _core

SHAPES = ((5, 8, 2), (5, 2), (5, 30, 7, 2), (5, 8, 2), (5, 70, 2))


def models_of(shapes=SHAPES, activation="tanh", output="identity", **options):
    return [MLP(sizes, activation, output, random_state=seed, **options) for seed, sizes in enumerate(shapes)]


def alone(models, X, each=False):
    """Return the predictions of each model by itself."""
    return np.stack([model.predict(X[k] if each else X) for k, model in enumerate(models)])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 2, 9, 257, 600])
def test_bits_are_those_of_each_model(dtype, n, three_threads):
    rng = np.random.default_rng(n)
    for models in (models_of(dtype=dtype), models_of([SHAPES[0]] * 40, "gelu", "softmax", dtype=dtype)):
        X, own = rng.normal(size=(n, 5)), rng.normal(size=(len(models), n, 5)).astype(dtype)
        for n_threads in (None, 1, 2, 3, 50):
            result = predict_many(models, X, n_threads=n_threads)
            assert (result.dtype, result.shape) == (dtype, (len(models), n, 2))
            assert result.tobytes() == alone(models, X).tobytes()
            assert predict_many(models, own, n_threads=n_threads).tobytes() == alone(models, own, True).tobytes()


@pytest.mark.parametrize("output", _core.ACTIVATIONS)
def test_all_activations_in_one_population(output):
    models = [MLP((3, 6, 6), hidden, output, random_state=0) for hidden in (*HIDDEN, "prelu", *HIDDEN)]
    X = np.random.default_rng(0).normal(size=(3, 3))
    assert predict_many(models, X).tobytes() == alone(models, X).tobytes()
    assert predict_many(models, X[0]).tobytes() == alone(models, X[0]).tobytes()


def test_large_models_of_few_rows(three_threads):
    """With fewer models than threads, all threads compute each model."""
    models = models_of([(600, 700, 3), (600, 900, 3)])
    X = np.random.default_rng(0).normal(size=(2, 4, 600)).astype(np.float32)
    for n_threads in (None, 1, 2, 3, 7):
        assert predict_many(models, X, n_threads=n_threads).tobytes() == alone(models, X, True).tobytes()


def test_workspaces_hold_nothing_of_the_models_before():
    """Values that one model leaves in the workspace, such as infinities beside its rows, must not reach the next one."""
    shapes = [(3, n, 4) for n in (1, 17, 3, 40, 2)] * 3
    models = models_of(shapes, "relu")
    for model in models[::2]:
        model.weights[0][...] = np.inf
    X = np.random.default_rng(0).normal(size=(len(models), 300, 3)).astype(np.float32)
    X[1::4] = np.nan
    with np.errstate(all="ignore"):
        assert predict_many(models, X, n_threads=1).tobytes() == alone(models, X, True).tobytes()


def inputs(n_models):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_models, 6, 5)).astype(np.float32)
    frozen = X.copy()
    frozen.flags.writeable = False
    return {
        "float64": X.astype(np.float64),
        "float16": X.astype(np.float16),
        "int8": (10 * X).astype(np.int8),
        "bool": X > 0,
        "big-endian": X.astype(">f4"),
        "read-only": frozen,
        "Fortran": np.asfortranarray(X),
        "reversed": X[::-1, ::-1, ::-1],
        "rows apart": np.repeat(X, 3, axis=1)[:, ::3],
        "one for all, by strides": np.broadcast_to(X[0], X.shape),
        "list": X.tolist(),
        "fractions": [[[Fraction(1, 3)] * 5] * 6] * n_models,
        "unaligned": np.frombuffer(b"." + X.tobytes(), np.uint8)[1:].view(np.float32).reshape(X.shape),
    }


@pytest.mark.parametrize("kind", inputs(1))
def test_any_real_array(kind):
    models = models_of()
    X = inputs(len(models))[kind]
    assert predict_many(models, X).tobytes() == alone(models, X, True).tobytes()
    assert predict_many(models, X[0]).tobytes() == alone(models, X[0]).tobytes()
    assert predict_many(models, X[0][0]).tobytes() == alone(models, X[0][0]).tobytes()


def test_one_row_gives_one_row_per_model():
    models = models_of()
    assert predict_many(models, np.ones(5)).shape == (5, 2)
    assert predict_many(models, np.ones((0, 5))).shape == (5, 0, 2)
    assert predict_many(models, np.ones((5, 0, 5))).shape == (5, 0, 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sparse_rows(dtype):
    sparse = pytest.importorskip("scipy.sparse")
    models = models_of([(50, 8, 2), (50, 20, 2)] * 4, dtype=dtype)
    for n in (1, 600):
        X = sparse.random(n, 50, 0.2, "csr", random_state=0)
        for n_threads in (None, 1, 3):
            assert predict_many(models, X, n_threads=n_threads).tobytes() == alone(models, X).tobytes()


def test_frames_are_checked_against_each_model():
    pandas = pytest.importorskip("pandas")
    models = models_of()
    frame = pandas.DataFrame(np.ones((3, 5)), columns=list("abcde"))
    models[3].feature_names = list("abcde")
    assert predict_many(models, frame).tobytes() == alone(models, np.ones((3, 5))).tobytes()
    with pytest.raises(ValueError, match=r"^X: "):
        predict_many(models, frame[list("bacde")])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_results_go_to_out(dtype):
    models = models_of(dtype=dtype)
    X = np.random.default_rng(0).normal(size=(5, 6, 5)).astype(dtype)
    expected = predict_many(models, X)
    for out in (np.empty((5, 6, 2), dtype), np.empty((6, 2, 5), dtype).transpose(2, 0, 1), np.empty((10, 6, 2), dtype)[::2]):
        assert predict_many(models, X, out=out) is out
        assert out.tobytes() == expected.tobytes()
    one = np.empty((5, 2), dtype)
    assert predict_many(models, X[0, 0], out=one) is one
    assert one.tobytes() == predict_many(models, X[0, 0]).tobytes()
    for wrong in (np.empty((5, 6, 3), dtype), np.empty((5, 6, 2), np.int32), np.empty((6, 2), dtype)):
        with pytest.raises(ValueError, match=r"^out: "):
            predict_many(models, X, out=wrong)
    with pytest.raises(TypeError, match=r"^out: "):
        predict_many(models, X, out=[1.0])


def test_out_may_overlap_inputs_and_parameters():
    models = models_of([(2, 2)] * 5)
    X = np.random.default_rng(0).normal(size=(5, 6, 2)).astype(np.float32)
    expected = predict_many(models, X)
    assert predict_many(models, X, out=X).tobytes() == expected.tobytes()
    models = models_of([(2, 2)])
    expected = predict_many(models, np.ones((2, 2)))
    into = models[0].weights[0][np.newaxis]
    assert predict_many(models, np.ones((2, 2)), out=into).tobytes() == expected.tobytes()


def test_changes_of_models_and_lists_take_effect():
    models = models_of()
    X = np.ones((3, 5), np.float32)
    before = predict_many(models, X)
    models[1].biases[-1][...] += 1.0
    assert (predict_many(models, X)[1] != before[1]).all()
    models[0] = MLP((5, 9, 2), random_state=9)
    del models[2]
    models.append(models[0])
    assert predict_many(models, X).tobytes() == alone(models, X).tobytes()
    models[1].__init__((5, 4, 2), random_state=3)
    assert predict_many(models, X).tobytes() == alone(models, X).tobytes()
    models[1].__init__((5, 4, 3), random_state=3)
    with pytest.raises(ValueError, match=r"^models\[1\]: expected 2 outputs, like models\[0\], got 3"):
        predict_many(models, X)


@pytest.mark.parametrize("make", [list, tuple, iter, Ensemble], ids=lambda make: make.__name__)
def test_models_in_any_order_of_things(make):
    models = models_of()
    assert predict_many(make(models), np.ones((3, 5))).tobytes() == alone(models, np.ones((3, 5))).tobytes()


class Named(MLP):
    """A subclass that computes like MLP."""


class Halved(MLP):
    """A subclass with other predictions."""

    def predict(self, X, **options):
        return super().predict(X, **options) / 2


def test_subclasses():
    models = [*models_of(), Named((5, 3, 2))]
    assert predict_many(models, np.ones((3, 5))).tobytes() == alone(models, np.ones((3, 5))).tobytes()
    with pytest.raises(TypeError, match=r"^models\[6\]: .*Halved, which has a method predict of its own"):
        predict_many([*models, Halved((5, 3, 2))], np.ones((3, 5)))


@pytest.mark.parametrize(
    ("models", "error", "message"),
    [
        ([], ValueError, "models: expected at least one model, got none"),
        ((), ValueError, "models: expected at least one model, got none"),
        (None, TypeError, "models: expected a list of MLP, got NoneType"),
        (MLP((5, 2)), TypeError, "models: expected a list of MLP, got MLP"),
        ({1: MLP((5, 2))}, TypeError, r"models: .* got dict; list\(models.values\(\)\) is one"),
        ({MLP((5, 2))}, TypeError, "models: expected a list of MLP, got set"),
        ([MLP((5, 2)), "MLP"], TypeError, r"models\[1\]: expected MLP, got str"),
        ([MLP((5, 2)), MLP((5, 3))], ValueError, r"models\[1\]: expected 2 outputs, like models\[0\], got 3"),
        ([MLP((5, 2)), MLP((5, 2)), MLP((4, 2))], ValueError, r"models\[2\]: expected 5 inputs, like models\[0\], got 4"),
        ([MLP((5, 2)), MLP((5, 2), dtype="f8")], ValueError, r"models\[1\]: expected dtype float32, .* got float64"),
    ],
)
def test_wrong_models(models, error, message):
    for call in (lambda: predict_many(models, np.ones((3, 5))), lambda: Ensemble(models)):
        with pytest.raises(error, match=f"^{message}"):
            call()


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (np.ones((3, 4)), ValueError, r"X: expected shape \(5,\), \(n, 5\) or \(5, n, 5\), got \(3, 4\)"),
        (np.ones((4, 3, 5)), ValueError, r"X: expected shape .* got \(4, 3, 5\)"),
        (np.ones((1, 5, 3, 5)), ValueError, "X: expected shape"),
        (np.float64(3.0), (TypeError, ValueError), "X: "),
        ([["a"] * 5], TypeError, "X: expected real numbers"),
        (np.ones((3, 5), complex), TypeError, "X: expected real numbers"),
    ],
)
def test_wrong_inputs(X, error, message):
    with pytest.raises(error, match=f"^{message}"):
        predict_many(models_of(), X)


def test_wrong_options():
    with pytest.raises(ValueError, match=r"^n_threads: "):
        predict_many(models_of(), np.ones((3, 5)), n_threads=0)
    with pytest.raises(TypeError, match=r"^predict_many\(\) got an unexpected keyword argument 'threads'"):
        predict_many(models_of(), np.ones((3, 5)), threads=2)


def test_custom_activations():
    pytest.importorskip("numba")

    @fastnn.jit.activation(derivative=lambda z: 2 * z, uses="input")
    def square_of_many(z):
        return z * z

    models = models_of([(5, 8, 2)] * 3, square_of_many) + models_of([(5, 8, 2)] * 3)
    X = np.random.default_rng(0).normal(size=(3, 5))
    assert predict_many(models, X).tobytes() == alone(models, X).tobytes()


def test_threads_may_change_the_list():
    """Another thread replaces models while predictions run; each result is that of models that were in the list."""
    models, spare = models_of([(5, 8, 2)] * 50), models_of([(5, 8, 2)] * 50)
    X = np.ones((200, 5), np.float32)
    possible = [{a.predict(X).tobytes(), b.predict(X).tobytes()} for a, b in zip(models, spare, strict=True)]
    done = threading.Event()

    def replace():
        while not done.is_set():
            for k in range(50):
                models[k], spare[k] = spare[k], models[k]

    thread = threading.Thread(target=replace)
    thread.start()
    try:
        for _ in range(200):
            for outputs, either in zip(predict_many(models, X), possible, strict=True):
                assert outputs.tobytes() in either
    finally:
        done.set()
        thread.join()
