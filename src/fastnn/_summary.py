"""The summary of a model: its layers, and their cost in memory and arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from fastnn._architecture import Architecture
from fastnn._layer_settings import EMBEDDED
from fastnn._views import Kinds, layers_of


@dataclass(frozen=True)
class LayerSummary:
    """One layer of a model.

    Attributes
    ----------
    n_in, n_out : int
        The numbers of its inputs and outputs.
    activation : str
        The name of its activation.
    dropout : float
        The probability with which training drops an output.
    n_parameters : int
        The number of its parameters, including all kinds.
    n_bytes : int
        The memory of these parameters.
    multiply_adds : int
        The number of multiply-adds in its matrix products for one row, for all members of a shared ensemble.
    normalization : str or None
        The normalization of its units.
    residual_from : int or None
        The layer whose outputs a residual connection adds; 0 for the inputs.
    """

    n_in: int
    n_out: int
    activation: str
    dropout: float
    n_parameters: int
    n_bytes: int
    multiply_adds: int
    normalization: str | None = None
    residual_from: int | None = None


@dataclass(frozen=True)
class EmbeddingSummary:
    """One embedding of a model.

    Attributes
    ----------
    name : str
        Its name.
    n_in, n_out : int
        The numbers of its columns of X and of its outputs.
    n_parameters : int
        The number of its parameters.
    n_bytes : int
        The memory of these parameters.
    """

    name: str
    n_in: int
    n_out: int
    n_parameters: int
    n_bytes: int


@dataclass(frozen=True)
class Summary:
    """The layers of a model and their cost, as attributes, and as a table when printed.

    Attributes
    ----------
    layers : tuple of LayerSummary
        The layers in order.
    dtype : str
        The type of the parameters.
    storage_bytes : int
        The memory of the parameters with padding: each row of weights begins at a multiple of 64 bytes.
    embeddings : tuple of EmbeddingSummary
        The embeddings in order.
    """

    layers: tuple[LayerSummary, ...]
    dtype: str
    storage_bytes: int
    embeddings: tuple[EmbeddingSummary, ...] = ()

    @property
    def n_parameters(self) -> int:
        """The number of parameters in all embeddings and layers."""
        return sum(e.n_parameters for e in self.embeddings) + sum(layer.n_parameters for layer in self.layers)

    @property
    def n_bytes(self) -> int:
        """The memory of the parameters without padding."""
        return sum(e.n_bytes for e in self.embeddings) + sum(layer.n_bytes for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        """The number of multiply-adds in all matrix products for one row."""
        return sum(layer.multiply_adds for layer in self.layers)

    def __str__(self) -> str:
        """Return the table."""
        dropout = any(layer.dropout for layer in self.layers)
        normalizations = any(layer.normalization for layer in self.layers)
        residual = any(layer.residual_from is not None for layer in self.layers)
        options = [
            name for name, there in (("normalization", normalizations), ("adds", residual), ("dropout", dropout)) if there
        ]
        heading = ["layer", "input shape", "output shape", "activation", *options]
        lines = [[*heading, "parameters", "bytes", "multiply-adds per row"]]
        for embedding in self.embeddings:
            cells = [embedding.name, f"(n, {embedding.n_in})", f"(n, {embedding.n_out})", *[""] * (1 + len(options))]
            lines.append([*cells, f"{embedding.n_parameters:,}", f"{embedding.n_bytes:,}", ""])
        for number, layer in enumerate(self.layers, 1):
            name = f"{number}" if number < len(self.layers) else f"{number} (output)"
            rate = [f"{layer.dropout:g}" if layer.dropout else ""] if dropout else []
            texts = [layer.normalization or ""] if normalizations else []
            texts += [_begin(layer.residual_from)] if residual else []
            cells = [name, f"(n, {layer.n_in})", f"(n, {layer.n_out})", layer.activation, *texts, *rate]
            lines.append([*cells, f"{layer.n_parameters:,}", f"{layer.n_bytes:,}", f"{layer.multiply_adds:,}"])
        totals = f"{self.n_parameters:,}", f"{self.n_bytes:,}", f"{self.multiply_adds:,}"
        lines.append(["total", *[""] * (len(heading) - 1), *totals])
        table = _aligned(lines, n_texts=4 + normalizations + residual)
        rule = "-" * max(map(len, table))
        return "\n".join(
            [table[0], rule, *table[1:-1], rule, table[-1], f"{self.dtype}, {self.storage_bytes:,} bytes with padding"]
        )

    __repr__ = __str__


def _begin(layer: int | None) -> str:
    """Return the name of the layer where a residual connection begins."""
    return "" if layer is None else f"layer {layer}" if layer else "inputs"


def summary_of(model: Architecture, parameters: Kinds, storage_bytes: int) -> Summary:
    """Return the summary of a model, given its parameters by kind and the size of its storage."""
    layers, n_members = [], 1 if model.shared is None else model.shared.n_members
    widths = [len(parameters["weights"][0]), *model.layer_sizes[1:]]  # type: ignore[arg-type]
    options = model.activations, (*model.parametric_activation, False), (*model.normalization, None), (*model.dropout, 0.0)
    begins = {end - 1: begin for begin, end in model.residual}
    each = zip(pairwise(widths), *options, layers_of(parameters), strict=True)
    for number, ((n_in, n_out), activation, is_parametric, normalization, rate, arrays) in enumerate(each):
        count = sum(array.size for array in arrays if array is not None)
        name = activation if isinstance(activation, str) else activation.name
        name = f"parametric {name}" if is_parametric else name
        projection = parameters["projections"][number]
        products = n_members * n_in * n_out + (0 if projection is None else projection.size)
        own = n_in, n_out, name, rate, count, count * model.dtype.itemsize, products
        layers.append(LayerSummary(*own, normalization, begins.get(number)))
    embeddings = []
    for embedding, array in zip(model.embeddings, parameters[EMBEDDED], strict=True):
        count, n_columns = 0 if array is None else array.size, len(embedding.columns)
        sizes = n_columns, sum(embedding.widths), count, count * model.dtype.itemsize
        embeddings.append(EmbeddingSummary(embedding.name, *sizes))
    return Summary(tuple(layers), model.dtype.name, storage_bytes, tuple(embeddings))


def _aligned(lines: Sequence[Sequence[str]], n_texts: int) -> list[str]:
    """Return lines of cells as text, with the first `n_texts` columns aligned left and the others aligned right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i < n_texts else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
