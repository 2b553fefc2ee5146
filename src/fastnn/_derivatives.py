"""The derivatives of a model: gradients of a loss, vector-Jacobian products and Jacobians."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Never

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastnn._checks.options import refusal, without_unknown
from fastnn._checks.outputs import check_apart, result_array, result_arrays
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
        """Return a loss and its derivatives by the parameters, ``[gW1, gb1, …]``.

        Parameters
        ----------
        X, y, loss, sample_weight
            As for `loss`.
        out : list of ndarray, optional
            Where to put the derivatives: arrays of the model's dtype, in the shapes and the order of `parameters`. They
            must not overlap one another, an argument or the model. Nothing is allocated if they are C-contiguous.

        Returns
        -------
        loss : float
        gradients : list of ndarray
            In the order of `parameters`; `out` if it is given.

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong type, shape or value, before anything has changed.

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
        taken = dict(zip(("X", "y", "sample_weight"), (arguments[1], arguments[2], arguments[4]), strict=True))
        results = self._results(out, "out", taken)
        value = self._network.gradient(*arguments, parameters=results)
        return value, self._delivered(results, out)

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
        """Return the derivatives of a loss, the mean over all rows, by the inputs.

        They are those of the loss, not those of the outputs: `jacobian` returns these.

        Parameters
        ----------
        X, y, loss, sample_weight
            As for `loss`.
        out : ndarray, shape of the result, optional
            Where to put it, of the model's dtype. It must not overlap an argument or the model. Nothing is allocated if it
            is C-contiguous.

        Returns
        -------
        ndarray, shape (n, n_in) or (n_in,)

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong type, shape or value, before anything has changed.

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
        taken = dict(zip(("X", "y", "sample_weight"), (arguments[1], arguments[2], arguments[4]), strict=True))
        result, given = self._result(out, "out", arguments[1].shape, one, taken)
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
        """Return the product of gradients by the outputs with the derivatives of the outputs, a vector-Jacobian product.

        If G is the gradient of any function by ``model.predict(X)``, these are its gradients by the parameters: sums over
        rows and outputs of G times the derivative of the output. They include the output activation, softmax too, and no
        dropout.

        Parameters
        ----------
        X : array-like, shape (n, n_in) or (n_in,), or sparse matrix
            Rows of inputs, or one row.
        G : array-like, shape (n, n_out) or (n_out,)
            The gradient by the outputs, summed over rows: a mean must be divided already.
        inputs : bool, default False
            Return the gradient by X as well.
        out : list of ndarray, or tuple of such a list and an ndarray, optional
            Where to put the results, in the form in which they are returned: arrays of the model's dtype that do not overlap
            one another, an argument or the model. Nothing is allocated if they are C-contiguous.
        n_threads : int, optional
            As many as pay, if not given. The results are the same to the last bit.

        Returns
        -------
        gradients : list of ndarray
            ``[gW1, gb1, …]`` in the order of `parameters`.
        input_gradient : ndarray, shape of X
            Only with `inputs`; the two are a tuple then.

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong type, shape or value, before anything has changed. NaN and infinity are named by
            row and column.

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
        gradients = self._delivered(results, given[0])
        if result is None:
            return gradients
        by_row = _delivered(result, given_row)
        return (gradients, by_row) if out is None else out

    @without_unknown
    def jacobian(
        self, X: ArrayLike, *, out: NDArray[Any] | None = None, n_threads: int | None = None, **unknown: Never
    ) -> NDArray[Any]:
        """Return the derivatives of each row's outputs by its inputs.

        They include the output activation, softmax too, and no dropout.

        Parameters
        ----------
        X : array-like, shape (n, n_in) or (n_in,), or sparse matrix
            Rows of inputs, or one row. The result is dense.
        out : ndarray, shape of the result, optional
            Where to put it, of the model's dtype. It must not overlap X or the model. Nothing is allocated if it is
            C-contiguous.
        n_threads : int, optional
            As many as pay, if not given. The result is the same to the last bit.

        Returns
        -------
        ndarray, shape (n, n_out, n_in) or (n_out, n_in)
            Element [i, j, k] is the derivative of output j of row i by input k.

        Raises
        ------
        TypeError, ValueError
            If an argument is of the wrong type, shape or value, before anything has changed. NaN and infinity are named by
            row and column.

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

    # ---- Their arguments and results ----

    def _finite_rows(self, X: Any) -> tuple[_arrays.Rows, bool]:
        """Return rows of finite inputs, and whether one row was given instead of a matrix."""
        self._check_columns("X", X)
        X, one = _arrays.as_matrix("X", X, self.layer_sizes[0])
        rows = _arrays.rows("X", X, self.layer_sizes[0], self.dtype)
        _training_data.check_inputs("X", rows, self.dtype)
        return rows, one

    def _given_gradient(self, X: Any, G: Any) -> tuple[_arrays.Rows, NDArray[Any], bool]:
        """Return rows of inputs, their gradients by the outputs, and whether one row was given instead of matrices."""
        rows, one = self._finite_rows(X)
        return rows, _training_data.given_gradient("G", G, rows.shape[0], self.layer_sizes[-1], self.dtype, one), one

    def _results(self, out: Any, argument: str, taken: dict[str, Any]) -> Gradients:
        """Return contiguous arrays for gradients by the parameters: those given, once they fit, or new ones."""
        if out is None:
            return self._network.empty_parameters()
        given = result_arrays(argument, out, self.parameters)
        names = [f"{argument}[{i}]" for i in range(len(given))]
        check_apart(dict(zip(names, given, strict=True)), _memory_of(taken) | {"the model": self._network.storage})
        return given if all(_is_plain(array) for array in given) else self._network.empty_parameters()

    def _delivered(self, results: Gradients, out: Any) -> Gradients:
        if out is None:
            return results
        for to, array in zip(out, results, strict=True):
            if to is not array:
                to[...] = array
        return out  # type: ignore[no-any-return]

    def _result(
        self, out: Any, argument: str, shape: tuple[int, ...], one: bool, taken: dict[str, Any]
    ) -> tuple[NDArray[Any], tuple[NDArray[Any], bool]]:
        """Return a contiguous array for a result: the given one, once it fits, or a new one; and how to deliver it.

        With `one`, the given array lacks the first axis.
        """
        if out is None:
            new = np.empty(shape, self.dtype)
            return new, (new, one)
        given = result_array(argument, out, shape[1:] if one else shape, self.dtype)
        check_apart({argument: given}, _memory_of(taken) | {"the model": self._network.storage})
        place = given.reshape(shape) if _is_plain(given) else np.empty(shape, self.dtype)
        return place, (given, False)


def _is_plain(array: NDArray[Any]) -> bool:
    return type(array) is np.ndarray and array.flags.carray


def _memory_of(taken: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments by name, and the parts of sparse rows."""
    sparse = {name: value for name, value in taken.items() if isinstance(value, _core.SparseRows)}
    return taken | {name: rows.values for name, rows in sparse.items()}


def _delivered(result: NDArray[Any], delivery: tuple[NDArray[Any], bool] | None) -> NDArray[Any]:
    """Return the result as the caller gets it: in the array that they gave, or without the first axis for one row."""
    assert delivery is not None
    to, one = delivery
    if to is result:
        return result[0] if one else result
    if not np.may_share_memory(to, result):
        to[...] = result.reshape(to.shape)
    return to
