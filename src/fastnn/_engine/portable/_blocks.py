"""The parameters of a network as blocks of one vector, the storage: their kinds, shapes and places."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any, NamedTuple

from fastnn import reference
from fastnn._block_settings import Blocks, BlockSettings
from fastnn._engine.portable._layers import Parameters
from fastnn._engine.portable._rows import Array
from fastnn._layer_settings import EMBEDDED
from fastnn.embeddings import Embedding, stage_width
from fastnn.optimizers import Muon
from fastnn.reference.embeddings import FORMULAS as EMBEDDING_FORMULAS
from fastnn.reference.normalization import NORMALIZATIONS as _NORMALIZATIONS
from fastnn.reference.parametric import PARAMETRIC

LAYER_ACTIVATIONS = (*reference.ACTIVATIONS, *PARAMETRIC)  # the activations of networks
NORMALIZATIONS = tuple(_NORMALIZATIONS)
BLOCK_KINDS = (*Parameters._fields, EMBEDDED)
EMBEDDINGS = ("columns", *EMBEDDING_FORMULAS)  # the first passes columns as they are


class Gradients(NamedTuple):
    """The gradients of a network's parameters, which are views of a vector."""

    layers: list[Parameters]
    embeddings: tuple[Any, ...]

    @classmethod
    def of_kinds(cls, kinds: Mapping[str, Sequence[Any]]) -> Gradients:
        """Return the gradients in their place in arrays by kind."""
        return cls(Parameters.of_layers(kinds), tuple(kinds[EMBEDDED]))


def shapes(
    n_in: int,
    n_out: int,
    activation: Any,
    normalization: tuple[str, str] | None,
    *,
    is_parametric: bool,
    has_scales: bool,
    n_from: int | None,
    n_members: int = 1,
    is_separate: bool = False,
    scales_members: bool = False,
) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a layer's parameters, by kind and in the order of the storage.

    A residual connection leads to it from n_from units, or none if it is None. `is_separate` tells whether each member of a
    shared ensemble has weights and biases of its own, and `scales_members` whether it has scales and biases.
    """
    n_columns = n_members * n_out if is_separate else n_out
    of_layer: dict[str, tuple[int, ...]] = {"weights": (n_in, n_columns), "biases": (n_columns,)}
    if scales_members:
        of_layer["biases"] = n_members, n_out
    if isinstance(activation, str) and activation in PARAMETRIC:
        of_layer[PARAMETRIC[activation][0]] = (n_out,)
    if normalization is not None:
        of_layer |= dict.fromkeys(_NORMALIZATIONS[normalization[0]], (n_out,))
    if is_parametric:
        of_layer["alphas"] = (n_out,)
    if has_scales:
        of_layer["scales"] = (n_in,) if n_members == 1 else (n_members, n_in)
    if scales_members:
        of_layer["output_scales"] = n_members, n_out
    if n_from is not None and n_from != n_out:
        of_layer["projections"] = (n_from, n_out)
    return of_layer


class Block(NamedTuple):
    """The parameters of one kind in one layer, or of an embedding."""

    layer: int  # or the number of the embedding
    kind: str
    place: slice  # its place in the storage
    shape: tuple[int, ...]


class Part(NamedTuple):
    """A part of the storage that is updated together."""

    place: slice
    settings: BlockSettings
    shape: tuple[int, ...] | None  # of a hidden matrix that has an update of its own


def lay_out(
    layer_sizes: tuple[int, ...],
    activations: tuple[Any, ...],
    normalizations: tuple[tuple[str, str] | None, ...],
    parametric: tuple[bool, ...],
    input_scale: bool,
    embeddings: tuple[Embedding, ...],
    residual: tuple[tuple[int, int], ...],
    n_members: int,
    scales_members: bool,
) -> list[Block]:
    """Return the blocks of all embeddings and layers, one behind the other in the storage."""
    blocks, start = [], 0
    for number, embedding in enumerate(embeddings):
        if embedding.shape is not None:
            end = start + math.prod(embedding.shape)
            blocks.append(Block(number, EMBEDDED, slice(start, end), embedding.shape))
            start = end
    widths = (stage_width(embeddings, layer_sizes[0]), *layer_sizes[1:])
    last = len(activations) - 1
    each = zip(pairwise(widths), activations, normalizations, parametric, strict=True)
    for layer, (sizes, activation, normalization, has_alphas) in enumerate(each):
        options: dict[str, Any] = {
            "is_parametric": has_alphas,
            "has_scales": (layer == 0 and (input_scale or n_members > 1)) or (scales_members and layer < last),
            "scales_members": scales_members and layer < last,
            "n_from": next((widths[begin] for begin, end in residual if end == layer + 1), None),
            "n_members": n_members,
            "is_separate": n_members > 1 and layer == last,
        }
        of_layer = shapes(*sizes, check_activation(activation), normalization, **options)
        for kind, shape in of_layer.items():
            end = start + math.prod(shape)
            blocks.append(Block(layer, kind, slice(start, end), shape))
            start = end
    return blocks


def parts_of(blocks: Sequence[Block], settings: Blocks | None, n_layers: int, *, apart: bool) -> list[Part]:
    """Return the parts of the storage that are updated together, with their settings, which are given by block.

    With `apart`, each hidden matrix is a part of its own.
    """

    def own(block: Block) -> BlockSettings:
        if settings is None:
            return BlockSettings.default(block.kind)
        return settings.embeddings[block.layer] if block.kind == EMBEDDED else settings.layers[block.layer][block.kind]

    def matrix(block: Block) -> Block | None:
        return block if apart and Muon.is_orthogonal(block.layer, block.kind, n_layers) else None

    groups = [(key, list(group)) for key, group in groupby(blocks, lambda block: (own(block), matrix(block)))]
    return [
        Part(slice(group[0].place.start, group[-1].place.stop), own_settings, None if of_matrix is None else of_matrix.shape)
        for (own_settings, of_matrix), group in groups
    ]


def by_layer(kinds: Mapping[str, Sequence[Array | None]]) -> list[Array]:
    """Return all arrays: those of embeddings, and then layer by layer, one per kind of parameters that a layer has."""
    of_layers = zip(*(arrays for kind, arrays in kinds.items() if kind != EMBEDDED), strict=True)
    return [array for arrays in (kinds[EMBEDDED], *of_layers) for array in arrays if array is not None]


def check_activation(activation: Any) -> Any:
    """Return a built-in or custom activation, or raise an error for anything else."""
    if isinstance(activation, str) and activation not in LAYER_ACTIVATIONS:
        raise ValueError(f"activation: expected one of {', '.join(LAYER_ACTIVATIONS)}, got {activation!r}")
    return activation
