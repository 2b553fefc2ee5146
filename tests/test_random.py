"""Random generators: made from any seed, saved to files, and restored."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import MLP, Trainer
from fastnn._checks import seeds as _seeds

BIT_GENERATORS = ["PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"]


@pytest.mark.parametrize("seed", [5, np.int64(5), [5, 6], np.random.SeedSequence(5)], ids=repr)
def test_seeds_are_those_of_default_rng(seed):
    assert _seeds.generator(seed).integers(2**60) == np.random.default_rng(seed).integers(2**60)


@pytest.mark.parametrize("kind", [np.random.Generator, np.random.RandomState])
def test_a_given_generator_is_used_itself(kind):
    """The generator is not copied, and its owner sees that numbers are drawn."""
    given, twin = (kind(np.random.MT19937(5)) for _ in range(2))
    expected = np.random.Generator(twin.bit_generator if kind is np.random.Generator else twin._bit_generator).random(3)
    np.testing.assert_array_equal(_seeds.generator(given).random(3), expected)
    assert given.random() == twin.random()
    np.testing.assert_array_equal(
        MLP((3, 2), random_state=kind(np.random.MT19937(5))).to_vector(),
        MLP((3, 2), random_state=np.random.Generator(np.random.MT19937(5))).to_vector(),
    )


@pytest.mark.parametrize(("wrong", "error"), [(True, TypeError), ("seed", TypeError), (-1, ValueError), (1.5, TypeError)])
def test_objects_of_other_types_are_refused_as_seeds(wrong, error):
    for make in (lambda: MLP((3, 2), random_state=wrong), lambda: Trainer(MLP((3, 2)), random_state=wrong)):
        with pytest.raises(error, match=f"^random_state: expected a seed or a Generator.*got {wrong!r}"):
            make()


@pytest.mark.parametrize("name", BIT_GENERATORS)
def test_generators_continue_after_loading(name, tmp_path):
    rng = np.random.Generator(getattr(np.random, name)(1))
    rng.integers(10, dtype=np.uint32)  # half of a number is left in the generator
    trainer = Trainer(MLP((3, 2), random_state=2), random_state=rng)
    trainer.save(tmp_path / "a")
    loaded = Trainer.load(tmp_path / "a")._rng
    assert type(loaded.bit_generator).__name__ == name
    for draw in (
        lambda g: g.integers(10, dtype=np.uint32),
        lambda g: g.random(1000).tobytes(),
        lambda g: g.permutation(9).tobytes(),
    ):
        assert draw(loaded) == draw(rng)


def test_generators_of_other_packages_are_named():
    state = {**_seeds.state_of(np.random.default_rng(0)), "bit_generator": "Generator"}
    with pytest.raises(ValueError, match="unknown bit generator 'Generator'"):
        _seeds.from_state(state)
