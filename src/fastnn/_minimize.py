"""SciPy's L-BFGS-B with the native gradient, for trainers and estimators."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._engine import core as _core
from fastnn._engine.losses import NativeLoss
from fastnn._engine.training_data import TrainingData
from fastnn._evaluation import blocks_of
from fastnn._layer_settings import PENALIZED
from fastnn._native import network_of
from fastnn._views import Kinds, by_kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn._lbfgs import LBFGS
    from fastnn._parameters import Parameters

# The number of rows times the number of weights. Threads sleep while SciPy computes; below this bound, waking them costs
# more time than they save.
_WORK_OF_SEVERAL_THREADS = 2e6

# The number of elements from which several threads of BLAS are worth their cost.
_ELEMENTS_OF_SEVERAL_THREADS = 10_000

# By default, SciPy stops after 15000 passes over the rows.
_NO_LIMIT = 2**31 - 1


class Objective:
    """The loss and its gradient as functions of one vector: all weights, all projections, then all other parameters.

    Parameters
    ----------
    model : MLP
        The model, whose parameters are those at which the loss was last computed.
    loss : NativeLoss
        The loss without its penalties.
    data : TrainingData
        The data.
    l2 : float, default 0.0
        The factor of the penalty l2 / 2 * sum(w**2).
    n_threads : int, optional
        The number of threads, by default as many as the work justifies.
    """

    def __init__(
        self, model: Parameters, loss: NativeLoss, data: TrainingData, l2: float = 0.0, n_threads: int | None = None
    ) -> None:
        self._network, self._loss, self._data, self._l2 = network_of(model), loss, data, l2
        penalized = (w for kind in PENALIZED for w in self._network.parameters[kind])
        self.n_weights = sum(w.size for w in penalized if w is not None)
        few = n_threads is None and len(data.y) * self.n_weights < _WORK_OF_SEVERAL_THREADS
        self._n_threads = 1 if few else n_threads
        self._blocks = blocks_of(self._network, data)
        self._gradient = _core.aligned_zeros(self._network.storage.size, self._network.dtype)
        self._gradients = _ordered(self._network.views(self._gradient))
        self._parameters = _ordered(self._network.parameters)

    def vector(self) -> NDArray[Any]:
        """Return the parameters."""
        return _joined(self._parameters)

    def set_vector(self, vector: NDArray[Any]) -> None:
        """Set the parameters."""
        start = 0
        with np.errstate(over="ignore"):  # a step may be too long for float32
            for view in self._parameters:
                view[...] = vector[start : start + view.size].reshape(view.shape)
                start += view.size

    def loss_of_model(self, value: float, vector: NDArray[Any]) -> float:
        """Return the loss with all penalties from the value of the objective at a vector."""
        return value

    def __call__(self, vector: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        """Return the loss and its gradient."""
        self.set_vector(vector)
        value = total = 0.0
        for rows in self._blocks:
            of_block = rows.start, rows.stop, total, None, self._n_threads, self._gradient
            value, total = self._network.evaluate(self._loss, self._data, *of_block)
        derivatives = _joined(self._gradients)
        if self._l2:
            weights = vector[: self.n_weights]
            with np.errstate(over="ignore"):  # the loss is then infinite
                derivatives[: self.n_weights] += self._l2 * weights
                value += 0.5 * self._l2 * float(weights @ weights)
        return value, derivatives


def _ordered(kinds: Kinds) -> list[NDArray[Any]]:
    """Return all arrays, those on which penalties act before the others."""
    penalized = {kind: kinds[kind] for kind in PENALIZED}
    return by_kind(penalized | {kind: arrays for kind, arrays in kinds.items() if kind not in PENALIZED})


class AbsolutePenalty:
    """An objective with the penalty l1 * sum(abs(w)).

    The weights are the difference of two vectors >= 0, of which the penalty is a smooth function.

    Parameters
    ----------
    objective : Objective
        The loss without this penalty.
    l1 : float
        The factor of the penalty.
    """

    def __init__(self, objective: Objective, l1: float) -> None:
        self._objective, self._l1, self._n = objective, l1, objective.n_weights

    def vector(self) -> NDArray[Any]:
        """Return the positive parts of the weights, their negative parts, and the other parameters."""
        joined = self._objective.vector()
        weights, others = joined[: self._n], joined[self._n :]
        return np.concatenate([np.maximum(weights, 0), np.maximum(-weights, 0), others])

    def set_vector(self, vector: NDArray[Any]) -> None:
        """Set the parameters."""
        self._objective.set_vector(self._difference(vector))

    def _difference(self, vector: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate([vector[: self._n] - vector[self._n : 2 * self._n], vector[2 * self._n :]])

    def loss_of_model(self, value: float, vector: NDArray[Any]) -> float:
        """Return the loss with all penalties from the value of the objective at a vector."""
        positive, negative = vector[: self._n], vector[self._n : 2 * self._n]
        return value - 2 * self._l1 * float(np.minimum(positive, negative).sum())

    def bounds(self) -> list[tuple[float | None, None]]:
        """Return the smallest and the largest value of each element."""
        others = self._objective.vector().size - self._n
        return [(0.0, None)] * (2 * self._n) + [(None, None)] * others

    def __call__(self, vector: NDArray[Any]) -> tuple[float, NDArray[Any]]:
        """Return the loss and its gradient."""
        value, derivatives = self._objective(self._difference(vector))
        weights, others = derivatives[: self._n].astype(np.float64), derivatives[self._n :]
        value += self._l1 * float(vector[: 2 * self._n].sum())
        return value, np.concatenate([weights + self._l1, self._l1 - weights, others])


def scipy_minimize() -> Callable[..., Any]:
    """Return SciPy's function, or raise ImportError if SciPy is missing."""
    try:
        from scipy.optimize import minimize as function
    except ImportError as error:
        raise ImportError('optimizer "lbfgs" needs SciPy: pip install "fastnn-cpu[scipy]"') from error
    found: Callable[..., Any] = function
    return found


