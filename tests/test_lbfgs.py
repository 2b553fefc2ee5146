"""Training by L-BFGS: what it minimizes, and everything around an iteration that there is around an epoch."""

from __future__ import annotations

import builtins
import copy
import inspect
import pickle
import sys

import numpy as np
import pytest
from _helpers import LIKE_TARGETS, data, links_of, model_of, run_script
from _portable_runs import DTYPES, network_of

import fastnn
from fastnn import LBFGS, MLP, SGD, Adam, DivergedError, Trainer, _minimize, schedules
from fastnn._engine.training_data import TrainingData
from fastnn._minimize import AbsolutePenalty, Objective
from fastnn._setting_checks import DEFAULT_BATCH_SIZE
from fastnn._views import carry_over
from fastnn.callbacks import Checkpoint, CSVLog, EarlyStopping, ReduceOnPlateau, TimeLimit
from fastnn.optimizers import resolve

optimize = pytest.importorskip("scipy.optimize")

X, Y = data(60, 3, 2)


@pytest.fixture(params=DTYPES, ids=["float64", "float32"])
def dtype(request):
    return request.param


@pytest.fixture(params=["compiled", "portable"])
def engine(request, monkeypatch):
    """Compute by the engine in use, then by the fallback."""
    if request.param == "portable":
        init = Objective.__init__

        def prepare(self, model, *args, **options):
            init(self, model, *args, **options)
            network = network_of(model)
            self._network, self._gradient = network, np.zeros_like(network.storage)
            self._gradients = _minimize.by_kind(network.views(self._gradient))

            def set_vector(vector):
                Objective.set_vector(self, vector)
                carry_over(model._network.parameters, network.parameters)

            self.set_vector = set_vector

        monkeypatch.setattr(Objective, "__init__", prepare)


def trainer_of(sizes=(3, 8, 2), loss="mse", dtype=np.float64, optimizer="lbfgs", activation="tanh", **options):
    model = model_of(sizes, activation, links_of(loss)[0], dtype=dtype)
    return Trainer(model, loss, optimizer, **options)


class Note:
    """Note what a callback sees."""

    def __init__(self, act=lambda trainer, history: None):
        self.act, self.vectors, self.losses = act, [], []

    def on_epoch_end(self, trainer, history):
        self.vectors.append(trainer.model.to_vector())
        self.losses.append(history["loss"][-1])
        return self.act(trainer, history)


# ---- What it minimizes ----


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("loss", LIKE_TARGETS)
def test_losses_fall_in_every_iteration(loss, dtype):
    rows, targets = data(60, 3, 2, loss)
    trainer = trainer_of(loss=loss, dtype=dtype)
    before = trainer.model.loss(rows, targets, loss)
    history = trainer.run(rows, targets, 30)
    assert list(history) == ["loss", "learning_rate", "seconds"]
    assert 5 < history.epochs <= 30 or loss == "mae"
    assert (np.diff([before, *history["loss"]]) <= 0).all()
    assert history["loss"][-1] == pytest.approx(trainer.model.loss(rows, targets, loss), rel=1e-5)
    assert np.isnan(history["learning_rate"]).all()
    assert "learning_rate" not in repr(history)
    assert trainer.updates == history.epochs


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("l2", [0.0, 0.01])
def test_it_is_scipys_minimum(l2, weighted):
    """Linear regression has one minimum, and a formula for it."""
    weight = np.random.default_rng(0).uniform(0, 2, 60) * (np.arange(60) > 9) if weighted else np.ones(60)
    trainer = Trainer(model_of((3, 2)), optimizer=LBFGS(tolerance_grad=1e-9, tolerance_change=0), l2=l2)
    rows = np.where(np.arange(60)[:, None] > 9, X, np.nan) if weighted else X
    trainer.run(rows, Y, 500, sample_weight=weight if weighted else None)
    A = np.c_[X, np.ones(60)]
    # mean over elements of squared errors: two outputs
    H = A.T @ (weight[:, None] * A) / weight.sum() + l2 * np.diag([1, 1, 1, 0])
    solution = np.linalg.solve(H, A.T @ (weight[:, None] * Y) / weight.sum())
    np.testing.assert_allclose(trainer.model.weights[0], solution[:3], atol=1e-6)
    np.testing.assert_allclose(trainer.model.biases[0], solution[3], atol=1e-6)


