"""Networks: their sizes and parameters, predictions and gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn import reference
from fastnn._block_settings import Blocks
from fastnn._checks.limits import MAX_LAYERS, MAX_MEMBERS
from fastnn._engine.losses import NativeLoss
from fastnn._engine.portable._blocks import BLOCK_KINDS, Part, by_layer, lay_out, parts_of
from fastnn._engine.portable._elementwise import aligned_zeros
from fastnn._engine.portable._layers import Layer, Parameters
from fastnn._engine.portable._pass import Pass
from fastnn._engine.portable._rows import Array, SparseRows, check_rows, check_sparse, read_x
from fastnn._engine.portable._weighed_rows import ROWS_AT_ONCE, WeighedRows, pieces
from fastnn._layer_settings import EMBEDDED
from fastnn.embeddings import Embedding
from fastnn.reference.dropout import layer_keys, layer_numbers

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

    from fastnn._engine.losses import NativeLoss


class Network:
    """The sizes and parameters of one network. The vector `storage` has all parameters; other arrays are views of it."""

    rows_at_once = ROWS_AT_ONCE

    def __init__(
        self,
        layer_sizes: tuple[int, ...],
        activations: tuple[Any, ...],
        dropout: tuple[float, ...],
        dtype: DTypeLike,
        normalizations: tuple[tuple[str, str] | None, ...] | None = None,
        input_scale: bool = False,
        input_dropout: float = 0.0,
        parametric: tuple[bool, ...] | None = None,
        embeddings: tuple[Embedding, ...] = (),
        residual: tuple[tuple[int, int], ...] = (),
        residual_place: str = "after",
        n_members: int = 1,
        scales_members: bool = False,
    ) -> None:
        n_layers = len(layer_sizes) - 1
        normalizations = (None,) * n_layers if normalizations is None else normalizations
        parametric = (False,) * n_layers if parametric is None else parametric
        lists = activations, dropout, normalizations, parametric
        if not 1 <= n_layers <= MAX_LAYERS or any(len(each) != n_layers for each in lists) or normalizations[-1] is not None:
            raise ValueError(
                f"layer_sizes: expected 1 to {MAX_LAYERS} layers, each with an activation and a dropout, got {n_layers}"
            )
        if not 1 <= n_members <= MAX_MEMBERS or (n_members > 1 and input_scale) or (n_members == 1 and scales_members):
            raise ValueError(f"n_members: expected 1 to {MAX_MEMBERS}, with scales of their own, got {n_members}")
        if n_members > 1 and residual:
            raise ValueError(f"residual: a shared ensemble has no residual connections, got {residual}")
        self.layer_sizes, self.activations, self.dropout = layer_sizes, activations, dropout
        self.n_members, self.scales_members = n_members, scales_members
        self.normalizations, self.dtype, self.embeddings = normalizations, np.dtype(dtype), embeddings
        self.input_scale, self.input_dropout, self.parametric = input_scale, input_dropout, parametric
        self.residual, self.residual_place = residual, residual_place
        others = embeddings, residual, n_members, scales_members
        self._blocks = lay_out(layer_sizes, activations, normalizations, parametric, input_scale, *others)
        self.storage = aligned_zeros(self._blocks[-1].place.stop, self.dtype)
        self.parameters = self.views(self.storage)
        each = zip(activations, dropout, normalizations, Parameters.of_layers(self.parameters), strict=True)
        self.layers = [Layer(*of_layer, 0.0 if i else input_dropout) for i, of_layer in enumerate(each)]
        self.embedded = tuple(zip(embeddings, self.parameters[EMBEDDED], strict=True))

    def new_pass(self, n_rows: int, *, logits: bool) -> Pass:
        """Return a pass of batches with this number of rows. With `logits`, the last layer has no activation."""
        options: dict[str, Any] = {"logits": logits, "embeddings": self.embedded}
        if not self.residual:
            return Pass(self.layers, n_rows, self.dtype, n_members=self.n_members, **options)
        from fastnn._engine.portable._residual import ResidualPass, residual_layers

        connections = self.residual, self.residual_place
        layers = residual_layers(self.activations, self.normalizations, self.parameters, *connections)
        return ResidualPass(layers, self.layers, n_rows, self.dtype, **options)

    @property
    def drops(self) -> bool:
        """Whether training drops inputs or units."""
        return self.input_dropout > 0.0 or any(self.dropout)

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

    def views(self, storage: Array) -> dict[str, tuple[Any, ...]]:
        """Return the parameters within a vector that is laid out like the storage, by kind.

        Each kind has one array per layer, or None for a layer without such parameters. Weights are (n_in, n_out),
        projections (n_from, n_out), scales (n_in,), and all other kinds (n_out,), but those of embeddings, which have one
        matrix per embedding, or None. Of shared ensembles, scales are (n_members, n_in), output scales (n_members, n_out),
        and biases beside them too. The n_out of the last layer's weights and biases counts the outputs of all members.
        """
        kinds: dict[str, list[Any]] = {kind: [None] * (len(self.layer_sizes) - 1) for kind in BLOCK_KINDS}
        kinds[EMBEDDED] = [None] * len(self.embeddings)
        for block in self._blocks:
            kinds[block.kind][block.layer] = storage[block.place].reshape(block.shape)
        return {kind: tuple(arrays) for kind, arrays in kinds.items()}

    def parts(self, blocks: Blocks | None, *, apart: bool = False) -> list[Part]:
        """Return the parts of the storage that are updated together, with their settings, which are given by block.

        With `apart`, each hidden matrix is a part of its own.
        """
        return parts_of(self._blocks, blocks, len(self.layers), apart=apart)

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

    def empty_parameters(self) -> list[Array]:
        """Return new arrays like the parameters, in the order of `MLP.parameters`, whose values are undefined."""
        return [np.empty_like(array, order="C") for array in by_layer(self.parameters)]

    def remember(self, loss: Any, native: NativeLoss) -> None:
        """Do nothing, because the fallback has no quick path."""

    # ---- Methods that runs call too ----

    def count_rows(self, x: Array | SparseRows) -> int:
        """Return the number of rows of an array (n, n_in) or of sparse rows."""
        if len(x.shape) != 2:
            raise ValueError(f"X: expected shape (n, {self.layer_sizes[0]}), got {x.shape}")
        return len(x)

    def check_x(self, x: Array | SparseRows, n_rows: int) -> None:
        """Raise ValueError or TypeError unless the network can read the rows."""
        if isinstance(x, SparseRows):
            if self.embeddings or self.n_members > 1:
                kind = "model with embeddings" if self.embeddings else "shared ensemble"
                raise TypeError(f"X: expected a dense array for a {kind}, got a sparse matrix")
            if any(begin == 0 for begin, _ in self.residual):
                raise TypeError("X: expected a dense array for a residual connection from the inputs, got a sparse matrix")
            check_sparse(x, "X", n_rows, self.layer_sizes[0], self.dtype)
        else:
            check_rows(x, "X", n_rows, self.layer_sizes[0])

    def vector(self, a: Array, size: int | None = None) -> Array:
        """Return an array for results as a vector. Its default size is that of the storage."""
        size = self.storage.size if size is None else size
        if not a.flags.carray or a.dtype != self.dtype or a.size != size:
            raise ValueError(f"a contiguous {self.dtype} array of {size} elements is expected")
        return a.reshape(-1)

    def _dropout_keys(self, key: int) -> tuple[Array, Any]:
        """Return the keys of a pass from that of a batch."""
        low, high = layer_keys(np.array([key], np.uint64), layer_numbers(len(self.layers)))
        return low[0], high[0]
