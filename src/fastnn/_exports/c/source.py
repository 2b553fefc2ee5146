"""The C file of a network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._exports.c import embeddings, members
from fastnn._exports.c.functions import (
    ACTIVATIONS,
    ADD,
    FINISH_SUMS,
    KEEP,
    SCALE,
    activation_functions,
    layer_functions,
    normalization_functions,
    parametric_functions,
    rendered,
)
from fastnn._exports.c.header import Memory, header
from fastnn._exports.c.literals import array
from fastnn._exports.c.names import check_name
from fastnn._exports.c.preamble import CLOSE, adds_up, preamble
from fastnn._exports.layers import Layer, Stage, begins_at, widths_of
from fastnn._storage.write_file import FilePath, file_name, write_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Up to this number of outputs, the kernels compute a last layer as dot products, and those of members at any number.
_NARROW = 4


def write(
    path: FilePath,
    layers: Sequence[Layer],
    name: str,
    dtype: np.dtype[Any],
    feature_names: Sequence[str] | None,
    stage: Stage | None = None,
) -> None:
    """Write the C file of a network. All errors but those of the file system are raised before."""
    file_name(path)
    write_file(path, [source(layers, name, dtype, feature_names, stage).encode()])


def source(
    layers: Sequence[Layer],
    name: str,
    dtype: np.dtype[Any],
    feature_names: Sequence[str] | None = None,
    stage: Stage | None = None,
) -> str:
    """Return the text of the C file.

    Raises
    ------
    TypeError, ValueError
        If the name is not free in C, an activation is custom, or a parameter is not finite in this type.
    """
    check_name(name)
    converted = [_converted(index, layer, dtype) for index, layer in enumerate(layers)]
    stage = None if stage is None else _converted_stage(stage, dtype)
    prefix, narrow = name.rstrip("_"), layers[-1].bias.size <= _NARROW or layers[0].n_members > 1
    buffers = _buffers(layers)
    parts = [
        header(
            converted,
            name,
            prefix,
            dtype,
            _memory(converted, buffers, stage),
            feature_names,
            stage,
        ),
        *preamble(converted, prefix, dtype, narrow, stage),
        f'\n#ifdef __cplusplus\nextern "C" {{\n#endif\n\nvoid {name}(const @real *x, @real *y);\n\n',
        *([] if stage is None else embeddings.constants(stage, dtype)),
        *(text for index in range(len(layers)) for text in _constants(index, converted, narrow)),
        *_functions(converted, prefix, dtype, narrow, stage),
        _predict(converted, name, buffers, narrow, stage),
        "\n#ifdef __cplusplus\n}\n#endif\n",
        CLOSE,
    ]
    return "".join(rendered(part, prefix, dtype) if index else part for index, part in enumerate(parts))


def _converted(index: int, layer: Layer, dtype: np.dtype[Any]) -> Layer:
    """Return a layer with parameters of the type, which are finite, and an activation that has a formula."""
    if not isinstance(layer.activation, str) or layer.activation not in ACTIVATIONS:
        given = getattr(layer.activation, "name", layer.activation)
        raise ValueError(
            f"to_c: the activation {given!r} of layer {index} is a custom one, a Python function that has no form in C; "
            f"train a model with built-in activations: {', '.join(sorted(ACTIVATIONS))}"
        )
    return layer.mapped(lambda kind, values: _parameters(f"{kind}[{index}]", values, dtype))


def _converted_stage(stage: Stage, dtype: np.dtype[Any]) -> Stage:
    """Return the embeddings with parameters of the type, which are finite."""
    each = enumerate(stage.embeddings)
    parts = [(e, None if p is None else _parameters(f"embedding_parameters[{i}]", p, dtype)) for i, (e, p) in each]
    return Stage(tuple(parts), stage.passed)


def _memory(layers: Sequence[Layer], buffers: tuple[int, int], stage: Stage | None) -> Memory:
    constants, stack = sum(map(_size, layers)) + members.n_zeros(layers), sum(buffers) + sum(_streams(layers).values())
    if layers[0].n_members > 1:
        stack += widths_of(layers)[-1]
    if stage is not None:
        constants, stack = constants + embeddings.size(stage), stack + len(layers[0].weights)
    return Memory(constants, stack)


def _parameters(name: str, values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    with np.errstate(over="ignore"):
        result = values.astype(dtype)
    wrong = ~np.isfinite(result)
    if wrong.any():
        position = tuple(int(i) for i in np.argwhere(wrong)[0])
        place, value = ", ".join(map(str, position)), values[position]
        way_out = "; dtype='float64' has room for it" if np.isfinite(value) else ""
        raise ValueError(
            f"to_c: expected finite parameters, got {name}[{place}] = {value!s}, not finite in {dtype}{way_out}"
        )
    return result


def _size(layer: Layer) -> int:
    return layer.weights.size + layer.bias.size + sum(values.size for _, values in _others_of(layer))


def _others_of(layer: Layer) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the names and the values of the other parameters of a layer."""
    scales = {"scales": layer.scales, "output_scales": layer.output_scales}
    arrays = {"slopes": layer.slopes, "alphas": layer.alphas, **scales}
    if layer.residual is not None:
        arrays |= {"projection": layer.residual.projection}
    if layer.normalization is not None:
        arrays |= {"gains": layer.normalization.gains, "shifts": layer.normalization.shifts}
    yield from ((name, values) for name, values in arrays.items() if values is not None)


