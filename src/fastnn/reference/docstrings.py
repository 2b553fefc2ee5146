"""The parts that the docstrings of all optimizers share: the first parameters, and the errors."""

from __future__ import annotations

from collections.abc import Callable
from inspect import cleandoc
from typing import TypeVar

__all__ = ["documented"]
__dir__ = __all__.copy

_Function = TypeVar("_Function", bound=Callable[..., None])

_ARGUMENTS = """----------
params : sequence of floating-point ndarrays
    Changed in place; any layout. C-contiguous float32 and float64 are the fast ones.
grads : sequence of array-likes of real numbers
    One per array in `params`, of its shape. They may overlap `params` and `state`, whose arrays are apart from each other.
"""

_RAISES = """Raises
------
TypeError, ValueError
    If an argument is of the wrong type or outside of its range, or if they don't fit together. Nothing has changed
    then.

"""


def documented(function: _Function) -> _Function:
    """Complete the docstring of an optimizer with these parts."""
    if function.__doc__ is not None:  # as python -OO makes it
        # Python 3.13 removes the indentation itself.
        before, _, parameters = cleandoc(function.__doc__).partition("----------\n")
        parameters, heading, rest = parameters.partition("References\n")
        function.__doc__ = f"{before}{_ARGUMENTS}{parameters}{_RAISES}{heading}{rest}"
    return function
