"""Numbers as literals in C."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

_PER_LINE = 8


def literal(number: float, dtype: np.dtype[Any]) -> str:
    """Return a finite number as a literal that every compiler reads as the same bits, also one that reads float as double.

    Hexadecimal literals are exact too, but C++ has had them only since 2017.
    """
    assert math.isfinite(number)
    single = dtype == np.float32
    text = format(float(dtype.type(number)), ".9g" if single else ".17g")
    if "." not in text and "e" not in text:
        text += ".0"
    return text + ("f" if single else "")


def array(name: str, values: NDArray[Any]) -> str:
    """Return the definition of a constant array."""
    texts = [literal(value, values.dtype) for value in values.ravel().tolist()]
    lines = [", ".join(texts[i : i + _PER_LINE]) for i in range(0, len(texts), _PER_LINE)]
    c_type = "float" if values.dtype == np.float32 else "double"
    return f"static const {c_type} {name}[{values.size}] = {{\n    " + ",\n    ".join(lines) + "\n};\n"
