"""The arrays in which a model returns derivatives: those that the caller gives, or new ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fastnn._checks.outputs import check_apart, is_plain, result_array, result_arrays
from fastnn._engine import arrays as _arrays
from fastnn._engine import core as _core
from fastnn._engine import finite as _finite
from fastnn._engine import training_data as _training_data
from fastnn._evaluated import Evaluated

if TYPE_CHECKING:
    from numpy.typing import NDArray

Gradients: TypeAlias = "list[NDArray[Any]]"


class WithResults(Evaluated):
    """The checked inputs and the result arrays of derivatives; a base of `MLP`."""

    def _finite_rows(self, X: Any) -> tuple[_arrays.Rows, bool]:
        """Return rows of finite inputs, and whether one row was given instead of a matrix."""
        self._check_columns("X", X)
        X, one = _arrays.as_matrix("X", X, self.layer_sizes[0])
        rows = _arrays.rows("X", X, self.layer_sizes[0], self.dtype)
        _finite.check_inputs("X", rows, self.dtype, codes=self._codes)
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


def taken(arguments: tuple[Any, ...]) -> dict[str, Any]:
    """Return the arrays among the engine's arguments for a loss, by the names of the user's arguments."""
    _, X, y, _, sample_weight = arguments
    return {"X": X, "y": y, "sample_weight": sample_weight}


def _memory_of(taken: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments by name, with the values of sparse rows in their place."""
    sparse = {name: value for name, value in taken.items() if isinstance(value, _core.SparseRows)}
    return taken | {name: rows.values for name, rows in sparse.items()}


def delivered(result: NDArray[Any], delivery: tuple[NDArray[Any], bool] | None) -> NDArray[Any]:
    """Return the result in its final form: in the array that was given, or without the first axis for one row."""
    assert delivery is not None
    to, one = delivery
    if to is result:
        return result[0] if one else result
    if not np.may_share_memory(to, result):
        to[...] = result.reshape(to.shape)
    return to


def all_delivered(results: Gradients, out: Any) -> Gradients:
    """Return the results in the arrays that were given, if there are any."""
    if out is None:
        return results
    for to, array in zip(out, results, strict=True):
        if to is not array:
            to[...] = array
    return out  # type: ignore[no-any-return]
