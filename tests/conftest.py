"""Make `_helpers` importable: with --import-mode=importlib, pytest puts no test directory on the path.

And keep what Numba compiles for tests and examples, in all their processes, in one place.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastnn import _custom

HERE = Path(__file__).parent
sys.path.append(str(HERE))
os.environ.setdefault("NUMBA_CACHE_DIR", str(HERE / "__pycache__" / "numba"))


@pytest.fixture(autouse=True)
def _names_that_tests_define() -> Iterator[None]:
    """Take back the names that a test, or a page of the documentation, has given to functions of its own."""
    registries = _custom.ACTIVATIONS, _custom.LOSSES
    kept = [dict(registry) for registry in registries]
    yield
    for registry, before in zip(registries, kept, strict=True):
        registry.clear()
        registry.update(before)
