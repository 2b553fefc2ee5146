"""
A policy gradient balances a cart-pole
======================================

REINFORCE in a few lines: a policy pushes carts left or right so that their poles do not fall, and actions that were followed
by more reward become more likely. ``sample_weight`` may be negative, so that the cross-entropy with the chosen actions,
weighted by advantages, is the loss of a policy gradient.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np

import fastnn

N_CARTS, LIMIT = 32, 200
rng = np.random.default_rng(0)


def push(state, right):
    """Return the states of carts (position, velocity, angle, angular velocity) after 0.02 s."""
    _, velocity, angle, turn = state.T
    force = (np.where(right, 10.0, -10.0) + 0.05 * turn**2 * np.sin(angle)) / 1.1
    rate = (9.8 * np.sin(angle) - np.cos(angle) * force) / (0.5 * (4 / 3 - 0.1 * np.cos(angle) ** 2 / 1.1))
    acceleration = force - 0.05 * rate * np.cos(angle) / 1.1
    return state + 0.02 * np.stack([velocity, acceleration, turn, rate], axis=1)


# %%
# An episode ends when a pole leans by more than 12 degrees, or a cart leaves the track.


def play(policy):
    """Return states and actions (steps, carts, …) of one episode per cart, and which of them count."""
    state, alive = rng.uniform(-0.05, 0.05, (N_CARTS, 4)), np.ones(N_CARTS, bool)
    states, actions, lives = [], [], []
    for _ in range(LIMIT):
        right = rng.random(N_CARTS) < policy.predict(state)[:, 0]
        states.append(state)
        actions.append(right)
        lives.append(alive)
        state = push(state, right)
        alive = alive & (np.abs(state[:, 0]) < 2.4) & (np.abs(state[:, 2]) < np.radians(12))
        if not alive.any():
            break
    return np.array(states), np.array(actions), np.array(lives)


# %%
# The advantage of an action is the discounted number of steps that followed, compared with the mean of all.

policy = fastnn.MLP((4, 32, 1), "tanh", "sigmoid", random_state=0)
trainer = fastnn.Trainer(policy, "binary_cross_entropy", fastnn.Adam(0.01), batch_size=N_CARTS * LIMIT)
lengths = []
for _ in range(80):
    states, actions, lives = play(policy)
    returns = np.zeros(lives.shape)
    following = np.zeros(N_CARTS)
    for t in reversed(range(len(lives))):
        following = lives[t] * (1 + 0.98 * following)
        returns[t] = following
    advantages = (returns - returns[lives].mean()) / returns[lives].std()
    trainer.run(states[lives], actions[lives][:, None], sample_weight=advantages[lives])
    lengths.append(lives.sum(axis=0))

lengths = np.array(lengths)
print(f"steps per episode: {lengths[0].mean():.0f} at first, {lengths[-5:].mean():.0f} at the end")

figure, ax = plt.subplots(figsize=(8, 4), layout="constrained")
ax.fill_between(range(len(lengths)), lengths.min(axis=1), lengths.max(axis=1), alpha=0.2, label="least and most")
ax.plot(lengths.mean(axis=1), label=f"mean of {N_CARTS} carts")
ax.set(xlabel="update", ylabel=f"steps (at most {LIMIT})")
ax.legend(loc="upper left")
