"""Networks with residual connections for several test files."""

from __future__ import annotations

import numpy as np
from _model_checks import with_values

from fastnn import MLP, embeddings

# SimBa's blocks: Lee et al., "SimBa: simplicity bias for scaling up parameters in deep reinforcement learning", 2024.
_SIMBA = {"normalization": ["layer_norm", None, "layer_norm", None, "layer_norm"], "normalization_place": "after"}

# Names of networks: sizes, activations and options.
RESIDUAL = {
    "identity": ((3, 8, 8, 2), ["tanh", "relu"], {"residual": [(1, 2)]}),
    "projection": ((3, 7, 20, 2), ["relu", "gelu"], {"residual": [(1, 2)], "residual_place": "before"}),
    "inputs": ((5, 9, 5, 2), ["sin", "tanh"], {"residual": [(0, 2), (0, 1), (0, 3)], "input_scale": True}),
    "simba": ((4, 17, 68, 17, 68, 17, 1), ["identity", "relu"] * 2 + ["identity"], {"residual": 2, **_SIMBA}),
    "he": (
        (6, 16, 16, 33, 33, 3),
        "relu",
        {"residual": [(1, 3), (3, 4)], "residual_place": "before", "normalization": "layer_norm"},
    ),
    "many": (
        (4, 12, 12, 9, 12, 3),
        ["prelu", "sigmoid", "silu", "elu"],
        {"residual": [(1, 2), (1, 3), (1, 4), (4, 5)], "normalization": ["rms_norm", None, "layer_norm", "rms_norm"]}
        | {
            "normalization_place": ["after", "before", "before", "after"],
            "parametric_activation": [False, True, False, True],
        },
    ),
    "wide": ((40, 256, 130, 256, 12), ["silu", "relu", "tanh"], {"residual": [(1, 3), (0, 2), (0, 4)]}),
    "embedded": (
        (3, 21, 21, 1),
        "mish",
        {"residual": [(0, 1), (1, 2)], "embeddings": embeddings.PLR([0, 2], n_frequencies=3, width=4), "input_scale": True},
    ),
    "scalar": ((1, 1, 1), "tanh", {"residual": [(0, 1), (1, 2)]}),
}
SMALL = [name for name in RESIDUAL if name != "wide"]


def residual_model(name, dtype=np.float64, **options):
    """Return a model whose parameters are all different."""
    sizes, activation, own = RESIDUAL[name]
    return with_values(MLP(sizes, activation, dtype=dtype, random_state=0, **own | options))


def data_for(model, n=37):
    rng = np.random.default_rng(2)
    return rng.normal(size=(n, model.layer_sizes[0])), rng.normal(size=(n, model.layer_sizes[-1])), rng.uniform(0, 2, n)