def scipy_options(optimizer: LBFGS, evaluations: int = 0) -> dict[str, Any]:
    """Return SciPy's options for an optimizer, after a number of evaluations that count towards its limit."""
    limit = optimizer.max_evaluations
    return {
        "maxfun": _NO_LIMIT if limit is None else max(1, limit - evaluations),
        "maxcor": optimizer.history_size,
        "gtol": optimizer.tolerance_grad,
        "ftol": optimizer.tolerance_change,
    }


def minimize(
    objective: Objective | AbsolutePenalty,
    *,
    function: Callable[[NDArray[Any]], tuple[float, NDArray[Any]]] | None = None,
    callback: Callable[[NDArray[Any]], None] | None = None,
    **options: Any,
) -> Any:
    """Minimize an objective with L-BFGS-B, set the model to the parameters found, and return SciPy's result.

    Parameters
    ----------
    objective : Objective or AbsolutePenalty
        The objective. The search begins at the current parameters of its model.
    function : callable, optional
        A function that computes the objective, by default the objective itself.
    callback : callable, optional
        A function that is called with the vector after each iteration. It may raise an exception to end the search.
    **options
        Options of SciPy: maxiter, maxfun, gtol and others.
    """
    bounds = objective.bounds() if isinstance(objective, AbsolutePenalty) else None
    vector = objective.vector()
    with _one_blas_thread() if vector.size < _ELEMENTS_OF_SEVERAL_THREADS else nullcontext():
        result = scipy_minimize()(
            objective if function is None else function,
            vector,
            method="L-BFGS-B",
            jac=True,
            bounds=bounds,
            callback=callback,
            options=options,
        )
    objective.set_vector(result.x)
    return result


def _one_blas_thread() -> AbstractContextManager[Any]:
    """Limit SciPy's tiny systems of equations to one thread, because waking more takes up to 100 times their work."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return nullcontext()
    limits: AbstractContextManager[Any] = threadpool_limits(1, user_api="blas")
    return limits


def _joined(views: list[NDArray[Any]]) -> NDArray[Any]:
    """Return a new vector with copies of all elements."""
    vector = np.empty(sum(view.size for view in views), views[0].dtype)
    start = 0
    for view in views:
        vector[start : start + view.size].reshape(view.shape)[...] = view
        start += view.size
    return vector
