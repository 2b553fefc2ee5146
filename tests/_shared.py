"""Shared ensembles for several test files."""

from __future__ import annotations

import numpy as np
from _model_checks import with_values

from fastnn import MLP, SharedEnsemble
from fastnn.embeddings import PBLD, Categorical, PiecewiseLinear

# Sizes, activation, members and options: few and many outputs, members that do not divide a chunk, one layer, layers that
# threads split, embeddings of columns.
NETWORKS = [
    ((3, 5, 2), "tanh", 3, {}),
    ((4, 17, 33, 3), "prelu", 8, {"normalization": ["layer_norm", None]}),
    ((40, 130, 7), "silu", 5, {}),
    ((1, 9, 8, 1), "sin", 2, {"normalization": "rms_norm", "normalization_place": "after"}),
    ((6, 2), "identity", 4, {}),
    ((20, 12), "identity", 7, {}),
    ((3, 6, 17), "gelu", 300, {"parametric_activation": True}),
    ((3, 9, 2), "tanh", 6, {"embeddings": [PBLD([2, 0], n_frequencies=3, width=7, sigma=0.5)]}),
    ((3, 5, 4, 2), "tanh", 3, {"kind": "full"}),
    ((4, 17, 33, 3), "prelu", 8, {"kind": "full", "normalization": ["layer_norm", None]}),
    ((40, 130, 20, 7), "silu", 5, {"kind": "full"}),
    (
        (3, 9, 8, 1),
        "sin",
        2,
        {
            "kind": "full",
            "normalization": "rms_norm",
            "normalization_place": "after",
            "parametric_activation": [True, False],
        },
    ),
    ((6, 2), "identity", 4, {"kind": "full"}),
    ((3, 6, 9, 17), ["identity", "relu"], 300, {"kind": "full"}),
    ((3, 9, 8, 2), "gelu", 6, {"kind": "full", "embeddings": [PBLD([2, 0], n_frequencies=3, width=7, sigma=0.5)]}),
    (
        (4, 12, 9, 3),
        "mish",
        10,
        {"embeddings": [Categorical(1, n_categories=3, width=5), PiecewiseLinear(3, bins=[-1.0, -0.2, 0.1, 2.0])]},
    ),
]
IDS = [f"{n[0]} {n[2]} {n[3].get('kind', 'mini')}" for n in NETWORKS]


def model_with(sizes, activation="tanh", n_members=4, options=None, dtype=np.float64, **others):
    """Return a shared ensemble whose parameters are all different."""
    given = {"random_state": 0} | (options or {}) | others
    given["shared"] = SharedEnsemble(n_members, kind=given.pop("kind", "mini"))
    return with_values(MLP(sizes, activation, dtype=dtype, **given))


def data_for(model, n=37):
    """Return inputs, targets and weights of the rows, some of which are 0."""
    rng = np.random.default_rng(2)
    X = rng.normal(size=(n, model.layer_sizes[0]))
    for each in model.embeddings:
        for column, number in zip(each.columns, each.categories, strict=False):
            X[:, column] = rng.integers(0, number, n)
    return X, rng.normal(size=(n, model.layer_sizes[-1])), rng.uniform(0, 2, n) * (np.arange(n) % 5 > 0)
