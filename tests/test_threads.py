"""How many threads work: as many as are asked for, no more than are allowed, and none for work that doesn't pay for them."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from _helpers import run_script

from fastnn import MLP, Trainer, _backend, ops

counted = pytest.mark.skipif(
    sys.platform != "linux" or _backend.portable is not None, reason="needs the extension, and Linux's list of threads"
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
    few, weights, long = rng.normal(size=(8, 2000)), rng.normal(size=(2000, 400)), rng.normal(size=7 << 16)
"""

# By name: work for seven threads, by the limit or by an argument.
BY_LIMIT = {
    "elementwise": "ops.tanh(long)",
    "elementwise in place": "ops.tanh(long, out=long)",
    "elementwise to an array next to it": "ops.tanh(np.zeros(14 << 16)[: 7 << 16], out=np.zeros(14 << 16)[7 << 16 :])",
    "layer": "ops.linear(X, weights[:40])",
    "layer of few rows": "ops.linear(few, weights)",
    "predictions": "model.predict(X)",
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
def test_the_argument_counts_whatever_the_limit(work):
    calls = "\n".join(
        f"""
    fastnn.set_num_threads({limit})
    {BY_ARGUMENT[work].format(n=n)}
    assert tasks() == before + {wanted} - 1, ({n}, tasks() - before)"""
        for limit, n, wanted in ((5, 1, 1), (1, 2, 2), (1, 4, 4), (7, 3, 4), (2, 6, 6))
    )
    run_script(PRELUDE + calls)


@counted
def test_training_keeps_to_the_limit():
    """As many threads as turn out to pay, but never more."""
    script = f"""{PRELUDE}
    for n in (1, 2, 3):
        fastnn.set_num_threads(n)
        Trainer(model, batch_size=2000).run(X, y, 20)
        assert tasks() <= before + n - 1, (n, tasks() - before)"""
    run_script(script)


@counted
def test_elementwise_functions_have_a_thread_for_each_half_mebibyte():
    """From two on, and in float64 as in float32; arrays that overlap otherwise than in place have none but the caller's."""
    script = f"""{PRELUDE}
    fastnn.set_num_threads(5)
    half = 1 << 19
    sizes = (0, 1), (half, 1), (2 * half - 8, 1), (2 * half, 2), (3 * half - 8, 2), (3 * half, 3), (9 * half, 5)
    for size, wanted in sizes:
        for dtype in ("f4", "f8"):
            x = np.zeros(size // np.dtype(dtype).itemsize + 1, dtype)
            ops.tanh(x[1:], out=x[:-1])
            if size > 2 * half:
                assert tasks() == started, (size, dtype)
            ops.tanh(x[:-1])
            started = tasks()
            assert started == before + wanted - 1, (size, dtype, started - before)"""
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


# ---- Results ----


@pytest.mark.parametrize("many", [1024, 1025, 2**31, 2**32, 2**40])
def test_any_number_of_threads_can_be_asked_for(many):
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
