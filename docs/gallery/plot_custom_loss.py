"""
A loss of your own
==================

``fastnn.jit.loss`` compiles a loss from two Python functions: the loss of one element, and its derivative with respect to
the prediction. In this program, the loss is a cost in money: a shortage costs far more than goods left over.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

import fastnn

# %%
# What was not in stock costs 5 per unit, and what was left over costs 0.5. Large shortages lose customers too, so that their
# cost grows with the square.


def derivative(demand, stock):
    return -5 - 2 * (demand - stock) if demand > stock else 0.5


@fastnn.jit.loss(gradient=derivative)
def cost(demand, stock):
    short = demand - stock
    return 5 * short + short**2 if short > 0 else -0.5 * short


# %%
# The demand has a weekly rhythm, and varies more on some days than on others.

rng = np.random.default_rng(0)
day = rng.uniform(0, 7, 2000)
X = np.column_stack([np.sin(2 * np.pi * day / 7), np.cos(2 * np.pi * day / 7)])
spread = 0.3 + 0.25 * np.sin(2 * np.pi * day / 7)
demand = (3 + np.sin(4 * np.pi * day / 7) + spread * rng.normal(size=2000))[:, None]

grid = np.linspace(0, 7, 300)
inputs = np.column_stack([np.sin(2 * np.pi * grid / 7), np.cos(2 * np.pi * grid / 7)])
figure, ax = plt.subplots(figsize=(9, 4), layout="constrained")
ax.scatter(day, demand, s=4, color="gray", alpha=0.5)
for loss, label in (("mse", "squared error"), (cost, "cost")):
    model = fastnn.MLP((2, 32, 32, 1), "tanh", random_state=0)
    model.fit(X, demand, loss=loss, optimizer=fastnn.Adam(0.002), epochs=60)
    ax.plot(grid, model.predict(inputs), label=f"stock that minimizes the {label}")
    print(f"{label:14} cost per day {model.loss(X, demand, cost):.2f}")
ax.set(xlabel="day of the week", ylabel="units")
ax.legend()
