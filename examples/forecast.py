"""Forecast a day's load with a range, from records with gaps.

One network predicts three quantiles of each of the next 24 hours. Missing measurements take no part in the loss.
"""

from __future__ import annotations

import numpy as np

import fastnn

QUANTILES = (0.1, 0.5, 0.9)
HISTORY, HORIZON = 48, 24  # hours


def load(n_days, rng, missing=0.2):
    """Return hourly loads: a daily and a weekly rhythm, weather that drifts, noise, and NaN where a record is missing."""
    hour = np.arange(24 * n_days)
    weather = np.zeros(len(hour))
    for i in range(1, len(hour)):
        weather[i] = 0.95 * weather[i - 1] + 0.1 * rng.normal()
    noise = (0.05 + 0.1 * (hour % 24 > 8)) * rng.normal(size=len(hour))
    values = np.sin(2 * np.pi * (hour - 7) / 24) + 0.3 * (hour // 24 % 7 < 5) + weather + noise
    values[rng.random(len(hour)) < missing] = np.nan
    return values


def windows(values):
    """Return inputs: the last two days, with 0 for what is missing, marks of what is missing, and the hour; and targets."""
    starts = np.arange(HISTORY, len(values) - HORIZON)
    past = np.stack([values[start - HISTORY : start] for start in starts])
    future = np.stack([values[start : start + HORIZON] for start in starts])
    angle = 2 * np.pi * np.stack([starts % 24 / 24, starts % 168 / 168], axis=1)
    return np.hstack([np.nan_to_num(past), np.isnan(past), np.sin(angle), np.cos(angle)]), future


def main(n_days=600, epochs=8):
    """Print how often the load stayed below each quantile in the last quarter of the days. Return these shares."""
    X, y = windows(load(n_days, np.random.default_rng(0)))
    split = 3 * len(X) // 4
    model = fastnn.MLP((X.shape[1], 64, 64, HORIZON * len(QUANTILES)), "silu", dropout=0.1, random_state=0)
    loss = fastnn.losses.MultiQuantile(QUANTILES, non_crossing=True, missing="ignore")
    model.fit(X[:split], y[:split], loss=loss, optimizer=fastnn.AdamW(0.002), epochs=epochs, batch_size=64)
    future = y[split:]
    observed, predicted, shares = ~np.isnan(future), loss.quantiles(model.predict(X[split:])), []
    for k, q in enumerate(QUANTILES):
        shares.append(np.mean(future[observed] <= predicted[:, k][observed]))
        print(f"quantile {q}: {shares[-1]:.1%} of the loads were lower")
    return shares


if __name__ == "__main__":
    main()
