"""Training in shards, in one process: its definition in plain NumPy, and the order of its sums."""

from __future__ import annotations

import copy
import math
import pickle
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastnn import MLP, SGD, Adam, DivergedError, Trainer, losses, reference, schedules
from fastnn._engine.training_data import TrainingData
from fastnn._sharded.ranks import Ranks
from fastnn._sharded.shards import boundaries, stream_of
from fastnn._sharded.sums import Additions, GradientSum
from fastnn.reference.optimizers import UPDATES
from fastnn.reference.training import clip

N, N_IN, N_OUT = 61, 4, 2
RNG = np.random.default_rng(3)
X = RNG.normal(size=(N, N_IN))
Y = np.sin(X @ RNG.normal(size=(N_IN, N_OUT)))
WEIGHT = RNG.integers(0, 3, N) * 0.5 + (np.arange(N) < 2)


def model_of(dropout: float = 0.0, dtype: str = "float64") -> MLP:
    return MLP((N_IN, 8, N_OUT), "tanh", dropout=dropout, dtype=dtype, random_state=0)


def train_plainly(
    model: MLP,
    n_shards: int,
    batch_size: int,
    epochs: int,
    optimizer: Any,
    weight: NDArray[Any],
    l2: float,
    clip_norm: float,
) -> tuple[list[NDArray[Any]], list[float]]:
    """Train as the definition of shards says, with the reference's gradients and updates."""
    params, rng = [*(w.copy() for w in model.weights), *(b.copy() for b in model.biases)], np.random.default_rng(9)
    drop, own, state, updates, found = model.dropout[0], batch_size // n_shards, reference.optimizers.State(), 0, []
    ends = [N * s // n_shards for s in range(n_shards + 1)]
    steps = max(-(-(b - a) // own) for a, b in pairwise(ends))
    for _ in range(epochs):
        key = int(rng.integers(0, 2**64, dtype=np.uint64))
        streams = [stream_of(key, s) for s in range(n_shards)]
        orders = [a + stream.permutation(b - a) for stream, a, b in zip(streams, ends[:-1], ends[1:], strict=True)]
        total = total_weight = 0.0
        for step in range(steps):
            loss, sums, of_batch = 0.0, [np.zeros_like(p) for p in params], 0.0
            for stream, order in zip(streams, orders, strict=True):
                rows = order[step * own : (step + 1) * own]
                if len(rows) == 0:
                    continue
                masks = None
                if drop:
                    bits = int(stream.integers(0, 2**64, dtype=np.uint64))
                    masks = [reference.dropout_mask(bits, 0, len(rows), 8, drop)]
                if not weight[rows].any():
                    continue
                value, *grads = reference.derivatives.loss_and_gradient(
                    params[:2],
                    params[2:],
                    ["tanh", "identity"],
                    X[rows],
                    Y[rows],
                    losses.resolve("mse"),
                    weight[rows],
                    0,
                    0,
                    masks,
                )
                here = float(weight[rows].sum())
                loss, of_batch = loss + value * here, of_batch + here
                for into, grad in zip(sums, [*grads[0], *grads[1]], strict=True):
                    into += grad * here
            means = [each / of_batch if of_batch else each for each in sums]
            penalty = l2 / 2 * sum(float((w**2).sum()) for w in params[:2])
            for w, mean in zip(params[:2], means[:2], strict=True):
                mean += l2 * w
            rate = float(schedules.rates(optimizer.learning_rate, updates, 1)[0])
            UPDATES[optimizer.name](optimizer, params, clip(means, None, clip_norm), state, rate)
            updates += 1
            total, total_weight = total + loss + penalty * of_batch, total_weight + of_batch
        found.append(total / total_weight)
    return params, found


@pytest.mark.parametrize("n_shards", [1, 2, 3, 5])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["alike", "weights"])
def test_training_is_as_defined(n_shards: int, dropout: float, weight: NDArray[Any] | None) -> None:
    optimizer, model = Adam(schedules.InverseTime(0.02, 0.01)), model_of(dropout)
    plain = np.ones(N) if weight is None else weight
    params, found = train_plainly(model, n_shards, 6 * n_shards, 3, optimizer, plain, 0.01, 0.2)
    trainer = Trainer(
        model, optimizer=optimizer, batch_size=6 * n_shards, l2=0.01, clip_norm=0.2, random_state=9, n_shards=n_shards
    )
    history = trainer.run(X, Y, 3, sample_weight=weight)
    np.testing.assert_allclose(history["loss"], found, rtol=1e-9)
    for got, expected in zip([*model.weights, *model.biases], params, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-7, atol=1e-9)
    assert trainer.updates == trainer.epochs * math.ceil(math.ceil(N / n_shards) / 6)


def test_batches_of_all_rows_are_those_of_training_without_shards() -> None:
    plain, sharded = model_of(), model_of()
    expected = Trainer(plain, optimizer=SGD(0.1), batch_size=N, shuffle=False).run(X, Y, 4, metrics=["r2", "mse"])
    history = Trainer(sharded, optimizer=SGD(0.1), batch_size=64, n_shards=4, shuffle=False).run(
        X, Y, 4, metrics=["r2", "mse"]
    )
    for name in ("loss", "r2", "mse", "learning_rate"):
        np.testing.assert_allclose(history[name], expected[name], rtol=1e-10)
    np.testing.assert_allclose(sharded.to_vector(), plain.to_vector(), rtol=1e-10)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["alike", "weights"])
def test_validation_and_metrics_are_those_of_all_rows(weight: NDArray[Any] | None) -> None:
    names = ["r2", "mae", "mse", "rmse"]
    held_out = (X[:33], Y[:33]) if weight is None else (X[:33], Y[:33], weight[:33])
    trainer = Trainer(model_of(), batch_size=30, n_shards=3)
    history = trainer.run(X, Y, 1, sample_weight=weight, validation_data=held_out, metrics=names)
    plain = Trainer(trainer.model, optimizer=SGD(0.0), batch_size=N)
    expected = plain.run(X, Y, 1, sample_weight=weight, validation_data=held_out, metrics=names)
    for name in ("val_loss", *names, *(f"val_{name}" for name in names)):
        np.testing.assert_allclose(history[name], expected[name], rtol=1e-9)


def test_metrics_of_validation_data_alone() -> None:
    histories = [
        Trainer(model_of(), batch_size=30, n_shards=3).run(X, Y, 2, validation_data=(X[:33], Y[:33]), metrics=metrics)
        for metrics in (["r2"], ["val_r2"])
    ]
    assert list(histories[1]) == ["loss", "val_loss", "val_r2", "learning_rate", "seconds"]
    np.testing.assert_array_equal(histories[0]["val_r2"], histories[1]["val_r2"])
    with pytest.raises(ValueError, match="^metrics: 'val_r2' needs validation_data"):
        Trainer(model_of(), batch_size=30, n_shards=3).run(X, Y, metrics=["val_r2"])


def test_threads_do_not_change_the_bits() -> None:
    rows = np.random.default_rng(0).normal(size=(1200, N_IN))
    vectors = []
    for n_threads in (1, 2):
        model = model_of(dtype="float32")
        Trainer(model, batch_size=600, n_shards=2, n_threads=n_threads, random_state=1).run(rows, rows[:, :2], 2)
        vectors.append(model.to_vector())
    np.testing.assert_array_equal(*vectors)


# ---- Continuing ----


def test_runs_files_and_copies_continue(tmp_path: Path) -> None:
    def new() -> Trainer:
        return Trainer(model_of(0.2), optimizer=Adam(0.01), batch_size=30, n_shards=3, random_state=4)

    whole = new()
    whole.run(X, Y, 4)
    first = new()
    first.run(X, Y, 2)
    first.save(tmp_path / "trainer.fastnn")
    others = [Trainer.load(tmp_path / "trainer.fastnn"), pickle.loads(pickle.dumps(first)), copy.deepcopy(first), first]
    for trainer in others:
        assert (trainer.n_shards, trainer.comm) == (3, None)
        trainer.run(X, Y, 2)
        np.testing.assert_array_equal(trainer.model.to_vector(), whole.model.to_vector())


def test_settings_that_a_callback_assigns_take_effect() -> None:
    class Change:
        def on_epoch_end(self, trainer: Trainer, history: Any) -> None:
            trainer.batch_size, trainer.learning_rate = 12, 0.5

    trainer = Trainer(model_of(), batch_size=30, n_shards=3)
    history = trainer.run(X, Y, 2, callbacks=[Change()])
    assert trainer.updates == 3 + 6
    assert list(history["learning_rate"]) == [0.001, 0.5]


def test_divergence_restores_the_last_finite_epoch() -> None:
    trainer = Trainer(MLP((N_IN, 8, N_OUT), "relu", random_state=0), optimizer=SGD(1e5), batch_size=8, n_shards=2)
    with pytest.raises(DivergedError, match="the loss is not finite in epoch") as caught:
        trainer.run(X, Y, 20)
    assert caught.value.epoch == trainer.history.epochs + 1
    assert np.isfinite(trainer.model.to_vector()).all()
    assert trainer.updates == -(-31 // 4) * trainer.history.epochs


# ---- Refusals ----


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"n_shards": 0}, ValueError, "n_shards: expected an integer >= 1, got 0"),
        ({"n_shards": True}, TypeError, "n_shards: expected an integer >= 1"),
        ({"n_shards": 3}, ValueError, "batch_size: expected a multiple of n_shards=3"),
        ({"n_shards": 2, "optimizer": "lbfgs"}, ValueError, "optimizer: expected one that makes steps by batches"),
        ({"n_shards": 2, "lazy_updates": True}, ValueError, "lazy_updates: expected False"),
        ({"comm": "world"}, TypeError, "comm: expected an mpi4py.MPI.Intracomm"),
        (
            {"n_shards": 2, "loss": losses.Heads([(0, losses.MSE(missing="ignore")), (1, "mse")])},
            ValueError,
            r"got heads\[0\], 'mse', whose mean has weights of its own",
        ),
    ],
)
def test_settings_that_do_not_apply_are_refused(options: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        Trainer(model_of(), **options)


def test_assignments_are_refused() -> None:
    trainer = Trainer(model_of(), batch_size=30, n_shards=3)
    for name, value in (("n_shards", 2), ("comm", None)):
        with pytest.raises(AttributeError, match=f"{name}: a trainer keeps its"):
            setattr(trainer, name, value)
    with pytest.raises(ValueError, match="batch_size: expected a multiple of n_shards=3"):
        trainer.batch_size = 32
    assert trainer.batch_size == 30


def test_single_steps_are_refused() -> None:
    trainer = Trainer(model_of(), batch_size=30, n_shards=3)
    before = trainer.model.to_vector().copy()
    for step in (
        lambda: trainer.step(X, Y),
        lambda: trainer.step_gradient(X, Y),
        lambda: trainer.accumulate(X, Y),
        trainer.apply,
        lambda: trainer._native_handle,
    ):
        with pytest.raises(TypeError, match="n_shards: a trainer with comm or n_shards makes no single steps"):
            step()
    np.testing.assert_array_equal(trainer.model.to_vector(), before)


def test_shards_without_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="X: expected at least 4 rows on all ranks, one for each shard, got 3"):
        Trainer(model_of(), n_shards=4).run(X[:3], Y[:3])
    with pytest.raises(ValueError, match="validation_data X: expected at least 4 rows"):
        Trainer(model_of(), n_shards=4).run(X, Y, validation_data=(X[:3], Y[:3]))


