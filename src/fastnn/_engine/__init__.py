"""The choice of the implementation: the compiled kernels, or the portable fallback."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

__all__ = ["core", "fallback", "missing"]

_COMPILED = "fastnn._core"


def _chosen() -> tuple[Any, bool]:
    """Return the implementation, and whether it replaces a compiled one that is missing."""
    wanted = os.environ.get("FASTNN_ISA", "")
    if wanted != "portable":
        try:
            return importlib.import_module(_COMPILED), False
        except ModuleNotFoundError as error:
            if error.name != _COMPILED:
                raise
    if wanted not in ("", "portable"):
        raise ImportError(f"FASTNN_ISA={wanted!r} can't be used: this installation has no compiled extension, only portable")
    return importlib.import_module("fastnn._engine.portable"), wanted == ""


if TYPE_CHECKING:
    from fastnn import _core as core

    missing: bool
else:
    core, missing = _chosen()

# The name of the fallback if it is in use, and None if the compiled kernels are.
fallback: str | None = None
if core.current_instruction_set()[0] == "portable":
    fallback = "plain Numba" if core.COMPILED else "plain NumPy"  # type: ignore[attr-defined]
