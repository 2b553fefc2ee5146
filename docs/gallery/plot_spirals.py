"""
Three spirals: a classifier and its confidence
==============================================

Softmax and cross-entropy train a classifier from integer labels. The picture shows how sure the classifier is: colors fade
where no class has a high probability.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

import fastnn

rng = np.random.default_rng(0)
n = 200
radius = np.tile(np.linspace(0.1, 1, n), 3)
labels = np.repeat([0, 1, 2], n)
angle = 4 * radius + 2 * np.pi / 3 * labels + rng.normal(0, 0.12, 3 * n)
X = np.column_stack([radius * np.cos(angle), radius * np.sin(angle)])

# %%
# The network has two hidden layers. AdamW decays the weights a little, which keeps the borders smooth.

model = fastnn.MLP((2, 32, 32, 3), "silu", "softmax", random_state=0)
history = model.fit(X, labels, loss="cross_entropy", optimizer=fastnn.AdamW(0.01), epochs=150, metrics=["accuracy"])
print(history)

# %%
# Each point of the plane gets the mixture of the three class colors that the network predicts.

side = np.linspace(-1.2, 1.2, 240)
points = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
colors = np.array([[0.90, 0.34, 0.18], [0.16, 0.44, 0.69], [0.09, 0.64, 0.59]])

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
left.imshow((model.predict(points) @ colors).reshape(240, 240, 3), origin="lower", extent=(-1.2, 1.2, -1.2, 1.2))
left.scatter(*X.T, c=colors[labels], edgecolors="white", linewidths=0.5, s=16)
left.set(title="probabilities as mixed colors")
right.semilogy(history["loss"])
right.set(title="training", xlabel="epoch", ylabel="cross-entropy")
