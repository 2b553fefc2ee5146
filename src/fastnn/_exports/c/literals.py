"""Numbers as literals in C."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PER_LINE = 8


def literal(number: float, dtype: np.dtype[Any]) -> str:
    """Return a finite number as a literal that every compiler reads as the same bits, also one that reads float as double.

    Hexadecimal literals are exact too, but C++ has had them only since 2017.
    """
    assert math.isfinite(number)
    return _texts([float(dtype.type(number))], dtype)[0]


def _texts(numbers: list[float], dtype: np.dtype[Any]) -> list[str]:
    single = dtype == np.float32
    form, suffix = ("%.9g", "f") if single else ("%.17g", "")
    texts = [form % number for number in numbers]
    return [text + suffix if "." in text or "e" in text else f"{text}.0{suffix}" for text in texts]


def integers(name: str, values: Sequence[int]) -> str:
    """Return the definition of a constant array of int."""
    texts = [str(value) for value in values]
    lines = [", ".join(texts[i : i + 2 * _PER_LINE]) for i in range(0, len(texts), 2 * _PER_LINE)]
    return f"static const int {name}[{len(texts)}] = {{\n    " + ",\n    ".join(lines) + "\n};\n"


def array(name: str, values: NDArray[Any]) -> str:
    """Return the definition of a constant array."""
    texts = _texts(values.ravel().tolist(), values.dtype)
    lines = [", ".join(texts[i : i + _PER_LINE]) for i in range(0, len(texts), _PER_LINE)]
    c_type = "float" if values.dtype == np.float32 else "double"
    return f"static const {c_type} {name}[{values.size}] = {{\n    " + ",\n    ".join(lines) + "\n};\n"
