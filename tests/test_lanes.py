"""Small networks of one shape run side by side in the lanes of a vector. Each has the bits of being trained alone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fastnn import MLP, SGD, AdaGrad, Adam, AdamW, Lion, NAdam, RMSProp, Trainer, losses
from fastnn._engine import core as _core

if _core.__name__ != "fastnn._core":
    pytest.skip("the fallback trains one network after the other", allow_module_level=True)

EPOCHS = 4
# Tiny networks and others; narrow and wide outputs; one layer alone; many inputs, the most, and too many.
SHAPES = [
    *[(2, 2, 1), (8, 7, 3, 8), (3, 1), (8, 16, 1), (16, 16, 11), (5, 9, 16, 4, 2), (16, 3), (4, 12)],
    *[(17, 6, 1), (29, 3, 5, 2), (32, 16, 3), (32, 12, 3), (20, 13), (33, 4, 1), (17, 2)],
]
OPTIMIZERS = [
    SGD(0.1),
    SGD(0.05, momentum=0.9),
    SGD(0.05, momentum=0.9, nesterov=True),
    AdaGrad(0.05),
    RMSProp(0.01),
    Adam(0.02),
    AdamW(0.02, weight_decay=0.1),
    NAdam(0.02),
    Lion(0.02, weight_decay=0.1),
]
# Losses with the activation of the outputs.
LOSSES = {
    "mse": ("mse", "identity"),
    "mae of a sigmoid": ("mae", "sigmoid"),
    "huber": (losses.Huber(0.3), "silu"),
    "quantile": (losses.Quantile(0.2), "tanh"),
    "poisson": ("poisson", "exp"),
    "binary_cross_entropy": ("binary_cross_entropy", "sigmoid"),
    "cross_entropy": ("cross_entropy", "softmax"),
    "squared_hinge": ("squared_hinge", "identity"),
}


def targets_of(loss, rng, n, n_out):
    if loss == "cross_entropy":
        return rng.integers(0, n_out, n)
    if loss == "squared_hinge":
        return rng.choice([-1.0, 1.0], (n, n_out))
    return rng.integers(0, 2, (n, n_out)).astype(float)


class Members:
    """Trainings that differ in seeds and learning rates."""

    def __init__(
        self, sizes, *, n=61, count=21, batch_size=16, dtype=np.float32, loss="mse", optimizer=OPTIMIZERS[0], **options
    ):
        self.loss, self.output = LOSSES[loss]
        rng = np.random.default_rng(7)
        self.x = rng.normal(size=(n, sizes[0])).astype(options.pop("x_dtype", dtype))
        self.y = targets_of(loss, rng, n, sizes[-1])
        self.weight, self.rows = options.pop("weight", None), options.pop("rows", lambda k: None)
        self.rate, self.count = options.pop("rate", lambda k: 1 + k / 50), count
        self.epochs = options.pop("epochs", lambda k: EPOCHS)
        hidden = options.pop("activation", ("tanh", "relu", "gelu")[len(sizes) % 3])
        self.model = {"layer_sizes": sizes, "activation": hidden, "output_activation": self.output, "dtype": dtype}
        self.settings = {"optimizer": optimizer, "batch_size": 16, **options}

    def runs(self):
        """Return new trainers, each with its run on the same data."""
        result, data = [], None
        for k in range(self.count):
            trainer = Trainer(MLP(**self.model, random_state=k), self.loss, random_state=50 + k, **self.settings)
            data = data or trainer._data(self.x, self.y, self.weight)
            epochs = self.epochs(k)
            run = trainer._new_run(data, epochs, self.rows(k))
            rate = self.settings["optimizer"].learning_rate * self.rate(k)
            run.set_rates(rate * np.linspace(1, 0.5, epochs * run.steps) if k % 2 else np.array([rate]))
            result.append((trainer, run))
        return result

    def state(self, trainer, run, word):
        losses = run.epoch_loss[: run.epoch].tobytes()
        arrays = [trainer.model._network.storage, trainer._native.settings.moments]
        if trainer._average is not None:
            arrays += [trainer._average.network.storage, trainer._average.counts]
        return (word, *(array.tobytes() for array in arrays), losses, run.epoch, run.updates)

    def alone(self):
        return [self.state(trainer, run, run.advance(100.0, run.n_epochs)) for trainer, run in self.runs()]

    def together(self, seconds=100.0, epochs=EPOCHS, n_threads=1):
        runs, rng = self.runs(), np.random.default_rng(1)
        words = dict.fromkeys(range(len(runs)), "paused")
        while waiting := [k for k, word in words.items() if word == "paused"]:
            # Each time, some of them get no turn, so that the members of a group change.
            chosen = [k for k in waiting if seconds > 1 or rng.random() < 0.9]
            limits = [epochs] * len(chosen)
            words |= zip(chosen, _core.advance_many([runs[k][1] for k in chosen], limits, seconds, n_threads), strict=True)
        return [self.state(*run, word) for run, word in zip(runs, words.values(), strict=True)]

    def check(self, **how):
        alone = self.alone()
        assert self.together(**how) == alone
        return alone


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", SHAPES, ids=str)
@pytest.mark.parametrize("batch_size", [1, 7, 16, 45])
def test_shapes_and_batches(sizes, batch_size, dtype):
    Members(sizes, batch_size=batch_size, dtype=dtype, shuffle=batch_size != 7).check()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=str)
@pytest.mark.parametrize("sizes", [(4, 6, 2), (4, 12, 2)], ids=str)
def test_optimizers_and_penalties(sizes, optimizer, dtype):
    Members(sizes, optimizer=optimizer, dtype=dtype).check()
    Members(sizes, optimizer=optimizer, dtype=dtype, l1=1e-3, l2=0.01, clip_value=0.02).check()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("sizes", [(3, 5, 2), (3, 9, 3), (3, 9, 13)], ids=str)
def test_losses(sizes, loss):
    for dtype in (np.float32, np.float64):
        Members(sizes, loss=loss, dtype=dtype).check()


@pytest.mark.parametrize(
    "activation", ["identity", "sigmoid", "leaky_relu", "elu", "gelu", "softplus", "sin", "selu", "mish"]
)
@pytest.mark.parametrize("sizes", [(3, 5, 2), (3, 9, 2)], ids=str)
def test_activations(sizes, activation):
    Members(sizes, activation=activation, batch_size=9).check()


@pytest.mark.parametrize("sizes", [(2, 3, 1), (6, 10, 2), (31, 10, 2)], ids=str)
def test_rows_and_weights(sizes):
    rng = np.random.default_rng(3)
    weight = rng.random(61) * (rng.random(61) < 0.6)
    weight[:20] = 0  # a batch in which no row counts
    for shuffle in (False, True):
        Members(sizes, weight=weight, shuffle=shuffle).check()
        Members(sizes, rows=lambda k: np.random.default_rng(k).integers(0, 61, 61), shuffle=shuffle).check()
        Members(sizes, rows=lambda k: np.arange(61)[::-1].copy(), weight=weight, shuffle=shuffle).check()
    Members(sizes, x_dtype=np.float64).check()
    Members(sizes, x_dtype=np.int16).check()


@pytest.mark.parametrize("sizes", [(2, 3, 1), (6, 10, 2)], ids=str)
def test_any_slices_and_groups(sizes):
    for count in (2, 5, 17, 40):
        members = Members(sizes, count=count, n=300, optimizer=Adam(0.02), shuffle=True)
        alone = members.alone()
        assert members.together(seconds=1e-4) == alone
        assert members.together(epochs=1) == alone
        assert members.together(n_threads=2) == alone


@pytest.mark.parametrize("sizes", [(2, 3, 1), (6, 10, 2)], ids=str)
@pytest.mark.parametrize("optimizer", [SGD(0.1), Adam(0.02)], ids=str)
def test_members_that_diverge_leave_the_others_alone(sizes, optimizer):
    alone = Members(sizes, optimizer=optimizer, rate=lambda k: 1e25 if k % 4 == 1 else 1.0, activation="relu").check()
    words = [state[0] for state in alone]
    assert words[1] == "diverged"
    assert words.count("finished") >= len(words) * 3 // 4


@pytest.mark.parametrize("sizes", [(2, 3, 1), (6, 10, 2)], ids=str)
def test_members_with_any_number_of_epochs(sizes):
    for optimizer, options in itertools.product(
        (SGD(0.1), Adam(0.02)), ({}, {"averaging": "ema"}, {"averaging": "swa"}, {"l2": 0.01, "shuffle": True})
    ):
        members = Members(sizes, optimizer=optimizer, epochs=lambda k: 1 + k % 5, rate=lambda k: 1 + k % 3, **options)
        members.check()
        members.check(seconds=1e-4)


def test_updates_from_which_members_go_on_may_differ():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 3)), rng.normal(size=(20, 1))

    def trainers():
        made = [Trainer(MLP((3, 4, 1), "tanh", random_state=k), "mse", Adam(0.01), random_state=k) for k in range(16)]
        for k, trainer in enumerate(made):
            trainer.run(X, y, k % 3)
        return made

    runs = [[(t, t._new_run(t._data(X, y, None), 4)) for t in trainers()] for _ in range(2)]
    for trainer, run in itertools.chain(*runs):
        run.set_rates(trainer.learning_rate)
    for _, run in runs[0]:
        run.advance(100.0, 4)
    _core.advance_many([run for _, run in runs[1]], [4] * 16, 100.0, 1)
    for (alone, _), (together, _) in zip(*runs, strict=True):
        assert together.model.to_vector().tobytes() == alone.model.to_vector().tobytes()


def test_a_lane_whose_member_has_diverged_goes_on_with_targets_that_overflow():
    members = Members((2, 3, 1), rate=lambda k: 1e25 if k == 3 else 0.0, activation="relu", l1=0.01)
    members.y[5] = 1e19  # near the largest number whose square is finite in float32
    words = [state[0] for state in members.check()]
    assert words[3] == "diverged"
    assert words.count("finished") == len(words) - 1
