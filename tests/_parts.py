"""Networks with scaled inputs and parametric activations for several test files."""

from __future__ import annotations

import numpy as np
from _model_checks import with_values

from fastnn import MLP

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
# Sizes, activations, normalizations and their places, and which activations are parametric.
PARAMETRIC = [
    ((3, 5, 2), ["tanh"], None, "before", True),
    ((4, 17, 33, 3), ["selu", "mish"], ["layer_norm", "rms_norm"], ["before", "after"], True),
    ((6, 300, 20, 1), ["relu", "gelu"], [None, "layer_norm"], "after", [True, True]),
    ((5, 16, 9, 8, 2), ["prelu", "sigmoid", "identity"], None, "before", [False, True, False]),
    ((2, 256, 7), ["silu"], "rms_norm", "before", True),
    ((2, 1, 3, 3), ["elu", "sin"], None, "before", True),
]
PARAMETRIC_IDS = [str(network[0]) for network in PARAMETRIC]


def model_with(sizes, activation="tanh", normalization=None, dtype=np.float64, **options):
    """Return a model with `input_scale` whose parameters are all different."""
    options = {"input_scale": True, "random_state": 0} | options
    return with_values(MLP(sizes, activation, normalization=normalization, dtype=dtype, **options))


def parametric_model(sizes, activations, normalization, place, parametric, dtype=np.float64, **options):
    """Return a model with parametric activations whose parameters are all different."""
    options = {"normalization": normalization, "normalization_place": place, "random_state": 0} | options
    return with_values(MLP(sizes, activations, parametric_activation=parametric, dtype=dtype, **options))


def data_for(model, n=37):
    """Return inputs of which half are 0, targets and weights of the rows."""
    rng = np.random.default_rng(2)
    X = rng.normal(size=(n, model.layer_sizes[0]))
    X[:, 1:] *= rng.random(X[:, 1:].shape) < 0.5
    return X, rng.normal(size=(n, model.layer_sizes[-1])), rng.uniform(0, 2, n) * (np.arange(n) % 5 > 0)
