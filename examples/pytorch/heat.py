"""The counterpart of ../heat.py in PyTorch, with the same network, data and settings."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import least_squares

sys.path.insert(0, str(Path(__file__).parents[1]))
from heat import NOISE, simulate


def train(n_simulations, epochs, seed=0, batch_size=32):
    """Return a network that replaces the simulation."""
    torch.manual_seed(seed)
    unknowns = np.random.default_rng(seed).uniform(-1, 1, (n_simulations, 5))
    X, y = torch.as_tensor(unknowns), torch.as_tensor(simulate(unknowns))
    layers = [torch.nn.Linear(5, 64), torch.nn.Tanh(), torch.nn.Linear(64, 64), torch.nn.Tanh(), torch.nn.Linear(64, 50)]
    model = torch.nn.Sequential(*layers).double()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * n_simulations // batch_size)
    for _ in range(epochs):
        for batch in torch.randperm(n_simulations).split(batch_size):
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(model(X[batch]), y[batch]).backward()
            optimizer.step()
            schedule.step()
    return model


def fit(model, readings):
    """Return the most likely unknowns."""
    jacobian = torch.func.jacfwd(model)
    with torch.no_grad():
        return least_squares(
            lambda unknowns: (model(torch.as_tensor(unknowns)).numpy() - readings) / NOISE,
            np.zeros(5),
            lambda unknowns: jacobian(torch.as_tensor(unknowns)).numpy() / NOISE,
            bounds=(-1, 1),
        ).x


def log_density(model, unknowns, readings):
    """Return the logarithm of the posterior density, and its gradient; the prior is uniform from -1 to 1."""
    unknowns = unknowns.detach().requires_grad_()
    misfit = model(unknowns) - readings
    density = -0.5 * (misfit @ misfit) / NOISE**2
    density.backward()
    return density.item(), unknowns.grad


def sample(model, readings, start, n_samples, n_leaps, step, seed):
    """Return draws (n_samples, 5) from the posterior, and the share of proposals that were accepted."""
    torch.manual_seed(seed)
    model.requires_grad_(False)
    readings, position = torch.as_tensor(readings), torch.as_tensor(start)
    samples, accepted = [], 0
    density, gradient = log_density(model, position, readings)
    for _ in range(n_samples):
        moved, slope, momentum = position.clone(), gradient, torch.randn(5, dtype=torch.float64)
        energy = density - 0.5 * (momentum @ momentum)
        for _ in range(n_leaps):
            momentum = momentum + 0.5 * step * slope
            moved = moved + step * momentum
            outside = moved.abs() > 1  # a wall of the prior reflects
            moved = torch.where(outside, moved.sign() * 2 - moved, moved)
            momentum = torch.where(outside, -momentum, momentum)
            new_density, slope = log_density(model, moved, readings)
            momentum = momentum + 0.5 * step * slope
        if torch.rand(()).log() < new_density - 0.5 * (momentum @ momentum) - energy:
            position, gradient, density = moved, slope, new_density
            accepted += 1
        samples.append(position.numpy())
    return np.stack(samples), accepted / n_samples


def main(n_simulations=4000, epochs=300, n_samples=1000):
    """Print the true unknowns, those that fit best, and the posterior's means and standard deviations. Return them."""
    started = time.perf_counter()
    model = train(n_simulations, epochs)
    rng = np.random.default_rng(1)
    truth = rng.uniform(-0.7, 0.7, 5)
    exact = simulate(truth[None])[0]
    with torch.no_grad():
        error = np.abs(model(torch.as_tensor(truth)).numpy() - exact).max()
    print(f"trained in {time.perf_counter() - started:.1f} s; largest error {error:.4f}")
    readings = exact + NOISE * rng.normal(size=50)
    best = fit(model, readings)
    started = time.perf_counter()
    samples, accepted = sample(model, readings, best, n_samples, 20, 0.02, 0)
    print(f"{n_samples} samples in {time.perf_counter() - started:.1f} s; accepted {accepted:.0%}")
    rows = {"truth": truth, "fit": best, "mean": samples.mean(axis=0), "deviation": samples.std(axis=0)}
    for name, values in rows.items():
        print(f"{name:10}", *(f"{value:7.3f}" for value in values))
    return truth, best, samples


if __name__ == "__main__":
    main()
