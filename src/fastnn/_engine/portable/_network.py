"""Networks: predictions, losses and derivatives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import reference
from fastnn._engine.losses import NativeLoss
from fastnn._engine.portable._blocks import by_layer
from fastnn._engine.portable._network_parameters import NetworkParameters
from fastnn._engine.portable._rows import Array, SparseRows, read_x
from fastnn._engine.portable._weighed_rows import ROWS_AT_ONCE, WeighedRows, pieces
from fastnn.reference.dropout import layer_keys, layer_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Network(NetworkParameters):
    """A network in the engine's form: predictions, losses and derivatives."""

    rows_at_once = ROWS_AT_ONCE

    @property
    def address(self) -> int:
        """Raise TypeError, because the fallback has no structure for native code."""
        raise TypeError("model: code that Numba or Cython compiles needs fastnn's compiled extension")

    def bind(self, losses: Any) -> None:
        """Raise TypeError, as `address` does."""
        self.address  # noqa: B018

    def with_loss(self, loss: Any) -> Any:
        """Raise TypeError, as `address` does."""
        return self.address

    @np.errstate(all="ignore")
    def blend(self, other: Network, tau: float) -> None:
        """Add tau times the difference from the other network's parameters, which has the same layout, to all parameters."""
        if self.dtype != other.dtype or self.storage.size != other.storage.size:
            raise ValueError("two networks of the same layout are expected")
        reference.blend([self.storage], [other.storage], tau)

    @np.errstate(all="ignore")
    def predict(self, x: Array | SparseRows, out: Array | None = None, n_threads: int | None = None) -> Array:
        """Return the outputs (n, n_out) of rows (n, n_in), or those of one row. If out is given, it must be contiguous."""
        n_in, n_out = self.layer_sizes[0], self.layer_sizes[-1]
        if not 1 <= len(x.shape) <= 2 or x.shape[-1] != n_in:
            raise ValueError(f"X: expected shape ({n_in},) or (n, {n_in}), got {x.shape}")
        n_rows = 1 if len(x.shape) == 1 else len(x)
        self.check_x(x, n_rows)
        if out is None:
            out = np.empty((n_out,) if len(x.shape) == 1 else (n_rows, n_out), self.dtype)
        elif not (out.flags.carray and out.dtype == self.dtype and out.size == n_rows * n_out):
            raise ValueError("out must be contiguous and of the network's shape and dtype")
        result = out.reshape(n_rows, n_out)
        for rows, batch in pieces(self, n_rows):
            result[rows] = batch.mean(batch.forward(read_x(x, rows, self.dtype)))
        return out

    @np.errstate(all="ignore")
    def outputs(self, x: Array | SparseRows, n_threads: int | None = None) -> list[Array]:
        """Return the activations of every layer for rows (n, n_in).

        Those of the hidden layers of shared ensembles are (n, n_members, n_out).
        """
        n_rows = self.count_rows(x)
        self.check_x(x, n_rows)
        arrays = [np.empty((n_rows, size), self.dtype) for size in self.layer_sizes[1:]]
        if self.n_members > 1:
            arrays[:-1] = [np.empty((n_rows, self.n_members, size), self.dtype) for size in self.layer_sizes[1:-1]]
        for rows, batch in pieces(self, n_rows):
            p = batch.forward(read_x(x, rows, self.dtype))
            for a, outputs in zip(arrays, (*batch.outputs[:-1], batch.mean(p)), strict=True):
                a[rows] = outputs.reshape(-1, *a.shape[1:])
        return arrays

    @np.errstate(all="ignore")
    def gradient(
        self,
        loss: NativeLoss,
        x: Array | SparseRows,
        y: Array,
        labels: bool,
        sample_weight: NDArray[np.float64] | None = None,
        gradient: Array | None = None,
        input_gradient: Array | None = None,
        n_threads: int | None = None,
        parameters: list[Array] | None = None,
        dropout_key: int | None = None,
        batch_weight: NDArray[np.float64] | None = None,
        dropout_factor: float = 1.0,
    ) -> float:
        """Return the loss, and set the result arrays that are given.

        gradient is laid out like the storage. input_gradient is (n, n_in). parameters has one array per parameter, in the
        order of `MLP.parameters`. batch_weight is one float64, the total weight of the rows in a mean. With the key of a
        batch, units are dropped as in training, with probabilities that are multiplied by a factor.
        """
        if parameters is not None:
            gradient = np.empty_like(self.storage)
            value = self.gradient(
                *(loss, x, y, labels, sample_weight, gradient, input_gradient, n_threads, None),
                *(dropout_key, batch_weight, dropout_factor),
            )
            for array, view in zip(parameters, by_layer(self.views(gradient)), strict=True):
                array[...] = view
            return value
        n_rows, rows = self.count_rows(x), WeighedRows(self, loss, x, y, labels, sample_weight)
        by_parameter = None if gradient is None else self.vector(gradient)
        by_input = None if input_gradient is None else self.vector(input_gradient, n_rows * self.layer_sizes[0])
        for result in (by_parameter, by_input, batch_weight):
            if result is not None:
                result[:] = 0
        if not rows.weight.any():
            return 0.0
        if batch_weight is not None:
            batch_weight[0] = rows.divisor
        keys = None if dropout_key is None else self._dropout_keys(dropout_key)
        return rows.add_to(0.0, 0, n_rows, by_parameter, by_input, keys, dropout_factor)

    @np.errstate(all="ignore")
    def evaluate(
        self,
        loss: NativeLoss,
        data: tuple[Any, ...],
        begin: int,
        end: int,
        total: float = 0.0,
        out: Array | None = None,
        n_threads: int | None = None,
        gradient: Array | None = None,
    ) -> tuple[float, float]:
        """Return the share of the rows before `end` in the loss of all rows, and the total for the next part.

        After the last part, the share is the loss that `Network.gradient` returns. `total` is that of the part before, and
        `begin` a multiple of `rows_at_once`. Either `out` gets the predictions for rows `begin` to `end`, of which those of
        weight 0 are undefined, or `gradient` gets that of all rows so far.
        """
        x, *_ = data
        if out is not None and gradient is not None:
            raise ValueError("either predictions or a gradient are expected")
        rows = WeighedRows(self, loss, *data)
        if not 0 <= begin < end <= len(x) or begin % self.rows_at_once or (end % self.rows_at_once and end < len(x)):
            raise ValueError(f"expected whole chunks of {self.rows_at_once} of the {len(x)} rows, got {begin} to {end}")
        if out is not None:
            self.predict(x.chosen(slice(begin, end)) if isinstance(x, SparseRows) else x[begin:end], out)
        if gradient is not None and begin == 0:
            gradient[:] = 0
        total = rows.add_to(total, begin, end, gradient)
        return total, total

    def batch_gradient(
        self,
        loss: NativeLoss,
        data: tuple[Any, ...],
        order: NDArray[np.int64] | None,
        first: int,
        n_rows: int,
        gradient: Array | None = None,
        dropout_key: int | None = None,
        n_threads: int | None = None,
        dropout_factor: float = 1.0,
    ) -> tuple[float, float]:
        """Return the loss of a batch and its total weight, and set the gradient if one is given.

        The rows of the batch are order[first], order[first + 1], … of the data, or first, first + 1, … without an order.
        With the key of a batch, units are dropped as in training, with probabilities that are multiplied by a factor.
        """
        x, y, labels, sample_weight = data
        if first < 0 or n_rows < 1 or first > (len(x) if order is None else len(order)) - n_rows:
            raise ValueError(f"expected a batch of rows of the data, got {n_rows} rows from {first} on")
        chosen: Any = slice(first, first + n_rows) if order is None else order[first : first + n_rows]
        rows = x.chosen(chosen) if isinstance(x, SparseRows) else x[chosen]
        own, weight = None if sample_weight is None else sample_weight[chosen], np.empty(1)
        value = self.gradient(
            *(loss, rows, y[chosen], labels, own, gradient, None, n_threads, None, dropout_key, weight, dropout_factor)
        )
        return value, float(weight[0])

    @np.errstate(all="ignore")
    def jacobian(self, x: Array | SparseRows, out: Array, n_threads: int | None = None) -> None:
        """Set out (n, n_out, n_in) to the derivatives of the outputs with respect to the inputs (n, n_in)."""
        n_rows, n_in, n_out = self.count_rows(x), self.layer_sizes[0], self.layer_sizes[-1]
        self.check_x(x, n_rows)
        result = self.vector(out, n_rows * n_out * n_in).reshape(n_rows, n_out, n_in)
        for rows, batch in pieces(self, n_rows):
            batch.forward(read_x(x, rows, self.dtype))
            for j in range(n_out):
                batch.grad_outputs[...] = 0
                batch.grad_outputs[:, j] = 1 / self.n_members
                batch.backward(None)
                result[rows, j] = batch.grad_inputs()

    def remember(self, loss: Any, native: NativeLoss) -> None:
        """Do nothing, because the fallback has no quick path."""

    def _dropout_keys(self, key: int) -> tuple[Array, Any]:
        """Return the keys of a pass from that of a batch."""
        low, high = layer_keys(np.array([key], np.uint64), layer_numbers(len(self.layers)))
        return low[0], high[0]
