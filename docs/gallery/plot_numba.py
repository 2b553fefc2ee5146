"""
A network inside a loop of Numba
================================

A model can be passed to a function under ``@njit``, and its ``predict`` called there. This saves the call from Python in
each step of a simulation. Here, a network learns the forces of a pendulum, and a compiled loop integrates them.
"""

from __future__ import annotations

import time

import matplotlib.pyplot as plt
import numpy as np
from numba import njit

import fastnn

rng = np.random.default_rng(0)
states = rng.uniform([-3, -4], [3, 4], (2000, 2))
accelerations = -9.81 * np.sin(states[:, :1]) - 0.3 * states[:, 1:]
model = fastnn.MLP((2, 32, 32, 1), "tanh", dtype=np.float64, random_state=0)
model.fit(states, accelerations, optimizer=fastnn.Adam(fastnn.schedules.Cosine(0.01, 100 * 63)), epochs=100)

# %%
# The same function runs in Python and under Numba:


def simulate(model, state, n_steps):
    path = np.empty((n_steps, 2))
    for i in range(n_steps):
        state[1] += 0.005 * model.predict(state)[0]
        state[0] += 0.005 * state[1]
        path[i] = state
    return path


compiled = njit(simulate)
compiled(model, np.array([2.0, 0.0]), 1)  # compiles

times = []
for function in (simulate, compiled):
    start = time.perf_counter()
    path = function(model, np.array([2.0, 0.0]), 2000)
    times.append(time.perf_counter() - start)
print(f"Numba's loop is {times[0] / times[1]:.0f} times as fast")

# %%
# The path of the network beside that of the true forces:

exact, state = np.empty_like(path), np.array([2.0, 0.0])
for i in range(len(exact)):
    state[1] += 0.005 * (-9.81 * np.sin(state[0]) - 0.3 * state[1])
    state[0] += 0.005 * state[1]
    exact[i] = state
t = 0.005 * np.arange(len(path))
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(t, exact[:, 0], label="true forces")
left.plot(t, path[:, 0], "--", label="network")
left.set(xlabel="time in s", ylabel="angle")
left.legend()
right.plot(*path.T)
right.set(xlabel="angle", ylabel="angular velocity")
