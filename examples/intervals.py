"""Predict intervals that hold what they promise: an ensemble of networks with Gaussian heads.

Each network predicts a mean and a variance for every input. The differences between the networks add the uncertainty of
the model itself (B. Lakshminarayanan, A. Pritzel and C. Blundell, "Simple and scalable predictive uncertainty estimation
using deep ensembles", NeurIPS 2017).
"""

from __future__ import annotations

import numpy as np

import fastnn

LOSS = fastnn.losses.GaussianNLL()


def data(n, rng):
    """Return inputs (n, 1) and targets (n, 1) whose noise grows with the input."""
    x = rng.uniform(-2, 2, (n, 1))
    return x, np.sin(2 * x) + (0.1 + 0.2 * (x + 2) / 4) * rng.normal(size=(n, 1))


def train(X, y, n_members=5, epochs=200):
    """Return networks that differ in their initial weights and in the order of the rows."""
    members = [fastnn.MLP((1, 32, 32, 2), "tanh", random_state=seed) for seed in range(n_members)]
    for member in members:
        member.fit(X, y, loss=LOSS, optimizer=fastnn.Adam(0.003), epochs=epochs)
    return members


def predict(members, X):
    """Return means and standard deviations (n,) of the mixture of the members' distributions."""
    means, deviations = LOSS.mean_and_std(np.stack([member.predict(X) for member in members]))
    variance = (deviations**2).mean(axis=0) + means.var(axis=0)
    return means.mean(axis=0)[:, 0], np.sqrt(variance)[:, 0]


def coverage(members, X, y, deviations):
    """Return the share of targets that lie within so many standard deviations of the mean."""
    mean, deviation = predict(members, X)
    return np.mean(np.abs(y[:, 0] - mean) <= deviations * deviation)


def main(n=2000, n_members=5, epochs=200):
    """Print the share of new targets inside the intervals. Return those of 50, 80 and 95 %."""
    rng = np.random.default_rng(0)
    members = train(*data(n, rng), n_members, epochs)
    X, y = data(5000, rng)
    shares = {}
    for promised, deviations in ((0.5, 0.6745), (0.8, 1.2816), (0.95, 1.96)):  # quantiles of the normal distribution
        shares[promised] = coverage(members, X, y, deviations)
        print(f"interval of {promised:.0%}: covers {shares[promised]:.1%}")
    return shares


if __name__ == "__main__":
    main()
