"""Drop-in functions for NumPy code: activations, the dense layer, losses and optimizers on plain arrays.

The functions take any array-like of real numbers, in any layout and byte order, and compute in float32 or float64 on the
compiled kernels. The elementwise ones are NumPy ufuncs; the others also take arrays of other libraries by DLPack.
`fastnn.reference` defines each of them under the same name and signature in plain NumPy.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from fastnn.ops.activations import *  # noqa: F403
from fastnn.ops.dense import *  # noqa: F403
from fastnn.ops.elementary import *  # noqa: F403
from fastnn.ops.losses import *  # noqa: F403
from fastnn.ops.optimizers import *  # noqa: F403
from fastnn.ops.softmax import *  # noqa: F403

if not TYPE_CHECKING:  # type checkers take the names from the modules
    _MODULES = ("activations", "dense", "elementary", "losses", "optimizers", "softmax")
    __all__ = sorted(name for module in _MODULES for name in sys.modules[f"fastnn.ops.{module}"].__all__)
    __dir__ = __all__.copy
