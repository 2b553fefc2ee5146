"""The program in examples/ that Numba compiles, in short form."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba")
pytest.importorskip("scipy")


def test_the_unknowns_of_the_heat_equation_are_found(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "examples"))
    truth, best, samples = importlib.import_module("heat").main(n_simulations=1000, epochs=100, n_samples=2000)
    deviation = samples.std(axis=0)
    assert (deviation < 0.4).all()
    assert (np.abs(samples.mean(axis=0) - truth) < 4 * deviation).all()
    assert (np.abs(best - truth) < 4 * deviation).all()
