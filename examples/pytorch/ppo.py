"""The counterpart of ../ppo.py in PyTorch, with the same networks, data and settings."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from cart_pole import MAX_STEPS, CartPoles
from ppo import BATCH_SIZE, CLIP, DISCOUNT, ENTROPY_WEIGHT, EPOCHS, HORIZON, N_CARTS, TRACE_DECAY


def network(n_out):
    """Return a network with that many outputs."""
    layers = [torch.nn.Linear(4, 64), torch.nn.Tanh(), torch.nn.Linear(64, 64), torch.nn.Tanh(), torch.nn.Linear(64, n_out)]
    return torch.nn.Sequential(*layers)


def policy_loss(logits, actions, advantages, old_log_probabilities):
    """Return the clipped surrogate, less the entropy bonus."""
    distribution = torch.distributions.Categorical(logits=logits)
    ratio = torch.exp(distribution.log_prob(actions) - old_log_probabilities)
    surrogate = torch.minimum(ratio * advantages, torch.clamp(ratio, 1 - CLIP, 1 + CLIP) * advantages)
    return -surrogate.mean() - ENTROPY_WEIGHT * distribution.entropy().mean()


@torch.no_grad()
def collect(carts, policy, critic):
    """Return states, actions, log-probabilities, advantages and returns of `HORIZON` steps of all carts."""
    states, actions, log_p, values, deltas, ends = [], [], [], [], [], []
    for _ in range(HORIZON):
        state = torch.as_tensor(carts.state, dtype=torch.float32)
        distribution = torch.distributions.Categorical(logits=policy(state))
        action = distribution.sample()
        reached, fell, ended = carts.step(action.numpy())
        value, next_value = critic(state)[:, 0], critic(torch.as_tensor(reached, dtype=torch.float32))[:, 0]
        states.append(state)
        actions.append(action)
        log_p.append(distribution.log_prob(action))
        values.append(value)
        deltas.append(1 + DISCOUNT * torch.where(torch.as_tensor(fell), 0, next_value) - value)
        ends.append(torch.as_tensor(ended))
    advantages, running = [], torch.zeros(N_CARTS)
    for delta, ended in zip(reversed(deltas), reversed(ends), strict=True):
        running = delta + DISCOUNT * TRACE_DECAY * torch.where(ended, 0, running)
        advantages.append(running)
    advantages = torch.cat(advantages[::-1])
    return torch.cat(states), torch.cat(actions), torch.cat(log_p), advantages, advantages + torch.cat(values)


def train(iterations, seed=0):
    """Return the trained policy."""
    torch.manual_seed(seed)
    policy, critic = network(2), network(1)
    actor = torch.optim.Adam(policy.parameters(), lr=3e-3)
    teacher = torch.optim.Adam(critic.parameters(), lr=3e-3)
    carts = CartPoles(N_CARTS, np.random.default_rng(seed))
    for _ in range(iterations):
        states, actions, log_p, advantages, returns = collect(carts, policy, critic)
        for _ in range(EPOCHS):
            for batch in torch.randperm(len(states)).split(BATCH_SIZE):
                advantage = advantages[batch]
                advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
                actor.zero_grad()
                policy_loss(policy(states[batch]), actions[batch], advantage, log_p[batch]).backward()
                torch.nn.utils.clip_grad_norm_(policy.parameters(), 0.5)
                actor.step()
                teacher.zero_grad()
                torch.nn.functional.mse_loss(critic(states[batch])[:, 0], returns[batch]).backward()
                teacher.step()
    return policy


@torch.no_grad()
def episode_lengths(policy, n_carts=100, seed=1):
    """Return the numbers of steps that the carts last if the policy always takes the likelier action."""
    carts = CartPoles(n_carts, np.random.default_rng(seed))
    lengths, running = np.zeros(n_carts, int), np.ones(n_carts, bool)
    for _ in range(MAX_STEPS):
        lengths += running
        _, _, ended = carts.step(policy(torch.as_tensor(carts.state, dtype=torch.float32)).argmax(dim=1).numpy())
        running &= ~ended
    return lengths


if __name__ == "__main__":
    started = time.perf_counter()
    policy = train(iterations=60)
    print(f"trained in {time.perf_counter() - started:.1f} s")
    print(f"steps of 100 episodes: mean {episode_lengths(policy).mean():.0f}, least {episode_lengths(policy).min()}")
