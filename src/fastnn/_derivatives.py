"""The derivatives of a model: gradients of a loss, vector-Jacobian products and Jacobians."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Never

from fastnn._checks.options import refusal, without_unknown
from fastnn._checks.scalars import flag, thread_count
from fastnn._engine import core as _core
from fastnn._engine.losses import GIVEN_GRADIENT
from fastnn._result_arrays import Gradients, WithResults, all_delivered, delivered, taken
from fastnn.losses import Loss

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class Differentiated(WithResults):
    """The derivatives of a model; a base of `MLP`."""

    @without_unknown
    def gradient(
        self,
        X: ArrayLike,
        y: ArrayLike,
        loss: str | Loss = "mse",
        sample_weight: ArrayLike | None = None,
        *,
        out: Sequence[NDArray[Any]] | None = None,
        **unknown: Never,
    ) -> tuple[float, Gradients]:
        """Return a loss and its gradients with respect to the parameters, ``[gW1, gb1, …]``.

        Parameters
        ----------
        X, y, loss, sample_weight
            The arguments of `loss`.
        out : list of ndarray, optional
            Arrays for the gradients, with the dtype of the model, and the shapes and the order of `parameters`. They must
            not overlap one another, an argument or the model. Nothing is allocated if they are C-contiguous.

        Returns
        -------
        loss : float
            The loss.
        gradients : list of ndarray
            The gradients in the order of `parameters`. This is `out` if it is given.

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type, shape or value. Nothing is changed then.

        Examples
        --------
        >>> from fastnn import MLP
        >>> value, (gW, gb) = MLP((3, 2), dtype="float64").gradient([1.0, 2.0, 3.0], [0.0, 0.0])
        >>> gW.shape, gb.shape
        ((3, 2), (2,))
        """
        if unknown:
            raise refusal(Differentiated.gradient, (self,), unknown)
        if sample_weight is None:
            quick: tuple[float, Gradients] | None = _core.quick_gradient(self._network, loss, X, y, out)
            if quick is not None:
                return quick
        arguments, _ = self._loss_arguments(X, y, loss, sample_weight)
        results = self._results(out, "out", taken(arguments))
        value = self._network.gradient(*arguments, parameters=results)
        return value, all_delivered(results, out)

    @without_unknown
    def input_gradient(
        self,
        X: ArrayLike,
        y: ArrayLike,
        loss: str | Loss = "mse",
        sample_weight: ArrayLike | None = None,
        *,
        out: NDArray[Any] | None = None,
        **unknown: Never,
    ) -> NDArray[Any]:
        """Return the gradient of a loss, which is a mean over all rows, with respect to the inputs.

        For the derivatives of the outputs, see `jacobian`.

        Parameters
        ----------
        X, y, loss, sample_weight
            The arguments of `loss`.
        out : ndarray, shape of the result, optional
            An array for the result, with the dtype of the model. It must not overlap an argument or the model. Nothing is
            allocated if it is C-contiguous.

        Returns
        -------
        ndarray, shape (n, n_in) or (n_in,)

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type, shape or value. Nothing is changed then.

        Examples
        --------
        >>> from fastnn import MLP
        >>> MLP((3, 2)).input_gradient([[1.0, 2.0, 3.0]], [[0.0, 0.0]]).shape
        (1, 3)
        """
        if unknown:
            raise refusal(Differentiated.input_gradient, (self,), unknown)
        if sample_weight is None:
            quick: NDArray[Any] | None = _core.quick_input_gradient(self._network, loss, X, y, out)
            if quick is not None:
                return quick
        arguments, one = self._loss_arguments(X, y, loss, sample_weight)
        result, given = self._result(out, "out", arguments[1].shape, one, taken(arguments))
        self._network.gradient(*arguments, input_gradient=result)
        return delivered(result, given)

    @without_unknown
    def vjp(
        self,
        X: ArrayLike,
        G: ArrayLike,
        *,
        inputs: bool = False,
        out: Any = None,
        n_threads: int | None = None,
        **unknown: Never,
    ) -> Any:
        """Return a vector-Jacobian product: the gradients of a function of the outputs with respect to the parameters.

        G is the gradient of the function with respect to ``model.predict(X)``. The results are sums over rows and outputs
        of G times the derivative of the output. They include the output activation, even softmax, but no dropout.

        Parameters
        ----------
        X : array-like, shape (n, n_in) or (n_in,), or sparse matrix
            The inputs: rows, or one row.
        G : array-like, shape (n, n_out) or (n_out,)
            The gradient with respect to the outputs, which is summed over rows. The gradient of a mean must already be
            divided by the number of rows.
        inputs : bool, default False
            Whether to return the gradient with respect to X too.
        out : list of ndarray, or tuple of such a list and an ndarray, optional
            Arrays for the results, in the form in which they are returned, with the dtype of the model. In a tuple, None
            stands for a new array. They must not overlap one another, an argument or the model. Nothing is allocated if they
            are C-contiguous.
        n_threads : int, optional
            The number of threads, by default as many as the work justifies. It does not change the bits of the results.

        Returns
        -------
        gradients : list of ndarray
            The gradients ``[gW1, gb1, …]`` in the order of `parameters`.
        input_gradient : ndarray, shape of X
            The gradient with respect to X, only with `inputs`. The two results are then a tuple.

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type, shape or value. Nothing is changed then. The message gives the row and
            column of a NaN or infinity.

        Examples
        --------
        >>> import numpy as np
        >>> from fastnn import MLP
        >>> model = MLP((1, 1), dtype="float64")
        >>> model.weights[0][...] = 3.0
        >>> (gW, gb), gX = model.vjp([[2.0], [4.0]], [[1.0], [10.0]], inputs=True)
        >>> gW, gb, gX
        (array([[42.]]), array([11.]), array([[ 3.],
               [30.]]))
        """
        if unknown:
            raise refusal(Differentiated.vjp, (self,), unknown)
        if n_threads is None and (inputs is False or inputs is True):
            quick = _core.quick_vjp(self._network, X, G, inputs, out)
            if quick is not None:
                return quick
        by_inputs, threads = flag("inputs", inputs), thread_count(n_threads)
        rows, gradient, one = self._given_gradient(X, G)
        given: Any = (None, None)
        if out is not None:
            given = (out, None) if not by_inputs else out
            if by_inputs and not (isinstance(out, tuple | list) and len(out) == 2):
                raise TypeError(f"out: expected a tuple (list of arrays, array), got {type(out).__name__}")
        names = ("out[0]", "out[1]") if by_inputs else ("out", "")
        operands = {"X": rows, "G": gradient}
        results = self._results(given[0], names[0], operands)
        result, given_row = None, None
        if by_inputs:
            others = operands | ({} if given[0] is None else {f"out[0][{i}]": a for i, a in enumerate(given[0])})
            result, given_row = self._result(given[1], names[1], rows.shape, one, others)
        self._network.gradient(GIVEN_GRADIENT, rows, gradient, False, None, None, result, threads, parameters=results)
        gradients = all_delivered(results, given[0])
        if result is None:
            return gradients
        by_row = delivered(result, given_row)
        return out if given[0] is not None and given[1] is not None else (gradients, by_row)

    @without_unknown
    def jacobian(
        self, X: ArrayLike, *, out: NDArray[Any] | None = None, n_threads: int | None = None, **unknown: Never
    ) -> NDArray[Any]:
        """Return the derivatives of the outputs of each row with respect to its inputs.

        They include the output activation, even softmax, but no dropout.

        Parameters
        ----------
        X : array-like, shape (n, n_in) or (n_in,), or sparse matrix
            The inputs: rows, or one row. The result is dense.
        out : ndarray, shape of the result, optional
            An array for the result, with the dtype of the model. It must not overlap X or the model. Nothing is allocated
            if it is C-contiguous.
        n_threads : int, optional
            The number of threads, by default as many as the work justifies. It does not change the bits of the result.

        Returns
        -------
        ndarray, shape (n, n_out, n_in) or (n_out, n_in)
            Element [i, j, k] is the derivative of output j of row i with respect to input k.

        Raises
        ------
        TypeError, ValueError
            If an argument has the wrong type, shape or value. Nothing is changed then. The message gives the row and
            column of a NaN or infinity.

        Examples
        --------
        >>> from fastnn import MLP
        >>> model = MLP((2, 1), "identity", dtype="float64")
        >>> model.weights[0][...] = [[3.0], [4.0]]
        >>> model.jacobian([[1.0, 2.0]])
        array([[[3., 4.]]])
        """
        if unknown:
            raise refusal(Differentiated.jacobian, (self,), unknown)
        if n_threads is None:
            quick: NDArray[Any] | None = _core.quick_jacobian(self._network, X, out)
            if quick is not None:
                return quick
        threads = thread_count(n_threads)
        rows, one = self._finite_rows(X)
        shape = (rows.shape[0], self.layer_sizes[-1], rows.shape[1])
        result, given = self._result(out, "out", shape, one, {"X": rows})
        self._network.jacobian(rows, result, threads)
        return delivered(result, given)
