"""scikit-learn's MLPRegressor, with parameters that make it do the same arithmetic."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from fastnn._bench.peers import _threads
from fastnn._bench.peers._contestant import Predictor, Trainer
from fastnn._bench.works import RATE, Array, PredictionWork, TrainingWork, initial_parameters
from fastnn.optimizers import Adam

_ACTIVATIONS = ("tanh", "relu")


def _regressor(work: TrainingWork | PredictionWork, layer_sizes: tuple[int, ...], **options: Any) -> Any:
    """Return a regressor that has the workload's initial parameters, and continues training when it is fitted again."""
    from sklearn.exceptions import ConvergenceWarning

    from fastnn.sklearn._originals import ORIGINALS  # scikit-learn's own class, even under fastnn.sklearn's patch

    made = ORIGINALS["MLPRegressor"](
        hidden_layer_sizes=layer_sizes[1:-1], activation=work.activation, alpha=0.0, tol=0.0, warm_start=True, **options
    )
    X, y = (np.zeros((2, n), work.dtype) for n in (layer_sizes[0], layer_sizes[-1]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        # This fit sets all attributes for data of this type; the parameters are then replaced.
        made.set_params(max_iter=1, batch_size=1).fit(X, _targets(y))
    parameters = initial_parameters(work)
    made.coefs_, made.intercepts_ = parameters[::2], parameters[1::2]
    return made.set_params(**options)


def _targets(y: Array) -> Array:
    """Return the targets in the shape that scikit-learn expects: (rows,) for one output."""
    return y[:, 0] if y.shape[1] == 1 else y


def _refusal(activation: str) -> str | None:
    return None if activation in _ACTIVATIONS else f"scikit-learn has no {activation}"


class SklearnTrainer(Trainer):
    """A trainer that makes one call of `fit` for all epochs; Adam's moments start from zero in each call."""

    name = "scikit-learn"
    modules = ("sklearn",)
    multiplies_by_blas = True
    loops_in_python = True

    @classmethod
    def refusal(cls, work: TrainingWork) -> str | None:
        """Return the reason why it cannot do this workload, or None."""
        return _refusal(work.activation)

    @classmethod
    def tolerance(cls, work: TrainingWork) -> float:
        """Return a hundredth for Adam: scikit-learn adds epsilon before it corrects the second moment."""
        return 1e-2 if work.optimizer == "adam" else 0.0

    def __init__(self, work: TrainingWork, n_threads: int) -> None:
        _threads.limit(n_threads)
        case, n_out = work.case, work.case.layer_sizes[-1]
        # scikit-learn's loss is half of the sum over the outputs, fastnn's is the mean.
        options = (
            {"solver": "sgd", "momentum": 0.0, "learning_rate_init": RATE * 2.0 / n_out}
            if work.optimizer == "sgd"
            else {"solver": "adam", "learning_rate_init": RATE, "epsilon": Adam().epsilon * n_out / 2.0}
        )
        self._regressor = _regressor(
            work, case.layer_sizes, batch_size=case.batch_size, shuffle=work.shuffled, n_iter_no_change=10**9, **options
        )

    def prepare(self, X: Array, y: Array) -> None:
        """Keep the data."""
        self._data = X, _targets(y)

    def train(self, epochs: int) -> None:
        """Train for whole epochs."""
        from sklearn.exceptions import ConvergenceWarning

        self._regressor.set_params(max_iter=epochs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._regressor.fit(*self._data)

    def parameters(self) -> list[Array]:
        """Return ``[W1, b1, W2, …]``."""
        return [p for pair in zip(self._regressor.coefs_, self._regressor.intercepts_, strict=True) for p in pair]


class SklearnPredictor(Predictor):
    """The method `predict`, which checks its arguments."""

    name = "scikit-learn"
    modules = ("sklearn",)
    multiplies_by_blas = True

    @classmethod
    def refusal(cls, work: PredictionWork) -> str | None:
        """Return the reason why it cannot do this workload, or None."""
        return _refusal(work.activation)

    def __init__(self, work: PredictionWork, n_threads: int) -> None:
        _threads.limit(n_threads)
        self._regressor = _regressor(work, work.layer_sizes)

    def predict(self, X: Array) -> Array:
        """Return the outputs."""
        return np.asarray(self._regressor.predict(np.atleast_2d(X)))
