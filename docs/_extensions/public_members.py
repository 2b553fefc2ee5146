"""Members that Sphinx would treat wrongly: methods that scikit-learn adds to its estimators, and ufuncs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from sphinx.application import Sphinx

# Methods that route metadata, such as set_fit_request; scikit-learn documents them.
ADDED = re.compile(r"set_\w+_request|get_metadata_routing")


def skip(app: Sphinx, kind: str, name: str, member: Any, skipped: bool, options: Any) -> bool | None:
    """Return True for a member to leave out, and None for all others."""
    return True if ADDED.fullmatch(name) else None


def signature(app: Sphinx, kind: str, name: str, member: Any, options: Any, args: Any, returned: Any) -> tuple[()] | None:
    """Return an empty tuple for ufuncs in tables, which treat them as data without a signature."""
    return () if kind == "data" and isinstance(member, np.ufunc) else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the two functions, the second one before numpydoc's."""
    app.connect("autodoc-skip-member", skip)
    app.connect("autodoc-process-signature", signature, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
