"""Balance a cart-pole by evolution strategies: no gradient, only the returns of a population of slightly different policies.

T. Salimans, J. Ho, X. Chen, S. Sidor and I. Sutskever, "Evolution strategies as a scalable alternative to reinforcement
learning", arXiv:1703.03864, 2017: mirrored sampling, returns as centered ranks, and Adam.
"""

from __future__ import annotations

import time

import numpy as np
from cart_pole import MAX_STEPS, CartPoles

import fastnn
from fastnn import ops

LAYER_SIZES = (4, 16, 2)
N_PAIRS, N_CARTS = 32, 4  # two policies to a pair, each with some carts of its own
NOISE, LEARNING_RATE = 0.2, 0.2
SOLVED = 475.0  # steps: the mean of 100 carts


def returns(population, n_carts, rng):
    """Return the steps that the carts of each policy last, (n_policies, n_carts).

    All carts of all policies move at once. Each policy begins with the same states, so that luck does not decide.
    """
    carts = CartPoles(len(population) * n_carts, rng)
    carts.state = np.tile(carts.state[:n_carts], (len(population), 1))
    upright, steps = np.ones(len(population) * n_carts, bool), np.zeros(len(population) * n_carts)
    for _ in range(MAX_STEPS):
        outputs = fastnn.predict_many(population, carts.state.reshape(len(population), n_carts, 4))
        steps += upright
        _, fell, _ = carts.step((outputs[..., 1] > outputs[..., 0]).ravel())
        upright &= ~fell
        if not upright.any():
            break
    return steps.reshape(len(population), n_carts)


def centered_ranks(values):
    """Return the ranks of the values, from -0.5 (lowest) to 0.5 (highest). Equal values share their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts) - 1
    return ((last - (counts - 1) / 2) / (len(values) - 1) - 0.5)[inverse]


def evolve(generations, seed=0):
    """Return the policy after at most this number of generations, and the number it took. Stop when it is solved."""
    rng = np.random.default_rng(seed)
    policy = fastnn.MLP(LAYER_SIZES, "tanh", dtype=np.float64, random_state=rng)
    population = fastnn.Ensemble([policy.copy() for _ in range(2 * N_PAIRS)])
    center, state = policy.to_vector(), {}
    for generation in range(generations):
        noise = rng.normal(size=(N_PAIRS, center.size))
        noise = np.concatenate([noise, -noise])
        population.set_vectors(center + NOISE * noise)
        fitness = centered_ranks(returns(population, N_CARTS, rng).mean(axis=1))
        ops.adam([center], [-fitness @ noise / (len(noise) * NOISE)], state, learning_rate=LEARNING_RATE)
        policy.set_vector(center)
        if episode_lengths(policy, rng).mean() >= SOLVED:
            return policy, generation + 1
    return policy, generations


def episode_lengths(policy, rng=None):
    """Return the number of steps that 100 new carts last."""
    return returns([policy], 100, rng or np.random.default_rng(1))[0]


def main():
    """Train, and print the time and the result."""
    start = time.perf_counter()
    policy, generations = evolve(100)
    print(f"{generations} generations of {2 * N_PAIRS} policies: {time.perf_counter() - start:.1f} s")
    print(f"100 carts last {episode_lengths(policy).mean():.0f} of {MAX_STEPS} steps")


if __name__ == "__main__":
    main()
