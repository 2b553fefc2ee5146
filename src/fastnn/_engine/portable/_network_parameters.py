"""Networks: their sizes and parameters, the rows that they can read, and their passes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._block_settings import Blocks
from fastnn._checks.limits import MAX_LAYERS, MAX_MEMBERS
from fastnn._engine.portable._blocks import BLOCK_KINDS, Part, by_layer, lay_out, parts_of
from fastnn._engine.portable._elementwise import aligned_zeros
from fastnn._engine.portable._layers import Layer, Parameters
from fastnn._engine.portable._pass import Pass
from fastnn._engine.portable._rows import Array, SparseRows, check_rows, check_sparse
from fastnn._layer_settings import EMBEDDED
from fastnn.embeddings import Embedding

if TYPE_CHECKING:
    from numpy.typing import DTypeLike


class NetworkParameters:
    """The sizes and parameters of one network. The vector `storage` has all parameters; other arrays are views of it."""

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

    def empty_parameters(self) -> list[Array]:
        """Return new arrays like the parameters, in the order of `MLP.parameters`, whose values are undefined."""
        return [np.empty_like(array, order="C") for array in by_layer(self.parameters)]

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
