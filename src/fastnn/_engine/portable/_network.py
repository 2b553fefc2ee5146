"""Networks: their sizes and parameters, predictions and gradients."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastnn._checks.limits import MAX_LAYERS
from fastnn._engine.portable._elementwise import aligned_zeros
from fastnn._engine.portable._layers import INITIAL_SLOPE, LAYER_ACTIVATIONS, Layer, Parameters, Pass
from fastnn._engine.portable._losses import MeanLoss
from fastnn._engine.portable._rows import Array, SparseRows, check_rows, check_sparse, read_x, read_y, standing_in

# The number of rows that pass through all layers, forward and back, before the next rows.
_ROWS_AT_ONCE = 512


class Network:
    """The sizes and parameters of one network. The vector `storage` has all parameters; other arrays are views of it."""

    def __init__(
        self, layer_sizes: tuple[int, ...], activations: tuple[Any, ...], dropout: tuple[float, ...], dtype: DTypeLike
    ) -> None:
        n_layers = len(layer_sizes) - 1
        if not 1 <= n_layers <= MAX_LAYERS or len(activations) != n_layers or len(dropout) != n_layers:
            raise ValueError(
                f"layer_sizes: expected 1 to {MAX_LAYERS} layers, each with an activation and a dropout, got {n_layers}"
            )
        self.layer_sizes, self.activations, self.dropout = layer_sizes, activations, dropout
        self.dtype = np.dtype(dtype)
        with_slopes = [_check(activation) == "prelu" for activation in activations]
        self._places, end = [], 0  # the beginnings of each layer's weights, biases and slopes, and the end
        for (n_in, n_out), slopes in zip(pairwise(layer_sizes), with_slopes, strict=True):
            biases = end + n_in * n_out
            self._places.append((end, biases, biases + n_out, biases + n_out * (2 if slopes else 1)))
            end = self._places[-1][-1]
        self.storage = aligned_zeros(end, self.dtype)
        self.parameters = self.weights, self.biases, self.slopes = self.views(self.storage)
        for array in self.slopes:
            if array is not None:
                array[:] = INITIAL_SLOPE
        each = zip(activations, dropout, zip(*self.parameters, strict=True), strict=True)
        self.layers = [Layer(activation, p, Parameters(*arrays)) for activation, p, arrays in each]
        self.parts = self._parts()

    @property
    def address(self) -> int:
        """Raise TypeError, because the fallback has no structure for native code."""
        raise TypeError("model: code that Numba or Cython compiles needs fastnn's compiled extension")

    def views(self, storage: Array) -> tuple[tuple[Array, ...], tuple[Array, ...], tuple[Array | None, ...]]:
        """Return the weights (n_in, n_out), biases and slopes (n_out,) within a vector that is laid out like the storage.

        For a layer without slopes, they are None.
        """
        weights, biases, slopes = [], [], []
        for (n_in, n_out), (start, b, s, end) in zip(pairwise(self.layer_sizes), self._places, strict=True):
            weights.append(storage[start:b].reshape(n_in, n_out))
            biases.append(storage[b:s])
            slopes.append(storage[s:end] if end > s else None)
        return tuple(weights), tuple(biases), tuple(slopes)

    def _parts(self) -> list[tuple[slice, bool]]:
        """Return the parts of the storage that are updated together, and whether weight decay applies to them."""
        if not any(slopes is not None for slopes in self.slopes):
            return [(slice(None), True)]
        parts = []
        for start, _, s, end in self._places:
            parts += [(slice(start, s), True), (slice(s, end), False)]
        return [(part, decays) for part, decays in parts if part.stop > part.start]

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
        for rows, batch in self._pieces(n_rows):
            result[rows] = batch.forward(read_x(x, rows, self.dtype))
        return out

    @np.errstate(all="ignore")
    def outputs(self, x: Array | SparseRows, n_threads: int | None = None) -> list[Array]:
        """Return the activations of every layer for rows (n, n_in)."""
        n_rows = self.count_rows(x)
        self.check_x(x, n_rows)
        arrays = [np.empty((n_rows, size), self.dtype) for size in self.layer_sizes[1:]]
        for rows, batch in self._pieces(n_rows):
            batch.forward(read_x(x, rows, self.dtype))
            for a, outputs in zip(arrays, batch.outputs, strict=True):
                a[rows] = outputs
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
        """Return the loss. If given, set gradient, a vector like the storage, and input_gradient (n, n_in)."""
        n_rows, n_out, mean = self.count_rows(x), self.layer_sizes[-1], MeanLoss(loss)
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
        part = np.empty_like(self.storage)
        gradients = None if by_parameter is None else [Parameters(*arrays) for arrays in zip(*self.views(part), strict=True)]
        value, divisor = 0.0, float(mean.divisors(np.abs(weight).sum(), weight.sum()))
        readable = np.arange(n_rows)[standing_in(slice(0, n_rows), weight, (0, n_rows))]
        for rows, batch in self._pieces(n_rows, logits=mean.from_logits):
            inputs = read_x(x, readable[rows], self.dtype)
            p = batch.forward(inputs)
            targets = read_y(y, readable[rows], n_out, labels, self.dtype)
            value += mean.compute(targets, p, weight[rows], divisor, batch.grad_outputs)
            if by_parameter is None and by_input is None:
                continue
            batch.backward(gradients)
            if by_parameter is not None:
                by_parameter += part
            if by_input is not None:
                by_input.reshape(n_rows, -1)[rows] = batch.grad_inputs()
        return value

    # ---- Methods that runs call too ----

    def count_rows(self, x: Array | SparseRows) -> int:
        """Return the number of rows of an array (n, n_in) or of sparse rows."""
        if len(x.shape) != 2:
            raise ValueError(f"X: expected shape (n, {self.layer_sizes[0]}), got {x.shape}")
        return len(x)

    def check_x(self, x: Array | SparseRows, n_rows: int) -> None:
        """Raise ValueError or TypeError unless the network can read the rows."""
        if isinstance(x, SparseRows):
            check_sparse(x, "X", n_rows, self.layer_sizes[0], self.dtype)
        else:
            check_rows(x, "X", n_rows, self.layer_sizes[0])

    def vector(self, a: Array, size: int | None = None) -> Array:
        """Return an array for results as a vector. Its default size is that of the storage."""
        size = self.storage.size if size is None else size
        if not a.flags.carray or a.dtype != self.dtype or a.size != size:
            raise ValueError(f"a contiguous {self.dtype} array of {size} elements is expected")
        return a.reshape(-1)

    def _pieces(self, n_rows: int, *, logits: bool = False) -> Iterator[tuple[slice, Pass]]:
        """Yield some rows at a time, and their pass through the layers."""
        batch: Pass | None = None
        for start in range(0, n_rows, _ROWS_AT_ONCE):
            count = min(_ROWS_AT_ONCE, n_rows - start)
            if batch is None or count < _ROWS_AT_ONCE:
                batch = Pass(self.layers, count, self.dtype, logits=logits)
            yield slice(start, start + count), batch


def weights_of_rows(sample_weight: NDArray[np.float64] | None, n_rows: int) -> NDArray[np.float64]:
    """Return the weights of the rows, by default 1 each."""
    if sample_weight is None:
        return np.ones(n_rows)
    flags = sample_weight.flags
    if not (flags.c_contiguous and flags.aligned) or sample_weight.dtype != np.float64 or sample_weight.size != n_rows:
        raise ValueError(f"sample_weight must be {n_rows} contiguous float64")
    return np.array(sample_weight).reshape(-1)


def _check(activation: Any) -> Any:
    """Return a built-in or custom activation, or raise an error for anything else."""
    if isinstance(activation, str) and activation not in LAYER_ACTIVATIONS:
        raise ValueError(f"activation: expected one of {', '.join(LAYER_ACTIVATIONS)}, got {activation!r}")
    return activation
