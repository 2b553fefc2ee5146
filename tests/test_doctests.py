"""The examples in the docstrings of the installed package, and in the README and the documentation."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

import fastnn
from fastnn import _custom
from fastnn.losses._registry import CUSTOM_LOSSES

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
ROOT = Path(__file__).parents[1]
MODULES = ["fastnn", *(m.name for m in pkgutil.walk_packages(fastnn.__path__, "fastnn.") if "__main__" not in m.name)]
# Other packages that appear in examples, besides those that an extra installs.
OTHERS = [
    "dask",
    "distributed",
    "keras",
    "mpi4py",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "pandas",
    "polars",
    "skl2onnx",
    "skops",
    "torch",
]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]


@pytest.fixture(autouse=True)
def _clean_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let examples write files, change the number of threads and define functions; print as NumPy does by default."""
    monkeypatch.chdir(tmp_path)
    threads = fastnn.get_num_threads()
    with (
        patch.dict(_custom.ACTIVATIONS),
        patch.dict(CUSTOM_LOSSES),
        np.printoptions(precision=8, suppress=False, linewidth=75),
    ):
        yield
    fastnn.set_num_threads(threads)


class MissingPackage(Exception):
    """An example needs a package that an extra installs, and that is not installed."""


class Runner(doctest.DocTestRunner):
    """A runner that leaves out the rest of a docstring whose example needs a missing package."""

    def report_unexpected_exception(self, out: Any, test: Any, example: Any, exc_info: Any) -> None:
        if is_missing(exc_info[1]):
            raise MissingPackage
        super().report_unexpected_exception(out, test, example, exc_info)


def is_missing(error: BaseException) -> bool:
    """Return whether an error says that an optional package is not installed."""
    return isinstance(error, ImportError) and ("fastnn-cpu[" in str(error) or error.name in OTHERS)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_hold(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        if "fastnn-cpu[" not in str(error):  # the extra that installs the missing package
            raise
        pytest.skip(str(error))
    runner = Runner(optionflags=OPTIONS)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module):
        with suppress(MissingPackage):
            runner.run(test)
    assert runner.failures == 0
    for value in list(vars(module).values()):  # doctest treats properties as data
        if isinstance(value, np.ufunc) and ">>>" in (value.__doc__ or ""):
            runner = doctest.DocTestRunner(optionflags=OPTIONS)
            runner.run(doctest.DocTestParser().get_doctest(value.__doc__, vars(module).copy(), value.__name__, None, 0))
            assert runner.failures == 0


def python_blocks(text: str, language: str = "python") -> Iterator[tuple[int, str]]:
    """Yield each fenced block of a language, with the number of the line before it."""
    lines = text.splitlines(keepends=True)
    start = None
    for number, line in enumerate(lines):
        if start is None and line.split() == [f"```{language}"]:
            start = number + 1
        elif start is not None and line.startswith("```"):
            yield start, "".join(lines[start:number])
            start = None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_examples_in_pages_hold(page: Path) -> None:
    """Run a page's blocks one after the other, like a reader who types them into one session."""
    names: dict[str, Any] = {"__name__": "__main__"}
    runner = doctest.DocTestRunner(optionflags=OPTIONS)
    blocks = list(python_blocks(page.read_text(encoding="utf-8")))
    assert blocks or page.name != "README.md"
    for line, block in blocks:
        try:
            if ">>>" in block:
                example = doctest.DocTestParser().get_doctest(block, names, page.name, str(page), line)
                runner.run(example, clear_globs=False)
                names = example.globs
            else:
                exec(compile("\n" * line + block, str(page), "exec"), names)
        except ImportError as error:
            if not is_missing(error):
                raise
            if page.name != "README.md":  # the rest of a page about an extra needs the extra too
                pytest.skip(str(error))
    assert runner.failures == 0


OTHER_FRAMEWORKS = [
    (page.name, block) for page in PAGES for _, block in python_blocks(page.read_text(encoding="utf-8"), "py")
]


@pytest.mark.parametrize(
    ("page", "block"), OTHER_FRAMEWORKS, ids=[f"{page}-{i}" for i, (page, _) in enumerate(OTHER_FRAMEWORKS)]
)
@pytest.mark.filterwarnings("ignore")  # those of the frameworks
def test_examples_with_other_frameworks_hold(page: str, block: str) -> None:
    """Run a block marked `py`, which begins with the import of a framework and does not belong to the page's session."""
    rows = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    try:
        exec(compile(block, page, "exec"), {"np": np, "fastnn": fastnn, "rows": rows})
    except ImportError as error:
        if not is_missing(error):
            raise
        pytest.skip(str(error))


def quotations() -> Iterator[tuple[str, str, str]]:
    """Yield page, file and text of each definition in a block that begins with a comment naming a file."""
    for page in PAGES:
        blocks = re.findall(r"^```\w+\n# (\w+/\S+)\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
        for name, block in blocks:
            yield from ((page.name, name, part.strip("\n")) for part in block.split("\n\n\n"))


@pytest.mark.parametrize(("page", "name", "part"), list(quotations()), ids=lambda value: value.split("\n")[0])
def test_code_quoted_by_a_page_is_in_the_file_word_for_word(page: str, name: str, part: str) -> None:
    """What a page quotes is in the file, word for word."""
    assert f"\n{part}\n" in "\n" + (ROOT / name).read_text(encoding="utf-8"), page


def test_readme_begins_with_installing_and_running_the_tests() -> None:
    """Continuous integration runs the second line of the first block."""
    first = (ROOT / "README.md").read_text(encoding="utf-8").split("```")[1]
    assert first.splitlines()[1:] == ["pip install . && fastnn demo", "pip install '.[test]' && pytest"]
