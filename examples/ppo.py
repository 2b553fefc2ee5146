"""Balance a cart-pole by proximal policy optimization.

J. Schulman et al., "Proximal policy optimization algorithms", arXiv:1707.06347, 2017, with the advantages of
J. Schulman et al., "High-dimensional continuous control using generalized advantage estimation", ICLR 2016.
"""

from __future__ import annotations

import time

import numpy as np
from cart_pole import MAX_STEPS, CartPoles

import fastnn
from fastnn import ops

N_CARTS, HORIZON, EPOCHS, BATCH_SIZE = 32, 64, 6, 256
DISCOUNT, TRACE_DECAY, CLIP, ENTROPY_WEIGHT = 0.98, 0.9, 0.2, 0.001


def policy_gradient(logits, actions, advantages, old_log_probabilities):
    """Return the gradient of the clipped surrogate, less the entropy bonus, by the logits."""
    log_p = ops.log_softmax(logits)
    p = np.exp(log_p)
    rows = np.arange(len(actions))
    ratio = np.exp(log_p[rows, actions] - old_log_probabilities)
    unclipped = np.where(advantages > 0, ratio < 1 + CLIP, ratio > 1 - CLIP)
    chosen = np.zeros_like(p)
    chosen[rows, actions] = 1
    gradient = -(unclipped * ratio * advantages)[:, None] * (chosen - p)
    entropy = -(p * log_p).sum(axis=1, keepdims=True)
    gradient += ENTROPY_WEIGHT * p * (log_p + entropy)
    return gradient / len(actions)


def collect(carts, policy, critic, rng):
    """Return states, actions, log-probabilities, advantages and returns of `HORIZON` steps of all carts."""
    states, actions, log_p, values, deltas, ends = [], [], [], [], [], []
    for _ in range(HORIZON):
        state = carts.state
        log_policy = ops.log_softmax(policy.predict(state))
        action = (rng.random(N_CARTS) > np.exp(log_policy[:, 0])).astype(int)
        reached, fell, ended = carts.step(action)
        value, next_value = critic.predict(state)[:, 0], critic.predict(reached)[:, 0]
        states.append(state)
        actions.append(action)
        log_p.append(log_policy[np.arange(N_CARTS), action])
        values.append(value)
        deltas.append(1 + DISCOUNT * np.where(fell, 0, next_value) - value)
        ends.append(ended)
    advantages, running = [], np.zeros(N_CARTS)
    for delta, ended in zip(reversed(deltas), reversed(ends), strict=True):
        running = delta + DISCOUNT * TRACE_DECAY * np.where(ended, 0, running)
        advantages.append(running)
    advantages = np.concatenate(advantages[::-1])
    returns = advantages + np.concatenate(values)
    return np.concatenate(states), np.concatenate(actions), np.concatenate(log_p), advantages, returns


def train(iterations, seed=0):
    """Return the trained policy."""
    rng = np.random.default_rng(seed)
    policy = fastnn.MLP((4, 64, 64, 2), "tanh", random_state=seed)
    critic = fastnn.MLP((4, 64, 64, 1), "tanh", random_state=seed + 1)
    actor = fastnn.Trainer(policy, optimizer=fastnn.Adam(3e-3), clip_norm=0.5)
    teacher = fastnn.Trainer(critic, optimizer=fastnn.Adam(3e-3))
    carts = CartPoles(N_CARTS, rng)
    for _ in range(iterations):
        states, actions, log_p, advantages, returns = collect(carts, policy, critic, rng)
        for _ in range(EPOCHS):
            for batch in np.split(rng.permutation(len(states)), len(states) // BATCH_SIZE):
                advantage = advantages[batch]
                advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
                gradient = policy_gradient(policy.predict(states[batch]), actions[batch], advantage, log_p[batch])
                actor.step_gradient(states[batch], gradient)
                teacher.step(states[batch], returns[batch])
    return policy


def episode_lengths(policy, n_carts=100, seed=1):
    """Return the numbers of steps that the carts last if the policy always takes the likelier action."""
    carts = CartPoles(n_carts, np.random.default_rng(seed))
    lengths, running = np.zeros(n_carts, int), np.ones(n_carts, bool)
    for _ in range(MAX_STEPS):
        lengths += running
        _, _, ended = carts.step(policy.predict(carts.state).argmax(axis=1))
        running &= ~ended
    return lengths


if __name__ == "__main__":
    started = time.perf_counter()
    policy = train(iterations=60)
    print(f"trained in {time.perf_counter() - started:.1f} s")
    print(f"steps of 100 episodes: mean {episode_lengths(policy).mean():.0f}, least {episode_lengths(policy).min()}")
