"""
XOR and its decision regions
============================

The exclusive or of two bits is the smallest problem that a single layer cannot solve. Eight hidden units solve it. The
picture shows the output of the network between the four points, at four moments of the training.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

import fastnn

X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
y = np.array([[0], [1], [1], [0]])

# %%
# A sigmoid at the output and the binary cross-entropy turn the output into a probability. A trainer keeps the state of its
# optimizer from one run to the next, so that the training continues after each picture.

model = fastnn.MLP((2, 8, 1), "tanh", "sigmoid", random_state=0)
trainer = fastnn.Trainer(model, "binary_cross_entropy", fastnn.Adam(0.02), batch_size=4)

side = np.linspace(-0.5, 1.5, 100)
points = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)

figure, axes = plt.subplots(1, 4, figsize=(10, 2.8), sharey=True, layout="constrained")
steps = 0
for ax, more in zip(axes, (1, 49, 100, 350), strict=True):
    trainer.run(X, y, epochs=more)  # all four rows are one batch: an epoch is a step
    steps += more
    image = ax.pcolormesh(side, side, model.predict(points).reshape(100, 100), vmin=0, vmax=1, cmap="RdBu_r")
    ax.scatter(*X.T, c=y.ravel(), cmap="RdBu_r", edgecolors="black", s=70)
    ax.set(title=f"step {steps}", aspect="equal", xticks=[0, 1], yticks=[0, 1])
figure.colorbar(image, label="probability of 1")

# %%
# The probabilities after 500 steps:

print(model.predict(X).round(3).ravel())
