"""Functions that have the parameters of others."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from textwrap import indent
from typing import Any


def same_parameters(function: Callable[..., Any], body: str, **names: Any) -> Any:
    """Return a function with the name, parameters and defaults of another one, and a body of its own.

    `names` contains the names that the body uses besides the parameters. A function of ``*args, **kwargs`` would bind
    its arguments more slowly, and Numba would not compile it.
    """
    parameters = inspect.signature(function).parameters.values()
    defaults = {f"default_{p.name}": p.default for p in parameters if p.default is not p.empty}
    listed = ", ".join(p.name if p.default is p.empty else f"{p.name}=default_{p.name}" for p in parameters)
    namespace = names | defaults
    exec(f"def {function.__name__}({listed}):\n{indent(body, '    ')}\n", namespace)
    return namespace[function.__name__]
