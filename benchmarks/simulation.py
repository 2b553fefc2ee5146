"""A simulation with a policy in its loop: compiled by Numba with the model inside, and in Python.

``python benchmarks/simulation.py`` prints the time of a million steps, and how many times as long the same loop takes
in Python, with fastnn, NumPy or PyTorch, which run fewer steps. Their states are compared before they are timed.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

import fastnn

STEPS, STEPS_IN_PYTHON = 1_000_000, 20_000
SIZES = (4, 64, 64, 1)
ROUNDS = 5


@numba.njit
def compiled(policy: Any, state: Any, steps: int) -> None:
    push = np.empty(1, np.float32)
    for _ in range(steps):
        policy.predict(state, out=push)
        advance(state, push[0])


@numba.njit
def advance(state: Any, push: Any) -> None:
    """Advance a weight on a spring by one step; the state is the position and the two before it."""
    state[3] = state[2]
    state[2] = state[0]
    state[1] += np.float32(0.05) * (push - state[0])
    state[0] += np.float32(0.05) * state[1]


def in_python(act: Callable[[Any], Any]) -> Callable[[Any, int], None]:
    """Return the same loop in Python."""

    def simulate(state: Any, steps: int) -> None:
        for _ in range(steps):
            advance.py_func(state, act(state)[0])

    return simulate


def numpy_policy(model: fastnn.MLP) -> Callable[[Any], Any]:
    (w1, w2, w3), (b1, b2, b3) = ([np.ascontiguousarray(p) for p in group] for group in (model.weights, model.biases))
    return lambda state: np.tanh(np.tanh(state @ w1 + b1) @ w2 + b2) @ w3 + b3


def torch_policy(model: fastnn.MLP) -> Callable[[Any], Any]:
    import torch

    torch.set_num_threads(1)
    layers: list[Any] = []
    for weights, bias in zip(model.weights, model.biases, strict=True):
        linear = torch.nn.Linear(*weights.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(np.ascontiguousarray(weights.T)))
            linear.bias.copy_(torch.tensor(np.ascontiguousarray(bias)))
        layers += [linear, torch.nn.Tanh()]
    network = torch.nn.Sequential(*layers[:-1])

    @torch.inference_mode()
    def act(state: Any) -> Any:
        return network(torch.from_numpy(state)).numpy()

    return act


def seconds_a_step(simulate: Callable[[Any, int], None], steps: int) -> float:
    state = np.ones(4, np.float32)
    start = time.perf_counter()
    simulate(state, steps)
    return (time.perf_counter() - start) / steps


def contestants() -> dict[str, tuple[Callable[[Any, int], None], int]]:
    """Return each loop, and the number of steps for which it is timed."""
    model = fastnn.MLP(SIZES, "tanh", random_state=0)
    handle = fastnn.jit.as_numba(model)
    found = {"compiled by Numba, fastnn": (lambda state, steps: compiled(handle, state, steps), STEPS)}
    policies = {"Python, fastnn": model.predict, "Python, NumPy": numpy_policy(model)}
    if importlib.util.find_spec("torch"):
        policies["Python, PyTorch"] = torch_policy(model)
    return found | {name: (in_python(act), STEPS_IN_PYTHON) for name, act in policies.items()}


def ratios() -> dict[str, float]:
    """Return the seconds of a million steps, by the best of several rounds in turns."""
    loops = contestants()
    states = {name: np.ones(4, np.float32) for name in loops}
    for name, (simulate, _) in loops.items():
        simulate(states[name], 100)
        np.testing.assert_allclose(states[name], states["compiled by Numba, fastnn"], rtol=1e-4, err_msg=name)
    rounds = [{name: seconds_a_step(*loop) for name, loop in loops.items()} for _ in range(ROUNDS)]
    return {name: 1e6 * min(each[name] for each in rounds) for name in loops}


def main() -> None:
    seconds = ratios()
    first = next(iter(seconds.values()))
    print("| a million steps, 4-64-64-1, float32 | seconds | times as long |\n|---|---|---|")
    for name, value in seconds.items():
        print(f"| {name} | {value:.2f} | {value / first:.1f} |")


if __name__ == "__main__":
    main()