@pytest.mark.usefixtures("engine")
def test_absolute_penalties_make_weights_zero(dtype):
    trainer = trainer_of((3, 1), dtype=dtype, l1=0.3)
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 3))
    history = trainer.run(rows, rows @ [2.0, 0.05, 0.0], 200)
    w = trainer.model.weights[0][:, 0]
    assert (w[1], w[2]) == (0.0, 0.0)
    covariance, slope = np.mean(rows[:, 0] ** 2), np.mean(rows[:, 0] * (rows @ [2.0, 0.05, 0.0]))
    assert w[0] == pytest.approx((slope - 0.15) / covariance, abs=0.02)  # soft thresholding, but for the bias
    penalty = 0.3 * np.abs(trainer.model.weights[0]).sum()
    expected = trainer.model.loss(rows, rows @ [2.0, 0.05, 0.0]) + penalty
    assert history["loss"][-1] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("l1", [0.0, 0.1])
@pytest.mark.parametrize("activation", ["tanh", "prelu"])
def test_derivatives(activation, l1):
    trainer = trainer_of((3, 5, 2), activation=activation, l2=0.2)
    plain = Objective(trainer.model, trainer._loss, trainer._data(X, Y, None), 0.2)
    objective = AbsolutePenalty(plain, l1) if l1 else plain
    vector = objective.vector() + 0.1
    np.testing.assert_allclose(
        objective(vector)[1], optimize.approx_fprime(vector, lambda v: objective(v)[0], 1e-7), atol=1e-5
    )


def test_sparse_rows_give_the_same_bits():
    sparse = pytest.importorskip("scipy.sparse")
    rows, targets = data(50, 20, 2)
    rows[np.abs(rows) < 1] = 0
    results = []
    for inputs in (rows, sparse.csr_matrix(rows)):
        trainer = trainer_of((20, 5, 2))
        trainer.run(inputs, targets, 10)
        results.append(trainer.model.to_vector())
    np.testing.assert_array_equal(*results)


def test_fit_takes_it():
    models = [model_of((3, 8, 2)) for _ in range(3)]
    models[0].fit(X, Y, optimizer="lbfgs", epochs=10)
    models[1].fit(X, Y, optimizer=LBFGS(), epochs=10, batch_size=60, shuffle=False)
    models[2].fit(X, Y, optimizer=LBFGS(history_size=3), epochs=10)
    np.testing.assert_array_equal(models[0].to_vector(), models[1].to_vector())
    assert not np.array_equal(models[0].to_vector(), models[2].to_vector())


def test_estimators_and_trainers_run_the_same_search():
    pytest.importorskip("sklearn")
    from fastnn import sklearn

    labels = (Y[:, 0] > 0).astype(int)
    options = {"alpha": 0.6, "tol": 1e-5, "max_iter": 1, "random_state": 0, "warm_start": True}
    estimator = sklearn.MLPClassifier(hidden_layer_sizes=(8,), activation="tanh", solver="lbfgs", **options)
    with pytest.warns(UserWarning, match="lbfgs"):
        estimator.fit(X, labels)
    model, estimator.max_iter = estimator.network_.copy(), 20
    with pytest.warns(UserWarning, match="lbfgs"):
        estimator.fit(X, labels)
    optimizer = LBFGS(tolerance_grad=1e-5, tolerance_change=2.2204460492503131e-09)
    # Estimators divide alpha by the number of rows.
    history = model.fit(X, labels, loss="binary_cross_entropy", optimizer=optimizer, epochs=20, l2=0.6 / 60)
    np.testing.assert_allclose(model.to_vector(), estimator.network_.to_vector(), rtol=1e-6, atol=1e-8)
    assert history["loss"][-1] == pytest.approx(estimator.loss_)


