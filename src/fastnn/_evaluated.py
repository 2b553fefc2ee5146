"""Predictions, losses and gradients of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Never

import numpy as np

from fastnn._checks.options import explained, refusal, without_unknown
from fastnn._checks.outputs import is_plain, result_array
from fastnn._checks.scalars import thread_count
from fastnn._engine import arrays as _arrays
from fastnn._engine import core as _core
from fastnn._engine import training_data as _training_data
from fastnn._engine.losses import NativeLoss, native_loss
from fastnn._parameters import Parameters
from fastnn.losses import Loss
from fastnn.losses import resolve as resolve_loss

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class Evaluated(Parameters):
    """The computations that do not change a model; a base of `MLP`."""

    @without_unknown
    def predict(
        self, X: ArrayLike, *, out: NDArray[Any] | None = None, n_threads: int | None = None, **unknown: Never
    ) -> NDArray[Any]:
        """Return the outputs for rows of inputs, or for a single row.

        Parameters
        ----------
        X : array-like, shape (n, n_in) or (n_in,), or sparse matrix
            Inputs of any real dtype, strides and byte order.
        out : ndarray, shape of the result, optional
            The array that receives the result, of the model's dtype.
        n_threads : int, optional
            The number of threads. By default, fastnn uses as many as the work justifies. The number does not
            change the result.

        Returns
        -------
        ndarray, shape (n, n_out) or (n_out,)
            The outputs: `out`, if given.

        Raises
        ------
        TypeError, ValueError
            If an array has the wrong shape or dtype.

        Examples
        --------
        >>> from fastnn import MLP
        >>> MLP((3, 4, 2)).predict([[1, 2, 3]]).shape
        (1, 2)
        """
        if unknown:
            raise refusal(Evaluated.predict, (self,), unknown)
        if out is None and n_threads is None:
            quick: NDArray[Any] | None = _core.quick_predict(self._network, X)
            if quick is not None:
                return quick
        return self._predict(X, out, n_threads)

    __call__ = predict

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if "predict" in cls.__dict__ and "__call__" not in cls.__dict__:
            cls.__call__ = cls.predict  # type: ignore[method-assign]

    def _predict(self, X: ArrayLike, out: NDArray[Any] | None, n_threads: int | None) -> NDArray[Any]:
        """Return the outputs by the careful way. It has a function of its own, whose variables cost `predict` no time."""
        self._check_columns("X", X)
        threads = thread_count(n_threads)
        inputs = (
            _arrays.rows("X", X, self.layer_sizes[0], self.dtype) if _arrays.is_sparse(X) else _arrays.real_array("X", X)
        )
        if out is None:
            return self._network.predict(inputs, None, threads)
        if len(inputs.shape) in (1, 2) and inputs.shape[-1] == self.layer_sizes[0]:  # or the engine names the fault
            result_array("out", out, (*inputs.shape[:-1], self.layer_sizes[-1]), self.dtype)
        memory = inputs.values if isinstance(inputs, _core.SparseRows) else inputs
        apart = not any(np.may_share_memory(out, read) for read in (memory, self._network.storage))
        result = self._network.predict(inputs, out if apart and is_plain(out) else None, threads)
        if result is not out:
            out[...] = result
        return out

    @explained
    def hidden_activations(self, X: ArrayLike) -> list[NDArray[Any]]:
        """Return the outputs of the hidden layers, one array per layer: (n, units), or (units,) for one row.

        Those of a shared ensemble have the members behind the rows: (n, n_members, units).
        """
        self._check_columns("X", X)
        X, one = _arrays.as_matrix("X", X, self.layer_sizes[0])
        outputs = self._network.outputs(_arrays.rows("X", X, self.layer_sizes[0], self.dtype))[:-1]
        return [array[0] for array in outputs] if one else outputs

    @without_unknown
    def loss(
        self,
        X: ArrayLike,
        y: ArrayLike,
        loss: str | Loss = "mse",
        sample_weight: ArrayLike | None = None,
        **unknown: Never,
    ) -> float:
        """Return the loss of the predictions, without dropout.

        Parameters
        ----------
        X : array-like or sparse matrix, shape (n, n_in) or (n_in,)
            The inputs: rows, or one row.
        y : array-like, shape (n, n_out), or (n,) for one output or for integer labels
            The targets. Those of one row are (n_out,), or a number for one output or for a label.
        loss : str or Loss, default "mse"
            The loss; see `fastnn.losses`.
        sample_weight : array-like, shape (n,), optional
            The weights w of the rows, of either sign. The mean is sum(w * loss) / sum(abs(w)). A row of weight 0 does
            not count, and may contain anything, such as NaN or a label out of range. At least one weight must be nonzero.

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type, shape or value. The message gives the row and column of a NaN or infinity
            in a row whose weight is not 0.
        """
        if unknown:
            raise refusal(Evaluated.loss, (self,), unknown)
        if sample_weight is None:
            quick: float | None = _core.quick_loss(self._network, loss, X, y)
            if quick is not None:
                return quick
        arguments, _ = self._loss_arguments(X, y, loss, sample_weight)
        return self._network.gradient(*arguments)

    def _loss_arguments(
        self, X: Any, y: Any, loss: str | Loss, sample_weight: Any
    ) -> tuple[tuple[NativeLoss, _arrays.Rows, NDArray[Any], bool, NDArray[np.float64] | None], bool]:
        """Return the engine's arguments for a loss, and whether one row was given instead of a matrix."""
        resolved = resolve_loss(loss)
        native = native_loss(resolved, self.activations[-1], self.layer_sizes[-1])
        self._check_columns("X", X)
        X, y, sample_weight, one = _training_data.as_batch(X, y, sample_weight, self.layer_sizes, resolved)
        data = _training_data.training_data(X, y, sample_weight, self.layer_sizes, resolved, self.dtype, codes=self._codes)
        self._network.remember(loss, native)
        return (native, *data), one
