"""The examples in the docstrings of the installed package, and in the README."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastnn

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
README = Path(__file__).parents[1] / "README.md"
MODULES = ["fastnn", *(m.name for m in pkgutil.walk_packages(fastnn.__path__, "fastnn.") if "__main__" not in m.name)]


@pytest.fixture(autouse=True)
def _clean_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let examples write files, and print as NumPy does by default."""
    monkeypatch.chdir(tmp_path)
    with np.printoptions(precision=8, suppress=False, linewidth=75):
        yield


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        if "fastnn-cpu[" not in str(error):  # the extra that brings what is missing
            raise
        pytest.skip(str(error))
    assert doctest.testmod(module, optionflags=OPTIONS).failed == 0


def python_blocks(text: str) -> Iterator[tuple[int, str]]:
    """Yield the number of the first line and the text of each fenced block of Python."""
    lines = text.splitlines(keepends=True)
    start = None
    for number, line in enumerate(lines):
        if start is None and line.startswith("```python"):
            start = number + 1
        elif start is not None and line.startswith("```"):
            yield start, "".join(lines[start:number])
            start = None


def test_readme() -> None:
    """Run the README's blocks one after the other, as a reader would who types them into one session."""
    names: dict[str, Any] = {"__name__": "__main__"}
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    blocks = list(python_blocks(README.read_text(encoding="utf-8")))
    assert blocks
    for line, block in blocks:
        try:
            if ">>>" in block:
                example = doctest.DocTestParser().get_doctest(block, names, README.name, str(README), line)
                runner.run(example, clear_globs=False)
                names = example.globs
            else:
                exec(compile("\n" * line + block, str(README), "exec"), names)
        except ImportError as error:
            if "fastnn-cpu[" not in str(error):
                raise
    assert runner.failures == 0
