"""Averages at the end of a run that diverges or is interrupted, after assignments, and where they are refused."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from _helpers import data

from fastnn import (
    EMA,
    MLP,
    SGD,
    SWA,
    DivergedError,
    Trainer,
    fit_many,
)
from fastnn._engine import core as _core
from fastnn._native import network_of

AVERAGES = [EMA(0.9), EMA(0.5, bias_correction=False), SWA(), SWA(3)]
KINDS = pytest.mark.parametrize("averaging", AVERAGES, ids=repr)


# ---- How a run ends ----


@KINDS
@pytest.mark.parametrize("sizes", [(2, 3, 1), (30, 40, 1)])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_a_divergence_restores_the_average_too(averaging, sizes, n_threads):
    X, y = data(40, sizes[0], sizes[-1])
    trainer = Trainer(
        MLP(sizes, random_state=0), optimizer=SGD(0.01), averaging=averaging, batch_size=8, n_threads=n_threads
    )
    trainer.run(X, y, epochs=4)
    before, counts = trainer.averaged_model().to_vector(), trainer._average.counts.copy()
    at_end = copy.deepcopy(trainer)

    class Raise:
        def on_epoch_end(self, trainer, history):
            before.setflags(write=True)
            before[...] = trainer.averaged_model().to_vector()
            counts[...] = trainer._average.counts
            trainer.learning_rate = 1e30

    with pytest.raises(DivergedError):
        trainer.run(X, y, epochs=9, callbacks=[Raise()])
    np.testing.assert_array_equal(trainer.averaged_model().to_vector(), before)
    np.testing.assert_array_equal(trainer._average.counts, counts)
    assert counts[1] == at_end._average.counts[1] + 1


def test_a_step_that_diverges_changes_no_average():
    X, y = data(8, 3, 1)
    trainer = Trainer(MLP((3, 4, 1), random_state=0), optimizer=SGD(0.01), averaging=EMA(0.9))
    trainer.step(X, y)
    before = trainer.averaged_model().to_vector()
    trainer.learning_rate = 1e39
    with pytest.raises(DivergedError):
        trainer.step(X, 1e30 * y)
    np.testing.assert_array_equal(trainer.averaged_model().to_vector(), before)
    assert trainer._average.counts.tolist() == [1, 0]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_fit_leaves_the_average_however_it_ends(error):
    X, y = data(40, 3, 1)

    class Stop:
        def on_epoch_end(self, trainer, history):
            if history.epochs == 2:
                self.average = trainer.averaged_model().to_vector()
                raise error

    for fit in (
        lambda model, **options: model.fit(X, y, **options),
        lambda model, **options: fit_many([model], X, y, **options),
    ):
        model, stop = MLP((3, 8, 1), random_state=0), Stop()
        with pytest.raises(error):
            fit(model, epochs=5, averaging=EMA(0.9), callbacks=[stop])
        np.testing.assert_array_equal(model.to_vector(), stop.average)


def test_a_fit_with_wrong_arguments_changes_nothing():
    X, y = data(40, 3, 1)
    model = MLP((3, 8, 1), random_state=0)
    before = model.to_vector()
    with pytest.raises(ValueError, match="y: "):
        model.fit(X, y[:-1], averaging="swa")
    np.testing.assert_array_equal(model.to_vector(), before)


# ---- Settings ----


def test_an_assigned_average_continues_or_begins_anew():
    X, y = data(40, 3, 1)
    trainer = Trainer(MLP((3, 8, 1), random_state=0), averaging=EMA(0.9))
    trainer.run(X, y, epochs=2)
    kept, count = trainer.averaged_model().to_vector(), trainer._average.counts[0]
    trainer.averaging = EMA(0.5)
    np.testing.assert_array_equal(trainer.averaged_model().to_vector(), kept)
    assert trainer._average.counts[0] == count == 4
    trainer.optimizer = SGD(0.01)  # which starts at zero moments, and leaves the average as it is
    np.testing.assert_array_equal(trainer.averaged_model().to_vector(), kept)
    trainer.averaging = SWA()
    np.testing.assert_array_equal(trainer.averaged_model().to_vector(), trainer.model.to_vector())
    trainer.averaging = None
    with pytest.raises(ValueError, match="averaging=None"):
        trainer.averaged_model()


def test_an_average_that_a_callback_assigns_begins_with_the_next_epoch():
    X, y = data(40, 3, 1)
    vectors = []

    class Begin:
        def on_epoch_end(self, trainer, history):
            vectors.append(trainer.model.to_vector())
            if history.epochs == 2:
                trainer.averaging = SWA()

    trainer = Trainer(MLP((3, 8, 1), dtype=np.float64, random_state=0))
    trainer.run(X, y, epochs=5, callbacks=[Begin()])
    np.testing.assert_allclose(trainer.averaged_model().to_vector(), np.mean(vectors[2:], axis=0), rtol=1e-13)


def test_wrong_averages_are_refused():
    model = MLP((3, 8, 1))
    for wrong in (0.9, EMA, object()):
        with pytest.raises(TypeError, match="averaging: expected an object"):
            Trainer(model, averaging=wrong)
    with pytest.raises(ValueError, match="averaging: expected one of 'ema', 'swa', got 'mean'"):
        model.fit([[0.0, 0.0, 0.0]], [0.0], averaging="mean")
    for arguments in ({"decay": 1.0}, {"decay": -0.1}, {"decay": float("nan")}):
        with pytest.raises(ValueError, match="decay: expected a finite number"):
            EMA(**arguments)
    with pytest.raises(TypeError, match="bias_correction"):
        EMA(bias_correction=1)
    with pytest.raises(ValueError, match="start: expected"):
        SWA(0)
    with pytest.raises(TypeError, match="start: expected"):
        SWA(1.5)


def test_a_training_that_ends_before_its_average_is_refused():
    X, y = data(10, 3, 1)
    model = MLP((3, 4, 1), random_state=0)
    before = model.to_vector()
    for fit in (model.fit, lambda *args, **options: fit_many([model], *args, **options)):
        with pytest.raises(ValueError, match="averaging: expected SWA with start <= epochs=3, got start=4"):
            fit(X, y, epochs=3, averaging=SWA(4))
    np.testing.assert_array_equal(model.to_vector(), before)
    model.fit(X, y, epochs=0, averaging=SWA(4))
    np.testing.assert_array_equal(model.to_vector(), before)
    Trainer(model, averaging=SWA(4)).run(X, y, epochs=3)  # another run may follow


def test_what_has_no_average_refuses_it():
    X, y = data(10, 3, 1)
    with pytest.raises(ValueError, match="averaging: expected none for optimizer 'lbfgs'"):
        Trainer(MLP((3, 8, 1)), optimizer="lbfgs", averaging="ema")
    trainer = Trainer(MLP((3, 8, 1)), averaging="swa")
    for step in (
        lambda: trainer.step(X, y),
        lambda: trainer.step_gradient(X, y),
        lambda: trainer.accumulate(X, y),
        trainer.apply,
    ):
        with pytest.raises(TypeError, match="averaging: a trainer with SWA makes no single steps"):
            step()
    assert trainer.updates == 0


def test_the_engine_refuses_another_layout():
    from fastnn._engine.run_settings import NativeAveraging

    model, counts = MLP((3, 8, 1)), np.zeros(2, np.int64)
    settings = Trainer(model)._native.settings
    for other in (MLP((3, 80, 1)), MLP((3, 8, 1), dtype=np.float64)):
        with pytest.raises(ValueError, match="layout"):
            _core.Run(
                network_of(model),
                (np.zeros((2, 3), np.float32), np.zeros((2, 1), np.float32), False, None),
                settings._replace(averaging=NativeAveraging(network_of(other), counts, True)),
                1,
                0,
            )
