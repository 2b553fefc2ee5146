"""Random states from seeds, which must be NumPy's."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from fastnn.sklearn._seeding import seeded


@pytest.mark.parametrize("seed", [0, 1, 42, 2**32 - 1])
def test_a_seeded_state_is_that_of_numpy(seed):
    expected = np.random.RandomState(seed).standard_normal(700)
    for state in (seeded(seed), pickle.loads(pickle.dumps(seeded(seed)))):
        np.testing.assert_array_equal(state.standard_normal(700), expected)


def test_pickles_hold_nothing_but_the_state():
    # Old pickles must not need this module.
    assert b"fastnn" not in pickle.dumps(seeded(0))


def test_states_are_apart():
    first, second = seeded(0), seeded(0)
    drawn = first.uniform(size=1000)
    np.testing.assert_array_equal(second.uniform(size=1000), drawn)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seeds_out_of_range_are_refused(seed):
    with pytest.raises(ValueError, match="Seed must be between"):
        seeded(seed)
