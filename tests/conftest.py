"""Make `_helpers` importable: with --import-mode=importlib, pytest puts no test directory on the path."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
