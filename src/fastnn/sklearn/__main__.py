"""``python -m fastnn.sklearn script.py``: run an unmodified program with fastnn's estimators instead of scikit-learn's."""

from __future__ import annotations

import atexit
import os
import runpy
import sys
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from fastnn.sklearn import patch, report

_USAGE = """\
usage: python -m fastnn.sklearn [--report] script.py [argument ...]
       python -m fastnn.sklearn [--report] -m module [argument ...]
"""
_WRONG_USAGE = 2


def main(arguments: Sequence[str]) -> int:
    """Run the program that the arguments name, as Python would, and return the exit code."""
    rest = list(arguments)
    if rest and rest[0] in ("-h", "--help"):
        print(_USAGE + "\nRun a program with fastnn's MLPClassifier and MLPRegressor in place of scikit-learn's.")
        print("With --report, print to stderr at the end what was replaced, and what fell back to scikit-learn.")
        return 0
    reports = bool(rest) and rest[0] == "--report"
    rest = rest[reports:]
    is_module = bool(rest) and rest[0] == "-m"
    rest = rest[is_module:]
    if not rest or (rest[0].startswith("-") and not is_module):
        sys.stderr.write(_USAGE)
        return _WRONG_USAGE
    if not is_module and not os.path.exists(rest[0]):
        print(f"python -m fastnn.sklearn: can't open file {rest[0]!r}", file=sys.stderr)
        return _WRONG_USAGE
    patch()
    if reports:
        atexit.register(lambda: print(report(), file=sys.stderr))  # after the traceback, if there is one
    sys.argv[:] = rest
    try:
        _run(rest[0], is_module)
    except BaseException:
        sys.excepthook = _without_frames_of_ours(sys.excepthook)
        raise
    return 0


def _run(program: str, is_module: bool) -> None:
    if is_module:
        runpy.run_module(program, run_name="__main__", alter_sys=True)
        return
    if not sys.flags.safe_path:  # the first entry is the working directory now
        sys.path[0] = os.path.dirname(os.path.realpath(program))
    runpy.run_path(os.path.abspath(program), run_name="__main__")  # `__file__` is absolute, as Python makes it


def _without_frames_of_ours(hook: Callable[..., Any]) -> Callable[..., Any]:
    """Return a hook that shows tracebacks from the first frame of the program on."""
    ours = (main.__code__.co_filename, runpy.run_path.__code__.co_filename)

    def show(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        while traceback is not None and traceback.tb_frame.f_code.co_filename in ours:
            traceback = traceback.tb_next
        hook(kind, error.with_traceback(traceback), traceback)

    return show


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
