"""The derivatives of a model: gradients of a loss, vector-Jacobian products and Jacobians."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Never

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn._checks.options import refusal, without_unknown
from fastnn._checks.outputs import check_apart, is_plain, result_array, result_arrays
from fastnn._checks.scalars import flag, thread_count
from fastnn._engine import arrays as _arrays
from fastnn._engine import core as _core
from fastnn._engine import training_data as _training_data
from fastnn._engine.losses import GIVEN_GRADIENT
from fastnn._evaluated import Evaluated
from fastnn.losses import Loss

Gradients = list[NDArray[Any]]


class Differentiated(Evaluated):
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
        results = self._results(out, "out", _taken(arguments))
        value = self._network.gradient(*arguments, parameters=results)
        return value, _all_delivered(results, out)

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
        result, given = self._result(out, "out", arguments[1].shape, one, _taken(arguments))
        self._network.gradient(*arguments, input_gradient=result)
        return _delivered(result, given)

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
        taken = {"X": rows, "G": gradient}
        results = self._results(given[0], names[0], taken)
        result, given_row = None, None
        if by_inputs:
            others = taken | ({} if given[0] is None else {f"out[0][{i}]": a for i, a in enumerate(given[0])})
            result, given_row = self._result(given[1], names[1], rows.shape, one, others)
        self._network.gradient(GIVEN_GRADIENT, rows, gradient, False, None, None, result, threads, parameters=results)
        gradients = _all_delivered(results, given[0])
        if result is None:
            return gradients
        by_row = _delivered(result, given_row)
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
        return _delivered(result, given)

    # ---- Arguments and results ----

    def _finite_rows(self, X: Any) -> tuple[_arrays.Rows, bool]:
        """Return rows of finite inputs, and whether one row was given instead of a matrix."""
        self._check_columns("X", X)
        X, one = _arrays.as_matrix("X", X, self.layer_sizes[0])
        rows = _arrays.rows("X", X, self.layer_sizes[0], self.dtype)
        _training_data.check_inputs("X", rows, self.dtype)
        return rows, one

    def _given_gradient(self, X: Any, G: Any) -> tuple[_arrays.Rows, NDArray[Any], bool]:
        """Return inputs, gradients with respect to their outputs, and whether one row was given instead of matrices."""
        rows, one = self._finite_rows(X)
        return rows, _training_data.given_gradient("G", G, rows.shape[0], self.layer_sizes[-1], self.dtype, one), one

    def _results(self, out: Any, argument: str, taken: dict[str, Any]) -> Gradients:
        """Check the given arrays, and return contiguous arrays for gradients: these, or new ones."""
        if out is None:
            return self._network.empty_parameters()
        given = result_arrays(argument, out, self.parameters)
        names = [f"{argument}[{i}]" for i in range(len(given))]
        check_apart(dict(zip(names, given, strict=True)), _memory_of(taken) | {"the model": self._network.storage})
        return given if all(is_plain(array) for array in given) else self._network.empty_parameters()

    def _result(
        self, out: Any, argument: str, shape: tuple[int, ...], one: bool, taken: dict[str, Any]
    ) -> tuple[NDArray[Any], tuple[NDArray[Any], bool]]:
        """Check the given array. Return a contiguous array for a result, this one or a new one, and the way to deliver it.

        With `one`, the given array lacks the first axis.
        """
        if out is None:
            new = np.empty(shape, self.dtype)
            return new, (new, one)
        given = result_array(argument, out, shape[1:] if one else shape, self.dtype)
        check_apart({argument: given}, _memory_of(taken) | {"the model": self._network.storage})
        place = given.reshape(shape) if is_plain(given) else np.empty(shape, self.dtype)
        return place, (given, False)


def _taken(arguments: tuple[Any, ...]) -> dict[str, Any]:
    """Return the arrays among the engine's arguments for a loss, by the names of the user's arguments."""
    _, X, y, _, sample_weight = arguments
    return {"X": X, "y": y, "sample_weight": sample_weight}


def _memory_of(taken: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments by name, with the values of sparse rows in their place."""
    sparse = {name: value for name, value in taken.items() if isinstance(value, _core.SparseRows)}
    return taken | {name: rows.values for name, rows in sparse.items()}


def _delivered(result: NDArray[Any], delivery: tuple[NDArray[Any], bool] | None) -> NDArray[Any]:
    """Return the result in its final form: in the array that was given, or without the first axis for one row."""
    assert delivery is not None
    to, one = delivery
    if to is result:
        return result[0] if one else result
    if not np.may_share_memory(to, result):
        to[...] = result.reshape(to.shape)
    return to


def _all_delivered(results: Gradients, out: Any) -> Gradients:
    """Return the results in the arrays that were given, if there are any."""
    if out is None:
        return results
    for to, array in zip(out, results, strict=True):
        if to is not array:
            to[...] = array
    return out  # type: ignore[no-any-return]
