"""The text that `help` shows for the estimators: before Python 3.13, docstrings keep their indentation in it."""

from __future__ import annotations

import inspect
import re
from typing import Any

import numpy as np
import pytest

from fastnn import sklearn as ours

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")

ESTIMATORS = pytest.mark.parametrize("kind", [ours.MLPClassifier, ours.MLPRegressor])


def documented() -> dict[str, Any]:
    """Return the public names, and the methods of classes that are defined in this package."""
    found = {name: getattr(ours, name) for name in ours.__all__}
    for name, value in list(found.items()):
        for key in dir(value) if isinstance(value, type) else ():
            member = inspect.getattr_static(value, key)
            function = getattr(member, "fn", member)  # a method that exists only for some parameters
            function = getattr(value, key) if isinstance(member, classmethod) else function
            if not key.startswith("_") and getattr(function, "__module__", "").startswith("fastnn"):
                found[f"{name}.{key}"] = function
    return found


def sections(text: str) -> dict[str, list[str]]:
    """Return the lines of the sections of a docstring, without empty lines."""
    lines = text.splitlines()
    starts = [i for i, line in enumerate(lines[:-1]) if line and lines[i + 1] == "-" * len(line)]
    ends = [*starts[1:], len(lines)][: len(starts)]
    return {lines[i]: [line for line in lines[i + 2 : end] if line] for i, end in zip(starts, ends, strict=True)}


def heads(lines: list[str]) -> list[str]:
    """Return the names that a section describes."""
    return [one.strip() for line in lines if not line.startswith(" ") for one in line.split(" : ")[0].split(",")]


def test_documented_names_are_found() -> None:
    assert {"MLPClassifier.fit", "MLPRegressor.partial_fit", "MLPRegressor.to_sklearn", "patch"} <= documented().keys()


@pytest.mark.parametrize("name", documented())
def test_help_is_indented_correctly(name: str) -> None:
    """Section titles and names are at the margin, descriptions are indented by four columns."""
    text = inspect.cleandoc(documented()[name].__doc__)
    found = sections(text)
    assert len(found) == len(re.findall(r"^ *-{4,}$", text, re.MULTILINE))
    for section in found.keys() - {"Examples", "Notes", "See Also", "References"}:
        for line in found[section]:
            assert re.match(r"(    )?\S", line), line
            assert not re.match(r" +\w[\w, ]* : ", line), line


@pytest.mark.parametrize("name", [name for name, value in documented().items() if not isinstance(value, type)])
def test_parameters_of_functions_are_documented(name: str) -> None:
    function = documented()[name]
    parameters = [parameter for parameter in inspect.signature(function).parameters if parameter != "self"]
    assert heads(sections(inspect.cleandoc(function.__doc__)).get("Parameters", [])) == parameters


@ESTIMATORS
def test_parameters_of_estimators_are_documented_in_order(kind: Any) -> None:
    found = sections(inspect.cleandoc(kind.__doc__))
    assert heads(found["Parameters"]) == list(inspect.signature(kind).parameters)


@ESTIMATORS
def test_attributes_are_documented(kind: Any) -> None:
    names = set(heads(sections(inspect.cleandoc(kind.__doc__))["Attributes"]))
    X = np.random.default_rng(0).normal(size=(40, 2))
    estimator = kind(max_iter=1, early_stopping=True).fit(X, X[:, 0] > 0)
    fitted = {name for name in vars(estimator) if name.endswith("_") and not name.startswith("_")}
    assert fitted <= names
    assert all(
        hasattr(estimator, name) for name in names - {"feature_names_in_", "members_", "categories_", "is_categorical_"}
    )
