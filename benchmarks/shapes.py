"""The one list of sizes, under a name that the files beside this one can import."""

from __future__ import annotations

from fastnn._bench.shapes import *  # noqa: F403