def _constants(index: int, layers: Sequence[Layer], narrow: bool) -> Iterator[str]:
    layer, by_outputs = layers[index], narrow and index == len(layers) - 1
    n_in, n_out = layer.weights.shape
    of_members = " of each member" if layers[0].n_members > 1 else ""
    rows = f"{n_out} rows of {n_in}, one per output{of_members}" if by_outputs else f"{n_in} rows of {n_out}, one per input"
    yield f"/* Layer {index + 1}: {n_in} -> {widths_of(layers)[index]}, {layer.activation}. Weights: {rows}. */\n"
    yield array(f"@weights_{index + 1}", layer.weights.T if by_outputs else layer.weights)
    yield array(f"@biases_{index + 1}", layer.bias)
    for name, values in _others_of(layer):
        yield array(f"@{name}_{index + 1}", values.T if by_outputs and name == "projection" else values)
    if index < len(layers) - 1:
        yield "\n"


def _functions(
    layers: Sequence[Layer], prefix: str, dtype: np.dtype[Any], narrow: bool, stage: Stage | None
) -> Iterator[str]:
    dense = layers[:-1] if narrow else layers
    widest, total = max((layer.weights.shape[1] for layer in dense), default=0), adds_up(layers, narrow)
    connections = [layer.residual for layer in layers if layer.residual is not None]
    if connections:
        yield rendered(KEEP, prefix, dtype)
    if any(each.projection is None for each in connections) or (narrow and layers[-1].residual is not None):
        yield rendered(ADD, prefix, dtype)
    if layers[0].scales is not None:
        yield rendered(SCALE, prefix, dtype)
    if layers[0].output_scales is not None:
        yield rendered(FINISH_SUMS, prefix, dtype)
    yield from layer_functions(prefix, dtype, widest, narrow, total=total)
    yield from normalization_functions(prefix, dtype, [each.name for each in (x.normalization for x in layers) if each])
    activations = [str(layer.activation) for layer in layers]
    yield from activation_functions(prefix, dtype, activations, embeddings.waves_of(stage))
    yield from parametric_functions(prefix, dtype, [str(layer.activation) for layer in layers if layer.alphas is not None])
    if stage is not None:
        yield from embeddings.embedding_functions(stage, prefix, dtype)


def _buffers(layers: Sequence[Layer]) -> tuple[int, int]:
    """Return the sizes of the two arrays for outputs of hidden layers, which layers use in turn.

    Scaled inputs have the place of the second layer's outputs.
    """
    sizes = [layer.weights.shape[1] for layer in layers[:-1]]
    scaled = 0 if layers[0].scales is None else len(layers[0].weights)
    return max(sizes[::2], default=0), max([scaled, *sizes[1::2]])


def _streams(layers: Sequence[Layer]) -> dict[int, int]:
    """Return the sizes of the arrays with the values where residual connections begin, by the layers before them."""
    sizes = [len(layers[0].weights), *widths_of(layers)]
    return {begin: size for begin, size in enumerate(sizes) if begins_at(layers, begin)}


