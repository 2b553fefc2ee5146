"""Arrays without axes in place of lists: each argument refuses them by name."""

from __future__ import annotations

import numpy as np
import pytest

from fastnn import MLP, Ensemble, LayerSettings, Trainer, embeddings, fit_many, losses

ARRAY = np.array(0.5)
X, Y = np.ones((3, 2)), np.ones((3, 1))


def _fit(**options):
    return MLP((2, 3, 1)).fit(X, Y, **options)


def _assign():
    MLP((2, 3, 1)).weights[0:2] = ARRAY


CALLS = {
    "layer_sizes": lambda: MLP(ARRAY),
    "activation": lambda: MLP((2, 3, 1), ARRAY),
    "normalization": lambda: MLP((2, 3, 1), normalization=ARRAY),
    "residual": lambda: MLP((2, 3, 3, 1), residual=ARRAY),
    "embeddings": lambda: MLP((2, 3, 1), embeddings=ARRAY),
    "columns": lambda: embeddings.PBLD(ARRAY),
    "bins": lambda: embeddings.PiecewiseLinear(bins=ARRAY),
    "n_categories": lambda: embeddings.OneHot([0], ARRAY),
    "output_weights": lambda: losses.MSE(output_weights=ARRAY),
    "pos_weight": lambda: losses.BinaryCrossEntropy(pos_weight=ARRAY),
    "heads": lambda: losses.Heads(ARRAY),
    "q": lambda: losses.MultiQuantile(ARRAY),
    "layer_settings": lambda: Trainer(MLP((2, 3, 1)), layer_settings=ARRAY),
    "learning_rate_factor": lambda: LayerSettings(learning_rate_factor=ARRAY),
    "metrics": lambda: _fit(metrics=ARRAY, validation_data=(X, Y)),
    "callbacks": lambda: _fit(callbacks=ARRAY),
    "validation_data": lambda: _fit(validation_data=ARRAY),
    "models": lambda: Ensemble(ARRAY),
    "rows": lambda: fit_many([MLP((2, 3, 1))], X, Y, rows=ARRAY),
    "weights": _assign,
}


@pytest.mark.parametrize("argument", CALLS)
def test_an_array_without_axes_is_refused_by_name(argument):
    with pytest.raises((TypeError, ValueError), match=f"^{argument}: expected "):
        CALLS[argument]()
