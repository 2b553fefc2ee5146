"""The contestants of bench_derivatives.py: fastnn from Python and from code that Numba compiles, NumPy, JAX and PyTorch.

Each is a function of a problem and of a number of threads that returns calls by name. Every call returns its result.
The call "parameters" returns the parameters that steps have changed. The losses are mean squared errors, hidden layers
have tanh, outputs are linear, and steps are steps of gradient descent.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from libraries import Work, torch_on

import fastnn
from fastnn import reference
from fastnn._bench.peers._jax_functions import make_client
from fastnn._bench.peers.torch_ import _compiled

Works = dict[str, Work]

# Small enough that as many steps as are timed don't change what a step computes.
RATE = 1e-6

# The calls of one function in code that Numba compiles.
IN_ONE_CALL = 100


@dataclass(frozen=True)
class Problem:
    """A network, inputs, targets, and a gradient with respect to the outputs.

    Parameters
    ----------
    layer_sizes : tuple of int
        The layer sizes of the network.
    dtype : float32 or float64
        The dtype of all arrays.
    n_rows : int, optional
        The number of rows; None for one row, which is an array of one dimension.
    """

    layer_sizes: tuple[int, ...]
    dtype: np.dtype[Any]
    n_rows: int | None = None

    @property
    def name(self) -> str:
        return "-".join(map(str, self.layer_sizes))

    def array(self, seed: int, n: int) -> np.ndarray:
        """Return one row of n random numbers, or n_rows of them."""
        rng = np.random.default_rng(seed)
        return rng.standard_normal(n if self.n_rows is None else (self.n_rows, n)).astype(self.dtype)

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return inputs, targets, and a gradient with respect to the outputs."""
        return self.array(1, self.layer_sizes[0]), self.array(2, self.layer_sizes[-1]), self.array(3, self.layer_sizes[-1])

    def parameters(self) -> list[np.ndarray]:
        """Return [W1, b1, W2, …]."""
        rng = np.random.default_rng(0)
        shapes = [shape for n_in, n_out in pairwise(self.layer_sizes) for shape in ((n_in, n_out), (n_out,))]
        return [(rng.standard_normal(shape) / np.sqrt(shape[0])).astype(self.dtype) for shape in shapes]

    def jacobian_flop(self) -> int:
        """Return the operations in the matrix products of a Jacobian, by columns or by rows, whichever takes fewer."""
        first, *others = products = [n_in * n_out for n_in, n_out in pairwise(self.layer_sizes)]
        through = min(self.layer_sizes[0] * sum(others), self.layer_sizes[-1] * sum(products[:-1]))
        return 2 * (self.n_rows or 1) * (first + sum(others[:-1]) + through)


def reference_results(problem: Problem) -> dict[str, Any]:
    """Return the results of all calls, and the parameters after a step."""
    parameters, (x, y, g) = problem.parameters(), map(np.atleast_2d, problem.arrays())
    weights, biases = parameters[::2], parameters[1::2]
    network = weights, biases, ["tanh"] * (len(weights) - 1) + ["identity"]

    def in_order(of_weights: list[np.ndarray], of_biases: list[np.ndarray]) -> list[np.ndarray]:
        return [each for pair in zip(of_weights, of_biases, strict=True) for each in pair]

    loss, *gradients = reference.loss_and_gradient(*network, x, y)
    gradient, product = in_order(*gradients), in_order(*reference.vjp(*network, x, g)[1:])
    jacobian = reference.jacobian(*network, x)
    return {
        "loss": loss,
        "gradient": (loss, gradient),
        "vjp": product,
        "jacobian": jacobian if problem.n_rows else jacobian[0],
        "step_gradient": product,
        "step": gradient,
    }


# ---- fastnn ----


def _fastnn(problem: Problem) -> tuple[fastnn.MLP, fastnn.Trainer]:
    model = fastnn.MLP(problem.layer_sizes, "tanh", dtype=problem.dtype)
    for array, values in zip(_parameters_of(model), problem.parameters(), strict=True):
        array[...] = values
    trained = model.copy()
    return model, fastnn.Trainer(trained, optimizer=fastnn.SGD(RATE))


def _parameters_of(model: fastnn.MLP) -> list[np.ndarray]:
    return [array for pair in zip(model.weights, model.biases, strict=True) for array in pair]


def fastnn_works(problem: Problem, n_threads: int) -> Works:
    """Return calls that make new arrays."""
    (model, trainer), (x, y, g) = _fastnn(problem), problem.arrays()
    return {
        "loss": lambda: model.loss(x, y),
        "gradient": lambda: model.gradient(x, y),
        "vjp": lambda: model.vjp(x, g),
        "jacobian": lambda: model.jacobian(x),
        "step_gradient": lambda: trainer.step_gradient(x, g),
        "step": lambda: trainer.step(x, y),
        "parameters": lambda: _parameters_of(trainer.model),
    }