def _residual_calls(layer: Layer, index: int, to: str, narrow: bool) -> list[str]:
    """Return the calls that add the residual connection that ends in a layer."""
    assert layer.residual is not None
    begin, n_out, projection = layer.residual.begin, layer.bias.size, layer.residual.projection
    if projection is None:
        return [f"    @add(stream_{begin}, {to}, {n_out});"]
    n_from, parameters = len(projection), f"@projection_{index + 1}"
    if not narrow:  # the sums go on from the values that are there
        return [f"    @dense({parameters}, {to}, {n_from}, {n_out}, stream_{begin}, {to});"]
    return [
        f"    @narrow({parameters}, zeros, {n_from}, {n_out}, stream_{begin}, added);",
        f"    @add(added, {to}, {n_out});",
    ]


def _activation_call(layer: Layer, index: int) -> str:
    """Return the call of a layer's activation up to its last arguments, the values and their number."""
    if layer.alphas is not None:
        return f"@parametric_{layer.activation}(@alphas_{index + 1}, "
    return f"@{layer.activation}(@slopes_{index + 1}, " if layer.slopes is not None else f"@{layer.activation}("


def _predict(layers: Sequence[Layer], name: str, buffers: tuple[int, int], narrow: bool, stage: Stage | None) -> str:
    lines = [f"    @real {buffer}[{size}];" for buffer, size in zip(("odd", "even"), buffers, strict=True) if size]
    streams, last_residual = _streams(layers), layers[-1].residual
    lines += [f"    @real stream_{begin}[{size}];" for begin, size in streams.items()]
    if narrow and last_residual is not None and last_residual.projection is not None:
        n_out = layers[-1].bias.size
        lines.append(f"    @real added[{n_out}], zeros[{n_out}] = {{0}};")
    source = "x"
    if stage is not None:
        lines = [f"    @real inputs[{len(layers[0].weights)}];", *lines, *embeddings.calls(stage)]
        source = "inputs"
    if layers[0].n_members > 1:
        lines = members.looped(layers, lines, _all_layers(layers, source, "own", narrow, streams))
    else:
        lines += _all_layers(layers, source, "y", narrow, streams)
    return f"\nvoid {name}(const @real *x, @real *y)\n{{\n" + "\n".join(lines) + "\n}\n"


def _all_layers(layers: Sequence[Layer], source: str, result: str, narrow: bool, streams: dict[int, int]) -> list[str]:
    """Return the calls of all layers; the last one sets the array `result`."""
    lines = []
    if layers[0].scales is not None:
        lines.append(members.scale_call(layers, 0, source, "even"))
        source = "even"
    lines += _kept_stream(0, source, streams)
    for index in range(len(layers)):
        last = index == len(layers) - 1
        to = result if last else ("odd", "even")[index % 2]
        lines += _layer_calls(layers, index, source, to, last and narrow, streams)
        source = to
    return lines


def _layer_calls(
    layers: Sequence[Layer], index: int, source: str, to: str, narrow: bool, streams: dict[int, int]
) -> list[str]:
    """Return the calls of a layer, from its inputs to its outputs."""
    layer, n_out = layers[index], widths_of(layers)[index]
    calls = members.sum_calls(layers, index, source, to, narrow)
    normalize = []
    if layer.normalization is not None:
        parameters = "".join(f"@{name}_{index + 1}, " for name, _ in _others_of(layer) if name in ("gains", "shifts"))
        normalize = [f"    @{layer.normalization.name}({parameters}{to}, {n_out});"]
    calls += normalize if layer.normalizes("before") else []
    calls += _residual_calls(layer, index, to, narrow) if layer.adds("before") else []
    calls += [] if layer.activation == "identity" else [f"    {_activation_call(layer, index)}{to}, {n_out});"]
    calls += _residual_calls(layer, index, to, narrow) if layer.adds("after") else []
    calls += _kept_stream(index + 1, to, streams)
    return calls + (normalize if layer.normalizes("after") else [])


def _kept_stream(begin: int, values: str, streams: dict[int, int]) -> list[str]:
    return [f"    @keep({values}, stream_{begin}, {streams[begin]});"] if begin in streams else []
