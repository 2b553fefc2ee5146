"""The dropout masks of the reference: their bits, and their statistics."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn.reference import dropout_mask


def mix(x):
    mask = 0xFFFFFFFF
    x ^= x >> 16
    x = x * 0x7FEB352D & mask
    x ^= x >> 15
    x = x * 0x846CA68B & mask
    return x ^ (x >> 16)


@pytest.mark.parametrize("key", [0, 1, 0xFFFFFFFFFFFFFFFF, 0x123456789ABCDEF0])
@pytest.mark.parametrize(("layer", "p"), [(0, 0.5), (3, 0.1), (7, 0.999)])
def test_masks_have_the_documented_bits(key, layer, p):
    got = dropout_mask(key, layer, 5, 7, p)
    for row in range(5):
        for unit in range(7):
            first = mix(row * 7 + unit ^ (key % 2**32 + layer * 0x9E3779B9) % 2**32)
            kept = mix((first + key // 2**32) % 2**32) >= int(p * 2**32)
            assert got[row, unit] == (1 / (1 - p) if kept else 0.0)


def test_masks_behave_like_random_numbers():
    rng = np.random.default_rng(3)
    masks = []
    for _ in range(20):
        key = rng.integers(0, 2**64, dtype=np.uint64)
        masks += [dropout_mask(key, layer, 50, 40, 0.3) != 0 for layer in range(3)]
    kept = np.array(masks)
    # For 120 000 draws, five standard deviations are 0.0066.
    assert kept.mean() == pytest.approx(0.7, abs=0.0066)
    assert np.abs(kept.mean(axis=(0, 1)) - 0.7).max() < 0.05
    assert np.abs(kept.mean(axis=(0, 2)) - 0.7).max() < 0.05
    # Neighbouring units, layers and steps are independent.
    centred = kept - 0.7
    pairs = [
        (centred[:, :, 1:], centred[:, :, :-1]),
        (centred[:, 1:], centred[:, :-1]),
        (centred[1:], centred[:-1]),
    ]
    for one, other in pairs:
        assert abs((one * other).mean()) < 5 * 0.21 / np.sqrt(one.size)


def test_masks_have_the_type_asked_for_and_allow_extreme_rates():
    mask = dropout_mask(5, 0, 4, 4, 0.25, np.float32)
    assert mask.dtype == np.float32
    assert set(np.unique(mask)) <= {np.float32(0), np.float32(1 / 0.75)}
    np.testing.assert_array_equal(dropout_mask(5, 0, 3, 2, 0.0), np.ones((3, 2)))
    # The mask of a batch is the beginning of that of a larger batch.
    np.testing.assert_array_equal(dropout_mask(5, 1, 3, 7, 0.5), dropout_mask(5, 1, 9, 7, 0.5)[:3])
    with pytest.raises(ValueError, match=r"p: expected a finite number >= 0 and < 1.*got 1\.0"):
        dropout_mask(5, 0, 3, 2, 1.0)
