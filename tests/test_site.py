"""The pages of the site, without building it: each public name has a place, and each page is in a table of contents."""

from __future__ import annotations

import importlib
import inspect
import itertools
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PARTS = ["callbacks", "dask", "embeddings", "jit", "losses", "ops", "optimizers", "reference", "schedules", "sklearn"]
MODULES = ["fastnn", *(f"fastnn.{part}" for part in PARTS)]
DIRECTIVE = re.compile(r"^\.\. (auto\w+|data|currentmodule)::[ ]*(\S*)", re.MULTILINE)


def documented():
    """Return the full names that directives on the API pages describe, and the modules that the pages introduce."""
    names = set()
    for page in DOCS.glob("api/*.md"):
        module = ""
        for directive, name in DIRECTIVE.findall(page.read_text(encoding="utf-8")):
            if directive == "currentmodule":
                module = name
            elif directive == "automodule":
                names.add(name)
            else:
                names.add(name if name.startswith("fastnn.") else f"{module}.{name}")
    return names


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_on_an_api_page(module):
    try:
        public = importlib.import_module(module).__all__
    except ImportError as error:
        pytest.skip(str(error))
    names = documented()
    homes = [module, "fastnn.optimizers"] if module == "fastnn" else [module]  # fastnn repeats the optimizers
    assert [name for name in public if not names & {f"{home}.{name}" for home in homes}] == []


def examples(thing):
    """Return whether a function, or a class or one of its methods, has an example."""
    texts = [thing.__doc__, *(member.__doc__ for member in (vars(thing).values() if inspect.isclass(thing) else ()))]
    return any(">>>" in (text or "") for text in texts)


@pytest.mark.parametrize("module", MODULES)
def test_every_public_class_and_function_has_an_example(module):
    try:
        names = importlib.import_module(module).__all__
        public = {name: getattr(importlib.import_module(module), name) for name in names}
    except ImportError as error:
        pytest.skip(str(error))
    assert [name for name, thing in public.items() if callable(thing) and not examples(thing)] == []


def test_every_page_of_the_guide_is_in_a_table_of_contents():
    listed = {"index"}
    for page in DOCS.rglob("*.md"):
        for block in re.findall(r"^```\{toctree\}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
            entries = re.findall(r"^(?!:)(?:.*<(.+)>|(.+))$", block, re.MULTILINE)
            listed.update((page.parent / "".join(entry)).relative_to(DOCS).as_posix() for entry in entries)
    pages = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md") if "_build" not in path.parts}
    assert pages <= listed


def test_every_program_of_the_gallery_has_a_place_in_its_order():
    conf = (DOCS / "conf.py").read_text(encoding="utf-8")
    programs = sorted(path.name for path in DOCS.glob("gallery/plot_*.py"))
    assert programs == sorted(re.findall(r'"(plot_\w+\.py)"', conf))
    assert len(programs) >= 12


def test_headings_skip_no_level():
    root = DOCS.parent
    pages = [path for path in DOCS.rglob("*.md") if "_build" not in path.parts]
    for page in [*root.glob("*.md"), root / "benchmarks" / "README.md", *pages]:
        text = re.sub(r"^(`{3,}).*?^\1$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        levels = [0] + [len(marks) for marks in re.findall(r"^(#+) ", text, re.MULTILINE)]
        assert all(after <= before + 1 for before, after in itertools.pairwise(levels)), (page, levels)
