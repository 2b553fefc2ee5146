"""Metrics of training and validation data, beside scikit-learn's, and their place in the history."""

from __future__ import annotations

import functools
import sys

import numpy as np
import pytest
from _helpers import data, links_of, model_of, run_script
from _portable_runs import DTYPES, network_of

from fastnn import MLP, Trainer, _evaluation, losses
from fastnn._engine import core as _core
from fastnn._engine import portable
from fastnn._evaluation import Evaluation
from fastnn._metrics import METRICS, Metrics, checked_metrics

skl = pytest.importorskip("sklearn.metrics")

ERRORS = [name for name in METRICS if name != "accuracy"]


@pytest.fixture(params=DTYPES, ids=["float64", "float32"])
def dtype(request):
    return request.param


@pytest.fixture(params=["compiled", "portable"])
def engine(request, monkeypatch):
    """Predict by the engine in use, then by the fallback."""
    if request.param == "portable":
        monkeypatch.setattr(_evaluation, "evaluated_network", lambda trainer: network_of(trainer.model))


def expected_errors(y, p, weight):
    y, p = y.astype(np.float64), p.astype(np.float64)
    mse = skl.mean_squared_error(y, p, sample_weight=weight)
    return {
        "mse": mse,
        "rmse": np.sqrt(mse),
        "mae": skl.mean_absolute_error(y, p, sample_weight=weight),
        "r2": skl.r2_score(y, p, sample_weight=weight),
    }


def measured(model, X, y, loss="mse", metrics=METRICS, weight=None):
    """Return the metrics of a model as a run would record them."""
    trainer = Trainer(model, loss)
    return Metrics(checked_metrics(metrics), Evaluation(trainer, trainer._data(X, y, weight))).values()


WEIGHTS = {
    "none": lambda n: None,
    "equal": lambda n: np.full(n, 2.0),
    "some": lambda n: np.random.default_rng(3).uniform(0, 2, n) * (np.arange(n) % 3 > 0),
    "chosen": lambda n: np.arange(n) % 4 == 0,
}


# ---- Values ----


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("n_out", [1, 3])
@pytest.mark.parametrize("step", [7, 1 << 20])
def test_errors_are_scikit_learns(n_out, weights, step, dtype, monkeypatch):
    monkeypatch.setattr(_evaluation, "_ELEMENTS_AT_ONCE", step)
    X, y = data(600, 3, n_out)  # two blocks of at most 512 rows, or one
    weight = WEIGHTS[weights](600)
    model = model_of((3, 8, n_out), dtype=dtype)
    found = measured(model, X, y, metrics=ERRORS, weight=weight)
    expected = expected_errors(y, model.predict(X), None if weight is None else weight.astype(float))
    assert list(found) == ERRORS
    for name in ERRORS:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-6, atol=1e-7, err_msg=name)  # R² is near 0


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("targets", ["labels", "one-hot", "soft"])
@pytest.mark.parametrize("output", ["softmax", "identity"])
def test_accuracy_of_classes(targets, weights, output, dtype):
    X, labels = data(60, 3, 4, "cross_entropy")
    model, weight = model_of((3, 8, 4), output=output, dtype=dtype), WEIGHTS[weights](60)
    one_hot = np.eye(4)[labels]
    y = {"labels": labels, "one-hot": one_hot, "soft": 0.7 * one_hot + 0.3 / 4}[targets]
    found = measured(model, X, y, "cross_entropy", ["accuracy"], weight)
    expected = skl.accuracy_score(labels, model.predict(X).argmax(axis=1), sample_weight=weight)
    assert found["accuracy"] == pytest.approx(expected)
    assert 0 < expected < 1


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("n_out", [1, 3])
@pytest.mark.parametrize(
    ("loss", "output"), [("binary_cross_entropy", "sigmoid"), ("binary_cross_entropy", "identity"), ("mse", "sigmoid")]
)
def test_accuracy_of_binary_outputs(loss, output, n_out, weights, dtype):
    X, y = data(60, 3, n_out, "binary_cross_entropy")
    model, weight = model_of((3, 8, n_out), output=output, dtype=dtype), WEIGHTS[weights](60)
    found = measured(model, X, y, loss, ["accuracy"], weight)
    right = (model.predict(X) > (0.5 if output == "sigmoid" else 0.0)) == y
    assert found["accuracy"] == pytest.approx(np.average(right.mean(axis=1), weights=weight))


