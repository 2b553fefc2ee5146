"""Shared ensembles in C: one member after the other, and the mean of their outputs."""

from __future__ import annotations

from collections.abc import Sequence

from fastnn._exports.layers import Layer, widths_of


def looped(layers: Sequence[Layer], before: Sequence[str], calls: Sequence[str]) -> list[str]:
    """Return the body of the function: declarations, the statements before the loop, and a loop over the members.

    `calls` are those of one member: they set the array `own`, and read the number `member`.
    """
    n_out, n_members, n_biases = widths_of(layers)[-1], layers[0].n_members, n_zeros(layers)
    return [
        f"    @real own[{n_out}];",
        *([f"    static const @real zeros[{n_biases}] = {{0}};"] if n_biases else []),
        "    int member, i;",
        *before,
        f"    for (member = 0; member < {n_members}; member++) {{",
        *(f"    {call}" for call in calls),
        f"        for (i = 0; i < {n_out}; i++) y[i] = member ? y[i] + own[i] : own[i];",
        "    }",
        f"    for (i = 0; i < {n_out}; i++) y[i] /= {n_members}.0@suffix;",
    ]


def scale_call(layers: Sequence[Layer], index: int, source: str, to: str) -> str:
    """Return the call that multiplies the inputs of a layer by their scales."""
    n_in = len(layers[index].weights)
    return f"    @scale({_of_member(f'@scales_{index + 1}', n_in, layers)}, {source}, {to}, {n_in});"


def sum_calls(layers: Sequence[Layer], index: int, source: str, to: str, narrow: bool) -> list[str]:
    """Return the calls that set the sums of a layer: of a single network, or of one member.

    The inputs of the first layer have been scaled before. Those of a later one are scaled in their place: nothing else
    reads them.
    """
    layer, n_in, n_out = layers[index], len(layers[index].weights), widths_of(layers)[index]
    weights, biases = f"@weights_{index + 1}", f"@biases_{index + 1}"
    calls = [scale_call(layers, index, source, source)] if index and layer.scales is not None else []
    if layer.output_scales is not None:
        scales = _of_member(f"@output_scales_{index + 1}", n_out, layers)
        calls.append(f"    @dense({weights}, zeros, {n_in}, {n_out}, {source}, {to});")
        return [*calls, f"    @finish_sums({scales}, {_of_member(biases, n_out, layers)}, {to}, {n_out});"]
    if index == len(layers) - 1:
        weights, biases = _of_member(weights, n_in * n_out, layers), _of_member(biases, n_out, layers)
    function = "@narrow" if narrow else "@dense"
    return [*calls, f"    {function}({weights}, {biases}, {n_in}, {n_out}, {source}, {to});"]


def n_zeros(layers: Sequence[Layer]) -> int:
    """Return the number of zeros in place of biases that follow the scales of sums."""
    return max((layer.weights.shape[1] for layer in layers if layer.output_scales is not None), default=0)


def _of_member(name: str, size: int, layers: Sequence[Layer]) -> str:
    """Return the place of a member's part, with that number of elements, in an array; without members, the array."""
    return f"{name} + member * {size}" if layers[0].n_members > 1 else name
