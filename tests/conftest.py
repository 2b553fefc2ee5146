"""Make `_helpers` importable: with --import-mode=importlib, pytest puts no test directory on the path.

And keep what Numba compiles for tests and examples, in all their processes, in one place.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.append(str(HERE))
os.environ.setdefault("NUMBA_CACHE_DIR", str(HERE / "__pycache__" / "numba"))