@pytest.mark.parametrize("weights", WEIGHTS)
def test_missing_labels_do_not_count(weights):
    X, labels = data(60, 3, 4, "cross_entropy")
    model, weight, seen = model_of((3, 8, 4), output="softmax"), WEIGHTS[weights](60), np.arange(60) % 3 > 0
    loss = losses.CrossEntropy(missing="ignore")
    found = measured(model, X, np.where(seen, labels, -1), loss, ["accuracy"], weight)
    assert found == measured(model, X[seen], labels[seen], loss, ["accuracy"], None if weight is None else weight[seen])


@pytest.mark.parametrize("of_outputs", [None, (1.0, 0.5, 3.0)])
@pytest.mark.parametrize("weights", ["none", "some"])
def test_metrics_count_what_the_loss_observes_and_weighs(of_outputs, weights):
    X, y = data(40, 3, 3)
    y[np.random.default_rng(2).random(y.shape) < 0.4] = np.nan
    seen, weight, model = ~np.isnan(y), WEIGHTS[weights](40), model_of((3, 5, 3))
    options = {"missing": "ignore", "output_weights": of_outputs}
    found, p = measured(model, X, y, losses.MSE(**options), ERRORS, weight), model.predict(X)
    assert found["mse"] == pytest.approx(model.loss(X, y, losses.MSE(**options), weight), rel=1e-5)
    assert found["mae"] == pytest.approx(model.loss(X, y, losses.MAE(**options), weight), rel=1e-5)
    own = [
        skl.r2_score(y[rows, j], p[rows, j], sample_weight=None if weight is None else weight[rows])
        for j, rows in enumerate(seen.T)
    ]
    assert found["r2"] == pytest.approx(np.average(own, weights=of_outputs), rel=1e-5)


def test_accuracy_counts_what_the_loss_observes_and_weighs():
    X, y = data(40, 3, 3, "binary_cross_entropy")
    y = np.where(np.random.default_rng(2).random(y.shape) < 0.4, np.nan, y)
    of_outputs, model = (1.0, 0.5, 3.0), model_of((3, 5, 3), output="sigmoid")
    loss = losses.BinaryCrossEntropy(missing="ignore", output_weights=of_outputs)
    counted = ~np.isnan(y) * np.array(of_outputs)
    expected = (((model.predict(X) > 0.5) == y) * counted).sum() / counted.sum()
    assert measured(model, X, y, loss, ["accuracy"])["accuracy"] == pytest.approx(expected)


@pytest.mark.parametrize("name", METRICS)
def test_logits_of_heads_are_refused(name):
    X, y = data(20, 3, 2, "binary_cross_entropy")
    heads = losses.Heads([(0, "mse"), (1, "binary_cross_entropy")])
    with pytest.raises(ValueError, match=f"^metrics: '{name}' needs "):
        measured(model_of((3, 2)), X, y, heads, [name])


@pytest.mark.parametrize(("p", "r2"), [(3.0, 1.0), (2.0, 0.0)])
def test_r2_of_constant_targets(p, r2):
    model = MLP((2, 1), init="zeros")
    model.biases[0][...] = p
    X = np.ones((4, 2))
    assert measured(model, X, np.full(4, 3.0), metrics=["r2"])["r2"] == r2 == skl.r2_score(np.full(4, 3.0), np.full(4, p))


def test_sparse_inputs():
    sparse = pytest.importorskip("scipy.sparse")
    X, y = data(40, 9, 2)
    X[np.abs(X) < 1] = 0
    model, weight = model_of((9, 5, 2)), np.arange(40) % 3
    assert measured(model, sparse.csr_matrix(X), y, metrics=ERRORS, weight=weight) == measured(
        model, X, y, metrics=ERRORS, weight=weight
    )


def test_targets_of_any_type():
    X, y = data(30, 3, 2)
    model = model_of((3, 5, 2))
    for kind in ("i8", "u1", "?", ">f4", "f2"):
        typed = np.abs(10 * y).astype(kind)
        found = measured(model, X, typed, metrics=ERRORS)
        for name, value in expected_errors(typed, model.predict(X), None).items():
            assert found[name] == pytest.approx(value)


# ---- In the history ----