def fastnn_out_works(problem: Problem, n_threads: int) -> Works:
    """Return calls whose results go to arrays of the caller."""
    (model, _), (x, y, g) = _fastnn(problem), problem.arrays()
    gradients, products, jacobian = model.gradient(x, y)[1], model.vjp(x, g), model.jacobian(x)
    return {
        "gradient": lambda: model.gradient(x, y, out=gradients),
        "vjp": lambda: model.vjp(x, g, out=products),
        "jacobian": lambda: model.jacobian(x, out=jacobian),
    }


def fastnn_njit_works(problem: Problem, n_threads: int, *, out: bool = False) -> Works:
    """Return functions compiled by Numba, each with `IN_ONE_CALL` calls in a loop."""
    numba = pytest.importorskip("numba", reason="Numba is not installed")
    (model, trainer), (x, y, g) = _fastnn(problem), problem.arrays()
    vector, jacobian = model.to_vector(), model.jacobian(x)
    calls = {
        "loss": "result = made.loss(x, y)",
        "gradient": "result = made.gradient(x, y)",
        "vjp": "result = made.vjp(x, g)",
        "jacobian": "result = made.jacobian(x)",
        "step_gradient": "result = made.step_gradient(x, g)",
        "step": "result = made.step(x, y)",
    }
    if out:
        calls = {name: f"{calls[name][:-1]}, out=out)" for name in ("gradient", "vjp", "jacobian")}

    def compiled_when_called(name: str, call: str) -> Work:
        made, place = (trainer if "step" in name else model), (jacobian if name == "jacobian" else vector)
        text = f"def many(made, x, y, g, out, n):\n    for _ in range(n):\n        {call}\n    return result"
        namespace: dict[str, Any] = {}

        @functools.cache
        def many() -> Callable[..., Any]:
            exec(text, namespace)
            return numba.njit(namespace["many"])  # type: ignore[no-any-return]

        return lambda n=IN_ONE_CALL: many()(made, x, y, g, place, n)

    return {name: compiled_when_called(name, call) for name, call in calls.items()} | {
        "parameters": lambda: _parameters_of(trainer.model)
    }


def fastnn_njit_out_works(problem: Problem, n_threads: int) -> Works:
    """Return the same, whose results go to arrays of the caller."""
    return fastnn_njit_works(problem, n_threads, out=True)


# ---- NumPy by hand ----


def numpy_works(problem: Problem, n_threads: int) -> Works:
    """Return code for any number of layers, without checks. Jacobians go forward, in one product per layer for all rows."""
    parameters, (x, y, g) = problem.parameters(), map(np.atleast_2d, problem.arrays())
    weights, biases = parameters[::2], parameters[1::2]

    def forward() -> list[np.ndarray]:
        outputs = [x]
        for w, b in zip(weights[:-1], biases[:-1], strict=True):
            z = outputs[-1] @ w
            z += b
            outputs.append(np.tanh(z, out=z))
        outputs.append(outputs[-1] @ weights[-1] + biases[-1])
        return outputs

    def backward(outputs: list[np.ndarray], delta: np.ndarray) -> list[np.ndarray]:
        gradients = []
        for layer in range(len(weights) - 1, -1, -1):
            a = outputs[layer]
            gradients += [delta.sum(axis=0), a.T @ delta]
            if layer:
                delta = (delta @ weights[layer].T) * (1 - a * a)
        return gradients[::-1]

    def loss() -> float:
        error = (forward()[-1] - y).ravel()
        return float(error @ error) / error.size

    def gradient() -> tuple[float, list[np.ndarray]]:
        outputs = forward()
        error = outputs[-1] - y
        flat = error.ravel()
        return float(flat @ flat) / flat.size, backward(outputs, error * (2 / error.size))

    def vjp() -> list[np.ndarray]:
        return backward(forward(), g)

    def jacobian() -> np.ndarray:
        a, columns = x, None
        for w, b in zip(weights[:-1], biases[:-1], strict=True):
            a = np.tanh(a @ w + b)
            columns = (w if columns is None else columns @ w) * (1 - a * a)[:, None]  # (rows, n_in, units)
        result = (columns @ weights[-1]).swapaxes(1, 2)
        return result if problem.n_rows else result[0]

    def update(gradients: list[np.ndarray]) -> None:
        for parameter, each in zip(parameters, gradients, strict=True):
            each *= RATE
            parameter -= each

    return {
        "loss": loss,
        "gradient": gradient,
        "vjp": vjp,
        "jacobian": jacobian,
        "step_gradient": lambda: update(vjp()),
        "step": lambda: update(gradient()[1]),
        "parameters": lambda: parameters,
    }


