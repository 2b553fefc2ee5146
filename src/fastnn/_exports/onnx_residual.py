"""Residual connections in an ONNX graph: sums of a layer's values and the outputs of an earlier layer, or the inputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastnn._exports.layers import Layer, Normalization, Residual
from fastnn._exports.onnx_normalizations import recognised_layer
from fastnn._exports.onnx_reader import label
from fastnn._exports.onnx_values import Base, Value


@dataclass(frozen=True, eq=False)
class Sum:
    """A sum in which a connection ends.

    Attributes
    ----------
    main : Value
        The value of the layer to which something is added.
    residual : Residual
        The connection. Its place follows from what comes before and after the sum.
    """

    main: Value
    residual: Residual


def summed(node: Any, inputs: list[Any]) -> Value:
    """Return the sum of values of different layers, as the beginning of the rest of the later layer.

    Raises
    ------
    ValueError
        If they are not a layer's values and the outputs of an earlier layer, or the inputs.
    """
    if node.op_type != "Add":
        raise ValueError(
            f"{label(node)}: expected Add as the only operator that combines several layers, in residual connections"
        )
    main, branch, projection = _parts(node, inputs)
    if main.base.sum is not None:
        raise ValueError(f"{label(node)}: expected at most one residual connection to each layer, got two")
    begin = _begin(node, main, branch)
    weights: Any = main.base.weights
    n_out, n_begin = weights.shape[1], _width(main.base, begin)
    if (n_begin, n_out) != ((n_out, n_out) if projection is None else projection.shape):
        got = "none" if projection is None else f"one of shape {projection.shape}"
        raise ValueError(f"{label(node)}: expected a projection from {n_begin} to {n_out} units, got {got}")
    if projection is not None and n_begin == n_out:
        raise ValueError(f"{label(node)}: expected no projection between layers of {n_out} units each, got one")
    # The rest of the layer is recognised like a layer whose sums are these.
    ones = np.ones((1, n_out), weights.dtype)
    found = Sum(main, Residual(begin, "", projection))
    return Value(replace_base(main.base, weights=ones, bias=None, scales=None, sum=found))


def replace_base(base: Base, **changes: Any) -> Base:
    """Return a base with the same layers before it, and no values computed from it yet."""
    kept = {name: getattr(base, name) for name in ("width", "rank", "layers", "ends", "settled")}
    return Base(**kept | changes)


def completed_layer(value: Value, place: str) -> Layer:
    """Return the layer that ends with a value, with its normalization and its residual connection.

    Raises
    ------
    ValueError
        If it is another function.
    """
    if value.base.sum is None:
        return recognised_layer(value, place)
    main, residual = value.base.sum.main, value.base.sum.residual
    first = recognised_layer(main, "a residual connection")
    rest = Layer(value.base.weights, np.zeros(1), "identity") if value.node is None else recognised_layer(value, place)
    if not np.all(rest.weights == 1.0) or np.any(rest.bias):
        raise ValueError(f"{label(value.node)}: expected no factors and summands after a residual connection, got some")
    plain = [_is_identity(each) for each in (first, rest)]
    if not any(plain):
        raise ValueError(f"{label(value.node)}: expected one activation, before or after a residual connection, got two")
    source = rest if plain[0] else first
    return replace(
        source,  # of which the layer has the activation
        weights=first.weights,
        bias=first.bias,
        scales=first.scales,
        normalization=_normalization(first, rest, place),
        residual=replace(residual, place="" if all(plain) else "before" if plain[0] else "after"),
    )


def with_places(layers: list[Layer]) -> list[Layer]:
    """Return the layers with the place of each sum, where that before an activation and that after it are the same.

    Raises
    ------
    ValueError
        If sums are in different places.
    """
    if layers[-1].residual is not None and layers[-1].residual.place == "after":
        raise ValueError("expected the residual connection to the last layer before its activation, got it after")
    places = {layer.residual.place for layer in layers[:-1] if layer.residual is not None} - {""}
    if len(places) > 1:
        raise ValueError("expected all residual connections to end before activations, or all after them, got both")
    of_hidden = next(iter(places), "after")
    each = [*[of_hidden] * (len(layers) - 1), "before"]
    return [
        layer if layer.residual is None else replace(layer, residual=replace(layer.residual, place=place))
        for layer, place in zip(layers, each, strict=True)
    ]


def _parts(node: Any, inputs: list[Any]) -> tuple[Value, Value, Any]:
    """Return the value of the later layer, that of the earlier one, and the projection in between or None."""
    for main, other in (inputs, inputs[::-1]):
        if _is_before(other.base, main.base):
            return main, other, None
    for main, other in (inputs, inputs[::-1]):
        base = other.base
        has_bias = base.bias is not None and np.any(base.bias)
        is_product = other.node is None and base.weights is not None and base.sum is None and not has_bias
        if is_product and main.base.weights is not None and _is_before(base.ends[-1].base, main.base):
            return main, base.ends[-1], base.weights
    raise ValueError(
        f"{label(node)}: expected a residual connection: the sum of a layer's values and the outputs of an earlier layer, "
        "as they are or times a matrix without bias"
    )


def _is_before(base: Base, main: Base) -> bool:
    return any(end.base is base for end in main.ends)


def _begin(node: Any, main: Value, branch: Value) -> int:
    """Return the number of layers before the beginning of a connection."""
    ends, layers = main.base.ends, main.base.layers
    begin = next(i for i, end in enumerate(ends) if end.base is branch.base)
    if begin == 0:
        if branch is not ends[0]:
            raise ValueError(f"{label(node)}: expected the inputs of the first layer, got another function of the inputs")
        return 0
    expected = layers[begin - 1]
    got = expected if branch is ends[begin] else completed_layer(branch, label(node))
    normalization = expected.normalization
    if _are_same(got, expected) and (normalization is None or normalization.place == "before"):
        place = "before"
    elif normalization is not None and _are_same(got, replace(expected, normalization=None)):
        # The normalization of identities may be either.
        place = "after" if normalization.place == "after" or _is_identity(expected) else ""
        layers[begin - 1] = replace(expected, normalization=replace(normalization, place="after"))
    else:
        place = ""
    if normalization is not None and main.base.settled.setdefault(begin, place) != place:
        place = ""
    if not place:
        raise ValueError(
            f"{label(node)}: expected a residual connection from the outputs of a layer, before a normalization of outputs, "
            "got another value"
        )
    return begin


def _width(base: Base, begin: int) -> int:
    if begin == 0:
        first: Any = base.layers[0].weights if base.layers else base.weights
        return len(first)
    return int(base.layers[begin - 1].weights.shape[1])


def _is_identity(layer: Layer) -> bool:
    return layer.activation == "identity" and layer.alphas is None


def _normalization(first: Layer, rest: Layer, place: str) -> Normalization | None:
    """Return the normalization of a layer, which stands before or after a sum."""
    before, after = first.normalization, rest.normalization
    if before is not None and (after is not None or before.place == "after"):
        raise ValueError(f"expected one normalization before {place}, of a layer's sums or of its outputs, got another one")
    if after is None or after.place == "after":
        return before if after is None else after
    if not _is_identity(rest):
        raise ValueError(
            f"expected no normalization between a residual connection and an activation, got one before {place}"
        )
    return replace(after, place="after")


def _values(layer: Layer) -> Iterator[Any]:
    normalization, residual = layer.normalization, layer.residual
    yield from vars(replace(layer, normalization=None, residual=None)).values()
    yield from () if normalization is None else (normalization.name, normalization.gains, normalization.shifts)
    yield from () if residual is None else (residual.begin, residual.place, residual.projection)


def _are_same(layer: Layer, other: Layer) -> bool:
    """Return whether two layers are the same, except for the place of a normalization."""
    if (layer.normalization is None, layer.residual is None) != (other.normalization is None, other.residual is None):
        return False
    pairs = zip(_values(layer), _values(other), strict=False)
    return all(
        np.array_equal(one, another) if isinstance(one, np.ndarray) else type(one) is type(another) and one == another
        for one, another in pairs
    )
