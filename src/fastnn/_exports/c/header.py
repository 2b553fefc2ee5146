"""The comment at the top of a C file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn._exports.c import embeddings
from fastnn._exports.layers import Layer, Stage, widths_of
from fastnn._version import __version__

_TEXT = """\
/* A neural network, exported by fastnn {version}.
 *
 * Layers          {sizes}{embeddings}
 * Activations     {activations}{scales}{members}
 * Declaration     {declaration}
 * Inputs          {n_in} in x: one row{features}
 * Outputs         {n_out} in y, which must not overlap x
 * Constants       {constants} bytes, read only
 * Stack           {least_stack} bytes, or up to {most_stack} with SIMD code, besides saved registers, with -O1 and more
 * Multiply-adds   {multiply_adds} a call
 *
 * The function allocates no memory and keeps no state, so that threads may call it at once. Compile it with -O3 and, for
 * speed, with the instructions of your machine (-march=native, or -mavx2 -mfma). Link with -lm if the linker asks for
 * {fma}, sin, cos or {sqrt}.
 *
 * If the target has fused multiply-add, the results are bit for bit those of a fastnn model of {dtype} with these
 * parameters, on a machine that has it too. If not, they are those of fastnn's instruction set "baseline", which differ by
 * rounding. -D{prefix}_FUSED=1 gives the former on every target, by slow calls of {fma} where it is no instruction.
 * Options that change arithmetic, such as -ffast-math and -ffp-contract=fast, may change the bits.
 */
"""
_MEMBERS = """
 * Members         {}, with scales and outputs of their own, of which y is the mean"""


@dataclass(frozen=True)
class Memory:
    """The numbers of elements that a network has in constants, and in arrays on the stack."""

    constants: int
    stack: int


def header(
    layers: Sequence[Layer],
    name: str,
    prefix: str,
    dtype: np.dtype[Any],
    memory: Memory,
    feature_names: Sequence[str] | None,
    stage: Stage | None = None,
) -> str:
    """Return the comment."""
    c_type = "float" if dtype == np.float32 else "double"
    sizes, n_members = [layers[0].weights.shape[0], *widths_of(layers)], layers[0].n_members
    n_products = n_members * sum(map(_products, layers[:-1])) + _products(layers[-1])
    return _TEXT.format(
        version=__version__,
        sizes=" -> ".join(map(str, sizes if stage is None else [stage.n_in, *sizes])),
        embeddings="" if stage is None else _embedded(stage),
        activations=", ".join(map(_described, layers)),
        scales="" if layers[0].scales is None else "; inputs times trained scales",
        members="" if n_members == 1 else _MEMBERS.format(n_members),
        declaration=f'void {name}(const {c_type} *x, {c_type} *y); in C++ after extern "C"',
        n_in=sizes[0] if stage is None else stage.n_in,
        n_out=sizes[-1],
        features="".join(f"\n *   x[{i}]  {_safe(each)}" for i, each in enumerate(feature_names or ())),
        constants=memory.constants * dtype.itemsize,
        least_stack=memory.stack * dtype.itemsize + 64,  # and the partial sums
        most_stack=memory.stack * dtype.itemsize + 512,
        multiply_adds=n_products + (0 if stage is None else embeddings.products(stage)),
        fma="fmaf" if dtype == np.float32 else "fma",
        sqrt="sqrtf" if dtype == np.float32 else "sqrt",
        dtype=dtype.name,
        prefix=prefix,
    )


def _embedded(stage: Stage) -> str:
    return "".join(f"\n * Embedding       {embeddings.described(e)}" for e, _ in stage.embeddings)


def _products(layer: Layer) -> int:
    """Return the number of multiply-adds of a layer."""
    projection = None if layer.residual is None else layer.residual.projection
    return layer.weights.size + (0 if projection is None else projection.size)


def _described(layer: Layer) -> str:
    """Return the activation of a layer, with its normalization and its residual connection."""
    order = [str(layer.activation) if layer.alphas is None else f"parametric {layer.activation}"]
    if layer.residual is not None:
        begin = layer.residual.begin
        added = f"plus layer {begin}" if begin else "plus the inputs"
        order.insert(0 if layer.residual.place == "before" else 1, added)
    if layer.normalization is not None:
        order.insert(0 if layer.normalization.place == "before" else len(order), layer.normalization.name)
    return " then ".join(order)


def _safe(name: object) -> str:
    """Return a name as text that can't end the comment, or begin another one."""
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(name))
    return text.encode("utf-8", "backslashreplace").decode().replace("*/", "* /").replace("/*", "/ *")