def test_columns_and_their_order():
    X, y = data(40, 3, 1)

    def largest(y_true, y_pred):
        return np.abs(y_true - y_pred).max()

    model = model_of((3, 8, 1))
    history = model.fit(X, y, epochs=3, validation_data=(X[:10], y[:10]), metrics=["r2", largest, "mae"])
    names = ["loss", "val_loss", "r2", "val_r2", "largest", "val_largest", "mae", "val_mae", "learning_rate", "seconds"]
    assert list(history) == names
    assert all(values.shape == (3,) for values in history.values())
    # After the epoch, over all training rows.
    assert history["r2"][-1] == pytest.approx(skl.r2_score(y, model.predict(X)))
    assert history["val_mae"][-1] == pytest.approx(np.abs(y[:10] - model.predict(X[:10])).mean())
    assert history["largest"][-1] == np.abs(y - model.predict(X)).max()
    assert "r2=" in repr(history)
    assert "val_largest=" in repr(history)


def test_metrics_of_validation_data_alone_have_the_same_values():
    X, y = data(30, 3, 1)
    sizes = []

    def val_largest(y_true, y_pred):
        sizes.append(len(y_true))
        return np.abs(y_true - y_pred).max()

    histories = [
        model_of((3, 8, 1)).fit(X, y, epochs=3, random_state=0, validation_data=(X[:10], y[:10]), metrics=metrics)
        for metrics in (["r2", "mae"], ["val_r2", val_largest, "mae"])
    ]
    names = ["loss", "val_loss", "val_r2", "val_largest", "val_val_largest", "mae", "val_mae", "learning_rate", "seconds"]
    assert list(histories[1]) == names
    assert sizes == [30, 10] * 3
    for name in ("loss", "val_loss", "val_r2", "mae", "val_mae"):
        np.testing.assert_array_equal(histories[0][name], histories[1][name])


def test_metrics_of_validation_data_alone_predict_no_other_rows(monkeypatch):
    X, y = data(30, 3, 1)
    lengths, init = [], Metrics.__init__

    def count(self, metrics, evaluation, prefix=""):
        lengths.append(len(evaluation.data.y))
        init(self, metrics, evaluation, prefix)

    monkeypatch.setattr(Metrics, "__init__", count)
    model_of((3, 8, 1)).fit(X, y, validation_data=(X[:10], y[:10]), metrics=["val_r2", "val_mae"])
    assert lengths == [10]


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_metrics_change_no_bit_of_the_training(dropout):
    X, y = data(40, 3, 1)
    models = [model_of((3, 8, 1), dropout=dropout) for _ in range(2)]
    for model, metrics in zip(models, ([], ["r2", "mae"]), strict=True):
        model.fit(X, y, epochs=4, random_state=0, metrics=metrics)
    np.testing.assert_array_equal(models[0].to_vector(), models[1].to_vector())


@pytest.mark.parametrize("n_out", [1, 2])
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_callables_get_arrays_that_fit_together(n_out, loss):
    X, y = data(20, 3, n_out, loss)
    seen = []

    def look(y_true, y_pred):
        seen.append((y_true, y_pred))
        with pytest.raises(ValueError, match="read-only"):
            y_true[0] = 0
        with pytest.raises(ValueError, match="read-only"):
            y_pred[0] = 0
        return np.float32(1)

    model = model_of((3, n_out), output=links_of(loss)[0])
    target = y[:, 0] if n_out == 1 else y
    history = model.fit(X, target, loss=loss, epochs=2, metrics=[look], sample_weight=np.arange(20) > 4)
    (_, _), (y_true, y_pred) = seen
    np.testing.assert_array_equal(y_pred, model.predict(X)[5:])
    np.testing.assert_array_equal(y_true, y[5:])
    np.testing.assert_array_equal(history["look"], [1, 1])


@pytest.mark.parametrize(
    "function", [skl.r2_score, functools.partial(skl.r2_score), lambda y, p, **options: skl.r2_score(y, p, **options)]
)
def test_callables_get_weights(function):
    X, y = data(30, 3, 1)
    weight = np.random.default_rng(0).integers(0, 3, 30)
    history = model_of((3, 1)).fit(X, y, epochs=2, metrics=[function, "r2"], sample_weight=weight)
    name = next(name for name in history if name in ("r2_score", "<lambda>"))
    np.testing.assert_allclose(history[name], history["r2"])


def test_callables_that_return_nan_go_on():
    X, y = data(20, 3, 1)

    def unknown(y_true, y_pred):
        return np.nan

    assert np.isnan(model_of((3, 1)).fit(X, y, epochs=2, metrics=[unknown])["unknown"]).all()


# ---- Errors ----

LABELS = data(20, 3, 2, "cross_entropy")[1]


