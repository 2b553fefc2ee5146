"""Networks with embeddings for several test files."""

from __future__ import annotations

import numpy as np

from fastnn import MLP
from fastnn.embeddings import PBLD, PLR, Categorical, OneHot, PiecewiseLinear

# Sizes and embeddings: all columns and some, in other orders; narrow and wide; one layer; first layers that threads split.
NETWORKS = [
    ((3, 5, 2), [PBLD(n_frequencies=5, sigma=0.5)]),
    ((3, 5, 2), [PLR(n_frequencies=4, width=3, sigma=0.5)]),
    ((4, 17, 3), [PBLD([2, 0], n_frequencies=3, width=7, sigma=0.5)]),
    ((5, 33, 6, 3), [PLR([3], n_frequencies=2, width=1, sigma=0.5), PBLD([0, 4], n_frequencies=1, width=2, sigma=0.5)]),
    ((2, 1), [PBLD(n_frequencies=2, sigma=0.5)]),
    ((1, 9), [PLR(n_frequencies=2, width=9, sigma=0.5)]),
    ((20, 96, 2), [PLR(range(18), n_frequencies=3, width=9, sigma=0.5)]),
    ((4, 9, 2), [OneHot([1, 3], n_categories=[3, 5])]),
    ((3, 7, 2), [Categorical([2, 0], n_categories=[4, 30], width=3)]),
    ((3, 80, 2), [Categorical(n_categories=90, width=41)]),
    ((2, 6, 1), [PiecewiseLinear([1, 0], bins=[[-0.5, 0.5], [-1.0, 0.0, 0.3, 1.5]])]),
    ((3, 1), [PiecewiseLinear(bins=[-1.0, 0.0, 0.3, 1.5])]),
    (
        (7, 20, 3),
        [
            Categorical(1, n_categories=3, width=17),
            PLR([4], n_frequencies=2, width=3, sigma=0.5),
            OneHot(0, n_categories=2),
            PiecewiseLinear(5, bins=[-1.0, -0.2, 0.1, 2.0]),
            PBLD([6], n_frequencies=2, sigma=0.5),
        ],
    ),
]
IDS = [f"{n[0]} {' '.join(type(e).__name__ for e in n[1])}" for n in NETWORKS]


def model_with(sizes, embeddings, dtype=np.float64, **options):
    """Return a model with embeddings."""
    activation = options.pop("activation", "tanh")
    return MLP(sizes, activation, embeddings=embeddings, dtype=dtype, random_state=0, **options)


def data_for(model, n=37):
    """Return rows, targets and weights."""
    rng = np.random.default_rng(2)
    X = rng.normal(size=(n, model.layer_sizes[0]))
    for column, number in categories_of(model).items():
        X[:, column] = rng.integers(0, number, n)
        X[rng.random(n) < 0.1, column] = rng.choice([-1.0, np.nan, number, 0.5, np.inf])
    return X, rng.normal(size=(n, model.layer_sizes[-1])), rng.uniform(0, 2, n)


def categories_of(model):
    """Return the number of categories of each column that has some."""
    each = (zip(e.columns, e.categories, strict=True) for e in model.embeddings if e.categories)
    return {column: number for pairs in each for column, number in pairs}
