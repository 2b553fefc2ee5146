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
    The parameters, in any layout. They are changed in place. C-contiguous float32 and float64 arrays are the fastest.
grads : sequence of array-likes of real numbers
    The gradients: one per array in `params`, of the same shape. They may overlap `params` and `state`. The arrays of
    `params` and `state` must not overlap each other.
"""

_RAISES = """Raises
------
TypeError, ValueError
    If an argument has the wrong type or is out of range, or if the arguments do not fit together. Nothing is changed
    then.

"""


def documented(function: _Function) -> _Function:
    """Complete the docstring of an optimizer with these parts."""
    if function.__doc__ is not None:  # it is None under python -OO
        # Python 3.13 removes the indentation itself.
        before, _, parameters = cleandoc(function.__doc__).partition("----------\n")
        parameters, heading, rest = parameters.partition("References\n")
        function.__doc__ = f"{before}{_ARGUMENTS}{parameters}{_RAISES}{heading}{rest}"
    return function