# ---- Tolerances ----


def test_a_run_ends_early():
    trainer = trainer_of((3, 2))
    history = trainer.run(X, Y, 1000)
    assert 1 < history.epochs < 100
    assert trainer.run(X, Y, 1000).epochs <= 2  # it is there


@pytest.mark.parametrize(
    "optimizer",
    [LBFGS(tolerance_grad=0.01), LBFGS(tolerance_change=0.01), LBFGS(max_evaluations=5)],
    ids=repr,
)
def test_limits_end_a_run(optimizer):
    longest = trainer_of().run(X, Y, 50).epochs
    assert 0 < trainer_of(optimizer=optimizer).run(X, Y, 50).epochs < longest


@pytest.mark.parametrize("epochs", [0, 1, 7])
def test_epochs_are_iterations(epochs):
    trainer = trainer_of()
    before = trainer.model.to_vector()
    assert trainer.run(X, Y, epochs).epochs == trainer.updates == epochs
    assert np.array_equal(trainer.model.to_vector(), before) is (epochs == 0)


# ---- Callbacks ----


def test_callbacks_see_each_iteration():
    note, trainer = Note(), trainer_of()
    history = trainer.run(X, Y, 10, callbacks=[note], validation_data=(X[:20], Y[:20]), metrics=["r2"])
    assert len(note.vectors) == history.epochs == 10
    np.testing.assert_array_equal(note.losses, history["loss"])
    np.testing.assert_array_equal(note.vectors[-1], trainer.model.to_vector())
    model = model_of((3, 8, 2))
    for vector, loss, val_loss in zip(note.vectors, history["loss"], history["val_loss"], strict=True):
        model.set_vector(vector)
        assert model.loss(X, Y) == loss
        assert model.loss(X[:20], Y[:20]) == val_loss
    plain = trainer_of()
    plain.run(X, Y, 10)
    np.testing.assert_array_equal(plain.model.to_vector(), trainer.model.to_vector())


def test_callbacks_stop():
    note, trainer = Note(lambda trainer, history: history.epochs == 4), trainer_of()
    assert trainer.run(X, Y, 10, callbacks=[note]).epochs == 4
    np.testing.assert_array_equal(trainer.model.to_vector(), note.vectors[-1])


def test_early_stopping_restores_the_best_iteration():
    trainer, stopping = trainer_of((3, 30, 2)), EarlyStopping(patience=3)
    noise = Y + np.random.default_rng(0).normal(size=Y.shape)
    history = trainer.run(X[:20], noise[:20], 500, validation_data=(X[20:], Y[20:]), callbacks=[stopping])
    assert history.epochs == stopping.best_epoch + 3
    assert trainer.model.loss(X[20:], Y[20:]) == stopping.best == history["val_loss"].min()


def test_other_callbacks(tmp_path):
    trainer = trainer_of()
    watchers = [Checkpoint(tmp_path / "run-{epoch}"), CSVLog(tmp_path / "log.csv"), TimeLimit(100)]
    trainer.run(X, Y, 3, callbacks=watchers, progress=False)
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 4
    saved = Trainer.load(tmp_path / "run-3")
    np.testing.assert_array_equal(saved.model.to_vector(), trainer.model.to_vector())


def test_the_learning_rate_can_not_fall():
    trainer = trainer_of()
    before = trainer.model.to_vector()
    with pytest.raises(TypeError, match="got LBFGS"):
        trainer.run(X, Y, 3, callbacks=[ReduceOnPlateau()])
    np.testing.assert_array_equal(trainer.model.to_vector(), before)


