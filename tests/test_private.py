"""The rule about private parts: only the files that own them read `something._name` of another object.

The owners of models and trainers are the files that define these classes, and `fastnn._native`, through which all others
ask for such parts. A front door owns the private parts of its own classes, whose methods it spreads over several files.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache

import pytest
from test_imports import folder_of, modules

OWNERS = {
    "_model",
    "_trained",
    "_derivatives",
    "_trainer",
    "_gradient_steps",
    "_prepared",
    "_result_arrays",
    "_parameters",
    "_stored",
    "_epochs",
    "_running",
    "_unwatched",
    "_sharded.run",
    "_sharded.training",
    "_exported_trainer",
    "_setting_checks",
    "_configured",
    "_settings",
    "_stored_trainer",
    "_views",
    "_native",
}
# A leading underscore keeps these out of the way of a named tuple's fields; they are public.
OF_NAMED_TUPLES = {"_asdict", "_fields", "_make", "_replace"}
# A front door that is built on the classes of another one.
BUILT_ON = {"dask": "sklearn"}
# What must stay, each for a reason of its own.
EXCEPTIONS = {
    ("_checks.seeds", "random_state._bit_generator"),  # NumPy has no other way from a RandomState to its bits
    ("_engine.portable._many", "model._network"),  # the extension, which it replaces, looks into models too
    ("_exports.pytorch_reader", "part._forward_hooks"),  # PyTorch has no other way to find out whether there are any
    ("_exports.pytorch_reader", "part._forward_pre_hooks"),
    ("_neural_network", "other._model"),  # in `__copy__`: an object of the same class
    ("jit._handle_types", "handle._getvalue"),  # Numba's, for extensions
    ("ops._dispatch", "public._implementation"),  # NumPy's protocol: what ndarray.__array_function__ calls
    ("ops.dense", "linear._implementation"),
    ("sklearn._overrides", "sys._getframe"),
    ("sklearn._warnings", "sys._getframe"),
}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__") and name.strip("_") != ""


def is_own(value: ast.expr) -> bool:
    """Return whether an expression is the object or class that a method belongs to."""
    if isinstance(value, ast.Call):
        return isinstance(value.func, ast.Name) and value.func.id == "super"
    return isinstance(value, ast.Name) and value.id in ("self", "cls", "mcs")


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text())


def group_of(module: str) -> str:
    """Return the name of the files that share private parts with a file: those of its folder, or it alone."""
    if module in OWNERS:
        return "owners"
    folder = folder_of(module)
    return module if folder in ("users", "descriptions") else folder


@cache
def defined_by(group: str) -> frozenset[str]:
    """Return the private names that the classes of a group's files define, or set on their objects."""
    names: set[str] = set()
    for module in (module for module in modules() if group_of(module) == group):
        for node in ast.walk(tree_of(module)):
            if isinstance(node, ast.ClassDef):
                for child in node.body:
                    names |= {child.name} if isinstance(child, ast.FunctionDef) else set()
                    targets = child.targets if isinstance(child, ast.Assign) else [getattr(child, "target", None)]
                    names |= {target.id for target in targets if isinstance(target, ast.Name)}
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_own(node.value):
                names.add(node.attr)
    return frozenset(filter(is_private, names))


def reads_of(module: str) -> Iterator[tuple[int, str, str]]:
    """Yield line, expression and name of each private part that a file reads or sets of another object than its own."""
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and not is_own(node.value):
            yield node.lineno, ast.unparse(node), node.attr


def may_read(module: str, name: str) -> bool:
    group = group_of(module)
    if name in OF_NAMED_TUPLES or group == "owners":
        return True
    return name not in defined_by("owners") and name in defined_by(group) | defined_by(BUILT_ON.get(group, group))


@pytest.mark.parametrize("module", modules())
def test_private_parts_are_read_by_their_owners(module):
    for line, expression, name in reads_of(module):
        if (module, expression) not in EXCEPTIONS:
            assert may_read(module, name), f"{module}, line {line}: {expression}; fastnn._native is the way to it"


@pytest.mark.parametrize("module", [module for module in modules() if group_of(module) != "owners"])
def test_private_parts_are_not_named_in_strings(module):
    """`getattr(model, "_network")` would be the same thing in other words."""
    own = {node.value for node in ast.walk(tree_of(module)) if isinstance(node, ast.Constant)}
    assert own.isdisjoint(defined_by("owners") - defined_by(group_of(module)))


@pytest.mark.parametrize("module", modules())
def test_no_private_names_are_imported(module):
    for node in ast.walk(tree_of(module)):
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("fastnn."):
            continue
        if group_of(node.module.removeprefix("fastnn.")) != group_of(module):
            names = {alias.name for alias in node.names if is_private(alias.name)}
            assert names <= {name.rpartition(".")[2] for name in modules()}, f"{module}, line {node.lineno}"


def test_owners_and_exceptions_are_needed():
    assert modules().keys() >= OWNERS
    assert {"_network", "_rng", "_stepper", "_native_loss", "_loss"} <= defined_by("owners")
    for module, expression in EXCEPTIONS:
        assert expression in {found for _, found, _ in reads_of(module)}, (module, expression)
