"""The counterpart of ../forecast.py in PyTorch, with the same network, data and settings."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from forecast import HORIZON, QUANTILES, load, windows


def quantiles(outputs):
    """Return the quantiles (n, Q, HORIZON), which do not cross."""
    first, *others = outputs.unflatten(1, (len(QUANTILES), HORIZON)).unbind(dim=1)
    return torch.stack([first, *map(torch.nn.functional.softplus, others)], dim=1).cumsum(dim=1)


def pinball(outputs, y):
    """Return the mean pinball loss over the targets that are not NaN."""
    q = torch.tensor(QUANTILES)[:, None]
    error = y.nan_to_num()[:, None] - quantiles(outputs)
    observed = (~y.isnan())[:, None].expand_as(error)
    return torch.maximum(q * error, (q - 1) * error)[observed].mean()


def train(X, y, epochs, batch_size=64):
    """Return a trained network."""
    torch.manual_seed(0)
    X, y = torch.as_tensor(X, dtype=torch.float32), torch.as_tensor(y, dtype=torch.float32)
    model = torch.nn.Sequential(
        torch.nn.Linear(X.shape[1], 64),
        torch.nn.SiLU(),
        torch.nn.Dropout(0.1),
        torch.nn.Linear(64, 64),
        torch.nn.SiLU(),
        torch.nn.Dropout(0.1),
        torch.nn.Linear(64, HORIZON * len(QUANTILES)),
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.002)
    for _ in range(epochs):
        for batch in torch.randperm(len(X)).split(batch_size):
            optimizer.zero_grad()
            pinball(model(X[batch]), y[batch]).backward()
            optimizer.step()
    return model.eval()


def main(n_days=600, epochs=8):
    """Print how often the load stayed below each quantile in the last quarter of the days. Return these shares."""
    X, y = windows(load(n_days, np.random.default_rng(0)))
    split = 3 * len(X) // 4
    model = train(X[:split], y[:split], epochs)
    with torch.no_grad():
        predicted = quantiles(model(torch.as_tensor(X[split:], dtype=torch.float32))).numpy()
    future = y[split:]
    observed, shares = ~np.isnan(future), []
    for k, q in enumerate(QUANTILES):
        shares.append(np.mean(future[observed] <= predicted[:, k][observed]))
        print(f"quantile {q}: {shares[-1]:.1%} of the loads were lower")
    return shares


if __name__ == "__main__":
    main()
