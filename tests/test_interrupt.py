"""Runs that end early or share the process: Ctrl-C, exceptions, threads, forks."""

from __future__ import annotations

import copy
import pickle
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from _helpers import data, model_of, run_script, state_of

from fastnn import MLP, SGD, Trainer
from fastnn.callbacks import EarlyStopping

# ---- Ctrl-C ----

# A shell that runs the tests in the background may have made processes ignore the signal.
INTERRUPTED = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
import numpy as np
from fastnn import MLP, Trainer, callbacks, schedules, Adam
kind, n_threads = sys.argv[1], int(sys.argv[2])
rng = np.random.default_rng(0)
rows = 50_000 if kind == "large" else 4 if kind == "tiny" else 1000
sizes = (2, 4, 1) if kind == "tiny" else (20, 64, 64, 2)
model = MLP(sizes, "tanh", dropout=0.2 if kind == "dropout" else 0, random_state=0)
X, y = rng.normal(size=(rows, model.layer_sizes[0])), rng.normal(size=(rows, model.layer_sizes[-1]))
optimizer = Adam(schedules.InverseTime(1e-3, 1e-6)) if kind == "schedule" else Adam(1e-4)
trainer = Trainer(model, optimizer=optimizer, batch_size=10_000 if kind == "large" else 32, n_threads=n_threads)
watchers = {"callbacks": [callbacks.TimeLimit(1000)]}.get(kind, [])
trainer.run(X, y, 1)
before = trainer.updates
print("started", flush=True)
try:
    if kind == "steps":
        while True:
            trainer.step(X, y)
    trainer.run(X, y, 10**6, callbacks=watchers, validation_data=(X, y) if kind == "validation" else None)
except KeyboardInterrupt:
    print("interrupted", flush=True)
