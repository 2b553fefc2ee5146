"""Networks with normalizations for several test files."""

from __future__ import annotations

import numpy as np
from _model_checks import with_values

from fastnn import MLP

# Sizes, activations, normalizations and their places: narrow and wide rows, rows of whole KiB, one unit, layers without one.
NETWORKS = [
    ((3, 5, 2), ["tanh"], "layer_norm", "before"),
    ((3, 5, 2), ["relu"], "rms_norm", "before"),
    ((3, 5, 2), ["sigmoid"], "layer_norm", "after"),
    ((3, 5, 2), ["gelu"], "rms_norm", "after"),
    ((4, 17, 33, 3), ["prelu", "prelu"], ["layer_norm", "rms_norm"], ["before", "after"]),
    ((4, 17, 33, 20), ["prelu", "silu"], ["rms_norm", "layer_norm"], ["after", "before"]),
    ((4, 9, 8, 6, 1), ["identity", "relu", "identity"], ["layer_norm", None, "layer_norm"], ["before", None, "after"]),
    ((2, 256, 128, 9), ["elu", "softplus"], "layer_norm", ["after", "before"]),
    ((2, 1, 3), ["tanh"], "rms_norm", "after"),
    ((9, 2, 2), ["sin"], "layer_norm", "before"),
]
IDS = [f"{n[0]} {n[2]} {n[3]}" for n in NETWORKS]


def model_with(sizes, activations, normalization, place, dtype=np.float64, **options):
    """Return a model whose parameters are all different."""
    options = {"normalization": normalization, "normalization_place": place, "random_state": 0} | options
    return with_values(MLP(sizes, activations, dtype=dtype, **options))


def data_for(model, n=37):
    rng = np.random.default_rng(2)
    return rng.normal(size=(n, model.layer_sizes[0])), rng.normal(size=(n, model.layer_sizes[-1])), rng.uniform(0, 2, n)
