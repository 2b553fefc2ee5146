"""The same bits: for any number of threads, in parts or at once, from a file, and on every instruction set with FMA."""

from __future__ import annotations

import copy
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from _helpers import HIDDEN, LIKE_TARGETS, data, links_of, model_of, optimizer_of, run_script, state_of

import fastnn
from fastnn import MLP, SGD, Adam, Trainer, _epochs, callbacks, losses
from fastnn._engine import core as _core
from fastnn.schedules import Cosine, Exponential, InverseScaling, InverseTime, Step, Warmup

# Layer sizes and batch size. Several threads split the outputs of some layers: of wide inputs, of hidden layers between
# others whose rows they share, of odd widths, and of weights that take half of a second-level cache of 512 KiB to 2 MiB in
# either dtype.
SPLIT = [
    ((300, 100, 10), 32),
    ((30, 40, 97, 500, 113, 3), 36),
    ((20, 330, 350, 5), 40),
    ((20, 460, 500, 5), 40),
    ((20, 660, 700, 5), 40),
]
# Several threads split the columns of the first layer's weights, of which there are too few rows.
FEW_INPUTS = ((4, 256, 3), 64)
# Layer sizes and batch size: tiny; narrow and wide outputs; wide inputs; rows of whole KiB; batches of several chunks;
# products beyond the second-level cache.
NETWORKS = [
    ((3, 8, 5, 2), 8),
    ((3, 8, 5, 2), 20),
    ((2, 64, 64, 1), 32),
    ((17, 33, 100, 9), 50),
    ((600, 20, 4), 33),
    FEW_INPUTS,
    ((5, 40, 30), 700),
    ((9, 24, 16, 1), 1200),
    ((7, 300), 513),
    ((530, 610, 10), 70),
    ((11, 520, 701, 3), 600),
    *SPLIT,
]
OPTIONS = {
    "plain": {},
    "dropout": {"dropout": 0.3},
    "penalties": {"l1": 1e-3, "l2": 1e-2},
    "clip_value": {"clip_value": 0.01},
    "clip_norm": {"clip_norm": 0.1},
    "everything": {"dropout": 0.3, "l1": 1e-3, "l2": 1e-2, "clip_value": 0.02, "clip_norm": 0.1},
}
SCHEDULES = [
    InverseTime(0.02, 0.01),
    InverseScaling(0.02),
    Step(0.02, 5, 0.5),
    Exponential(0.02, 0.97),
    Cosine(0.02, 40, 0.001),
    Warmup(Cosine(0.02, 40), 10),
]


