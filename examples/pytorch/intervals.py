"""The counterpart of ../intervals.py in PyTorch, with the same networks, data and settings."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from intervals import data


def train(X, y, n_members=5, epochs=200, batch_size=32):
    """Return networks that differ in their initial weights and in the order of the rows."""
    X, y = torch.as_tensor(X, dtype=torch.float32), torch.as_tensor(y, dtype=torch.float32)
    members = []
    for seed in range(n_members):
        torch.manual_seed(seed)
        layers = [torch.nn.Linear(1, 32), torch.nn.Tanh(), torch.nn.Linear(32, 32), torch.nn.Tanh(), torch.nn.Linear(32, 2)]
        member = torch.nn.Sequential(*layers)
        optimizer = torch.optim.Adam(member.parameters(), lr=0.003)
        for _ in range(epochs):
            for batch in torch.randperm(len(X)).split(batch_size):
                optimizer.zero_grad()
                mean, log_variance = member(X[batch]).chunk(2, dim=1)
                torch.nn.functional.gaussian_nll_loss(mean, y[batch], log_variance.exp()).backward()
                optimizer.step()
        members.append(member)
    return members


@torch.no_grad()
def predict(members, X):
    """Return means and standard deviations (n,) of the mixture of the members' distributions."""
    X = torch.as_tensor(X, dtype=torch.float32)
    means, log_variances = torch.stack([member(X) for member in members]).chunk(2, dim=2)
    variance = log_variances.exp().mean(dim=0) + means.var(dim=0, unbiased=False)
    return means.mean(dim=0)[:, 0].numpy(), variance.sqrt()[:, 0].numpy()


def main(n=2000, n_members=5, epochs=200):
    """Print the share of new targets inside the intervals. Return those of 50, 80 and 95 %."""
    rng = np.random.default_rng(0)
    members = train(*data(n, rng), n_members, epochs)
    X, y = data(5000, rng)
    mean, deviation = predict(members, X)
    shares = {}
    for promised, deviations in ((0.5, 0.6745), (0.8, 1.2816), (0.95, 1.96)):  # quantiles of the normal distribution
        shares[promised] = np.mean(np.abs(y[:, 0] - mean) <= deviations * deviation)
        print(f"interval of {promised:.0%}: covers {shares[promised]:.1%}")
    return shares


if __name__ == "__main__":
    main()
