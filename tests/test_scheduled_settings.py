"""Schedules of weight decay, momentum, beta_1 and l2, against the reference and by every way to train."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from _helpers import data

from fastnn import (
    MLP,
    SGD,
    AdaGrad,
    Adam,
    AdamW,
    LayerSettings,
    Lion,
    Muon,
    NAdam,
    RMSProp,
    Trainer,
    callbacks,
    fit_many,
    ops,
    reference,
)  # fmt: skip
from fastnn._engine import core as _core
from fastnn.schedules import Cosine, Warmup


def rising(first, last):
    """Return a schedule of a program, which rises for 20 steps."""
    return lambda steps: first + (last - first) * np.minimum(steps / 20, 1.0)


OPTIMIZERS = [
    SGD(0.05, momentum=Cosine(0.9, 20, 0.5)),
    SGD(Cosine(0.05, 30), momentum=rising(0.0, 0.9)),
    SGD(0.02, momentum=rising(0.0, 0.95), nesterov=True),
    Adam(0.01, beta_1=Cosine(0.95, 20, 0.85)),
    AdamW(Cosine(0.01, 30), weight_decay=Cosine(0.5, 25), beta_1=rising(0.85, 0.95)),
    AdamW(0.01, weight_decay=rising(0.0, 0.4)),
    Lion(0.001, beta_1=rising(0.8, 0.95), weight_decay=Cosine(0.5, 25)),
    Muon(0.01, beta_1=rising(0.8, 0.95), weight_decay=Cosine(0.5, 25)),
    AdaGrad(0.02),
    RMSProp(0.01),
    NAdam(0.01),
]
# Optimizers without schedules of their own take the last ones alone.
OPTIONS = [{}, {"l2": Cosine(0.2, 25)}, {"l2": rising(0.0, 0.3), "l1": 0.01, "clip_norm": 0.4}]
CASES = [(optimizer, options) for optimizer in OPTIMIZERS for options in OPTIONS if optimizer.scheduled or options]
IDS = [f"{type(optimizer).__name__}-{i}" for i, (optimizer, _) in enumerate(CASES)]
SIZES = [(3, 5, 4, 2), (6, 40, 33, 3)]


def trainer_of(sizes, optimizer, **options):
    model = MLP(sizes, "tanh", dtype=np.float64, random_state=1)
    return Trainer(model, optimizer=optimizer, random_state=5, **options)


@pytest.mark.parametrize(("optimizer", "options"), CASES, ids=IDS)
def test_training_is_that_of_the_reference(optimizer, options):
    # A step of Lion has the size of the learning rate, and Muon's iteration enlarges small differences.
    tolerance = 0.05 if isinstance(optimizer, Lion) else 1e-7 if isinstance(optimizer, Muon) else 1e-10
    for sizes in SIZES:
        for settings in (None, [LayerSettings(frozen=True), LayerSettings(0.5, l2=0.1), None]):
            X, y = data(50, sizes[0], sizes[-1])
            given = {"batch_size": 16, "layer_settings": settings, **options}
            trainer = trainer_of(sizes, optimizer, n_threads=2, **given)
            parameters = [p.copy() for p in trainer.model.parameters]
            history = trainer.run(X, y, 5)
            losses = reference.train(
                *(parameters[::2], parameters[1::2], trainer.model.activations, X, y),
                **given,
                optimizer=optimizer,
                epochs=5,
                rng=np.random.default_rng(5),
            )
            expected = np.concatenate([p.ravel() for p in parameters])
            np.testing.assert_allclose(trainer.model.to_vector(), expected, rtol=0, atol=tolerance)
            np.testing.assert_allclose(history["loss"], losses, rtol=tolerance)
            scheduled = optimizer.scheduled + trainer._scheduled()[len(optimizer.scheduled) :]
            assert set(history) == {"loss", "learning_rate", "seconds"} | {setting.name for setting in scheduled}
            for setting in scheduled:
                np.testing.assert_array_equal(history[setting.name], setting.schedule(np.arange(3, 20, 4)))


@pytest.mark.parametrize(("optimizer", "options"), CASES, ids=IDS)
def test_single_steps_shards_and_many_models_agree_with_runs(optimizer, options):
    for sizes in SIZES:
        X, y = data(50, sizes[0], sizes[-1])
        given = {"batch_size": 50, "shuffle": False, **options}
        by_run, by_steps, by_parts = (trainer_of(sizes, optimizer, **given) for _ in range(3))
        by_shards = trainer_of(sizes, optimizer, **given, n_shards=1)
        history, of_shards = by_run.run(X, y, 6), by_shards.run(X, y, 6)
        for _ in range(6):
            by_steps.step(X, y)
            by_parts.accumulate(X, y)
            by_parts.apply()
        assert np.array_equal(by_run.model.to_vector(), by_steps.model.to_vector())
        for other in (by_parts, by_shards):
            atol = 0.02 if isinstance(optimizer, Lion) else 1e-8 if isinstance(optimizer, Muon) else 1e-11
            np.testing.assert_allclose(other.model.to_vector(), by_run.model.to_vector(), rtol=1e-9, atol=atol)
        for name in history:
            if name != "seconds":
                np.testing.assert_allclose(
                    history[name], of_shards[name], rtol=1e-3 if isinstance(optimizer, Lion) else 1e-9
                )
        models = [MLP(sizes, "tanh", random_state=k) for k in range(6)]
        alone = [model.copy() for model in models]
        given = {"optimizer": optimizer, "epochs": 3, "batch_size": 16, "random_state": 1, **options}
        for model, own, found in zip(models, alone, fit_many(models, X, y, **given), strict=True):
            expected = own.fit(X, y, **given)
            assert np.array_equal(model.to_vector(), own.to_vector())
            assert all(np.array_equal(found[name], expected[name]) for name in found if name != "seconds")


def test_constant_schedules_have_the_bits_of_numbers():
    X, y = data(50, 3, 2)

    def constant(value):
        return lambda steps: np.full(steps.shape, value)

    for numbers, scheduled in (
        (SGD(0.02, momentum=0.9), SGD(0.02, momentum=constant(0.9))),
        (AdamW(0.01, weight_decay=0.1), AdamW(0.01, beta_1=constant(0.9), weight_decay=constant(0.1))),
        (Lion(0.001, weight_decay=0.1), Lion(0.001, beta_1=constant(0.9), weight_decay=constant(0.1))),
    ):
        for sizes in SIZES:
            X, y = data(50, sizes[0], sizes[-1])
            trainers = [trainer_of(sizes, numbers, l2=0.1), trainer_of(sizes, scheduled, l2=constant(0.1))]
            for trainer in trainers:
                trainer.run(X, y, 60)  # more than the powers that are multiplied up
            assert np.array_equal(*(trainer.model.to_vector() for trainer in trainers))


def test_sparse_rows_are_trained_like_dense_ones():
    sparse = pytest.importorskip("scipy.sparse")
    rng = np.random.default_rng(0)
    X = sparse.csr_array(np.where(rng.random((120, 30)) < 0.1, rng.normal(size=(120, 30)), 0.0))
    _, y = data(120, 3, 2)
    for optimizer, options in CASES:
        for sizes in ((30, 20, 2), (30, 3, 2)):
            vectors = []
            for given, n_threads in ((X, 1), (X, 3), (X.toarray(), 1)):
                trainer = trainer_of(sizes, optimizer, batch_size=16, n_threads=n_threads, **options)
                trainer.run(given, y, 2)
                vectors.append(trainer.model.to_vector())
            assert np.array_equal(vectors[0], vectors[1])
            atol = 0.02 if isinstance(optimizer, Lion) else 1e-9
            np.testing.assert_allclose(vectors[0], vectors[2], rtol=0, atol=atol)


def test_training_resumes_from_files_copies_and_pickles(tmp_path):
    X, y = data(50, 3, 2)
    optimizer = AdamW(0.01, beta_1=Cosine(0.95, 20, 0.85), weight_decay=Warmup(Cosine(0.5, 25), 4))
    trainer = trainer_of((3, 5, 2), optimizer, l2=Cosine(0.1, 10))
    trainer.run(X, y, 2)
    trainer.save(tmp_path / "trainer")
    others = [Trainer.load(tmp_path / "trainer"), copy.deepcopy(trainer), pickle.loads(pickle.dumps(trainer))]
    history = trainer.run(X, y, 3)
    for other in others:
        assert (other.optimizer, other.l2) == (optimizer, Cosine(0.1, 10))
        again = other.run(X, y, 3)
        assert np.array_equal(other.model.to_vector(), trainer.model.to_vector())
        assert np.array_equal(again["weight_decay"], history["weight_decay"])
    assert pickle.loads(pickle.dumps(history)) == history
    for name, own in (("weight_decay", AdamW(weight_decay=rising(0, 1))), ("l2", None)):
        trainer = trainer_of((3, 5, 2), own, l2=rising(0, 1))
        if own is not None:
            trainer.l2 = 0.0
        with pytest.raises(TypeError, match=f"^{name}: expected a number or a schedule of fastnn.schedules"):
            trainer.save(tmp_path / "trainer")


class Change:
    """A callback that assigns a setting after an epoch."""

    def __init__(self, epoch, **settings):
        self.epoch, self.settings = epoch, settings

    def on_epoch_end(self, trainer, history):
        if history.epochs == self.epoch:
            for name, value in self.settings.items():
                setattr(trainer, name, value)


def test_settings_may_change_during_a_run():
    X, y = data(32, 3, 2)
    trainer = trainer_of((3, 5, 2), Adam(0.01), l2=Cosine(0.2, 10))
    history = trainer.run(X, y, 6, callbacks=[Change(2, l2=0.05), Change(4, l2=Cosine(0.4, 10))])
    expected = [*Cosine(0.2, 10)(np.arange(2)), 0.05, 0.05, *Cosine(0.4, 10)(np.arange(4, 6))]
    np.testing.assert_array_equal(history["l2"], expected)
    trainer = trainer_of((3, 5, 2), AdamW(0.01, weight_decay=Cosine(0.2, 10)))
    history = trainer.run(X, y, 3, callbacks=[Change(1, optimizer=SGD(0.01))])
    assert np.isnan(history["weight_decay"]).tolist() == [False, True, True]
    history = trainer_of((3, 5, 2), Adam(0.01)).run(X, y, 3, callbacks=[Change(1, l2=Cosine(0.1, 9))])
    assert set(history) == {"loss", "learning_rate", "seconds"}


def test_histories_are_written_with_the_values(tmp_path):
    X, y = data(32, 3, 2)
    trainer = trainer_of((3, 5, 2), AdamW(0.01, weight_decay=Cosine(0.2, 10)))
    history = trainer.run(X, y, 3, callbacks=[callbacks.CSVLog(tmp_path / "log.csv")], metrics=["r2"])
    header = (tmp_path / "log.csv").read_text().splitlines()[0].split(",")
    assert {"r2", "weight_decay", "learning_rate"} <= set(header)
    assert history["weight_decay"].tolist() == Cosine(0.2, 10)(np.arange(3)).tolist()

    def weight_decay(y_true, y_pred):
        return 0.0

    with pytest.raises(ValueError, match="metrics: expected other names than that of a scheduled setting"):
        trainer.run(X, y, metrics=[weight_decay])


def test_estimators_take_optimizers_with_schedules():
    pytest.importorskip("sklearn")
    from fastnn.sklearn import MLPRegressor

    X, y = data(60, 3, 1)
    found = []
    for decay in (0.0, 0.5, rising(0.5, 0.5), rising(0.0, 0.5)):
        options = {"hidden_layer_sizes": (5,), "max_iter": 3, "n_iter_no_change": 3, "random_state": 0, "tol": 0.0}
        estimator = MLPRegressor(**options, solver=AdamW(0.01, weight_decay=decay))
        with pytest.warns(match="iterations"):
            found.append(estimator.fit(X, y.ravel()).coefs_[0])
    assert np.array_equal(found[1], found[2])
    assert len({array.tobytes() for array in found}) == 3


def test_compiled_steps_refuse_schedules():
    numba = pytest.importorskip("numba")
    if _core.__name__.startswith("fastnn._engine.portable"):
        pytest.skip("compiled code needs the extension")
    trainer = trainer_of((3, 5, 2), AdamW(0.01, weight_decay=Cosine(0.2, 10)))

    @numba.njit
    def step(trainer, X, y):
        return trainer.step(X, y)

    with pytest.raises(TypeError, match="^trainer: expected "):
        step(trainer, *data(10, 3, 2))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: NAdam(beta_1=Cosine(0.9, 3)), TypeError, "beta_1: expected a finite number >= 0 and < 1, got Cosine"),
        (lambda: Adam(beta_2=Cosine(0.9, 3)), TypeError, "beta_2: expected a finite number >= 0 and < 1, got Cosine"),
        (lambda: SGD(momentum=Cosine), TypeError, r"momentum: expected an object, Cosine\(...\), got the class Cosine"),
        (lambda: AdamW(weight_decay="a"), TypeError, "weight_decay: expected a finite number >= 0 or a schedule"),
        (lambda: Adam(beta_1=1.0), ValueError, "beta_1: expected a finite number >= 0 and < 1, got 1.0"),
        (lambda: Trainer(MLP((2, 3, 1)), l1=Cosine(0.9, 3)), TypeError, "l1: expected a finite number >= 0, got Cosine"),
        (
            lambda: Trainer(MLP((2, 1)), optimizer="lbfgs", l2=Cosine(0.9, 3)),
            ValueError,
            "l2: expected a number for optimizer",
        ),
        (lambda: ops.adam([np.ones(2)], [np.ones(2)], {}, beta_1=Cosine(0.9, 3)), TypeError, "beta_1: expected a number"),
    ],
)
def test_schedules_that_do_not_apply_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (Adam(beta_1=lambda steps: 0.9 + 0.1 * steps), "beta_1: expected finite values >= 0 and < 1 .* got 1.0 at step 1"),
        (AdamW(weight_decay=lambda steps: -1.0 * steps), "weight_decay: expected finite values >= 0 .* got -1.0 at step 1"),
        (SGD(momentum=lambda steps: 0.9), r"momentum: expected shape \(4,\) from the schedule, one value per step number"),
    ],
)
def test_wrong_values_are_refused(optimizer, message):
    trainer = trainer_of((3, 5, 2), optimizer, batch_size=16)
    before = trainer.model.to_vector()
    with pytest.raises(ValueError, match=message):
        trainer.run(*data(64, 3, 2))
    assert np.array_equal(trainer.model.to_vector(), before)
