"""JAX: a compiled function per step, or one for whole epochs."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn._bench.peers import _jax_functions
from fastnn._bench.peers._contestant import Predictor, Trainer
from fastnn._bench.works import Array, PredictionWork, TrainingWork, initial_parameters


class JaxTrainer(Trainer):
    """A compiled step with donated buffers, in a Python loop."""

    name = "JAX"
    modules = ("jax",)
    loops_in_python = True

    def __init__(self, work: TrainingWork, n_threads: int) -> None:
        import jax

        _jax_functions.make_client(n_threads, asynchronous=True)
        self._batch_size = work.case.batch_size
        self._state = _jax_functions.initial_state(work)
        self._rng = np.random.default_rng(0) if work.shuffled else None
        step = _jax_functions.step_of(work)
        self._step = jax.jit(step, donate_argnums=0)
        self._step_on_rows = jax.jit(lambda state, X, y, rows: step(state, X[rows], y[rows]), donate_argnums=0)

    def prepare(self, X: Array, y: Array) -> None:
        """Put the data on JAX's device, cut into batches if these stay the same."""
        import jax.numpy as jnp

        self._X, self._y = jnp.asarray(X), jnp.asarray(y)
        starts = range(0, len(X), self._batch_size)
        self._batches = [(self._X[i : i + self._batch_size], self._y[i : i + self._batch_size]) for i in starts]

    def train(self, epochs: int) -> None:
        """Train for whole epochs."""
        import jax

        for _ in range(epochs):
            if self._rng is None:
                for x, y in self._batches:
                    self._state = self._step(self._state, x, y)
            else:
                order = self._rng.permutation(len(self._X)).astype(np.int32)
                for start in range(0, len(order), self._batch_size):
                    rows = order[start : start + self._batch_size]
                    self._state = self._step_on_rows(self._state, self._X, self._y, rows)
        jax.block_until_ready(self._state)

    def parameters(self) -> list[Array]:
        """Return ``[W1, b1, W2, …]``."""
        return [np.asarray(p) for p in self._state[0]]


class JaxScanTrainer(Trainer):
    """A compiled function for any number of epochs, each of which is a `lax.scan` over its batches."""

    name = "JAX scan"
    modules = ("jax",)

    def __init__(self, work: TrainingWork, n_threads: int) -> None:
        import jax

        _jax_functions.make_client(n_threads, asynchronous=True)
        self._work = work
        self._state = _jax_functions.initial_state(work), jax.random.key(0)
        self._step = _jax_functions.step_of(work)
        self._train = jax.jit(self._epochs, donate_argnums=0)

    def prepare(self, X: Array, y: Array) -> None:
        """Put the data on JAX's device."""
        import jax.numpy as jnp

        self._data = jnp.asarray(X), jnp.asarray(y)

    def train(self, epochs: int) -> None:
        """Train for whole epochs."""
        import jax

        self._state = jax.block_until_ready(self._train(self._state, *self._data, epochs))

    def _epochs(self, state: Any, X: Any, y: Any, epochs: Any) -> Any:
        import jax

        return jax.lax.fori_loop(0, epochs, lambda _, state: self._epoch(state, X, y), state)

    def _epoch(self, state: Any, X: Any, y: Any) -> Any:
        """Scan all whole batches, of the rows in order or of their numbers in a random order, and then the short batch."""
        import jax
        import jax.numpy as jnp

        (trained, key), rows, batch_size = state, self._work.case.rows, self._work.case.batch_size
        scanned: Any = (X, y)
        if self._work.shuffled:
            key, drawn = jax.random.split(key)
            # jax.random.permutation sorts twice, to make all orders equally likely; sorting once takes half the time.
            scanned = jnp.argsort(jax.random.bits(drawn, (rows,)))

        def step(trained: Any, batch: Any) -> Any:
            x, y_ = (X[batch], y[batch]) if self._work.shuffled else batch
            return self._step(trained, x, y_)

        whole = rows // batch_size * batch_size
        batches = jax.tree.map(lambda a: a[:whole].reshape(-1, batch_size, *a.shape[1:]), scanned)
        trained, _ = jax.lax.scan(lambda trained, batch: (step(trained, batch), None), trained, batches)
        if whole < rows:
            trained = step(trained, jax.tree.map(lambda a: a[whole:], scanned))
        return trained, key

    def parameters(self) -> list[Array]:
        """Return ``[W1, b1, W2, …]``."""
        return [np.asarray(p) for p in self._state[0][0]]


class JaxPredictor(Predictor):
    """A compiled function that copies rows from NumPy and shares its outputs with NumPy."""

    name = "JAX"
    modules = ("jax",)

    def __init__(self, work: PredictionWork, n_threads: int) -> None:
        import jax
        import jax.numpy as jnp

        _jax_functions.make_client(n_threads, asynchronous=False)
        self._parameters = [jnp.array(p) for p in initial_parameters(work)]
        self._forward = jax.jit(_jax_functions.forward_of(work))

    def predict(self, X: Array) -> Array:
        """Return the outputs."""
        return np.asarray(self._forward(self._parameters, X))
