"""Networks: sizes and parameters, predictions and gradients."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastnn._engine.portable._activations import ACTIVATIONS, CUSTOM
from fastnn._engine.portable._elementwise import aligned_zeros
from fastnn._engine.portable._losses import divisor, loss_of
from fastnn._engine.portable._rows import Array, SparseRows, check_rows, check_sparse, read_x, read_y, standing_in
from fastnn._engine.portable._step import (
    Buffers,
    Layers,
    backward,
    find_input_gradient,
    find_loss,
    forward,
    forward_with,
    units_of,
)

# Rows that go through all layers, and back, before the next ones.
_ROWS_AT_ONCE = 512
_NO_KEYS = np.empty(0, np.uint32)


class Network:
    """Sizes and parameters of one network. The parameters live in `storage`, a vector; the rest are views."""

    def __init__(
        self, layer_sizes: tuple[int, ...], activations: tuple[Any, ...], dropout: tuple[float, ...], dtype: DTypeLike
    ) -> None:
        n_layers = len(layer_sizes) - 1
        if not 1 <= n_layers <= 64 or len(activations) != n_layers or len(dropout) != n_layers:
            raise ValueError(f"a network has 1 to 64 layers, got {n_layers}")
        self.layer_sizes, self.activations, self.dropout = layer_sizes, activations, dropout
        self.dtype = np.dtype(dtype)
        self.custom = tuple(None if isinstance(activation, str) else activation for activation in activations)
        self.layers = _layers(layer_sizes, [_number(activation) for activation in activations], dropout)
        self.storage = aligned_zeros(int(self.layers.biases[-1]) + layer_sizes[-1], self.dtype)
        self.weights, self.biases = self.views(self.storage)

    @property
    def address(self) -> int:
        """Refuse: there is nothing that native code could have."""
        raise TypeError("model: code that Numba or Cython compiles needs fastnn's compiled extension")

    def views(self, storage: Array) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """Return the weights (n_in, n_out) and biases (n_out,) within a vector that is laid out like the storage."""
        weights, biases = [], []
        for (n_in, n_out), w, b in zip(pairwise(self.layer_sizes), self.layers.weights, self.layers.biases, strict=True):
            weights.append(storage[w : w + n_in * n_out].reshape(n_in, n_out))
            biases.append(storage[b : b + n_out])
        return tuple(weights), tuple(biases)

    def predict(self, x: Array | SparseRows, out: Array | None = None, n_threads: int | None = None) -> Array:
        """Return the outputs (n, n_out) of rows (n, n_in), or those of one row; out, if given, is contiguous."""
        n_in, n_out = self.layer_sizes[0], self.layer_sizes[-1]
        if not 1 <= len(x.shape) <= 2 or x.shape[-1] != n_in:
            raise ValueError(f"X: got shape {x.shape}, expected ({n_in},) or (n, {n_in})")
        n_rows = 1 if len(x.shape) == 1 else len(x)
        self.check_x(x, n_rows)
        if out is None:
            out = np.empty((n_out,) if len(x.shape) == 1 else (n_rows, n_out), self.dtype)
        elif not (out.flags.carray and out.dtype == self.dtype and out.size == n_rows * n_out):
            raise ValueError("out must be contiguous and of the network's shape and dtype")
        result = out.reshape(n_rows, n_out)
        for rows, buffers in self._pieces(n_rows):
            self.forward(read_x(x, rows, self.dtype), buffers)
            result[rows] = self._outputs(buffers, len(self.activations) - 1, rows)
        return out

    def outputs(self, x: Array | SparseRows, n_threads: int | None = None) -> list[Array]:
        """Return the activations of every layer for rows (n, n_in)."""
        n_rows = self.count_rows(x)
        self.check_x(x, n_rows)
        arrays = [np.empty((n_rows, size), self.dtype) for size in self.layer_sizes[1:]]
        for rows, buffers in self._pieces(n_rows):
            self.forward(read_x(x, rows, self.dtype), buffers)
            for layer, a in enumerate(arrays):
                a[rows] = self._outputs(buffers, layer, rows)
        return arrays

    @np.errstate(all="ignore")
    def gradient(
        self,
        loss: tuple[str, float, bool, bool, float, float, Any, bool],
        x: Array | SparseRows,
        y: Array,
        labels: bool,
        sample_weight: NDArray[np.float64] | None = None,
        gradient: Array | None = None,
        input_gradient: Array | None = None,
        n_threads: int | None = None,
    ) -> float:
        """Return the loss; fill gradient, a vector like the storage, and input_gradient (n, n_in) where they are given."""
        n_rows, n_out, native = self.count_rows(x), self.layer_sizes[-1], loss_of(loss)
        self.check_x(x, n_rows)
        check_rows(y, "y", n_rows, n_out, labels)
        weight = weights_of_rows(sample_weight, n_rows)
        by_parameter = None if gradient is None else self.vector(gradient)
        by_input = None if input_gradient is None else self.vector(input_gradient, n_rows * self.layer_sizes[0])
        if by_parameter is not None:
            by_parameter[:] = 0
        if by_input is not None:
            by_input[:] = 0
        if not weight.any():
            return 0.0
        value, part, total_weight = 0.0, np.empty_like(self.storage), divisor(native, weight)
        readable = np.arange(n_rows)[standing_in(slice(0, n_rows), weight, (0, n_rows))]
        for rows, buffers in self._pieces(n_rows):
            inputs = read_x(x, readable[rows], self.dtype)
            self.forward(inputs, buffers, native.from_logits)
            targets = read_y(y, readable[rows], n_out, labels, self.dtype).reshape(-1)
            value += find_loss(self.layers, native, buffers, targets, weight[rows], total_weight)
            if by_parameter is None and by_input is None:
                continue
            backward(self.layers, self.storage, inputs, buffers, part)
            if by_parameter is not None:
                by_parameter += part
            if by_input is not None:
                by_rows = np.empty_like(inputs)
                find_input_gradient(self.layers, self.storage, buffers, by_rows)
                by_input.reshape(n_rows, -1)[rows] = by_rows
        return float(value)

    # ---- What a run asks too ----

    @np.errstate(all="ignore")
    def forward(self, x: Array, buffers: Buffers, logits: bool = False) -> None:
        """Find the outputs of all layers, without dropout."""
        if any(self.custom):
            forward_with(self.custom, self.layers, self.storage, x, buffers, logits, _NO_KEYS, np.uint32(0))
        else:
            forward(self.layers, self.storage, x, buffers, logits, _NO_KEYS, np.uint32(0))

    def new_buffers(self, n_rows: int) -> Buffers:
        """Return room for the units of so many rows."""
        return Buffers(*(np.empty(n_rows * sum(self.layer_sizes[1:]), self.dtype) for _ in Buffers._fields))

    def count_rows(self, x: Array | SparseRows) -> int:
        """Return the number of rows of an array (n, n_in) or of sparse rows."""
        if len(x.shape) != 2:
            raise ValueError(f"X: got shape {x.shape}, expected (n, {self.layer_sizes[0]})")
        return len(x)

    def check_x(self, x: Array | SparseRows, n_rows: int) -> None:
        """Raise ValueError or TypeError unless the network can read these rows."""
        if isinstance(x, SparseRows):
            check_sparse(x, "X", n_rows, self.layer_sizes[0], self.dtype)
        else:
            check_rows(x, "X", n_rows, self.layer_sizes[0])

    def vector(self, a: Array, size: int | None = None) -> Array:
        """Return an array for results as a vector, of the storage's size if no other is given."""
        size = self.storage.size if size is None else size
        if not a.flags.carray or a.dtype != self.dtype or a.size != size:
            raise ValueError(f"a contiguous {self.dtype} array of {size} elements is expected")
        return a.reshape(-1)

    def _pieces(self, n_rows: int) -> Iterator[tuple[slice, Buffers]]:
        buffers = self.new_buffers(min(n_rows, _ROWS_AT_ONCE))
        for start in range(0, n_rows, _ROWS_AT_ONCE):
            yield slice(start, min(start + _ROWS_AT_ONCE, n_rows)), buffers

    def _outputs(self, buffers: Buffers, layer: int, rows: slice) -> Array:
        outputs: Array = units_of(buffers.outputs, self.layers, layer, rows.stop - rows.start)
        return outputs.reshape(-1, self.layer_sizes[layer + 1])


def weights_of_rows(sample_weight: NDArray[np.float64] | None, n_rows: int) -> NDArray[np.float64]:
    """Return sample weights, 1 where none are given."""
    if sample_weight is None:
        return np.ones(n_rows)
    flags = sample_weight.flags
    if not (flags.c_contiguous and flags.aligned) or sample_weight.dtype != np.float64 or sample_weight.size != n_rows:
        raise ValueError(f"sample_weight must be {n_rows} contiguous float64")
    return np.array(sample_weight).reshape(-1)


def _layers(layer_sizes: tuple[int, ...], activations: list[int], dropout: tuple[float, ...]) -> Layers:
    """Lay the parameters out: W1 row by row, b1, W2, …."""
    sizes = np.array(layer_sizes, np.int64)
    weights, biases = sizes[:-1] * sizes[1:], sizes[1:]
    ends = np.cumsum(weights + biases)
    units = np.cumsum(biases) - biases
    return Layers(
        sizes, np.array(activations, np.int64), np.array(dropout, np.float64), ends - biases - weights, ends - biases, units
    )


def _number(activation: Any) -> int:
    return ACTIVATIONS.index(activation) if isinstance(activation, str) else CUSTOM
