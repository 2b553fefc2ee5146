"""Networks with scales and dropout of inputs for several test files."""

from __future__ import annotations

import numpy as np

from fastnn import MLP
from fastnn._views import by_kind

# Sizes, activation, normalization: narrow and wide first layers, one input, rows of whole KiB, more inputs than outputs.
NETWORKS = [
    ((3, 5, 2), "tanh", None),
    ((4, 17, 33, 3), "prelu", ["layer_norm", None]),
    ((256, 40, 7), "silu", None),
    ((1, 9, 8, 1), "sin", "rms_norm"),
    ((6, 2), "identity", None),
    ((33, 12), "identity", None),
    ((40, 18, 20, 3), "gelu", None),
]
IDS = [str(network[0]) for network in NETWORKS]


def model_with(sizes, activation="tanh", normalization=None, dtype=np.float64, **options):
    """Return a model with `input_scale` whose parameters are all different."""
    options = {"input_scale": True, "random_state": 0} | options
    model = MLP(sizes, activation, normalization=normalization, dtype=dtype, **options)
    rng = np.random.default_rng(1)
    for parameter in by_kind({name: views for name, views in model._views().items() if name != "weights"}):
        parameter[...] = rng.uniform(0.3, 1.2, parameter.shape) * rng.choice([-1, 1], parameter.shape)
    return model


def data_for(model, n=37):
    """Return inputs of which half are 0, targets and weights of the rows."""
    rng = np.random.default_rng(2)
    X = rng.normal(size=(n, model.layer_sizes[0]))
    X[:, 1:] *= rng.random(X[:, 1:].shape) < 0.5
    return X, rng.normal(size=(n, model.layer_sizes[-1])), rng.uniform(0, 2, n) * (np.arange(n) % 5 > 0)
