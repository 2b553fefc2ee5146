"""Many models trained at once: each gets the bits of being trained alone."""

from __future__ import annotations

import io
import signal

import numpy as np
import pytest

import fastnn
from fastnn import LBFGS, MLP, SGD, Adam, AdamW, RMSProp, Trainer, callbacks, fit_many, losses
from fastnn.schedules import Cosine

scipy_sparse = pytest.importorskip("scipy.sparse")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 5)).astype(np.float32)
Y = np.sin(X[:, :2])


def a_model(k, **settings):
    widths = {"layer_sizes": (5, 3 + k % 7, 2), "activation": ("tanh", "relu", "silu", "prelu")[k % 4], "random_state": k}
    return MLP(**(widths | {"dtype": (np.float32, np.float64)[k % 2]} | settings))


def assert_same(many, alone, *columns):
    """Compare two runs of a model: its parameters, and the columns of its history."""
    (model, history), (other, expected) = many, alone
    np.testing.assert_array_equal(model.to_vector(), other.to_vector())
    assert history.epochs == expected.epochs
    for name in (*columns, "loss", "learning_rate"):
        np.testing.assert_array_equal(history[name], expected[name], err_msg=name)


def compare(n_models, settings, run_settings, *columns, data=(X, Y), n_threads=None, **options):
    """Train models by fit_many, and others alone. `settings` has lists with one value per model."""
    models = [a_model(k, **options) for k in range(n_models)]
    given = {name: [value(k) for k in range(n_models)] for name, value in (settings | run_settings).items()}
    histories = fit_many(models, *data, n_threads=n_threads, **given)
    for k, (model, history) in enumerate(zip(models, histories, strict=True)):
        alone = a_model(k, **options)
        trainer = Trainer(alone, **{name: value(k) for name, value in settings.items()})
        of_run = {name: value(k) for name, value in run_settings.items()}
        rows = of_run.pop("rows", None)
        inputs, targets = data if rows is None else (data[0][rows], data[1][rows])
        if rows is not None and "sample_weight" in of_run:
            of_run["sample_weight"] = of_run["sample_weight"][rows]
        assert_same((model, history), (alone, trainer.run(inputs, targets, **of_run)), *columns)


SETTINGS = {
    "optimizer": lambda k: (SGD(0.01, momentum=0.9), Adam(0.01), AdamW(0.02), RMSProp(Cosine(0.01, 50)))[k % 4],
    "batch_size": lambda k: 8 + 5 * k,
    "random_state": lambda k: 100 + k,
    "shuffle": lambda k: k % 3 > 0,
    "l2": lambda k: 0.01 * (k % 2),
    "clip_norm": lambda k: (None, 0.5)[k % 2],
    "loss": lambda k: ("mse", losses.Huber(0.5), "mae")[k % 3],
}


@pytest.mark.parametrize("n_threads", [1, 3])
def test_each_model_has_settings_and_bits_of_its_own(n_threads):
    compare(9, SETTINGS, {"epochs": lambda k: 3 + k}, n_threads=n_threads)


@pytest.mark.parametrize("averaging", [None, "ema", "swa"])
def test_models_of_one_architecture_share_no_state(averaging):
    optimizers = Adam(0.01), Adam(0.01), SGD(0.05, momentum=0.9)  # two that are equal, but not the same object
    same = {"layer_sizes": (5, 4, 2), "activation": "tanh", "dtype": np.float32, "dropout": 0.2}
    settings = [
        {
            "optimizer": optimizers[k % 3],
            "random_state": 100 + k,
            "averaging": averaging,
            "clip_norm": (None, 0.5)[k % 2],
            "epochs": 3 + k % 2,
        }
        for k in range(20)
    ]
    models, others = ([a_model(k, **same) for k in range(20)] for _ in range(2))
    histories = fit_many(models, X, Y, **{name: [own[name] for own in settings] for name in settings[0]})
    for model, history, other, own in zip(models, histories, others, settings, strict=True):
        assert_same((model, history), (other, other.fit(X, Y, **own)))


@pytest.mark.parametrize(
    ("models", "random_state", "message"),
    [
        ([MLP((5, 2)), MLP((5, 2))], [0, "seed"], r"random_state: .* \(of model 1\)"),
        ([MLP((5, 2)), type("Own", (MLP,), {"loss": None})((5, 2))], 0, "Own has a method loss of its own"),
    ],
    ids=["seed", "subclass"],
)
def test_a_model_like_others_is_checked_too(models, random_state, message):
    with pytest.raises(TypeError, match=message):
        fit_many(models, X, Y, random_state=random_state)


