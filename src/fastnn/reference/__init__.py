"""The reference: every operation of fastnn in plain NumPy, written to be read.

Each function has the name and the signature of its compiled counterpart in `fastnn.ops`, which is tested against it.
Activations, losses and optimizers are listed by name in `ACTIVATIONS`, `LOSSES` and `UPDATES`; `train` trains a network
given as lists of weights, biases and activations, as the compiled trainer does.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from fastnn.reference.activations import *  # noqa: F403
from fastnn.reference.averages import *  # noqa: F403
from fastnn.reference.dense import *  # noqa: F403
from fastnn.reference.dropout import *  # noqa: F403
from fastnn.reference.elementary import *  # noqa: F403
from fastnn.reference.gated import *  # noqa: F403
from fastnn.reference.losses import *  # noqa: F403
from fastnn.reference.network import *  # noqa: F403
from fastnn.reference.optimizers import *  # noqa: F403
from fastnn.reference.rectifiers import *  # noqa: F403
from fastnn.reference.sigmoids import *  # noqa: F403
from fastnn.reference.softmax import *  # noqa: F403
from fastnn.reference.training import *  # noqa: F403

if not TYPE_CHECKING:  # type checkers take the names from the modules
    _MODULES = (
        *("activations", "averages", "dense", "dropout", "elementary", "gated", "losses", "network", "optimizers"),
        *("rectifiers", "sigmoids", "softmax", "training"),
    )
    __all__ = sorted(name for module in _MODULES for name in sys.modules[f"fastnn.reference.{module}"].__all__)
    __dir__ = __all__.copy
