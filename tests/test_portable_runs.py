"""Runs of the portable backend beside the compiled one's: other definitions, orders, sparse rows, and how a run ends."""

from __future__ import annotations

import math

import numpy as np
import pytest
from _helpers import data, model_of
from _portable_runs import DTYPES, SIZES, TOLERANCE, Setting, arrays_of, assert_close, network_of, run_formulas_as, run_of

from fastnn import SGD, Adam, AdamW, RMSProp, _engine
from fastnn._engine import core as _core
from fastnn._engine import portable as _portable
from fastnn._engine.losses import native_loss
from fastnn._engine.optimizers import native_optimizer
from fastnn._engine.run_settings import RunSettings
from fastnn.losses import resolve as resolve_loss


@pytest.fixture(params=["plain", "compiled"])
def formulas(request, monkeypatch):
    """Run the formulas in plain NumPy, then as Numba compiles them."""
    run_formulas_as(request.param, monkeypatch)


# ---- Beside the compiled backend ----


def assert_compiled(model, X, y, setting, native=None, bits=np.random.PCG64, **options):
    """Train both with one another's arguments, and compare losses, parameters and moments."""
    if _engine.fallback is not None:
        pytest.skip("needs the compiled extension")
    network, order = network_of(model), options.pop("order", None)
    our_order = None if order is None else order.copy()
    ours, moments = run_of(network, X, y, setting, bits(5), native, order=our_order, **options)
    optimizer = native_optimizer(setting.optimizer) | (native or {})
    theirs_moments = _core.aligned_zeros((optimizer["moments"], model._network.storage.size), model.dtype)
    inputs = X if isinstance(X, np.ndarray) else _core.SparseRows(X.values, X.columns, X.row_starts, X.shape[1])
    settings = RunSettings(
        native_loss(resolve_loss(setting.loss), model.activations[-1]),
        optimizer,
        theirs_moments,
        bits(5),
        n_threads=1,
        batch_size=setting.batch_size,
        shuffle=setting.shuffle,
        order=order,
        **options,
    )
    theirs = _core.Run(model._network, (inputs, y, False, setting.sample_weight), settings, setting.epochs, 0)
    theirs.set_rates(np.linspace(0.1, 0.01, theirs.steps * setting.epochs))
    ours.set_rates(np.linspace(0.1, 0.01, ours.steps * setting.epochs))
    assert ours.steps == theirs.steps
    assert ours.advance(math.inf, 2) == theirs.advance(math.inf, 2) == "paused"
    assert (ours.epoch, ours.updates) == (theirs.epoch, theirs.updates)
    assert ours.advance(math.inf, 99) == theirs.advance(math.inf, 99) == "finished"
    copies = np.zeros((2, 3, setting.epochs + 1))
    for run, copied in zip((ours, theirs), copies, strict=True):
        run.copy_epochs(1, 2, copied[0], [copied[1]], copied[2])
        np.testing.assert_array_equal(copied[0, 2:], run.epoch_loss[1:])
        np.testing.assert_array_equal(copied[2, 2:], run.epoch_seconds[1:])
    np.testing.assert_array_equal(copies[0, 1], copies[1, 1])
    np.testing.assert_allclose(ours.epoch_loss, theirs.epoch_loss, rtol=1e-9)
    if order is not None:
        np.testing.assert_array_equal(our_order, order)
    if isinstance(X, np.ndarray):  # of sparse rows the compiled loop knows penalties by the epoch only
        np.testing.assert_allclose(ours.batch_loss, theirs.batch_loss, rtol=1e-9)
    assert_close(network, model.weights, model.biases, np.float64)
    for mine, other in zip(moments, theirs_moments, strict=True):
        for got, wanted in zip(arrays_of(network, mine), arrays_of(model._network, other), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-8, atol=1e-8 * np.abs(wanted).max())


