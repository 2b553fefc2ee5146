"""The reference: every operation of fastnn in plain NumPy, written to be read.

Each function has the name and the signature of its compiled counterpart in `fastnn.ops`. Tests compare the counterpart
with it. `ACTIVATIONS`, `LOSSES` and `UPDATES` list activations, losses and optimizers by name. `train` trains a network
in the same way as the compiled trainer. Such a network consists of lists of weights, biases and activations.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from fastnn.reference.activations import *  # noqa: F403
from fastnn.reference.averages import *  # noqa: F403
from fastnn.reference.dense import *  # noqa: F403
from fastnn.reference.derivatives import *  # noqa: F403
from fastnn.reference.dropout import *  # noqa: F403
from fastnn.reference.elementary import *  # noqa: F403
from fastnn.reference.embeddings import *  # noqa: F403
from fastnn.reference.gated import *  # noqa: F403
from fastnn.reference.inputs import *  # noqa: F403
from fastnn.reference.losses import *  # noqa: F403
from fastnn.reference.members import *  # noqa: F403
from fastnn.reference.network import *  # noqa: F403
from fastnn.reference.normalization import *  # noqa: F403
from fastnn.reference.optimizers import *  # noqa: F403
from fastnn.reference.prediction_losses import *  # noqa: F403
from fastnn.reference.rectifiers import *  # noqa: F403
from fastnn.reference.residual import *  # noqa: F403
from fastnn.reference.sigmoids import *  # noqa: F403
from fastnn.reference.softmax import *  # noqa: F403
from fastnn.reference.training import *  # noqa: F403

if not TYPE_CHECKING:  # type checkers take the names from the modules
    _MODULES = (
        *("activations", "averages", "dense", "derivatives", "dropout", "elementary", "embeddings", "gated", "inputs"),
        *("losses", "members", "network", "normalization", "optimizers", "prediction_losses", "rectifiers", "residual"),
        *("sigmoids", "softmax", "training"),
    )
    __all__ = sorted(name for module in _MODULES for name in sys.modules[f"fastnn.reference.{module}"].__all__)
    __dir__ = __all__.copy