@pytest.mark.parametrize(
    ("metrics", "options", "error", "message"),
    [
        (
            "accuracy",
            {},
            TypeError,
            r"metrics: expected a list of names and callables, such as \['accuracy'\], got 'accuracy'",
        ),
        (max, {}, TypeError, "metrics: expected a list"),
        (["f1"], {}, ValueError, "metrics: expected 'accuracy', 'r2', 'mae', 'mse', 'rmse' or callables, got 'f1'"),
        (["acc"], {}, ValueError, "metrics: .*got 'acc'; fastnn calls it 'accuracy'"),
        ([3], {}, TypeError, "metrics: expected names and callables .*got 3"),
        ([dict], {}, TypeError, "metrics: expected names and callables .*got <class 'dict'>"),
        (["r2", "r2"], {}, ValueError, "metrics: expected names that differ, got 'r2' twice"),
        (["val_r2", "val_r2"], {}, ValueError, "metrics: expected names that differ, got 'val_r2' twice"),
        (["val_r2", "r2"], {}, ValueError, "metrics: expected names that differ, got 'r2' and 'val_r2', which is its"),
        (["val_acc"], {}, ValueError, "metrics: .*got 'val_acc'; fastnn calls it 'val_accuracy'"),
        (["val_r2"], {}, ValueError, "metrics: 'val_r2' needs validation_data, got None"),
        (["val_loss"], {}, ValueError, "metrics: expected 'accuracy', .*got 'val_loss'"),
        (["val_val_r2"], {}, ValueError, "metrics: expected 'accuracy', .*got 'val_val_r2'"),
        (["accuracy"], {}, ValueError, "metrics: 'accuracy' needs classes: .*got loss 'mse' and 'identity'"),
        (["accuracy"], {"output": "sigmoid"}, ValueError, "metrics: 'accuracy' needs y of zeros and ones"),
        (
            ["r2"],
            {"loss": "cross_entropy", "output": "softmax", "y": LABELS},
            ValueError,
            "metrics: 'r2' needs targets that are n",
        ),
        (
            ["mae"],
            {"loss": "poisson"},
            ValueError,
            "metrics: 'mae' needs predictions of the targets; .*use output_activation='exp'",
        ),
        (["mse"], {"weight": -np.ones(20)}, ValueError, "metrics: expected sample_weight >= 0, .*got -1.0"),
        ([lambda y, p: 0.0], {"weight": np.arange(20)}, TypeError, "metrics: expected a function that takes sample_weight"),
    ],
)
def test_what_is_refused_before_anything_changes(metrics, options, error, message):
    X, y = data(20, 3, 2, options.get("loss", "mse"))
    model = model_of((3, 2), output=options.get("output", "identity"))
    before, y = model.to_vector(), options.get("y", y)
    with pytest.raises(error, match=f"^{message}"):
        model.fit(X, y, loss=options.get("loss", "mse"), metrics=metrics, sample_weight=options.get("weight"))
    np.testing.assert_array_equal(model.to_vector(), before)


def test_names_of_columns_are_kept_apart():
    def loss(y, p):
        return 0.0

    def val_r2(y, p):
        return 0.0

    X, y = data(20, 3, 2)
    for metrics in ([loss], ["r2", val_r2], [lambda y, p: 0.0, lambda y, p: 1.0]):
        with pytest.raises(ValueError, match="metrics: expected names that differ"):
            model_of((3, 2)).fit(X, y, metrics=metrics)


@pytest.mark.parametrize("value", [None, "0.5", [1.0, 2.0], 1j])
def test_callables_must_return_numbers(value):
    def mine(y_true, y_pred):
        return value

    X, y = data(20, 3, 1)
    with pytest.raises(TypeError, match=r"^metrics: expected a number from mine\(y_true, y_pred\), got"):
        model_of((3, 1)).fit(X, y, metrics=[mine])


def test_validation_data_is_named():
    X, y = data(20, 3, 1)
    with pytest.raises(ValueError, match="metrics: expected validation_data sample_weight >= 0"):
        model_of((3, 1)).fit(X, y, metrics=["r2"], validation_data=(X, y, -np.ones(20)))


# ---- A run that ends early ----