@pytest.mark.usefixtures("formulas")
@pytest.mark.parametrize(
    ("optimizer", "native"),
    [
        (Adam(0.01), {"epsilon_hat": True, "epsilon": 1e-3}),
        (SGD(0.1, momentum=0.9), {"rate_in_velocity": True}),
        (SGD(0.1, momentum=0.9, nesterov=True), {"rate_in_velocity": True}),
        (AdamW(0.01), {"l1": 0.01, "l2": 0.1, "penalty_per_weight": True}),
        (RMSProp(0.01), {"clip_norm": 0.05, "l2": 0.1}),
    ],
    ids=repr,
)
def test_other_definitions(optimizer, native):
    X, y = data(45, 3, 2)
    weight = np.random.default_rng(3).uniform(0, 2, 45)
    setting = Setting(optimizer=optimizer, epochs=4, sample_weight=weight)
    assert_compiled(model_of(SIZES, dropout=0.2), X, y, setting, native, loss_by_rows=True)


@pytest.mark.usefixtures("formulas")
@pytest.mark.parametrize("bits", [np.random.PCG64, np.random.MT19937, np.random.SFC64])
def test_order(bits):
    """Permutations of permutations, as scikit-learn has them."""
    X, y = data(45, 3, 2)
    setting = Setting(epochs=4)
    assert_compiled(model_of(SIZES, dropout=0.3), X, y, setting, bits=bits, order=np.arange(45)[::-1].copy())
    assert_compiled(model_of(SIZES), X.astype(np.float32), y, setting, bits=bits)


def sparse_rows(density=0.1, rows=45, columns=70):
    """Return sparse rows, and the same as an array."""
    rng = np.random.default_rng(4)
    X = np.where(rng.random((rows, columns)) < density, rng.normal(size=(rows, columns)), 0.0)
    starts = np.concatenate([[0], np.cumsum((X != 0).sum(axis=1))])
    return _portable.SparseRows(X[X != 0], np.nonzero(X)[1], starts, columns), X


@pytest.mark.usefixtures("formulas")
@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
def test_sparse(shuffle, lazy):
    X, dense = sparse_rows()
    setting = Setting(optimizer=Adam(0.01), epochs=4, shuffle=shuffle)
    y = np.sin(dense @ np.random.default_rng(1).normal(size=(70, 2)))
    assert_compiled(model_of((70, 12, 2)), X, y, setting, {"lazy": lazy, "l2": 0.1})
    network = network_of(model_of((70, 12, 2)))
    np.testing.assert_array_equal(network.predict(X), network.predict(dense))


# ---- The compiled loop ----


def loop_of(model, rows=45, batch_size=8, **options):
    """Return the compiled loop of a run, or None."""
    return run_of(network_of(model), *data(rows, 3, 2), Setting(batch_size=batch_size), **options)[0]._loop


@pytest.mark.skipif(not _portable.COMPILED, reason="needs Numba and SciPy")
def test_which_runs_have_a_compiled_loop():
    assert loop_of(model_of(SIZES)) is not None
    assert loop_of(model_of(SIZES, ["silu", "elu"])) is not None
    assert loop_of(model_of(SIZES, dropout=0.1)) is None
    assert loop_of(model_of(SIZES, "prelu")) is None
    for penalties in ({"l1": 0.1}, {"l2": 0.1}, {"clip_value": 1.0}, {"clip_norm": 1.0}):
        assert loop_of(model_of(SIZES), penalties=penalties) is None
    # In large batches, NumPy's vector instructions for tanh outweigh the calls from Python.
    assert loop_of(model_of(SIZES), 5000, 5000) is None
    assert loop_of(model_of(SIZES), 5000, 32) is not None


