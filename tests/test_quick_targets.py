"""Targets that compiled code checks by itself give the results and errors of the checks in Python."""

from __future__ import annotations

import numpy as np
import pytest
from _helpers import model_of

from fastnn import SGD, Trainer, losses

CELLS = np.array([0, 1, -1, 2, 0.5, np.nan, np.inf, 1e39, -0.0, 3, 3.4028236e38])
SHARES = np.array([6, 5, 2, 1, 1, 0.8, 0.1, 0.05, 0.3, 0.3, 0.1])
LOSSES = [
    losses.MSE(),
    losses.MSE(missing="ignore"),
    losses.MAE(missing="ignore", output_weights=(1, 0, 2)),
    losses.Hinge(),
    losses.Hinge(missing="ignore"),
    losses.SquaredHinge(output_weights=(1, 0, 0)),
    losses.BinaryCrossEntropy(missing="ignore", pos_weight=(1, 2, 3)),
    losses.BinaryCrossEntropy(label_smoothing=0.1),
    losses.CrossEntropy(missing="ignore"),
    losses.CrossEntropy(output_weights=(1, 0, 2)),
    losses.CrossEntropy(output_weights=(1, 1, 2), label_smoothing=0.1, missing="ignore"),
    losses.KLDivergence(missing="ignore", output_weights=(1, 2, 0)),
    losses.Cosine(missing="ignore"),
    losses.Poisson(missing="ignore"),
    losses.Heads([((0, 2), losses.MSE(missing="ignore")), ((2, 3), "hinge")]),
    losses.Heads([((1, 3), "cross_entropy"), ((0, 1), "mse")]),
    losses.Heads([((1, 3), losses.CrossEntropy(missing="ignore", output_weights=(0, 1))), ((0, 1), "binary_cross_entropy")]),
    losses.Heads([((0, 2), "mse"), ((2, 3), "mse")], missing="ignore"),
]


def result_of(function, *arguments):
    """Return the loss, and the gradients if there are any; or the type and the text of the error."""
    try:
        found = function(*arguments)
    except (TypeError, ValueError) as error:
        return type(error), str(error)
    return (found[0], [gradient.tolist() for gradient in found[1]]) if isinstance(found, tuple) else (found, [])


def random_targets(rng, n_rows, columns):
    dtype = rng.choice(np.array([np.float32, np.float64, np.int64, np.int8, np.bool_]), p=[0.35, 0.35, 0.15, 0.1, 0.05])
    shape = (n_rows, columns) if rng.random() < 0.8 else (n_rows,)
    shares = SHARES if np.dtype(dtype).kind == "f" else np.where(np.abs(CELLS) < 100, SHARES, 0)
    if rng.random() < 0.5:
        usual = np.isin(CELLS, [-1, 1] if rng.random() < 0.5 else [0, 1]) | (np.isnan(CELLS) & (rng.random() < 0.5))
        shares = np.where(usual, shares, 0)
    with np.errstate(over="ignore"):
        return rng.choice(CELLS, shape, p=shares / shares.sum()).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_arrays_give_the_results_and_errors_of_lists(loss, dtype):
    rng, valid, refused = np.random.default_rng(0), 0, 0
    for _ in range(120):
        model = model_of((2, 3), output=loss.links[0] if loss.links else "identity", dtype=dtype)
        n_rows = int(rng.integers(1, 5))
        X, y = rng.standard_normal((n_rows, 2)).astype(dtype), random_targets(rng, n_rows, loss.n_targets(3))
        wanted = result_of(model.gradient, X.tolist(), y, loss)
        for _ in range(2):  # the second call may find the loss prepared
            assert result_of(model.gradient, X, y, loss) == wanted
        given, careful = (Trainer(model.copy(), loss, SGD(0.1), random_state=0) for _ in range(2))
        assert result_of(given.step, X, y) == result_of(careful.step, X.tolist(), y)
        np.testing.assert_array_equal(given.model.to_vector(), careful.model.to_vector())
        valid, refused = valid + isinstance(wanted[0], float), refused + isinstance(wanted[0], type)
    assert valid > 5
    assert refused > 5
