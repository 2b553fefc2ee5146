from __future__ import annotations

import hashlib

import numpy as np
import pytest

from fastnn._data import load_digits

# SHA-256 hashes of the images as bytes, and of the labels as little-endian 64-bit integers.
IMAGES = "8f26b2bd9d135c256808f68f14fdabddde6d9c7f869ae419704b051f0f14b3b3"
LABELS = "a3c91c262eddcf7ba8f0e37507c30284493c9b20412ffe4af30d536401f7ba21"


def test_digits_are_the_published_ones() -> None:
    images, labels = load_digits()
    assert (images.shape, images.dtype) == ((1797, 64), np.uint8)
    assert (labels.shape, labels.dtype) == ((1797,), np.int64)
    assert hashlib.sha256(images.tobytes()).hexdigest() == IMAGES
    assert hashlib.sha256(labels.astype("<i8").tobytes()).hexdigest() == LABELS


def test_digits_are_new_arrays_in_each_call() -> None:
    images, labels = load_digits()
    images[:] = 99
    labels[:] = 99
    again, labels_again = load_digits()
    assert again.max() == 16
    assert labels_again.max() == 9


def test_digits_are_those_of_scikit_learn() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    images, labels = load_digits()
    expected = datasets.load_digits()
    np.testing.assert_array_equal(images, expected.data)
    np.testing.assert_array_equal(labels, expected.target)
