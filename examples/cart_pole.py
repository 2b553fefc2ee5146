"""A cart-pole in NumPy: many independent carts that move at once, each with a pole that must not fall.

The equations and constants are those of A. G. Barto, R. S. Sutton and C. W. Anderson, "Neuronlike adaptive elements that can
solve difficult learning control problems", IEEE Transactions on Systems, Man, and Cybernetics 13, 1983.
"""

from __future__ import annotations

import numpy as np

MAX_STEPS = 500  # of an episode
GRAVITY, CART_MASS, POLE_MASS, HALF_LENGTH, FORCE, SECONDS = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02
MAX_POSITION, MAX_ANGLE = 2.4, np.radians(12)


class CartPoles:
    """Simulate carts; `state` has one row per cart: position, velocity, angle, angular velocity."""

    def __init__(self, n_carts, rng):
        self.rng = rng
        self.state = rng.uniform(-0.05, 0.05, (n_carts, 4))
        self.steps = np.zeros(n_carts, int)

    def step(self, right):
        """Push each cart to the right or to the left. Return the new states, which poles fell, and which episodes ended.

        Where an episode has ended, the next one begins: `self.state` then differs from the state that is returned.
        """
        _, velocity, angle, turn = self.state.T
        mass = CART_MASS + POLE_MASS
        push = (np.where(right, FORCE, -FORCE) + POLE_MASS * HALF_LENGTH * turn**2 * np.sin(angle)) / mass
        turn_rate = (GRAVITY * np.sin(angle) - np.cos(angle) * push) / (
            HALF_LENGTH * (4 / 3 - POLE_MASS * np.cos(angle) ** 2 / mass)
        )
        acceleration = push - POLE_MASS * HALF_LENGTH * turn_rate * np.cos(angle) / mass
        self.state = self.state + SECONDS * np.stack([velocity, acceleration, turn, turn_rate], axis=1)
        self.steps += 1
        reached = self.state
        fell = (np.abs(reached[:, 0]) > MAX_POSITION) | (np.abs(reached[:, 2]) > MAX_ANGLE)
        ended = fell | (self.steps >= MAX_STEPS)
        fresh = self.rng.uniform(-0.05, 0.05, reached.shape)
        self.state = np.where(ended[:, None], fresh, reached)
        self.steps[ended] = 0
        return reached, fell, ended
