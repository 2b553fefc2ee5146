"""The list of sizes, under a name that the files in this directory can import."""

from __future__ import annotations

from fastnn._bench.shapes import *  # noqa: F403
