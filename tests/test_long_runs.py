"""Runs of more epochs than anyone waits for, and runs without enough memory."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
from _helpers import run_script

from fastnn import MLP, SGD, Trainer, _engine
from fastnn.callbacks import ProgressBar
from fastnn.schedules import InverseTime

X, Y = np.array([[0.5, -0.3], [0.1, 0.9]]), np.array([[0.25], [-0.5]])
MANY = (1 << 20) + 12_345  # more epochs than those whose losses a run keeps at a time


def trainer_of(rate):
    return Trainer(MLP((2, 1), dtype=np.float64, random_state=0), "mse", SGD(rate), batch_size=1, random_state=3)


@pytest.mark.skipif(_engine.fallback is not None, reason="takes minutes without the compiled extension")
@pytest.mark.parametrize("rate", [1e-4, InverseTime(1e-3, 1e-5)], ids=["constant", "schedule"])
def test_one_long_run_equals_its_parts(rate):
    one, other = trainer_of(rate), trainer_of(rate)
    history = one.run(X, Y, MANY)
    parts = [other.run(X, Y, epochs) for epochs in (1000, MANY // 2, MANY - MANY // 2 - 1000)]
    assert history.epochs == MANY
    assert one.updates == other.updates == 2 * MANY
    np.testing.assert_array_equal(one.model.to_vector(), other.model.to_vector())
    for key in ("loss", "learning_rate"):
        np.testing.assert_array_equal(history[key], np.concatenate([part[key] for part in parts]))
    assert (history["seconds"] > 0).all()


class Stop:
    def __init__(self, epochs):
        self.epochs = epochs

    def on_epoch_end(self, trainer, history):
        return history.epochs == self.epochs


@pytest.mark.parametrize("rate", [1e-4, InverseTime(1e-3, 1e-5)], ids=["constant", "schedule"])
def test_a_run_of_endless_epochs_can_be_stopped(rate):
    one, other = trainer_of(rate), trainer_of(rate)
    file = io.StringIO()
    history = one.run(X, Y, 2**40, callbacks=[Stop(2000)], progress=ProgressBar(file))
    expected = other.run(X, Y, 2000)
    np.testing.assert_array_equal(history["loss"], expected["loss"])
    np.testing.assert_array_equal(history["learning_rate"], expected["learning_rate"])
    np.testing.assert_array_equal(one.model.to_vector(), other.model.to_vector())
    assert file.getvalue().splitlines()[0].startswith("epoch             1/1099511627776  loss ")


LIMITED = """
import resource, sys
import numpy as np
from fastnn import MLP, Trainer, SGD, Adam, callbacks

def limit(megabytes):
    used = int(open("/proc/self/statm").read().split()[0]) * 4096
    resource.setrlimit(resource.RLIMIT_AS, (used + (megabytes << 20),) * 2)

"""
linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

ENDLESS = """
X = np.zeros((8, 2))
model = MLP((2, 3, 1), random_state=0)
model.fit(X, X[:, :1])
limit(400)
history = model.fit(X, X[:, :1], epochs=10**10, callbacks=[callbacks.TimeLimit(0.2)], **OPTIONS)
assert history.epochs > 0
"""


@linux_only
@pytest.mark.parametrize("options", ["{}", "{'optimizer': SGD(lambda steps: 0.1 / (1.0 + steps))}", "{'progress': False}"])
def test_future_epochs_need_no_memory(options):
    run_script(LIMITED + ENDLESS.replace("OPTIONS", options))


WITHOUT_MEMORY = """
n = 1000
X = y = np.zeros((64, n), np.float32)
small = MLP((2, 3, 2))
small.fit(np.zeros((4, 2)), np.zeros((4, 2)))
model = MLP((n, n, n), random_state=0) if WHAT != "MLP" else None
trainer = Trainer(model) if WHAT not in ("MLP", "Trainer") else None
wide = np.zeros((20_000, n), np.float32)
actions = {
    "MLP": lambda: MLP((n, n, n)),
    "layers": lambda: MLP((2**21, 2**21, 1)),
    "Trainer": lambda: Trainer(model),
    "run": lambda: trainer.run(X, y),
    "step": lambda: trainer.step(X, y),
    "predict": lambda: model.predict(wide),
    "hidden_activations": lambda: model.hidden_activations(wide),
    "gradient": lambda: model.gradient(X, y),
    "input_gradient": lambda: model.input_gradient(wide, wide),
    "optimizer": lambda: setattr(trainer, "optimizer", "adamw"),
}
before = None if model is None else model.to_vector()
limit(2)
try:
    actions[WHAT]()
except MemoryError as error:
    print("MemoryError:", error)
else:
    print("done")
if trainer is not None:
    assert trainer.updates == 0 and type(trainer.optimizer) is Adam
if before is not None:
    assert all((w[0] == before[i : i + n]).all() for w, i in zip(model.weights, (0, n * n + n)))
"""
WHATS = {
    "MLP": "layer_sizes: there is no memory for 2002000 parameters in float32",
    "layers": "layer_sizes: there is no memory for ",
    "Trainer": "optimizer: there is no memory for 2 moments of ",
    "optimizer": "optimizer: there is no memory for 2 moments of ",
}


@linux_only
@pytest.mark.parametrize(
    "what",
    ["MLP", "layers", "Trainer", "run", "step", "predict", "hidden_activations", "gradient", "input_gradient", "optimizer"],
)
def test_too_little_memory_is_a_memory_error(what):
    result = run_script(LIMITED + WITHOUT_MEMORY.replace("WHAT", repr(what)), FASTNN_NUM_THREADS="1")
    assert result.stdout.startswith(f"MemoryError: {WHATS.get(what, '')}"), result.stdout
