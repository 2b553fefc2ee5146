"""The functions that JAX compiles, and the number of threads they use."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from fastnn._bench.works import PredictionWork, TrainingWork, initial_parameters, optimizer_of
from fastnn.optimizers import Adam

# Parameters, Adam's two moments, and the number of updates; for plain descent, empty tuples and zero stand for the latter.
State = tuple[Any, Any, Any, Any]

# The threads of JAX's client in this process, and whether it dispatches asynchronously; None before make_client is called.
_client: tuple[int, bool] | None = None


def make_client(n_threads: int, *, asynchronous: bool) -> None:
    """Let JAX use this many threads from now on, in both dtypes.

    The pool gets its size when the client is made, and no option limits a compiled function to a part of it. So a new
    client is made if the number changes; functions and arrays of the old client keep using the old one.

    An asynchronous client, JAX's default, computes while Python prepares the next step. A short call whose result is waited
    for takes a quarter of the time with a synchronous client.
    """
    import jax
    from jax.extend.backend import clear_backends

    global _client
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_cpu_enable_async_dispatch", asynchronous)
    if _client == (n_threads, asynchronous):
        return
    before = os.environ.get("NPROC")
    os.environ["NPROC"] = str(n_threads)
    try:
        clear_backends()
        jax.devices("cpu")
    finally:
        del os.environ["NPROC"]
        if before is not None:
            os.environ["NPROC"] = before
    _client = n_threads, asynchronous


def forward_of(work: TrainingWork | PredictionWork) -> Callable[[Any, Any], Any]:
    """Return a function of parameters and rows."""
    import jax
    import jax.numpy as jnp

    # jax.nn.relu has the derivative 0 at 0, as everywhere else; that of jnp.maximum is 0.5.
    activate = {"tanh": jnp.tanh, "relu": jax.nn.relu, "sin": jnp.sin}[work.activation]

    def forward(parameters: Sequence[Any], x: Any) -> Any:
        *hidden, (w, b) = zip(parameters[::2], parameters[1::2], strict=True)
        for hidden_w, hidden_b in hidden:
            x = activate(x @ hidden_w + hidden_b)
        return x @ w + b

    return forward


def initial_state(work: TrainingWork) -> State:
    """Return the values that a step changes, on JAX's device."""
    import jax.numpy as jnp

    parameters = tuple(jnp.array(p) for p in initial_parameters(work))
    m, v = (tuple(jnp.zeros_like(p) for p in parameters) if work.optimizer == "adam" else () for _ in range(2))
    return parameters, m, v, jnp.zeros((), work.dtype)


def step_of(work: TrainingWork) -> Callable[[State, Any, Any], State]:
    """Return a function of state and batch."""
    import jax
    import jax.numpy as jnp

    forward, optimizer = forward_of(work), optimizer_of(work)
    gradient = jax.grad(lambda parameters, x, y: jnp.mean((forward(parameters, x) - y) ** 2))

    def descend(state: State, x: Any, y: Any) -> State:
        g = gradient(state[0], x, y)
        return tuple(p - optimizer.learning_rate * q for p, q in zip(state[0], g, strict=True)), (), (), state[3]

    def adam(state: State, x: Any, y: Any) -> State:
        assert isinstance(optimizer, Adam)
        beta_1: Any = optimizer.beta_1  # a number
        beta_2 = optimizer.beta_2
        g = gradient(state[0], x, y)
        m = tuple(beta_1 * m + (1 - beta_1) * q for m, q in zip(state[1], g, strict=True))
        v = tuple(beta_2 * v + (1 - beta_2) * q * q for v, q in zip(state[2], g, strict=True))
        updates = state[3] + 1
        correction = jnp.sqrt(1 - beta_2**updates)
        rate, epsilon = optimizer.learning_rate * correction / (1 - beta_1**updates), optimizer.epsilon * correction
        return tuple(p - rate * a / (jnp.sqrt(b) + epsilon) for p, a, b in zip(state[0], m, v, strict=True)), m, v, updates

    return descend if work.optimizer == "sgd" else adam
