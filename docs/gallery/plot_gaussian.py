"""
A noisy curve with its uncertainty
==================================

With ``GaussianNLL``, a network predicts a mean and a variance for every input. An ensemble adds the uncertainty of the model
itself: where there are no data, its members disagree.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

import fastnn

rng = np.random.default_rng(0)
x = np.concatenate([rng.uniform(-3, -0.5, 300), rng.uniform(1, 3, 300)])[:, None]
y = np.sin(2 * x) + (0.05 + 0.1 * np.abs(x)) * rng.normal(size=x.shape)

# %%
# The network has two outputs: the mean and the logarithm of the variance. Five networks differ in their random state.

loss = fastnn.losses.GaussianNLL()
members = [fastnn.MLP((1, 32, 32, 2), "tanh", random_state=seed) for seed in range(5)]
for member in members:
    member.fit(x, y, loss=loss, optimizer=fastnn.Adam(0.003), epochs=200)

# %%
# ``mean_and_std`` reads the outputs. The variance of the mixture is the mean of the variances plus the variance of the
# means.

grid = np.linspace(-4, 4, 400)[:, None]
means, deviations = loss.mean_and_std(np.stack([member.predict(grid) for member in members]))
mean = means.mean(axis=0)[:, 0]
noise = (deviations**2).mean(axis=0)[:, 0]
disagreement = means.var(axis=0)[:, 0]

figure, ax = plt.subplots(figsize=(9, 4.5), layout="constrained")
for variance, alpha, label in ((noise + disagreement, 0.2, "with disagreement"), (noise, 0.35, "noise alone")):
    width = 2 * np.sqrt(variance)
    ax.fill_between(grid[:, 0], mean - width, mean + width, alpha=alpha, color="tab:blue", label=f"two deviations, {label}")
ax.plot(grid, mean, label="mean")
ax.scatter(x, y, s=5, color="black", alpha=0.4)
ax.set(xlabel="x", ylim=(-3, 3))
ax.legend(loc="upper center")

# %%
# About 95 % of new measurements should lie within two deviations:

new = rng.uniform(1, 3, (5000, 1))
measured = np.sin(2 * new) + (0.05 + 0.1 * np.abs(new)) * rng.normal(size=new.shape)
means, deviations = loss.mean_and_std(np.stack([member.predict(new) for member in members]))
width = 2 * np.sqrt((deviations**2).mean(axis=0) + means.var(axis=0))
print(f"{np.mean(np.abs(measured - means.mean(axis=0)) < width):.1%}")