@pytest.mark.parametrize("slice_seconds", [0.0, 1e-4])
def test_time_slices_do_not_change_the_bits(slice_seconds, monkeypatch):
    monkeypatch.setattr(fastnn._epochs, "SLICE_SECONDS", slice_seconds)
    compare(5, SETTINGS, {"epochs": lambda k: 3 + k}, n_threads=2, dropout=0.2)


def test_more_models_than_take_part_in_a_slice(monkeypatch):
    monkeypatch.setattr("fastnn._many.runs._MEMBERS_AT_ONCE", 3)
    compare(10, SETTINGS, {"epochs": lambda k: 1 + k % 4})


ROWS = [RNG.integers(0, 200, 40 + 7 * k) for k in range(6)]  # with repetitions
WEIGHTS = [RNG.uniform(size=200) * (RNG.uniform(size=200) < 0.9) for _ in range(6)]


@pytest.mark.parametrize(
    "data", [(X, Y), (X.astype(">f8"), Y), (scipy_sparse.csr_array(X * (X > 0.5)), Y)], ids=["", ">f8", "csr"]
)
@pytest.mark.parametrize("shuffle", [True, False])
def test_rows_and_weights_of_each_model(data, shuffle):
    settings = {"batch_size": lambda k: (16, 64)[k % 2], "shuffle": lambda _: shuffle, "random_state": lambda k: k}
    run = {"rows": lambda k: ROWS[k], "sample_weight": lambda k: WEIGHTS[k], "epochs": lambda _: 3}
    compare(6, settings, run, data=data)


def test_batches_that_repeat_the_longest_sparse_row():
    dense = np.zeros((600, 40), np.float32)
    dense[0] = 1
    table, y = scipy_sparse.csr_array(dense), np.ones((600, 1))
    rows = np.zeros(600, np.int64)
    many, alone = (MLP((40, 4, 1), random_state=0) for _ in range(2))
    fit_many([many], table, y, rows=rows, batch_size=600, epochs=2)
    alone.fit(table[rows], y, batch_size=600, epochs=2)
    np.testing.assert_array_equal(many.to_vector(), alone.to_vector())


def test_rows_for_all_models_and_masks():
    mask = np.arange(200) < 50
    for rows in (mask, np.arange(50), list(range(50)), [np.arange(50), mask], np.tile(np.arange(50), (2, 1))):
        models = [a_model(k) for k in range(2)]
        fit_many(models, X, Y, rows=rows, epochs=2)
        for k, model in enumerate(models):
            alone = a_model(k)
            alone.fit(X[:50], Y[:50], epochs=2)
            np.testing.assert_array_equal(model.to_vector(), alone.to_vector())


def test_labels_validation_metrics_and_early_stopping():
    labels = (X[:, 0] > 0).astype(int) + (X[:, 1] > 1)
    run = {
        "epochs": lambda _: 12,
        "validation_data": lambda k: ((X[:30], labels[:30]), (X[30:50], labels[30:50], np.arange(20.0)))[k % 2],
        "metrics": lambda _: ["accuracy"],
        "callbacks": lambda _: [callbacks.EarlyStopping("val_accuracy", patience=2)],
        "rows": lambda k: np.arange(50 + k, 200),
    }
    settings = {"loss": lambda _: "cross_entropy", "optimizer": lambda _: Adam(0.05)}
    options = {"layer_sizes": (5, 8, 3), "output_activation": "softmax"}
    compare(4, settings, run, "val_loss", "accuracy", "val_accuracy", data=(X, labels), **options)


def test_metrics_of_sparse_rows():
    table = scipy_sparse.csr_array(X * (X > 0.5))
    run = {"rows": lambda k: ROWS[k], "metrics": lambda _: ["r2"], "epochs": lambda _: 2}
    compare(2, {}, run, "r2", data=(table, Y))


def test_one_stopping_rule_for_all_keeps_a_state_for_each():
    rule = callbacks.EarlyStopping("loss", patience=1, min_delta=0.05)
    models = [a_model(k) for k in range(4)]
    histories = fit_many(models, X, Y, epochs=40, callbacks=[rule], optimizer=[Adam(0.001 * 4**k) for k in range(4)])
    for k, history in enumerate(histories):
        expected = a_model(k).fit(
            X,
            Y,
            epochs=40,
            callbacks=[callbacks.EarlyStopping("loss", patience=1, min_delta=0.05)],
            optimizer=Adam(0.001 * 4**k),
        )
        assert history.epochs == expected.epochs
    assert rule.best_epoch == 0  # each model had a copy


class Notes:
    def __init__(self):
        self.notes = []

    def on_train_begin(self, trainer, history):
        self.notes.append(("begin", trainer.model))

    def on_epoch_end(self, trainer, history):
        self.notes.append((history.epochs, trainer.model))

    def on_train_end(self, trainer, history):
        self.notes.append(("end", trainer.model))


