"""The error of a command line that is found to be wrong only while the command runs."""

from __future__ import annotations


class WrongUsageError(Exception):
    """The command line is wrong. Its text says which argument, what was expected and what came."""