@pytest.mark.skipif(not _portable.COMPILED, reason="needs Numba and SciPy")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("by_rows", [False, True])
def test_the_compiled_loop_makes_the_steps_of_python(by_rows, dtype):
    """With rows and a whole batch of weight 0, and a smaller last batch."""
    X, y = data(45, 3, 2)
    weight = np.random.default_rng(3).uniform(0, 2, 45)
    weight[[1, 20]], weight[8:16] = 0.0, 0.0
    setting, results = Setting(optimizer=Adam(0.01), epochs=4, shuffle=False, sample_weight=weight), []
    for by_loop in (True, False):
        network = network_of(model_of(SIZES, ["tanh", "gelu"], dtype=dtype))
        run, moments = run_of(network, X, y, setting, loss_by_rows=by_rows)
        if by_loop:
            run._single_steps.take = count_calls(run._single_steps.take)
        else:
            run._loop = None
        assert run.advance(math.inf, 4) == "finished"
        results.append((run.epoch_loss, run.batch_loss, network.storage, moments))
        if by_loop:
            assert run._single_steps.take.calls == 4  # those of the batch of weight 0
    for got, wanted in zip(*results, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


def count_calls(function):
    """Return a function that counts its calls."""

    def counted(*arguments):
        counted.calls += 1
        return function(*arguments)

    counted.calls = 0
    return counted


# ---- The end of a run ----


@pytest.mark.usefixtures("formulas")
def test_divergence_restores():
    X, y = data(45, 3, 2)
    model = model_of(SIZES, "identity", dropout=0.1)
    network, bits = network_of(model), np.random.PCG64(7)
    before = network.storage.copy()
    run, moments = run_of(network, X, y, Setting(optimizer=SGD(1e150, momentum=0.9), shuffle=False), bits)
    assert run.advance(math.inf, 3) == "diverged"
    assert (run.epoch, run.updates) == (0, 0)
    np.testing.assert_array_equal(network.storage, before)
    assert not moments.any()
    # Random numbers were drawn for the two batches that were seen, as the compiled loop draws them.
    rng = np.random.Generator(np.random.PCG64(7))
    rng.integers(0, 2**64, 2 if run.batch_loss < 1e100 else 3, dtype=np.uint64)
    assert bits.state == rng.bit_generator.state


@pytest.mark.usefixtures("formulas")
@pytest.mark.parametrize("rows", [8, 45])
@pytest.mark.parametrize("epochs", [1, 3])
def test_the_last_update_counts_too(rows, epochs):
    """No later loss tells that it went wrong."""
    X, y = data(rows, 3, 2)
    network = network_of(model_of(SIZES))
    run, moments = run_of(network, X, y, Setting(optimizer=SGD(0.1, momentum=0.9), epochs=epochs, shuffle=False))
    steps = epochs * run.steps
    rates = np.full(steps, 0.01)
    rates[-1] = np.inf
    run.set_rates(rates)
    assert run.advance(math.inf, epochs) == "diverged"
    assert (run.epoch, run.updates) == (epochs - 1, steps - run.steps)
    good = network_of(model_of(SIZES))
    shorter, kept = run_of(good, X, y, Setting(optimizer=SGD(0.01, momentum=0.9), epochs=epochs - 1, shuffle=False))
    shorter.set_rates(np.array([0.01]))
    shorter.advance(math.inf, epochs - 1)
    np.testing.assert_array_equal(network.storage, good.storage)
    np.testing.assert_array_equal(moments, kept)


def test_slices_of_time():
    X, y = data(45, 3, 2)
    whole, parts = (network_of(model_of(SIZES)) for _ in range(2))
    setting = Setting(epochs=20, batch_size=1)
    run_of(whole, X, y, setting)[0].advance(math.inf, 20)
    run, _ = run_of(parts, X, y, setting)
    statuses = []
    while not statuses or statuses[-1] == "paused":
        statuses.append(run.advance(0.0, 20))
    assert len(statuses) > 5
    np.testing.assert_array_equal(parts.storage, whole.storage)
    assert (run.epoch_seconds > 0).all()


@pytest.mark.parametrize("room", [1, 3, 7])
def test_losses_of_the_last_epochs_alone(room, monkeypatch):
    X, y = data(45, 3, 2)
    setting, results = Setting(epochs=20), []
    for most in (1 << 20, room):
        monkeypatch.setattr(_portable._run, "_MAX_EPOCHS", most)
        network = network_of(model_of(SIZES, dropout=0.2))
        run, _ = run_of(network, X, y, setting)
        run.set_rates(np.linspace(0.1, 0.01, run.steps * 20))
        losses, rates, status = [], [], "paused"
        while status == "paused":
            before = run.epoch
            status = run.advance(math.inf, 9)
            ended = slice(before - run.first_epoch, run.epoch - run.first_epoch)
            assert (run.epoch_seconds[ended] > 0).all()
            losses.extend(run.epoch_loss[ended])
            copied = np.zeros((3, run.epoch - before))
            run.copy_epochs(before, 0, copied[0], [copied[1]], copied[2])
            rates.extend(copied[1])
        assert (status, run.epoch, len(run.epoch_loss)) == ("finished", 20, min(most, 20))
        results.append((losses, rates, network.storage))
    for got, wanted in zip(*results, strict=True):
        np.testing.assert_array_equal(got, wanted)