def test_another_object_is_called_for_all_models():
    notes, models = Notes(), [a_model(k) for k in range(3)]
    fit_many(models, X, Y, epochs=2, callbacks=[notes])
    for model in models:
        assert [event for event, of in notes.notes if of is model] == ["begin", 1, 2, "end"]


def test_a_callback_changes_the_settings_of_its_model():
    class Halve:
        def on_epoch_end(self, trainer, history):
            trainer.learning_rate *= 0.5
            trainer.batch_size += 1

    compare(3, {}, {"epochs": lambda _: 4, "callbacks": lambda _: [Halve()]})


def test_an_exception_of_a_callback_ends_all_runs():
    class Fails(Notes):
        def on_epoch_end(self, trainer, history):
            super().on_epoch_end(trainer, history)
            if trainer.model is models[1] and history.epochs == 2:
                raise LookupError("mine")

    notes, models = Fails(), [a_model(k) for k in range(3)]
    with pytest.raises(LookupError, match="mine"):
        fit_many(models, X, Y, epochs=9, callbacks=[notes])
    assert sum(event == "end" for event, _ in notes.notes) == 3


def test_models_that_share_a_generator_are_trained_in_order():
    def models():
        rng = np.random.default_rng(5)
        return [MLP((5, 4 + 3 * k, 2), random_state=rng) for k in range(4)]

    many, alone = models(), models()
    fit_many(many, X, Y, epochs=3)
    for model in alone:
        model.fit(X, Y, epochs=3)
    for model, other in zip(many, alone, strict=True):
        np.testing.assert_array_equal(model.to_vector(), other.to_vector())


def test_one_seed_for_all_starts_a_generator_for_each():
    models = [a_model(0) for _ in range(3)]
    fit_many(models, X, Y, random_state=7, epochs=2)
    for model in models[1:]:
        np.testing.assert_array_equal(model.to_vector(), models[0].to_vector())


def test_divergence_of_one_model_does_not_stop_the_others():
    rates = [0.01, 1e30, 0.01]
    models = [a_model(k, dtype=np.float32) for k in range(3)]
    before = models[1].to_vector()
    with pytest.warns(
        RuntimeWarning, match="1 of 3 models diverged; the first is model 1, the loss is not finite in epoch 1"
    ):
        histories = fit_many(models, X, Y, epochs=5, optimizer=[SGD(rate) for rate in rates])
    assert [history.epochs for history in histories] == [5, 0, 5]
    np.testing.assert_array_equal(models[1].to_vector(), before)
    alone = a_model(2, dtype=np.float32)
    alone.fit(X, Y, epochs=5, optimizer=SGD(0.01))
    np.testing.assert_array_equal(models[2].to_vector(), alone.to_vector())


def test_lbfgs_beside_other_optimizers():
    compare(3, {"optimizer": lambda k: (Adam(), LBFGS(), SGD())[k]}, {"epochs": lambda _: 5, "rows": lambda k: ROWS[k]})


