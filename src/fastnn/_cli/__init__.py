"""The command line: ``fastnn COMMAND``, also as ``python -m fastnn COMMAND``.

A command is a module with two functions: `add_parser` defines its arguments, `run` does the work and returns the exit code.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

from fastnn._bench import command as _bench
from fastnn._cli import _demo, _export, _info, _inspect, _predict
from fastnn._cli._usage import WrongUsageError
from fastnn._version import __version__

_COMMANDS = (_demo, _predict, _inspect, _export, _bench, _info)

# Errors about what a user gave, which are printed in one line. All others are defects, and get a traceback.
_ERRORS = (
    ArithmeticError,
    ImportError,
    MemoryError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    WrongUsageError,
)

_FAILED = 1
_WRONG_USAGE = 2
_INTERRUPTED = 128 + 2  # the code of shells for a process ended by signal 2
_BROKEN_PIPE = 128 + 13


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Print in one line what is wrong and what may have been meant; exit."""
        self.exit(_WRONG_USAGE, f"{self.prog}: error: {message}{_suggestion(message)}; see {self.prog} --help\n")


def _suggestion(message: str) -> str:
    """Return the choice listed in a message of argparse that is most similar to the one made."""
    import difflib

    found = re.search(r"invalid choice: '(.*)' \(choose from (.*)\)$", message)
    if not found:
        return ""
    close = difflib.get_close_matches(found[1], found[2].replace("'", "").split(", "), n=1)
    return f", did you mean {close[0]!r}?" if close else ""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; those of the process if not given.

    Returns
    -------
    int
        0; 1 if the command failed; 2 if it was called wrongly or lacks an optional package; 130 after Ctrl-C;
        141 if the reader of the output has gone. Without a command, the help is printed, and the code is 0.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the shell: >&-
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    try:
        code = _run(argv)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        # A terminal shows ^C where the cursor is.
        print("\n" * sys.stderr.isatty() + "fastnn: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        _give_up_output()  # the reader has gone, as head does
        return _BROKEN_PIPE
    except _ERRORS as error:
        print(f"fastnn: error: {' '.join(str(error).split()) or type(error).__name__}", file=sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:  # for example, the disk is full
            _give_up_output()
        return _WRONG_USAGE if isinstance(error, ImportError | WrongUsageError) else _FAILED


def _run(argv: Sequence[str] | None) -> int:
    parser = _parser()
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as stop:  # raised after --help, --version, and errors
        return int(stop.code or 0)
    if "run" not in arguments:
        parser.print_help()
        return 0
    code: int = arguments.run(arguments)
    return code


def _give_up_output() -> None:
    """Discard the rest of the output, so that the interpreter does not try to flush it again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="fastnn",
        description="Small and mid-size neural networks on the CPU, at the speed of the machine.",
    )
    parser.add_argument("--version", action="version", version=f"fastnn {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command in _COMMANDS:
        command.add_parser(commands)
    return parser