assert trainer.updates > before, (trainer.updates, before)
assert np.isfinite(model.to_vector()).all() and np.isfinite(trainer._moments).all()
assert np.isfinite(model.predict(X)).all()
before = trainer.updates
history = trainer.run(X, y, 2)
assert history.epochs == 2 and np.isfinite(history["loss"]).all()
assert trainer.updates == before + 2 * -(-rows // trainer.batch_size)
print("went on", flush=True)
"""
RUNS = ["plain", "tiny", "large", "dropout", "schedule", "callbacks", "validation", "steps"]


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to send")
@pytest.mark.parametrize(("kind", "n_threads"), [*((kind, 1) for kind in RUNS), ("plain", 2), ("large", 3)])
def test_control_c_ends_a_run_with_keyboard_interrupt(kind, n_threads):
    command = [sys.executable, "-c", INTERRUPTED, kind, str(n_threads)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        alarm = threading.Timer(40, process.kill)  # readline and read would block for ever
        alarm.start()
        try:
            assert process.stdout.readline() == "started\n", process.stderr.read()
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            start = time.monotonic()
            assert process.stdout.readline() == "interrupted\n"
            seconds = time.monotonic() - start
            assert (process.stdout.read(), process.wait()) == ("went on\n", 0), process.stderr.read()
            assert seconds < 2
        finally:
            alarm.cancel()
            process.kill()


def test_interrupted_steps_count():
    """After an interrupt, parameters are those of the last finished step, and `updates` counts up to it."""
    trainer = Trainer(model_of((3, 8, 2)), optimizer=SGD(0.05), batch_size=4, shuffle=False)
    X, y = data(20, 3, 2)

    class Interrupt:
        def on_epoch_end(self, trainer, history):
            if history.epochs == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer.run(X, y, 10, callbacks=[Interrupt()])
    other = Trainer(model_of((3, 8, 2)), optimizer=SGD(0.05), batch_size=4, shuffle=False)
    other.run(X, y, 3)
    assert state_of(trainer)[:3] == state_of(other)[:3]
    trainer.run(X, y, 2)
    other.run(X, y, 2)
    assert state_of(trainer)[:3] == state_of(other)[:3]


# ---- Exceptions in callbacks ----


@pytest.mark.parametrize("event", ["on_train_begin", "on_epoch_end", "on_train_end"])
def test_an_exception_in_a_callback_leaves_a_usable_trainer(event):
    trainer, (X, y) = Trainer(model_of((3, 8, 2)), batch_size=10), data(25, 3, 2)

    class Fail:
        def on_epoch_end(self, trainer, history):
            pass

    def fail(self, trainer, history):
        raise ZeroDivisionError("on purpose")

    setattr(Fail, event, fail)
    with pytest.raises(ZeroDivisionError, match="on purpose"):
        trainer.run(X, y, 3, callbacks=[Fail()])
    assert trainer.updates == {"on_train_begin": 0, "on_epoch_end": 3, "on_train_end": 9}[event]
    assert trainer.run(X, y, 2).epochs == 2


def test_early_stopping_restores_however_the_run_ended():
    X, y = data(25, 3, 2)
    trainer = Trainer(model_of((3, 12, 2)), batch_size=10)

    class Spoil:
        def on_epoch_end(self, trainer, history):
            if history.epochs == 2:
                self.vector = trainer.model.to_vector()
                raise KeyboardInterrupt

    stopping, spoil = EarlyStopping(monitor="loss", patience=50), Spoil()
    with pytest.raises(KeyboardInterrupt):
        trainer.run(X, y, 40, callbacks=[stopping, spoil])
    assert stopping.best_epoch == 2
    np.testing.assert_array_equal(trainer.model.to_vector(), spoil.vector)


# ---- Python threads ----


def test_other_threads_run_meanwhile():
    # Another thread must get a turn during a single call of the engine.
    trainer = Trainer(model_of((64, 512, 512, 1)), n_threads=1)
    X, y = data(6000, 64, 1)
    ticks, done = [], threading.Event()

    def tick():
        while not done.is_set():
            ticks.append(time.monotonic())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    start = time.monotonic()
    trainer.step(X, y)
    end = time.monotonic()
    done.set()
    thread.join()
    length = end - start
    assert sum(start + length / 3 < t < end - length / 6 for t in ticks) >= 3


def in_a_thread(function):
    """Return the result or exception of the function in a thread, or fail if it hangs."""
    results = []

    def work():
        try:
            results.append(function())
        except Exception as error:
            results.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive(), "deadlock"
    return results[0]


@pytest.mark.parametrize("method", ["run", "step"])
def test_a_running_trainer_refuses_a_second_run(method):
    trainer, (X, y) = Trainer(model_of((3, 8, 2)), batch_size=10), data(25, 3, 2)
    answers = []

    class Enter:
        def on_epoch_end(self, trainer, history):
            try:
                getattr(trainer, method)(X, y)
            except RuntimeError as error:
                answers.append(error)
            answers.append(in_a_thread(lambda: getattr(trainer, method)(X, y)))

    history = in_a_thread(lambda: trainer.run(X, y, 2, callbacks=[Enter()]))
    assert history.epochs == 2
    assert len(answers) == 4
    assert all(isinstance(answer, RuntimeError) and "already running" in str(answer) for answer in answers)
    assert trainer.updates == 6
    trainer.run(X, y)
    trainer.step(X, y)


def test_a_callback_may_use_the_model_and_other_trainers():
    trainer, (X, y) = Trainer(model_of((3, 8, 2)), batch_size=10), data(25, 3, 2)
    other = Trainer(model_of((3, 8, 2)), batch_size=10, random_state=0)

    class Use:
        def on_epoch_end(self, trainer, history):
            trainer.model.predict(X)
            other.run(X, y)
            copy.deepcopy(trainer).run(X, y)
            pickle.loads(pickle.dumps(trainer)).step(X, y)

    assert in_a_thread(lambda: trainer.run(X, y, 2, callbacks=[Use()])).epochs == 2
    assert other.updates == 6


def test_trainers_in_many_threads_do_not_affect_each_other():
    X, y = data(200, 3, 2)

    def trained(seed, n_threads):
        model = MLP((3, 32, 32, 2), dropout=0.1, random_state=seed)
        model.fit(X, y, epochs=5, n_threads=n_threads)
        return model.to_vector()

    expected, results = [trained(seed, 1) for seed in range(6)], [None] * 6
    threads = [threading.Thread(target=lambda i=i: results.__setitem__(i, trained(i, 1 + i % 3))) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(results, expected, strict=True):
        np.testing.assert_array_equal(one, other)


# ---- Forks ----

FORK = """
import os, sys, threading, time, warnings
warnings.simplefilter("ignore")  # of forks of processes with threads
import numpy as np
from fastnn import MLP, Trainer

rng = np.random.default_rng(0)
X, y = rng.normal(size=(500, 20)), rng.normal(size=(500, 2))

def trained(n_threads):
    model = MLP((20, 64, 64, 2), random_state=0)
    Trainer(model, n_threads=n_threads, random_state=1).run(X, y, 3)
    return model.to_vector()

expected = trained(2)
background = None
if sys.argv[1] == "while":
    trainer = Trainer(MLP((20, 64, 64, 2)), n_threads=2)
    background = threading.Thread(target=trainer.run, args=(X, y, 10**6), daemon=True)
    background.start()
    time.sleep(0.1)
children = []
for _ in range(4):
    pid = os.fork()
    if pid == 0:
        ok = all((trained(n) == expected).all() for n in (1, 2, 3))
        os._exit(0 if ok else 1)
    children.append(pid)
    time.sleep(0.02)
for pid in children:
    assert os.waitpid(pid, 0)[1] == 0
assert (trained(2) == expected).all()
print("all well", flush=True)
os._exit(0)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL") or sys.platform == "darwin", reason="no fork to rely on")
@pytest.mark.parametrize("when", ["after", "while"])
def test_forked_processes_can_train(when):
    assert run_script(FORK, when).stdout == "all well\n"