@pytest.fixture
def interrupts_raise():
    """Let SIGINT raise KeyboardInterrupt, also if a shell started the tests in the background, where it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts_raise")
def test_an_interrupt_keeps_finished_epochs():
    class Interrupts:
        def on_epoch_end(self, trainer, history):
            if history.epochs == 3 and trainer.model is models[2]:
                signal.raise_signal(signal.SIGINT)

    models = [a_model(k) for k in range(3)]
    with pytest.raises(KeyboardInterrupt) as caught:
        fit_many(models, X, Y, epochs=100, callbacks=[Interrupts()])
    assert [history.epochs for history in caught.value.histories] == [3, 3, 3]
    fit_many(models, X, Y)  # they are free again


def test_one_progress_bar_for_all():
    text = io.StringIO()
    fit_many([a_model(k) for k in range(3)], X, Y, epochs=[2, 3, 4], progress=callbacks.ProgressBar(text))
    assert "epoch 9/9" in text.getvalue()


def test_no_epochs_and_one_model():
    model = a_model(0)
    before = model.to_vector()
    assert fit_many([model], X, Y, epochs=0)[0].epochs == 0
    np.testing.assert_array_equal(model.to_vector(), before)
    compare(1, {}, {"epochs": lambda _: 2})


def test_frames_teach_their_columns():
    pandas = pytest.importorskip("pandas")
    models = [a_model(k) for k in range(2)]
    frame = pandas.DataFrame(X, columns=list("abcde"))
    fit_many(models, frame, Y)
    assert [model.feature_names for model in models] == [tuple("abcde")] * 2
    with pytest.raises(ValueError, match="column"):
        fit_many(models, frame[list("bacde")], Y)


def test_rows_that_no_model_uses_may_contain_anything():
    damaged = X.copy()
    damaged[150:] = np.nan
    fit_many([a_model(k) for k in range(2)], damaged, Y, rows=[np.arange(100), np.arange(50, 150)])
    with pytest.raises(ValueError, match="row 150"):
        fit_many([a_model(k) for k in range(2)], damaged, Y, rows=[np.arange(100), np.arange(50, 151)])


MODEL = a_model(0)
WRONG = [
    (lambda _: {"models": []}, ValueError, "models: expected at least one MLP"),
    (lambda _: {"models": MODEL}, TypeError, "models: expected a list of MLP"),
    (lambda _: {"models": [MODEL, None]}, TypeError, "at place 1"),
    (lambda _: {"models": [MODEL, MODEL]}, ValueError, "same at places 0 and 1"),
    (lambda _: {"epochs": [1, 2]}, ValueError, "epochs: expected one value, or a list of 3, one per model, got 2 values"),
    (lambda _: {"random_state": range(4)}, ValueError, "random_state: .* got 4 values"),
    (lambda _: {"batch_size": [8, 8, 0]}, ValueError, "batch_size: .*of model 2"),
    (lambda _: {"batch_size": 0}, ValueError, "batch_size: expected .* got 0; .* all rows$"),
    (lambda _: {"optimizer": [Adam(), Adam(), "none"]}, ValueError, "optimizer: .*of model 2"),
    (lambda _: {"rows": [[0], [1], [200]]}, ValueError, "rows of model 2: expected rows from 0 to 199, got 200"),
    (lambda _: {"rows": [-1]}, ValueError, "rows: expected rows from 0 to 199, got -1"),
    (lambda _: {"rows": [[0], [1], []]}, ValueError, "rows of model 2: expected at least one row"),
    (lambda _: {"rows": [0.5]}, TypeError, "rows: expected integers"),
    (lambda _: {"rows": np.zeros(200, bool)}, ValueError, "rows: expected at least one row"),
    (lambda _: {"rows": np.zeros((2, 5), int)}, ValueError, "rows: .* got 2 values"),
    (lambda _: {"sample_weight": np.ones(5)}, ValueError, "sample_weight: expected shape"),
    (lambda _: {"sample_weight": np.arange(200) > 0, "rows": [0]}, ValueError, "sample_weight: expected some weights"),
    (lambda _: {"validation_data": [(X, Y)]}, ValueError, "validation_data: .* got 1 values"),
    (lambda _: {"callbacks": [callbacks.CSVLog("a.csv")]}, ValueError, "callbacks: .* CSVLog, whose file has one run"),
    (lambda _: {"callbacks": [callbacks.ProgressBar()]}, ValueError, "progress= shows one bar"),
    (lambda _: {"callbacks": [[callbacks.CSVLog("a.csv")]] * 3}, ValueError, "CSVLog of its own, .* models 0 and 1"),
    (lambda _: {"callbacks": 3 * [[callbacks.EarlyStopping()]]}, ValueError, "EarlyStopping of its own, .* models 0 and 1"),
    (lambda _: {"callbacks": [[], *2 * [[callbacks.TimeLimit(1)]]]}, ValueError, "TimeLimit of its own, .* models 1 and 2"),
    (lambda _: {"callbacks": [[], [], [None]]}, TypeError, "callbacks: .*of model 2"),
    (lambda _: {"metrics": ["nothing"]}, ValueError, "metrics: expected"),
    (lambda _: {"progress": "yes"}, TypeError, "progress: expected"),
    (lambda _: {"n_threads": 0}, ValueError, "n_threads: expected"),
    (lambda _: {"learning_rate": 0.1}, TypeError, "learning_rate"),
    (lambda _: {"y": Y[:5]}, ValueError, "y: expected"),
    (lambda _: {"X": X[:, :4]}, ValueError, "X: expected"),
    (lambda _: {"X": 1.0}, TypeError, "X: expected"),
]


@pytest.mark.parametrize(("wrong", "error", "message"), WRONG, ids=[str(place) for place in range(len(WRONG))])
def test_wrong_use_raises_before_anything_changes(wrong, error, message):
    models = [a_model(k) for k in range(3)]
    before = [model.to_vector() for model in models]
    given = {"models": models, "X": X, "y": Y} | wrong(None)
    with pytest.raises(error, match=message):
        fit_many(given.pop("models"), given.pop("X"), given.pop("y"), **given)
    for model, vector in zip(models, before, strict=True):
        np.testing.assert_array_equal(model.to_vector(), vector)
    fit_many(models, X, Y)
