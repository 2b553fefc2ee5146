"""
A forecast in quantiles, from records with gaps
===============================================

One network forecasts the next 24 hours of a load, in three quantiles per hour. A fifth of the measurements is missing:
inputs mark them, and the loss leaves them out.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

import fastnn

rng = np.random.default_rng(0)
hour = np.arange(24 * 400)
weather = np.zeros(len(hour))
for i in range(1, len(hour)):
    weather[i] = 0.95 * weather[i - 1] + 0.1 * rng.normal()
load = np.sin(2 * np.pi * (hour - 7) / 24) + 0.3 * (hour // 24 % 7 < 5) + weather
load += (0.05 + 0.1 * (hour % 24 > 8)) * rng.normal(size=len(hour))
load[rng.random(len(hour)) < 0.2] = np.nan

# %%
# A row of inputs holds the last 48 hours, marks of the gaps, and the time of the day and of the week.

starts = np.arange(48, len(load) - 24)
past = np.stack([load[start - 48 : start] for start in starts])
future = np.stack([load[start : start + 24] for start in starts])
angle = 2 * np.pi * np.stack([starts % 24 / 24, starts % 168 / 168], axis=1)
X = np.hstack([np.nan_to_num(past), np.isnan(past), np.sin(angle), np.cos(angle)])
split = 3 * len(X) // 4

# %%
# ``non_crossing=True`` keeps the quantiles in order. ``missing="ignore"`` leaves NaN out of the loss.

loss = fastnn.losses.MultiQuantile((0.1, 0.5, 0.9), non_crossing=True, missing="ignore")
model = fastnn.MLP((X.shape[1], 64, 64, 24 * 3), "silu", dropout=0.1, random_state=0)
model.fit(X[:split], future[:split], loss=loss, optimizer=fastnn.AdamW(0.002), epochs=8, batch_size=64)

predicted = loss.quantiles(model.predict(X[split:]))
observed = ~np.isnan(future[split:])
for k, q in enumerate((0.1, 0.5, 0.9)):
    print(f"quantile {q}: {np.mean(future[split:][observed] <= predicted[:, k][observed]):.1%} of the loads were lower")

# %%
# Five days, each forecast at midnight of the day before:

figure, ax = plt.subplots(figsize=(10, 4), layout="constrained")
first = np.flatnonzero(starts[split:] % 24 == 0)[10]
for day in range(5):
    row = first + 24 * day
    hours = starts[split + row] + np.arange(24) - starts[split + first]
    low, median, high = predicted[row]
    ax.fill_between(hours, low, high, color="tab:blue", alpha=0.3, label="quantiles 0.1 to 0.9" if day == 0 else None)
    ax.plot(hours, median, color="tab:blue", label="median" if day == 0 else None)
    ax.scatter(hours, future[split + row], s=10, color="black", label="measured" if day == 0 else None)
ax.set(xlabel="hour", ylabel="load")
ax.legend(loc="upper right")