def new_trainer(network, *, dropout=0.0, dtype=np.float32, activation="gelu", loss="mse", **options):
    """Return a trainer of a new model, and data for it that ends with a short batch."""
    sizes, batch_size = network
    model = model_of(sizes, activation, links_of(loss)[0], dtype=dtype, dropout=dropout)
    options = {"optimizer": Adam(0.01), "random_state": 5} | options
    X, y = data(2 * batch_size + batch_size // 3 + 1, sizes[0], sizes[-1], loss)
    return Trainer(model, loss, batch_size=batch_size, **options), X.astype(np.float32), y


def assert_same_for_any_threads(network, **options):
    states = []
    for n_threads in (1, 2, 3, 7):
        trainer, X, y = new_trainer(network, n_threads=n_threads, **options)
        weight = np.random.default_rng(0).random(len(X))
        history = trainer.run(X, y, 6, sample_weight=weight)
        states.append((*state_of(trainer), history["loss"].tobytes()))
    assert np.isfinite(trainer.model.to_vector()).all()
    for state in states[1:]:
        assert state == states[0]


# ---- Threads ----


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("network", NETWORKS, ids=str)
@pytest.mark.parametrize("option", OPTIONS)
def test_any_number_of_threads_gives_the_same_bits(network, option, dtype):
    assert_same_for_any_threads(network, dtype=dtype, **OPTIONS[option])


@pytest.mark.parametrize("row", _core.OPTIMIZERS)
@pytest.mark.parametrize("network", [*NETWORKS[2:4], FEW_INPUTS], ids=str)
@pytest.mark.parametrize("option", ["plain", "everything"])
def test_optimizers_give_the_same_bits_for_any_number_of_threads(row, network, option):
    assert_same_for_any_threads(network, optimizer=optimizer_of(row), **OPTIONS[option])


@pytest.mark.parametrize("activation", HIDDEN)
def test_activations_give_the_same_bits_for_any_number_of_threads(activation):
    assert_same_for_any_threads(NETWORKS[3], activation=activation, optimizer=SGD(0.01))


@pytest.mark.parametrize("loss", LIKE_TARGETS)
@pytest.mark.parametrize("network", [NETWORKS[3], NETWORKS[7]], ids=str)
def test_losses_give_the_same_bits_for_any_number_of_threads(loss, network):
    assert_same_for_any_threads(network, loss=loss, shuffle=False)


@pytest.mark.parametrize("row", _core.OPTIMIZERS)
@pytest.mark.parametrize("option", ["plain", "clip_value"])
def test_optimizers_give_the_same_bits_where_threads_split_outputs(row, option):
    assert_same_for_any_threads(SPLIT[1], optimizer=optimizer_of(row), activation="prelu", **OPTIONS[option])


def test_sparse_inputs_give_the_same_bits_where_threads_split_later_layers():
    sparse = pytest.importorskip("scipy.sparse")
    states = []
    for n_threads in (1, 2, 5):
        trainer, X, y = new_trainer(((300, 120, 250, 3), 20), n_threads=n_threads)
        X[np.random.default_rng(0).random(X.shape) < 0.9] = 0
        trainer.run(sparse.csr_array(X), y, 8)
        states.append(state_of(trainer))
    assert states[1:] == states[:1] * 2


@pytest.mark.parametrize("sizes", [(300, 100, 10), FEW_INPUTS[0]], ids=str)
@pytest.mark.parametrize("optimizer", [SGD(1e4, momentum=0.9), Adam(1e4)])
def test_a_run_that_diverges_goes_back_to_the_same_bits_where_threads_split_outputs(optimizer, sizes):
    states = []
    for n_threads in (1, 2, 3):
        trainer, X, y = new_trainer((sizes, 8), activation="relu", n_threads=n_threads, shuffle=False)
        X, y = np.tile(X, (8, 1)), np.tile(y, (8, 1))
        trainer.run(X, y, 2)
        trainer.optimizer = optimizer
        y[-1, 0] = 1e30  # the last batch's loss is infinite, after many updates of the epoch
        with pytest.raises(fastnn.DivergedError):
            trainer.run(X, y, 2)
        assert np.isfinite(trainer.model.to_vector()).all()
        states.append(state_of(trainer))
    assert states[1:] == states[:1] * 2


def test_callbacks_see_the_weights_of_each_epoch_where_threads_split_outputs():
    class Weights:
        def __init__(self):
            self.seen = []

        def on_epoch_end(self, trainer, history):
            self.seen.append(trainer.model.to_vector().tobytes())

    seen = []
    for n_threads in (1, 2, 3):
        trainer, X, y = new_trainer(((300, 100, 10), 8), n_threads=n_threads)
        weights = Weights()
        trainer.run(np.tile(X, (8, 1)), np.tile(y, (8, 1)), 4, callbacks=[weights])
        seen.append(weights.seen)
    assert len(set(seen[0])) == 4
    assert seen[1:] == seen[:1] * 2


def test_choosing_threads_while_training_changes_no_bit():
    # The run is long enough for several trials of one thread and of two, each of which begins and ends within an epoch.
    usable, states = fastnn.get_num_threads(), []
    try:
        for count in (1, 2):
            fastnn.set_num_threads(count)
            trainer, X, y = new_trainer(((64, 128, 128, 5), 40), dropout=0.2)
            history = trainer.run(X, y, 3000)
            states.append((*state_of(trainer), history["loss"].tobytes()))
    finally:
        fastnn.set_num_threads(usable)
    assert states[0] == states[1]


def test_the_threads_asked_for_are_used():
    tasks = Path("/proc/self/task")
    if not tasks.exists():
        pytest.skip("threads are not listed here")
    trainer, X, y = new_trainer(NETWORKS[2], n_threads=7)
    trainer.run(X, y)
    assert len(os.listdir(tasks)) >= 7


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_predictions_and_gradients_of_a_row_do_not_depend_on_other_rows(network, dtype):
    sizes, _ = network
    model = model_of(sizes, "gelu", "softmax", dtype=dtype)
    X, y = data(700, sizes[0], sizes[-1])
    X = X.astype(dtype)
    expected = model.predict(X)
    for rows in (1, 2, 7, 16, 129, 512):
        for n_threads in (1, 3):
            parts = [model.predict(X[i : i + rows], n_threads=n_threads) for i in range(0, 3 * rows, rows)]
            np.testing.assert_array_equal(np.concatenate(parts), expected[: 3 * rows])
    # The layout of the rows does not matter, nor whether they are gathered.
    for layout in (np.asfortranarray, lambda a: a[::-1].copy()[::-1], lambda a: np.repeat(a, 2, axis=0)[::2], list):
        np.testing.assert_array_equal(model.predict(layout(X)), expected)
        assert model.loss(layout(X), layout(y)) == model.loss(X, y)
        for one, other in zip(model.gradient(layout(X), layout(y))[1], model.gradient(X, y)[1], strict=True):
            np.testing.assert_array_equal(one, other)


# ---- In parts ----

WAYS = {}


def way(function):
    WAYS[function.__name__] = function
    return function


@way
def two_runs(trainer, X, y, path):
    trainer.run(X, y, 5)
    trainer.run(X, y, 5)
    return trainer


@way
def ten_runs(trainer, X, y, path):
    for _ in range(10):
        trainer.run(X, y)
    return trainer


@way
def saved_and_loaded(trainer, X, y, path):
    trainer.run(X, y, 5)
    trainer.save(path)
    trainer.run(X, y, 2)  # the file does not keep it
    loaded = Trainer.load(path)
    loaded.run(X, y, 5)
    return loaded


@way
def checkpointed(trainer, X, y, path):
    trainer.run(X, y, 9, callbacks=[callbacks.Checkpoint(path, every=4)])
    loaded = Trainer.load(path)
    loaded.run(X, y, 2)
    return loaded


@way
def copied(trainer, X, y, path):
    trainer.run(X, y, 5)
    twin = copy.deepcopy(trainer)
    trainer.run(X, y, 2)
    twin.run(X, y, 5)
    return twin


@way
def pickled(trainer, X, y, path):
    trainer.run(X, y, 5)
    twin = pickle.loads(pickle.dumps(trainer))
    trainer.run(X, y, 2)
    twin.run(X, y, 5)
    return twin


@way
def watched(trainer, X, y, path):
    class Look:
        def on_epoch_end(self, trainer, history):
            trainer.model.predict(X)
            trainer.model.gradient(X, y)

    trainer.run(X, y, 10, callbacks=[Look()], validation_data=(X, y))
    return trainer


@way
def stopped_by_a_callback(trainer, X, y, path):
    class Stop:
        def on_epoch_end(self, trainer, history):
            return history.epochs == 3

    assert trainer.run(X, y, 10, callbacks=[Stop()]).epochs == 3
    assert trainer.run(X, y, 7).epochs == 7
    return trainer


def assert_same_in_parts(way, path, **options):
    network = options.pop("network", ((3, 12, 5, 2), 10))
    whole, X, y = new_trainer(network, **options)
    whole.run(X, y, 10)
    parts, _, _ = new_trainer(network, **options)
    parts = WAYS[way](parts, X, y, path)
    assert state_of(parts) == state_of(whole)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("row", _core.OPTIMIZERS)
@pytest.mark.parametrize("option", ["plain", "everything"])
@pytest.mark.parametrize("own_random_state", [False, True])
def test_runs_in_parts_give_the_bits_of_one_run(way, row, option, own_random_state, tmp_path):
    random_state = 5 if own_random_state else None
    schedule = Exponential(0.02, 0.99)
    optimizer = optimizer_of(row, learning_rate=schedule)
    assert_same_in_parts(way, tmp_path / "file", optimizer=optimizer, random_state=random_state, **OPTIONS[option])


@pytest.mark.parametrize("row", ["adam", "adamw"])
@pytest.mark.parametrize("network", [NETWORKS[0], ((9, 30, 4), 20)], ids=str)
def test_resuming_after_any_number_of_updates_changes_no_bit(row, network):
    """The powers of Adam's betas depend only on the number of updates, not on where a run or a step began."""
    optimizer = optimizer_of(row, learning_rate=0.01)
    whole, X, y = new_trainer(network, optimizer=optimizer, dtype=np.float64, shuffle=False)
    batch = X[: network[1]], y[: network[1]]
    parts = pickle.loads(pickle.dumps(whole))
    done = 0
    for updates in (1, 62, 63, 64, 65, 66, 127, 128, 129, 191, 192, 200):
        whole.run(*batch, updates - done)
        for _ in range(updates - done):
            parts = pickle.loads(pickle.dumps(parts))
            parts.step(*batch)
        done = updates
        assert state_of(parts)[:3] == state_of(whole)[:3], updates
    once, _, _ = new_trainer(network, optimizer=optimizer, dtype=np.float64, shuffle=False)
    once.run(*batch, done)
    assert state_of(once)[:3] == state_of(whole)[:3]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_schedules_go_on_in_the_next_part(way, schedule, tmp_path):
    assert_same_in_parts(way, tmp_path / "file", optimizer=SGD(schedule, momentum=0.9), shuffle=False)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("network", [*NETWORKS[:4], ((5, 30), 600)], ids=str)
def test_every_kind_of_network_can_be_trained_in_parts(way, network, tmp_path):
    assert_same_in_parts(way, tmp_path / "file", network=network, dtype=np.float64, dropout=0.2 if network[0][2:] else 0.0)


@pytest.mark.parametrize("way", ["saved_and_loaded", "pickled", "copied"])
@pytest.mark.parametrize("generator", [np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64])
def test_random_generators_go_on_in_the_next_part(way, generator, tmp_path):
    whole, X, y = new_trainer(((3, 12, 2), 10), dropout=0.3, random_state=np.random.Generator(generator(5)))
    parts, _, _ = new_trainer(((3, 12, 2), 10), dropout=0.3, random_state=np.random.Generator(generator(5)))
    whole.run(X, y, 10)
    assert state_of(WAYS[way](parts, X, y, tmp_path / "file")) == state_of(whole)


@pytest.mark.parametrize("loss", [losses.Huber(0.3), losses.Quantile(0.9), losses.CrossEntropy()], ids=repr)
def test_trainers_from_files_go_on_with_their_loss(loss, tmp_path):
    model = model_of((3, 8, 2), "tanh")
    X, y = data(30, 3, 2, loss.name)
    trainer = Trainer(model, loss)
    trainer.save(tmp_path / "file")
    loaded = Trainer.load(tmp_path / "file")
    assert loaded.loss == loss
    for t in (trainer, loaded):
        t.run(X, y, 3)
    assert state_of(loaded) == state_of(trainer)


@pytest.mark.parametrize("row", ["sgd", "adam"])
@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("network", [((64, 128, 128, 5), 40), SPLIT[2], ((200, 490, 3), 300)], ids=str)
def test_time_slices_change_no_bit(row, n_threads, network, monkeypatch):
    # The clock is read after every batch; with slices of no length, each batch is a slice of its own. In the last ones,
    # threads no longer split outputs.
    states = []
    for seconds in (1e9, 0.0):
        monkeypatch.setattr(_epochs, "SLICE_SECONDS", seconds)
        trainer, X, y = new_trainer(network, optimizer=optimizer_of(row), dropout=0.2, n_threads=n_threads)
        history = trainer.run(X, y, 9)
        states.append((*state_of(trainer), history["loss"].tobytes()))
    assert states[0] == states[1]


# ---- Instruction sets ----

DIGEST = """
import hashlib, sys
import numpy as np
from fastnn import MLP, Trainer
from fastnn._engine import core as _core
digest = hashlib.sha256()
for dtype in (np.float32, np.float64):
    for sizes, batch_size in (((2, 8, 1), 4), ((9, 33, 17, 5), 20), ((300, 20, 30), 600)):
        for activation in sys.argv[1].split(","):
            model = MLP(sizes, activation, dtype=dtype, random_state=0)
            rng = np.random.default_rng(1)
            X, y = rng.uniform(-1, 1, (2 * batch_size, sizes[0])), rng.uniform(-1, 1, (2 * batch_size, sizes[-1]))
            Trainer(model, batch_size=batch_size, l2=0.01, clip_norm=1.0).run(X, y, 2)
            digest.update(model.to_vector().tobytes() + model.predict(X).tobytes())
print(_core.current_instruction_set()[0], digest.hexdigest())
"""


def test_instruction_sets_with_fma_give_the_same_bits():
    isas = [isa for isa in _core.usable_instruction_sets() if isa in ("v4", "v3", "neon")]
    results = [run_script(DIGEST, ",".join(HIDDEN), FASTNN_ISA=isa).stdout.split() for isa in isas]
    assert [name for name, _ in results] == isas  # the one asked for really ran
    assert len({digest for _, digest in results}) <= 1
    if not isas:
        pytest.skip("no instruction set here has FMA")


def test_the_seed_determines_the_bits():
    X, y = data(30, 3, 2)
    vectors = []
    for seed in (1, 1, 2):
        model = MLP((3, 8, 2), dropout=0.5, random_state=seed)
        model.fit(X, y, epochs=2)
        vectors.append(model.to_vector().tobytes())
    assert vectors[0] == vectors[1] != vectors[2]