def test_the_history_survives_an_exception():
    class Fail:
        def on_epoch_end(self, trainer, history):
            if history.epochs == 3:
                raise RuntimeError("stop")

    X, y = data(20, 3, 1)
    trainer = Trainer(model_of((3, 1)))
    assert trainer.history.epochs == 0
    with pytest.raises(RuntimeError):
        trainer.run(X, y, 10, callbacks=[Fail()], metrics=["r2"])
    assert trainer.history.epochs == 3
    assert trainer.history["r2"].shape == (3,)
    history = trainer.run(X, y, 2)
    assert trainer.history is history
    with pytest.raises(AttributeError, match="history: run fills one for each run"):
        trainer.history = None


INTERRUPTED = """
import os, signal, sys, threading
signal.signal(signal.SIGINT, signal.default_int_handler)
import numpy as np
from fastnn import MLP, Trainer
X = np.random.default_rng(0).normal(size=(64, 3))
model, metrics = MLP((3, 8, 1), random_state=0), ["r2"] if sys.argv[1] == "metrics" else []
trainer = Trainer(model, random_state=0)
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    if sys.argv[2] == "fit":
        model.fit(X, X[:, 0], epochs=10**8, metrics=metrics)
    trainer.run(X, X[:, 0], 10**8, metrics=metrics)
except KeyboardInterrupt as error:
    history = error.history
assert history.epochs > 10, history
if sys.argv[2] == "run":
    assert trainer.history is history
    assert len(metrics) or history.epochs in (trainer.updates // 2, (trainer.updates - 1) // 2), (history, trainer.updates)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to send")
@pytest.mark.parametrize("metrics", ["metrics", "none"])
@pytest.mark.parametrize("call", ["fit", "run"])
def test_the_history_survives_control_c(metrics, call):
    assert run_script(INTERRUPTED, metrics, call).returncode == 0


# ---- The sums of the engines ----


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(0, 2), (1, 1), (7, 1), (50, 3), (33, 17)])
def test_sums_of_both_engines(shape, weighted, dtype):
    rng = np.random.default_rng(0)
    p, y, of_outputs = rng.normal(size=shape).astype(dtype), rng.normal(size=shape), rng.uniform(0, 2, shape[1])
    weight = rng.uniform(0, 2, shape[0]) if weighted else None
    classes, above = rng.integers(0, shape[1], shape[0]), (y > 0).astype(np.uint8)
    p[: shape[0] // 2, :] = p[: shape[0] // 2, :1]  # ties: the first one counts
    found = []
    for engine in (_core, portable):
        squared = np.ones(shape[1])
        sums = [engine.add_errors(p, y, weight, None, squared), *squared, engine.right_classes(p, classes, weight)]
        for by_output in (None, of_outputs):
            sums.append(engine.right_sides(p, above, 0.1, weight, by_output))
        found.append([*sums, engine.add_errors(p, y, weight, of_outputs, squared)])
    w = np.ones(shape[0]) if weight is None else weight
    errors, right = p.astype(float) - y, (p > 0.1) == above
    expected = [w @ np.abs(errors).sum(axis=1), *(1 + w @ errors**2), w @ (p.argmax(axis=1) == classes)]
    expected += [w @ right.sum(axis=1), w @ right @ of_outputs, w @ np.abs(errors) @ of_outputs]
    for sums in found:
        np.testing.assert_allclose(sums, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.skipif(_core is portable, reason="needs the compiled extension")
def test_sums_read_nothing_out_of_bounds():
    p, y, squared = np.zeros((4, 2)), np.zeros((4, 2)), np.zeros(2)
    wrong = [
        lambda: _core.add_errors(p, y[:3], None, None, squared),
        lambda: _core.add_errors(p, y.astype("f4"), None, None, squared),
        lambda: _core.add_errors(p, y[:, ::-1], None, None, squared),
        lambda: _core.add_errors(p, y, np.ones(3), None, squared),
        lambda: _core.add_errors(p, y, None, np.ones(3), squared),
        lambda: _core.add_errors(p, y, None, None, np.zeros(1)),
        lambda: _core.add_errors(p.ravel(), y, None, None, squared),
        lambda: _core.right_classes(p, np.zeros(3, int), None),
        lambda: _core.right_classes(p, np.zeros(4, np.int32), None),
        lambda: _core.right_classes(p.ravel(), np.zeros(8, int), None),
        lambda: _core.right_classes(np.zeros((4, 0)), np.zeros(4, int), None),
        lambda: _core.right_sides(p, np.zeros((3, 2), np.uint8), 0.0, None, None),
        lambda: _core.right_sides(p, y, 0.0, None, None),
    ]
    for call in wrong:
        with pytest.raises((TypeError, ValueError)):
            call()
