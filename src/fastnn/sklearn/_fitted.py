"""What can be computed with a fitted network beyond its predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastnn._arguments import NativeLoss
from fastnn._model import MLP
from fastnn.sklearn._data import native_rows

NOT_FINITE = (
    "Solver produced non-finite parameter weights. The input data may contain large values and need to be preprocessed."
)


def input_gradients(model: MLP, X: Any) -> NDArray[Any]:
    """Return the derivatives of outputs by inputs, (n, n_in) for one output, else (n, n_out, n_in).

    They are those of a sum of absolute errors to targets that are the outputs themselves, where its derivative is 0, but
    for one output, whose target is lower, so that it is 1.
    """
    network = model._network
    rows = native_rows(X, model.dtype)
    outputs = network.predict(rows)
    n, n_out = outputs.shape
    loss = NativeLoss("mae", 0.0, from_logits=False, per_row=True, factor=float(n))
    gradients = np.empty((n_out, n, model.layer_sizes[0]), model.dtype)
    for k in range(n_out):
        target = outputs.copy()
        target[:, k] = -np.inf
        network.gradient(loss, rows, target, False, input_gradient=gradients[k])
    return gradients[0] if n_out == 1 else np.ascontiguousarray(gradients.transpose(1, 0, 2))


def check_finite(model: MLP) -> None:
    """Raise ValueError, as scikit-learn does, if a parameter is not finite."""
    if not all(np.isfinite(p).all() for p in model.parameters):
        raise ValueError(NOT_FINITE)
