"""The number of threads at work: as many as asked for, no more than allowed, and none for work too small to pay."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from _helpers import run_script

from fastnn import MLP, Trainer, _engine, ops

counted = pytest.mark.skipif(
    sys.platform != "linux" or _engine.fallback is not None, reason="needs the extension, and Linux's list of threads"
)

PRELUDE = """if True:
    import os
    import numpy as np
    import fastnn
    from fastnn import MLP, Trainer, ops

    def tasks():
        return len(os.listdir("/proc/self/task"))

    before = tasks()
    fastnn.set_num_threads(1)
    rng = np.random.default_rng(0)
    model = MLP((40, 60, 8), "tanh", random_state=0)
    X, y = rng.normal(size=(20_000, 40)), rng.normal(size=(20_000, 8))
    few, weights = rng.normal(size=(8, 2000)), rng.normal(size=(2000, 400))
    long, next_to_it = rng.normal(size=(2, 7 << 16))
"""

# Work for seven threads by name; the number is set by the limit or by an argument.
BY_LIMIT = {
    "elementwise": "ops.tanh(long)",
    "elementwise in place": "ops.tanh(long, out=long)",
    "elementwise to the array behind": "ops.tanh(long, out=next_to_it)",
    "elementwise to the array before": "ops.tanh(next_to_it, out=long)",
    "layer": "ops.linear(X, weights[:40])",
    "layer of few rows": "ops.linear(few, weights)",
    "layer of lists": "ops.linear(X.tolist(), weights[:40].tolist())",
    "predictions": "model.predict(X)",
    "predictions of lists": "model.predict(X.tolist())",
    "gradients": "model.gradient(X, y)",
}
BY_ARGUMENT = {
    "layer": "ops.linear(X, weights[:40], n_threads={n})",
    "layer of lists": "ops.linear(X.tolist(), weights[:40].tolist(), n_threads={n})",
    "layer of few rows": "ops.linear(few, weights, n_threads={n})",
    "predictions": "model.predict(X, n_threads={n})",
    "training": "Trainer(model, batch_size=2000, n_threads={n}).run(X, y, 1)",
}


@counted
@pytest.mark.parametrize("work", BY_LIMIT)
def test_the_limit_is_reached_and_kept(work):
    script = f"""{PRELUDE}
    {BY_LIMIT[work]}
    assert tasks() == before
    for n, wanted in ((2, 2), (4, 4), (3, 4), (7, 7), (1, 7)):
        fastnn.set_num_threads(n)
        {BY_LIMIT[work]}
        assert tasks() == before + wanted - 1, (n, tasks() - before)"""
    run_script(script)


@counted
@pytest.mark.parametrize("work", BY_ARGUMENT)
def test_the_argument_overrides_the_limit(work):
    calls = "\n".join(
        f"""
    fastnn.set_num_threads({limit})
    {BY_ARGUMENT[work].format(n=n)}
    assert tasks() == before + {wanted} - 1, ({n}, tasks() - before)"""
        for limit, n, wanted in ((5, 1, 1), (1, 2, 2), (1, 4, 4), (7, 3, 4), (2, 6, 6))
    )
    run_script(PRELUDE + calls)


@counted
def test_training_obeys_the_limit():
    """It uses as many threads as turn out to pay, but never more than the limit."""
    script = f"""{PRELUDE}
    for n in (1, 2, 3):
        fastnn.set_num_threads(n)
        Trainer(model, batch_size=2000).run(X, y, 20)
        assert tasks() <= before + n - 1, (n, tasks() - before)"""
    run_script(script)


@counted
def test_elementwise_functions_use_a_thread_per_half_mebibyte():
    """This begins at two threads, in float64 as in float32."""
    script = f"""{PRELUDE}
    fastnn.set_num_threads(5)
    half = 1 << 19
    sizes = (0, 1), (half, 1), (2 * half - 8, 1), (2 * half, 2), (3 * half - 8, 2), (3 * half, 3), (9 * half, 5)
    for size, wanted in sizes:
        for dtype in ("f4", "f8"):
            ops.tanh(np.zeros(size // np.dtype(dtype).itemsize, dtype))
            assert tasks() == before + wanted - 1, (size, dtype, tasks() - before)"""
    run_script(script)


@counted
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_arrays_that_overlap_partly_are_not_divided(dtype):
    script = f"""{PRELUDE}
    fastnn.set_num_threads(3)
    n = 1 << 20
    room = rng.normal(size=2 * n).astype("{dtype}")
    for shift in (1, 64, n // 8, n // 2, n - 1):
        ops.tanh(room[shift : shift + n], out=room[:n])
        assert tasks() == before, shift
    ops.tanh(room[n:], out=room[:n])
    assert tasks() == before + 2"""
    run_script(script)


@counted
def test_forked_processes_start_threads_of_their_own():
    script = f"""{PRELUDE}
    import sys
    fastnn.set_num_threads(3)
    wanted = model.predict(X)
    for _ in range(2):
        child = os.fork()
        if child == 0:
            assert tasks() == 1
            for n in (2, 3, 4):
                assert (model.predict(X, n_threads=n) == wanted).all()
                assert tasks() == n, tasks()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    assert (model.predict(X, n_threads=4) == wanted).all()"""
    run_script(script)


@counted
def test_processes_forked_during_a_call_start_threads_of_their_own():
    """The thread that made the call does not exist in the new process, and cannot give the pool back."""
    script = f"""{PRELUDE}
    import threading
    stop = threading.Event()

    def work():
        while not stop.is_set():
            model.predict(X, n_threads=3)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(10):
            child = os.fork()
            if child == 0:
                model.predict(X, n_threads=3)
                os._exit(tasks() != 3)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        thread.join()"""
    run_script(script)


@counted
def test_only_the_caller_receives_signals():
    """New threads block all signals, and the caller blocks no more than before."""
    script = f"""{PRELUDE}
    import signal
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    old = set(os.listdir("/proc/self/task"))
    model.predict(X, n_threads=3)
    assert signal.pthread_sigmask(signal.SIG_SETMASK, blocked) == blocked | {{signal.SIGUSR1}}
    new = set(os.listdir("/proc/self/task")) - old
    assert len(new) == 2
    for task in new:
        (line,) = [line for line in open(f"/proc/self/task/{{task}}/status") if line.startswith("SigBlk:")]
        mask = int(line.split()[1], 16)
        assert all(mask >> (number - 1) & 1 for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGCHLD))"""
    run_script(script)


# ---- Results ----


@pytest.mark.parametrize("many", [1024, 1025, 2**31, 2**32, 2**40])
def test_any_number_of_threads_may_be_asked_for(many):
    """There are never more than 1024, nor more than rows."""
    rng = np.random.default_rng(0)
    X, w, model = rng.normal(size=(9, 5)), rng.normal(size=(5, 3)), MLP((5, 4, 3), "tanh", dtype="f8", random_state=0)
    for given in ((X, w), (X.tolist(), w.tolist())):
        np.testing.assert_array_equal(ops.linear(*given, n_threads=many), ops.linear(X, w, n_threads=1))
    np.testing.assert_array_equal(model.predict(X, n_threads=many), model.predict(X, n_threads=1))
    trained = []
    for n in (1, many):
        model = MLP((5, 4, 3), "tanh", dtype="f8", random_state=0)
        Trainer(model, batch_size=4, n_threads=n, random_state=0).run(X, X[:, :3], 2)
        trained.append(model.to_vector())
    np.testing.assert_array_equal(*trained)
