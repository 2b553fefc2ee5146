"""fastnn's elementary functions for numbers and arrays, for code of users that takes arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from fastnn.jit._kernels import bare


def elementwise(scalar: Any) -> Any:
    """Return a function for compiled code that applies a function of one number to a number, or to each in an array."""

    def function(x: Any) -> Any:
        raise NotImplementedError

    @overload(function, inline="always")
    @bare
    def in_compiled_code(x: Any) -> Any:
        if not isinstance(x, types.Array):
            return lambda x: scalar(x)
        dtype = np.float32 if x.dtype == types.float32 else np.float64

        def of_array(x):  # type: ignore[no-untyped-def]  # Numba would require annotations to agree
            result = np.empty(x.shape, dtype)
            for i, each in enumerate(x.flat):
                result.flat[i] = scalar(each)
            return result

        return of_array

    return function