# ---- Rows and sums ----


@pytest.mark.parametrize("n_shards", range(1, 25))
def test_shards_begin_at_the_same_rows_on_any_number_of_ranks(n_shards: int) -> None:
    for total in (n_shards, n_shards + 1, 100, 101):
        expected = boundaries([total], n_shards)
        assert expected[0] == 0
        assert expected[-1] == total
        assert set(np.diff(expected)) <= {total // n_shards, total // n_shards + 1}
        for size in (size for size in range(1, n_shards + 1) if n_shards % size == 0):
            counts = [total * (r + 1) // size - total * r // size for r in range(size)]
            assert boundaries(counts, n_shards) == expected


@pytest.mark.parametrize("n_shards", range(1, 25))
def test_the_sum_is_in_the_same_order_on_any_number_of_ranks(n_shards: int) -> None:
    """The sum is written as text, so that its order can be seen."""
    whole = Additions([(s, 1) for s in range(n_shards)])
    expected = _added(whole, [str(s) for s in range(n_shards)], last=True)[0]
    assert [int(word) for word in expected.replace("(", " ").replace(")", " ").replace("+", " ").split()] == list(
        range(n_shards)
    )
    for size in (size for size in range(1, n_shards + 1) if n_shards % size == 0):
        own, nodes, texts = n_shards // size, [], []
        for r in range(size):
            additions = Additions([(r * own + i, 1) for i in range(own)])
            assert additions.buffers <= np.log2(own) + 2
            found = _added(additions, [str(r * own + i) for i in range(own)])
            nodes += [(node.first, node.shards) for node in additions.left]
            texts += [found[node.place] for node in additions.left]
            if own & (own - 1) == 0:
                assert len(additions.left) == 1
        assert _added(Additions(nodes), texts, last=True)[0] == expected


def _added(additions: Additions, texts: list[str], *, last: bool = False) -> dict[int, str]:
    buffers: dict[int, str] = {}
    for text, place, after in zip(texts, additions.places, additions.after, strict=True):
        buffers[place] = text
        for to, of in after:
            buffers[to] = f"({buffers[to]}+{buffers[of]})"
    for to, of in additions.last if last else ():
        buffers[to] = f"({buffers[to]}+{buffers[of]})"
    return buffers


def test_the_sum_of_a_process_alone() -> None:
    sums = GradientSum(Ranks(None), 5, 7, "float64")
    for shard in range(5):
        sums.leaf(shard)[:] = shard + 1
        sums.add(shard, 0.0 if shard == 1 else 1.0 + shard)
    np.testing.assert_array_equal(sums.total(0.5), np.full(7, (1 + 9 + 16 + 25) / 2))


def test_rows_of_training_data() -> None:
    data = TrainingData(X, Y, False, WEIGHT).rows(3, 9)
    np.testing.assert_array_equal(data.x, X[3:9])
    np.testing.assert_array_equal(data.sample_weight, WEIGHT[3:9])
