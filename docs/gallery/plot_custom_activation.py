"""
An activation of your own
=========================

``fastnn.jit.activation`` compiles an activation from two Python functions: the value and its derivative. Training then runs
in the native loop, as with the built-in ones. The derivative is checked when the activation is defined.
"""

from __future__ import annotations

import math

import matplotlib.pyplot as plt
import numpy as np

import fastnn

# %%
# This one is the snake function z + sin(z)² of L. Ziyin, T. Hartwig and M. Ueda, "Neural networks fail to learn periodic
# functions and how to fix it" (NeurIPS 2020). It is monotonic, and still periodic around its trend.


@fastnn.jit.activation(derivative=lambda z: 1 + math.sin(2 * z), uses="input")
def snake(z):
    return z + math.sin(z) ** 2


# %%
# A network with tanh or ReLU becomes flat or straight outside of its data. With snake, it continues the rhythm.

rng = np.random.default_rng(0)
x = rng.uniform(-6, 6, (400, 1))
y = np.sin(2 * x) + 0.1 * x + rng.normal(0, 0.05, x.shape)

grid = np.linspace(-12, 12, 600)[:, None]
figure, ax = plt.subplots(figsize=(10, 4), layout="constrained")
ax.plot(grid, np.sin(2 * grid) + 0.1 * grid, "k:", label="truth")
for activation in ("tanh", "relu", snake):
    model = fastnn.MLP((1, 16, 1), activation, init="lecun_normal", random_state=0)
    model.fit(x, y, optimizer=fastnn.Adam(fastnn.schedules.Cosine(0.01, steps=13_000)), epochs=1000, l2=0.001)
    ax.plot(grid, model.predict(grid), label=activation if isinstance(activation, str) else "snake")
ax.axvspan(-6, 6, alpha=0.1, color="gray", label="training data")
ax.set(xlabel="x", ylim=(-3.5, 3.5))
ax.legend(loc="upper left", ncols=2)
