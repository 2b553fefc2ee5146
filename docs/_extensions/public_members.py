"""Leave out of the reference the methods that scikit-learn adds to every estimator."""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx

# Methods that route metadata, such as set_fit_request; scikit-learn documents them.
ADDED = re.compile(r"set_\w+_request|get_metadata_routing")


def skip(app: Sphinx, kind: str, name: str, member: Any, skipped: bool, options: Any) -> bool | None:
    """Return True for a member to leave out, and None for all others."""
    return True if ADDED.fullmatch(name) else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Ask about each member."""
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