# ---- JAX and PyTorch ----


def forward_and_loss(tanh: Any) -> tuple[Any, Any]:
    """Return the functions of parameters and rows that these libraries differentiate: the outputs, and their loss."""

    def forward(parameters: Any, x: Any) -> Any:
        *hidden, (w, b) = zip(parameters[::2], parameters[1::2], strict=True)
        for hidden_w, hidden_b in hidden:
            x = tanh(x @ hidden_w + hidden_b)
        return x @ w + b

    def loss(parameters: Any, x: Any, y: Any) -> Any:
        return ((forward(parameters, x) - y) ** 2).mean()

    return forward, loss


def jax_works(problem: Problem, n_threads: int) -> Works:
    """Return calls of functions compiled by `jit`; steps have donated buffers."""
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    make_client(n_threads, asynchronous=False)
    jnp = jax.numpy
    state = {"parameters": [jnp.array(each) for each in problem.parameters()]}
    x, y, g = map(jnp.asarray, problem.arrays())

    forward, loss = forward_and_loss(jnp.tanh)

    def product(parameters: Any, x: Any, g: Any) -> Any:
        return jax.vjp(lambda p: forward(p, x), parameters)[1](g)[0]

    def updated(parameters: Any, gradients: Any) -> Any:
        return [parameter - RATE * each for parameter, each in zip(parameters, gradients, strict=True)]

    def jacobian(transform: Any) -> Any:
        of_row = transform(forward, argnums=1)
        return jax.vmap(of_row, in_axes=(None, 0)) if problem.n_rows else of_row

    def call(function: Any, *arguments: Any) -> Work:
        compiled = jax.jit(function)
        parameters = list(state["parameters"])
        return lambda: jax.block_until_ready(compiled(parameters, *arguments))

    def step(gradient: Any, target: Any) -> Work:
        compiled = jax.jit(lambda p, x, y: updated(p, gradient(p, x, y)), donate_argnums=0)
        own = [jnp.array(each) for each in problem.parameters()]

        def work() -> None:
            nonlocal own
            own = state["parameters"] = jax.block_until_ready(compiled(own, x, target))

        return work

    return {
        "loss": call(loss, x, y),
        "gradient": call(jax.value_and_grad(loss), x, y),
        "vjp": call(product, x, g),
        "jacobian": call(jacobian(jax.jacrev), x),
        "jacobian, forward": call(jacobian(jax.jacfwd), x),
        "step_gradient": step(product, g),
        "step": step(jax.grad(loss), y),
        "parameters": lambda: state["parameters"],
    }


def torch_works(problem: Problem, n_threads: int, *, compiled: bool = False) -> Works:
    """Return calls of functions made by `torch.func`, compiled by `torch.compile` or not."""
    torch = torch_on(n_threads)
    parameters = tuple(torch.from_numpy(each) for each in problem.parameters())
    x, y, g = map(torch.from_numpy, problem.arrays())

    forward, loss = forward_and_loss(torch.tanh)

    def value_and_gradient(parameters: Any, x: Any, y: Any) -> Any:
        gradients, value = torch.func.grad_and_value(loss)(parameters, x, y)
        return value, gradients

    def product(parameters: Any, x: Any, g: Any) -> Any:
        return torch.func.vjp(lambda p: forward(p, x), parameters)[1](g)[0]

    def step(parameters: Any, gradients: Any) -> None:
        torch._foreach_add_(parameters, gradients, alpha=-RATE)

    def jacobian(transform: Any) -> Any:
        of_row = transform(forward, argnums=1)
        return torch.func.vmap(of_row, in_dims=(None, 0)) if problem.n_rows else of_row

    def call(function: Any, *arguments: Any) -> Work:
        made = _compiled(function) if compiled else function

        def work() -> Any:
            with torch.no_grad():
                return made(parameters, *arguments)

        return work

    return {
        "loss": call(loss, x, y),
        "gradient": call(value_and_gradient, x, y),
        "vjp": call(product, x, g),
        "jacobian": call(jacobian(torch.func.jacrev), x),
        "jacobian, forward": call(jacobian(torch.func.jacfwd), x),
        "step_gradient": call(lambda p, x, g: step(p, product(p, x, g)), x, g),
        "step": call(lambda p, x, y: step(p, torch.func.grad(loss)(p, x, y)), x, y),
        "parameters": lambda: parameters,
    }


def torch_compile_works(problem: Problem, n_threads: int) -> Works:
    """Return the same functions, compiled by `torch.compile`."""
    return torch_works(problem, n_threads, compiled=True)
