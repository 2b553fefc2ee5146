"""``fastnn info``: the version, the instruction set and the threads in use."""

from __future__ import annotations

import argparse
from typing import Any

from fastnn._config import config_text


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    text = "Show the version, the instruction set and the threads, and how each was decided."
    commands.add_parser("info", help="show version, instruction set and threads", description=text).set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the configuration."""
    print(config_text())
    return 0
