"""Find what heated a rod, from noisy thermometers: a surrogate of the heat equation, and its Jacobian.

A network learns the map from five unknowns to 50 temperatures, from simulations. SciPy then fits the unknowns to
measurements with the network's Jacobian, and Hamiltonian Monte Carlo, compiled by Numba, draws from their posterior
(R. M. Neal, "MCMC using Hamiltonian dynamics", Handbook of Markov Chain Monte Carlo, 2011).
"""

from __future__ import annotations

import time

import numpy as np
from numba import njit
from scipy.optimize import least_squares

import fastnn

# The unknowns, scaled to -1 … 1: diffusivity, centre, width and height of the hot spot, temperature of the left end.
LOW = np.array([0.02, 0.2, 0.05, 0.5, 0.0])
HIGH = np.array([0.10, 0.8, 0.15, 1.5, 0.5])
N_CELLS, N_STEPS, SECONDS = 64, 2048, 1.0
SENSORS = np.arange(3, N_CELLS, 6)[:10]
TIMES = N_STEPS * np.arange(1, 6) // 5
NOISE = 0.02


def simulate(unknowns):
    """Return the temperatures (n, 50) at 10 sensors and 5 times, for rows of unknowns from -1 to 1."""
    diffusivity, centre, width, height, left = (LOW + (unknowns + 1) / 2 * (HIGH - LOW)).T[:, :, None]
    x = (np.arange(N_CELLS) + 0.5) / N_CELLS
    u = height * np.exp(-0.5 * ((x - centre) / width) ** 2)
    ratio = diffusivity * (SECONDS / N_STEPS) * N_CELLS**2  # below 1/2, where the explicit scheme is stable
    readings = []
    for step in range(1, N_STEPS + 1):
        padded = np.hstack([2 * left - u[:, :1], u, u[:, -1:]])  # a fixed temperature on the left, insulation on the right
        u = u + ratio * (padded[:, 2:] - 2 * u + padded[:, :-2])
        if step in TIMES:
            readings.append(u[:, SENSORS])
    return np.hstack(readings)


def train(n_simulations, epochs, seed=0):
    """Return a network that replaces the simulation."""
    unknowns = np.random.default_rng(seed).uniform(-1, 1, (n_simulations, 5))
    model = fastnn.MLP((5, 64, 64, 50), "tanh", dtype=np.float64, random_state=seed)
    schedule = fastnn.schedules.Cosine(0.003, epochs * n_simulations // 32)
    model.fit(unknowns, simulate(unknowns), optimizer=fastnn.Adam(schedule), epochs=epochs)
    return model


def fit(model, readings):
    """Return the most likely unknowns."""
    return least_squares(
        lambda unknowns: (model.predict(unknowns) - readings) / NOISE,
        np.zeros(5),
        lambda unknowns: model.jacobian(unknowns) / NOISE,
        bounds=(-1, 1),
    ).x


@njit
def log_density(model, unknowns, readings, gradient):
    """Return the logarithm of the posterior density, and store its gradient; the prior is uniform from -1 to 1."""
    misfit = model.predict(unknowns) - readings
    gradient[:] = -(misfit @ model.jacobian(unknowns)) / NOISE**2
    return -0.5 * (misfit @ misfit) / NOISE**2


@njit
def sample(model, readings, start, n_samples, n_leaps, step, rng):
    """Return draws (n_samples, 5) from the posterior, and the share of proposals that were accepted."""
    samples, accepted = np.empty((n_samples, 5)), 0
    position, gradient = start.copy(), np.empty(5)
    density = log_density(model, position, readings, gradient)
    for i in range(n_samples):
        moved, slope = position.copy(), gradient.copy()
        momentum = rng.normal(0, 1, 5)
        energy = density - 0.5 * (momentum @ momentum)
        for _ in range(n_leaps):
            momentum += 0.5 * step * slope
            moved += step * momentum
            for j in range(5):  # a wall of the prior reflects
                if abs(moved[j]) > 1:
                    moved[j] = np.sign(moved[j]) * 2 - moved[j]
                    momentum[j] = -momentum[j]
            new_density = log_density(model, moved, readings, slope)
            momentum += 0.5 * step * slope
        if np.log(rng.random()) < new_density - 0.5 * (momentum @ momentum) - energy:
            position, gradient, density = moved, slope, new_density
            accepted += 1
        samples[i] = position
    return samples, accepted / n_samples


def main(n_simulations=4000, epochs=300, n_samples=20_000):
    """Print the true unknowns, those that fit best, and the posterior's means and standard deviations. Return them."""
    started = time.perf_counter()
    model = train(n_simulations, epochs)
    rng = np.random.default_rng(1)
    truth = rng.uniform(-0.7, 0.7, 5)
    exact = simulate(truth[None])[0]
    error = np.abs(model.predict(truth) - exact).max()
    print(f"trained in {time.perf_counter() - started:.1f} s; largest error {error:.4f}")
    readings = exact + NOISE * rng.normal(size=50)
    best = fit(model, readings)
    started = time.perf_counter()
    samples, accepted = sample(model, readings, best, n_samples, 20, 0.02, rng)
    print(f"{n_samples} samples in {time.perf_counter() - started:.1f} s; accepted {accepted:.0%}")
    rows = {"truth": truth, "fit": best, "mean": samples.mean(axis=0), "deviation": samples.std(axis=0)}
    for name, values in rows.items():
        print(f"{name:10}", *(f"{value:7.3f}" for value in values))
    return truth, best, samples


if __name__ == "__main__":
    main()
