"""The fuzzer: a few of its programs, and tests that it would notice a difference."""

from __future__ import annotations

import copy

import numpy as np
import pytest

pytest.importorskip("scipy")

from fuzz import draw
from fuzz.compare import difference
from fuzz.programs import Setting, run

from fastnn._engine import core as _core

SEEDS = range(6)


@pytest.mark.parametrize("seed", SEEDS)
def test_threads_and_slices_change_nothing(seed):
    outcome = run(seed, Setting())
    assert outcome.arrays
    for setting in (Setting(3, 1e-7), Setting(7, 10.0)):
        assert difference(outcome, run(seed, setting), exact=True) is None


def changed(outcome, kind, amount):
    """Return a copy in which one element of the first result of a kind differs."""
    other = copy.deepcopy(outcome)
    label = next(label for label in other.arrays if kind in label and other.arrays[label].size)
    array = other.arrays[label] = other.arrays[label].copy()
    array.flat[-1] += amount(array.flat[-1])
    return other


def test_a_single_bit_is_noticed():
    outcome = run(0, Setting(to_rounding=True))
    other = changed(outcome, "parameters", lambda value: np.spacing(value))
    assert "1 of" in difference(outcome, other, exact=True)
    assert difference(outcome, other, exact=False) is None


def test_differences_beyond_rounding_are_noticed():
    outcome = run(0, Setting(to_rounding=True))
    other = copy.deepcopy(outcome)
    label = next(label for label in other.arrays if "parameters" in label)
    other.arrays[label] = other.arrays[label] * 1.1
    assert "became" in difference(outcome, other, exact=False)


@pytest.mark.parametrize("kind", ["updates", "random state"])
def test_counts_and_random_states_are_compared_to_the_bit(kind):
    outcome = run(0, Setting(to_rounding=True))
    other = changed(outcome, kind, lambda value: 1)
    assert difference(outcome, other, exact=False) is not None


def test_missing_results_and_results_of_another_type_are_noticed():
    outcome = run(0, Setting(to_rounding=True))
    label = next(iter(outcome.arrays))
    missing, other = copy.deepcopy(outcome), copy.deepcopy(outcome)
    del missing.arrays[label]
    other.arrays[label] = other.arrays[label].astype(np.complex128)
    assert "only one run" in difference(outcome, missing, exact=False)
    assert "complex128" in difference(outcome, other, exact=False)


def test_a_seed_always_gives_the_same_program():
    assert run(3, Setting()).trace == run(3, Setting(2, 1e-3)).trace
    assert run(3, Setting()).trace != run(4, Setting()).trace


def test_programs_have_networks_with_slopes():
    networks = [draw.network(np.random.default_rng(seed)) for seed in range(100)]
    assert any("prelu" in network["activation"] for network in networks)
    assert any(network["output_activation"] == "prelu" for network in networks)
    traces = (run(seed, Setting()).trace for seed in range(100))
    assert any("prelu" in trace[0] and "slopes = ..." in trace for trace in traces)


def test_programs_have_networks_with_normalizations_and_changes_of_inputs():
    networks = [draw.network(np.random.default_rng(seed)) for seed in range(100)]
    assert any(any(network["parametric_activation"]) for network in networks)
    assert any(network["residual"] for network in networks)
    assert any(network["input_scale"] for network in networks)
    assert any(network["input_dropout"] for network in networks)
    assert {*_core.NORMALIZATIONS, None} == {name for network in networks for name in network["normalization"]}