@pytest.mark.parametrize("what", ["parameters", "l2", "optimizer"])
def test_changes_of_callbacks_take_effect(what):
    def change(trainer, history):
        if history.epochs == 3 and what == "parameters":
            trainer.model.set_vector(np.full(trainer.model.n_parameters, 0.01) * np.arange(trainer.model.n_parameters))
        elif history.epochs == 3:
            setattr(trainer, what, 0.1 if what == "l2" else LBFGS(history_size=1))

    note, trainer = Note(change), trainer_of()
    assert trainer.run(X, Y, 6, callbacks=[note]).epochs == 6
    begun = trainer_of()
    begun.model.set_vector(note.vectors[2])
    change(begun, {"epochs": 3} and trainer_history(3))
    begun.run(X, Y, 3)
    np.testing.assert_array_equal(begun.model.to_vector(), trainer.model.to_vector())
    assert begun.l2 == trainer.l2


def trainer_history(epochs):
    history = fastnn.History()
    for _ in range(epochs):
        history.append(loss=0.0, learning_rate=0.0, seconds=0.0)
    return history


@pytest.mark.parametrize(("before", "after"), [("lbfgs", "adam"), ("adam", "lbfgs")])
def test_a_run_keeps_its_kind(before, after):
    def change(trainer, history):
        trainer.optimizer = after

    trainer = trainer_of(optimizer=before)
    with pytest.raises(RuntimeError, match="^optimizer: 'lbfgs' can't begin or end during a run"):
        trainer.run(X, Y, 5, callbacks=[Note(change)])
    assert trainer.optimizer == resolve(before)
    trainer.optimizer = after  # between runs
    assert trainer.run(X, Y, 2).epochs == 2


def test_settings_of_no_use_are_refused_in_callbacks():
    def change(trainer, history):
        trainer.batch_size = 7

    trainer = trainer_of()
    with pytest.raises(ValueError, match="^batch_size: "):
        trainer.run(X, Y, 5, callbacks=[Note(change)])


# ---- Ends ----


def test_exceptions_keep_the_last_iteration():
    def fail(trainer, history):
        if history.epochs == 3:
            raise RuntimeError("stop")

    note, trainer = Note(fail), trainer_of()
    with pytest.raises(RuntimeError, match="stop"):
        trainer.run(X, Y, 10, callbacks=[note])
    assert trainer.history.epochs == trainer.updates == 3
    np.testing.assert_array_equal(trainer.model.to_vector(), note.vectors[-1])
    assert trainer.run(X, Y, 2).epochs == 2


@pytest.mark.parametrize("where", ["callback", "metric"])
def test_exceptions_by_which_scipy_ends_a_search_reach_the_caller(where):
    """SciPy takes StopIteration for the wish to end the search without an error."""
    model, seen = model_of((3, 4, 2)), []

    def stop(*_):
        seen.append(model.to_vector())
        if len(seen) == 3:
            raise StopIteration("enough")
        return 0.0 if where == "metric" else None

    class Watch:
        on_epoch_end = staticmethod(stop)

    options = {"metrics": [stop]} if where == "metric" else {"callbacks": [Watch()]}
    trainer = Trainer(model, optimizer="lbfgs")
    with pytest.raises(StopIteration, match="enough"):
        trainer.run(X, Y, 10, **options)
    assert trainer.history.epochs == (2 if where == "metric" else 3)
    np.testing.assert_array_equal(model.to_vector(), seen[2])


def test_weights_that_grow_without_bound_are_divergence():
    """The squares of the weights overflow, which must neither warn nor be the reason why the loss is not finite."""
    model = MLP((3, 1), dtype="float64", random_state=0)
    with pytest.raises(DivergedError, match="not finite"):
        Trainer(model, optimizer="lbfgs").run(X, Y[:, :1], 50, sample_weight=-np.ones(len(X)))
    assert np.isfinite(model.to_vector()).all()
    model.weights[0][...] = 1e160
    objective = Objective(model, fastnn._native.loss_of(Trainer(model, "mae")), TrainingData(X, Y[:, :1], False, None))
    assert np.isfinite(objective(objective.vector())[0])


