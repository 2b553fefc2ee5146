"""The solver lbfgs: SciPy's L-BFGS-B with the native gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.exceptions import ConvergenceWarning

from fastnn._engine import core as _core
from fastnn._engine.losses import NativeLoss
from fastnn._model import MLP
from fastnn._native import network_of
from fastnn._views import by_kind
from fastnn.sklearn._data import Rows
from fastnn.sklearn._warnings import warn

# The number of rows times the number of weights. Threads sleep while SciPy computes; below this bound, waking them costs
# more time than they save.
_WORK_OF_SEVERAL_THREADS = 2e6


class Objective:
    """The loss and its gradient as functions of one vector, which contains all weights, then all biases.

    Parameters
    ----------
    model : MLP
        The model, whose parameters are those at which the loss was last computed.
    loss : NativeLoss
        The loss without its penalty.
    rows : Rows
        The data.
    alpha : float
        The penalty is alpha / 2 * sum(w**2), divided by the sum of the rows' weights.
    n_threads : int, optional
        The number of threads, by default as many as the work justifies.
    """

    def __init__(self, model: MLP, loss: NativeLoss, rows: Rows, alpha: float, n_threads: int | None) -> None:
        self._network, self._loss, self._rows = network_of(model), loss, rows
        n_weights = sum(w.size for w in model.weights)
        few = n_threads is None and len(rows.target) * n_weights < _WORK_OF_SEVERAL_THREADS
        self._n_threads = 1 if few else n_threads
        total = float(len(rows.target)) if rows.weight is None else float(rows.weight.sum())
        self._penalty = alpha / total
        self._gradient = _core.aligned_zeros(self._network.storage.size, self._network.dtype)
        self._gradients = self._network.views(self._gradient)

    def vector(self) -> NDArray[Any]:
        """Return the parameters."""
        return _joined(self._network.parameters)

    def set_vector(self, vector: NDArray[Any]) -> None:
        """Set the parameters."""
        start = 0
        for view in by_kind(self._network.parameters):
            view[...] = vector[start : start + view.size].reshape(view.shape)
            start += view.size

    def __call__(self, vector: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        """Return the loss and its gradient."""
        self.set_vector(vector)
        rows = self._rows
        value = self._network.gradient(
            self._loss, rows.X, rows.target, rows.labels, rows.weight, self._gradient, n_threads=self._n_threads
        )
        derivatives = _joined(self._gradients)
        n_weights = sum(w.size for w in self._network.weights)
        weights = vector[:n_weights]
        derivatives[:n_weights] += self._penalty * weights
        return value + 0.5 * self._penalty * float(weights @ weights), derivatives


def fit_lbfgs(estimator: Any, objective: Objective) -> None:
    """Minimize the objective, and set the estimator's `n_iter_` and `loss_`."""
    result = minimize(
        objective,
        objective.vector(),
        method="L-BFGS-B",
        jac=True,
        options={"maxfun": int(estimator.max_fun), "maxiter": int(estimator.max_iter), "gtol": float(estimator.tol)},
    )
    objective.set_vector(result.x)
    estimator.n_iter_ = min(result.nit, estimator.max_iter)
    estimator.loss_ = float(result.fun)
    if estimator.verbose:
        print(f"lbfgs: {result.nit} iterations, loss = {estimator.loss_:.8f}, {result.message}")
    if result.status != 0:
        _warn(result, estimator.n_iter_, estimator.max_iter)


def _warn(result: Any, n_iter: int, max_iter: int) -> None:
    text = f"lbfgs failed to converge after {n_iter} iteration(s) (status={result.status}):\n{result.message}\n"
    if n_iter == max_iter:
        text += f"\nIncrease the number of iterations to improve the convergence (max_iter={max_iter})."
    text += "\nScaled inputs may help, for example by sklearn.preprocessing.StandardScaler."
    warn(text, ConvergenceWarning)


def _joined(views: Any) -> NDArray[Any]:
    return np.concatenate([view.ravel() for view in by_kind(views)])
