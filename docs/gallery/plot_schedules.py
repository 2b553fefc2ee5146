"""
Learning-rate schedules compared
================================

A schedule changes the learning rate with the number of steps. This program draws five of them, and trains the same network
with each. All runs have the same initial weights and the same order of rows.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

import fastnn
from fastnn import schedules

rng = np.random.default_rng(0)
X = rng.uniform(-1, 1, (1000, 2))
y = np.sin(4 * X[:, :1]) * np.cos(3 * X[:, 1:])

epochs, batch_size = 60, 50
steps = epochs * len(X) // batch_size

# %%
# A schedule is any function that maps an array of step numbers to an array of rates, so that it can be drawn by calling it.

choices = {
    "constant": lambda step: np.full(len(step), 0.01),
    "Step": schedules.Step(0.01, every=steps // 3, factor=0.3),
    "Exponential": schedules.Exponential(0.01, 0.998),
    "Cosine": schedules.Cosine(0.01, steps),
    "Warmup, then Cosine": schedules.Warmup(schedules.Cosine(0.02, steps), steps // 10),
}

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for name, schedule in choices.items():
    model = fastnn.MLP((2, 64, 64, 1), "tanh", random_state=0)
    history = model.fit(X, y, optimizer=fastnn.Adam(schedule), epochs=epochs, batch_size=batch_size, random_state=0)
    left.plot(schedule(np.arange(steps)), label=name)
    right.semilogy(history["loss"], label=name)
    print(f"{name:20} final loss {history['loss'][-1]:.1e}")
left.set(xlabel="step", ylabel="learning rate")
right.set(xlabel="epoch", ylabel="loss")
left.legend()