def test_interrupted_searches_go_back_to_the_last_iteration(monkeypatch):
    note, trainer, calls = Note(), trainer_of(), []
    compute = Objective.__call__

    def interrupted(self, vector):
        calls.append(0)
        found = compute(self, vector)
        if len(calls) == 12:
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(Objective, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt) as error:
        trainer.run(X, Y, 100, callbacks=[note])
    assert error.value.history is trainer.history
    assert trainer.history.epochs == len(note.vectors) > 2
    np.testing.assert_array_equal(trainer.model.to_vector(), note.vectors[-1])


INTERRUPTED = """
import os, signal, threading
signal.signal(signal.SIGINT, signal.default_int_handler)
import numpy as np
from fastnn import MLP, Trainer, LBFGS
X = np.random.default_rng(0).normal(size=(300, 3))
trainer = Trainer(MLP((3, 100, 100, 1), "tanh", random_state=0), optimizer=LBFGS(tolerance_grad=0, tolerance_change=0))
y = np.random.default_rng(1).normal(size=300)
trainer.run(X, y, 1)
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    while True:
        trainer.run(X, y, 10**6)
except KeyboardInterrupt:
    pass
loss = trainer.model.loss(X, y)
assert trainer.history.epochs == 0 or loss == trainer.history["loss"][-1], (loss, trainer.history)
trainer.run(X, y, 1)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to send")
def test_control_c():
    assert run_script(INTERRUPTED).returncode == 0


@pytest.mark.parametrize("iterations", [0, 3])
def test_losses_that_are_not_finite(iterations, monkeypatch):
    trainer, note, compute = trainer_of(), Note(), Objective.__call__
    start = trainer.model.to_vector()

    def diverging(self, vector):
        value, derivatives = compute(self, vector)
        return (value if len(note.vectors) < iterations else np.nan), derivatives

    monkeypatch.setattr(Objective, "__call__", diverging)
    with pytest.raises(DivergedError) as error:
        trainer.run(X, Y, 10, callbacks=[note])
    assert error.value.epoch == iterations + 1
    assert error.value.history.epochs == iterations
    np.testing.assert_array_equal(trainer.model.to_vector(), note.vectors[-1] if iterations else start)


# ---- What has no meaning ----


@pytest.mark.parametrize("options", [{"clip_norm": 1.0}, {"clip_value": 1.0}, {"lazy_updates": True}], ids=repr)
def test_settings_of_steps_are_refused(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"^{name}: expected none for optimizer 'lbfgs'"):
        trainer_of(**options)
    trainer = trainer_of()
    with pytest.raises(ValueError, match=f"^{name}: expected none for optimizer 'lbfgs'"):
        setattr(trainer, name, options[name])
    other = trainer_of(optimizer="adam", **options)
    with pytest.raises(ValueError, match=f"^{name}: expected none for optimizer 'lbfgs'"):
        other.optimizer = "lbfgs"
    assert isinstance(other.optimizer, Adam)


def test_the_default_batch_size_is_that_which_is_not_refused():
    for function in (MLP.fit, Trainer):
        assert inspect.signature(function).parameters["batch_size"].default == DEFAULT_BATCH_SIZE


def test_batches_are_refused():
    model = model_of((3, 8, 2))
    before = model.to_vector()
    with pytest.raises(
        ValueError, match="^batch_size: expected none for optimizer 'lbfgs', which takes all 60 rows at once, got 16"
    ):
        model.fit(X, Y, optimizer="lbfgs", batch_size=16)
    np.testing.assert_array_equal(model.to_vector(), before)


def test_dropout_is_refused():
    with pytest.raises(ValueError, match="^optimizer: .*'lbfgs'.* dropout"):
        Trainer(MLP((3, 4, 1), dropout=0.1), optimizer="lbfgs")


@pytest.mark.parametrize("learning_rate", [0.1, schedules.Cosine(0.1, 10)])
def test_it_has_no_learning_rate(learning_rate):
    trainer = trainer_of()
    with pytest.raises(TypeError, match="got LBFGS"):
        _ = trainer.learning_rate
    with pytest.raises(TypeError, match="^learning_rate: 'lbfgs' has none"):
        trainer.learning_rate = learning_rate


def test_it_makes_no_steps():
    trainer = trainer_of()
    before = trainer.model.to_vector()
    with pytest.raises(TypeError, match=r"^optimizer: expected one that makes single steps .*Trainer.run\(X, y, epochs\)"):
        trainer.step(X, Y)
    with pytest.raises(TypeError, match="^optimizer: expected one that makes single steps"):
        _ = trainer._native_handle
    np.testing.assert_array_equal(trainer.model.to_vector(), before)
    assert trainer.run(X, Y, 2).epochs == 2  # the trainer is free again


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"history_size": 0}, ValueError),
        ({"history_size": 2.5}, TypeError),
        ({"tolerance_grad": -1}, ValueError),
        ({"tolerance_change": "x"}, TypeError),
        ({"max_evaluations": 0}, ValueError),
    ],
)
def test_wrong_parameters(options, error):
    (name,) = options
    with pytest.raises(error, match=f"^{name}: expected"):
        LBFGS(**options)


def test_names():
    assert resolve("lbfgs") == LBFGS() == fastnn.optimizers.LBFGS()
    with pytest.raises(ValueError, match="'lbfgs', got 'l-bfgs'; fastnn calls it 'lbfgs'"):
        resolve("l-bfgs")
    with pytest.raises(TypeError, match=r"expected an object, LBFGS\(...\), got the class LBFGS"):
        resolve(LBFGS)
    with pytest.raises(TypeError, match=r"LBFGS\(\) got an unexpected keyword argument 'maxcor': use history_size"):
        LBFGS(maxcor=3)


def test_scipy_is_named_if_it_is_missing(monkeypatch):
    real = builtins.__import__

    def missing(name, *args, **kwargs):
        if name.startswith("scipy"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    trainer = trainer_of()
    before = trainer.model.to_vector()
    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match=r'pip install "fastnn-cpu\[scipy\]"'):
        trainer.run(X, Y, 2)
    np.testing.assert_array_equal(trainer.model.to_vector(), before)
    assert trainer.history.epochs == 0


# ---- Files and copies ----


def save_and_load(trainer, directory):
    trainer.save(directory / "trainer")
    return Trainer.load(directory / "trainer")


@pytest.mark.parametrize(
    "clone",
    [save_and_load, lambda trainer, _: copy.deepcopy(trainer), lambda trainer, _: pickle.loads(pickle.dumps(trainer))],
)
def test_going_on_gives_the_same_bits(clone, tmp_path):
    trainer = trainer_of(optimizer=LBFGS(history_size=4, max_evaluations=100), l2=0.01)
    trainer.run(X, Y, 3)
    other = clone(trainer, tmp_path)
    assert (other.optimizer, other.updates, other.l2) == (trainer.optimizer, 3, 0.01)
    for each in (trainer, other):
        each.run(X, Y, 4)
    np.testing.assert_array_equal(trainer.model.to_vector(), other.model.to_vector())
    assert other.updates == 7


def test_other_optimizers_begin_anew_after_it():
    trainer = trainer_of()
    trainer.run(X, Y, 3)
    trainer.optimizer = SGD(0.01, momentum=0.9)
    assert trainer.updates == 0
    twin = Trainer(trainer.model.copy(), optimizer=SGD(0.01, momentum=0.9))
    for each in (trainer, twin):
        each.run(X, Y, 2)
    np.testing.assert_array_equal(trainer.model.to_vector(), twin.model.to_vector())
