"""Random generators from `random_state`, and their state in files."""

from __future__ import annotations

from typing import Any

import numpy as np

_BIT_GENERATORS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")


def generator(random_state: Any) -> np.random.Generator:
    """Return a generator: a new one for a seed, and a given generator unchanged."""
    if isinstance(random_state, bool):
        raise TypeError(f"random_state: expected a seed or a Generator, got {random_state!r}")
    if isinstance(random_state, np.random.RandomState):
        return np.random.Generator(bits_of(random_state))
    try:
        return np.random.default_rng(random_state)
    except (TypeError, ValueError) as error:
        raise type(error)(f"random_state: expected a seed or a Generator, got {random_state!r} ({error})") from error


def bits_of(random_state: np.random.RandomState) -> np.random.BitGenerator:
    """Return the bit generator of a RandomState, for which NumPy has no public name."""
    bits: np.random.BitGenerator = random_state._bit_generator
    return bits


def state_of(rng: np.random.Generator) -> dict[str, Any]:
    """Return the generator's state, for `from_state`."""
    return dict(rng.bit_generator.state)


def from_state(state: dict[str, Any]) -> np.random.Generator:
    """Return a generator that continues from a saved state."""
    name = state["bit_generator"]
    if name not in _BIT_GENERATORS:
        raise ValueError(f"unknown bit generator {name!r}")
    # NumPy does not check these positions, and would read out of bounds.
    if not 0 <= state["state"].get("pos", 0) <= 624 or not 0 <= state.get("buffer_pos", 0) <= 4:
        raise ValueError(f"a position outside of the state of {name}")
    bit_generator = getattr(np.random, name)()
    bit_generator.state = state
    return np.random.Generator(bit_generator)
