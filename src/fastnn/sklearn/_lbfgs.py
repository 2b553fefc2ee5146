"""The solver lbfgs: scikit-learn's objective and attributes, around the minimizer that trainers also use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sklearn.exceptions import ConvergenceWarning

from fastnn._engine.losses import NativeLoss
from fastnn._engine.training_data import TrainingData, apart_from
from fastnn._lbfgs import LBFGS
from fastnn._minimize import Objective, minimize, scipy_options
from fastnn._native import network_of
from fastnn.sklearn import _fitted
from fastnn.sklearn._data import Rows
from fastnn.sklearn._warnings import warn

if TYPE_CHECKING:
    from numpy.typing import NDArray


class SearchFit:
    """A fit by L-BFGS: `run` trains, and `end` completes it.

    The penalty is alpha / 2 * sum(w**2), divided by the sum of the rows' weights.

    Parameters
    ----------
    estimator : estimator
        The estimator, whose network is trained, and whose `n_iter_` and `loss_` are set.
    loss : NativeLoss
        The loss.
    rows : Rows
        The data.
    n_threads : int, optional
        The number of threads.
    """

    def __init__(self, estimator: Any, loss: NativeLoss, rows: Rows, n_threads: int | None) -> None:
        self.estimator, self._loss, self._rows, self._n_threads = estimator, loss, rows, n_threads

    def run(self) -> None:
        """Train."""
        estimator, rows = self.estimator, self._rows
        total = float(len(rows.target)) if rows.weight is None else float(rows.weight.sum())
        data = TrainingData(rows.X, rows.target, rows.labels, rows.weight)
        data = apart_from(data, network_of(estimator.network_).storage)
        objective = Objective(estimator.network_, self._loss, data, float(estimator.alpha) / total, self._n_threads)
        result = _minimized(objective, maxiter=int(estimator.max_iter), **_options(estimator))
        estimator.n_iter_ = min(result.nit, estimator.max_iter)
        estimator.loss_ = float(result.fun)
        if estimator.verbose:
            print(f"lbfgs: {result.nit} iterations, loss = {estimator.loss_:.8f}, {result.message}")
        if result.status != 0:
            _warn(result, estimator.n_iter_, estimator.max_iter)

    def end(self) -> None:
        """Raise ValueError if a parameter is not finite."""
        _fitted.check_finite(self.estimator.network_)


def _minimized(objective: Objective, **options: Any) -> Any:
    """Minimize as `minimize`. After an exception, the model has the parameters of the last complete iteration."""
    last = objective.vector()

    def keep(vector: NDArray[Any]) -> None:
        last[...] = vector

    try:
        return minimize(objective, callback=keep, **options)
    except BaseException:
        objective.set_vector(last)
        raise


def _options(estimator: Any) -> dict[str, Any]:
    """Return SciPy's options: those of the optimizer if the solver is an object, and else those of the estimator."""
    if isinstance(estimator.solver, LBFGS):
        return scipy_options(estimator.solver)
    return {"maxfun": int(estimator.max_fun), "gtol": float(estimator.tol)}


def _warn(result: Any, n_iter: int, max_iter: int) -> None:
    text = f"lbfgs failed to converge after {n_iter} iteration(s) (status={result.status}):\n{result.message}\n"
    if n_iter == max_iter:
        text += f"\nIncrease the number of iterations to improve the convergence (max_iter={max_iter})."
    text += "\nScaled inputs may help, for example by sklearn.preprocessing.StandardScaler."
    warn(text, ConvergenceWarning)
