"""The rules of the folders: which may import which, and that no files import each other in a circle.

docs/architecture.md describes the folders.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "fastnn"

DESCRIPTIONS = {
    "_custom",
    "_averaging",
    "_block_settings",
    "_cycles",
    "_errors",
    "_history",
    "_layer_settings",
    "_lbfgs",
    "_optimizer",
    "_rates",
    "_schedule",
    "_shared_ensemble",
    "_state",
    "_version",
    "embeddings",
    "losses",
    "optimizers",
    "schedules",
}
# The folders that each folder may import. "users" stands for the files beside the folders: public modules and their parts.
LOW = {"_checks", "descriptions"}
ALL = LOW | {"_elementary", "reference", "_engine", "_storage", "_exports", "users"}
FOLDERS = {
    "_checks": {"_checks"},
    "descriptions": LOW,
    "_elementary": {"_elementary"},
    "reference": LOW | {"reference"},
    "_engine": LOW | {"reference", "_engine"},
    "_storage": LOW | {"_storage"},
    "_exports": LOW | {"_elementary", "reference", "_storage", "_exports"},
    "users": LOW | {"_engine", "_storage", "_exports", "users"},
    "ops": LOW | {"reference", "_engine", "ops"},
    "jit": LOW | {"_elementary", "reference", "_engine", "users", "ops", "jit"},
    "sklearn": LOW | {"_engine", "_storage", "_exports", "users", "sklearn"},
    "dask": LOW | {"users", "sklearn", "dask"},
    "_data": {"_data"},
    "_tables": {"_checks", "_storage", "_tables"},
    "_output": LOW | {"_storage", "users", "_output"},
    "_bench": ALL | {"ops", "jit", "sklearn", "_data", "_output", "_bench"},
    "_cli": ALL | {"sklearn", "_data", "_tables", "_output", "_bench", "_cli"},
}
# Exceptions to the rules, each with its reason.
EXCEPTIONS = {
    ("__main__", "_cli"),
    ("_checks.layers", "_custom"),  # it accepts the custom activations of models
    ("_errors", "_history"),
    ("_elementary.functions", "reference.rectifiers"),  # it repeats selu's formula, and takes the constants
}


def folder_of(module: str) -> str:
    """Return the folder of a module, whose name begins after "fastnn."."""
    first = module.partition(".")[0]
    if first in DESCRIPTIONS:
        return "descriptions"
    return first if first in FOLDERS else "users"


@cache
def modules() -> dict[str, Path]:
    """Return all modules by name, without "fastnn.", which itself is "fastnn"."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        found[".".join(parts) or "fastnn"] = path
    return found


def imports_of(module: str, *, lazy: bool, types: bool = False) -> Iterator[str]:
    """Yield the modules of fastnn that a module imports; `lazy`: also within functions; `types`: also for annotations."""
    pending = [(node, False) for node in ast.parse(modules()[module].read_text()).body]
    while pending:
        node, inside = pending.pop()
        if not types and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending += [(child, inside) for child in node.orelse]
            continue
        inside = inside or isinstance(node, ast.FunctionDef | ast.Lambda)
        pending += [(child, inside) for child in ast.iter_child_nodes(node)]
        if inside and not lazy:
            continue
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (found for name in names if (found := _module_named(name)) not in (None, module))


def _module_named(name: str) -> str | None:
    """Return the module of fastnn that has a name, or is one; None for others, and for the compiled one."""
    if name.partition(".")[0] != "fastnn" or name.startswith("fastnn._core"):
        return None
    parts = name.split(".")[1:]
    candidates = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
    return next((candidate for candidate in candidates if candidate in modules()), "fastnn")


def test_the_modules_are_found():
    assert len(modules()) > 100
    assert {folder_of(module) for module in modules()} == FOLDERS.keys()
    assert modules().keys() >= DESCRIPTIONS
    assert "_engine" in set(imports_of("_model", lazy=False))


@pytest.mark.parametrize("module", modules())
def test_imports_obey_the_folders(module):
    if module == "fastnn":
        return  # the package itself holds the public names
    for imported in imports_of(module, lazy=True):
        if (module, imported) not in EXCEPTIONS:
            assert folder_of(imported) in FOLDERS[folder_of(module)], f"{module} imports {imported}"


def test_no_modules_import_each_other():
    graph = {module: set(imports_of(module, lazy=True, types=True)) for module in modules()}
    del graph["fastnn"]  # the package holds the public names; the next test says who may import it
    TopologicalSorter(graph).prepare()  # raises CycleError with the modules' names


def test_only_its_users_import_the_package_itself():
    importers = {module for module in modules() if "fastnn" in set(imports_of(module, lazy=True, types=True))}
    assert {folder_of(module) for module in importers - {"jit._translate"}} == {"_bench", "_cli"}


def test_exceptions_are_needed():
    for module, imported in EXCEPTIONS:
        assert imported in set(imports_of(module, lazy=True)), (module, imported)


def test_the_architecture_page_names_what_exists():
    root = ROOT.parents[1]
    page = (root / "docs" / "architecture.md").read_text()
    named = {name for name in re.findall(r"`([\w/.]+)`", page) if name.startswith(("kernels/", "src/", "tests/"))}
    assert len(named) > 20
    assert [name for name in sorted(named) if not (root / name).exists()] == []
    folders = {path.parent.relative_to(ROOT).parts[0] for path in ROOT.rglob("*.py") if path.parent != ROOT}
    assert [folder for folder in sorted(folders - {"_data"}) if f"{folder}/`" not in page] == []
