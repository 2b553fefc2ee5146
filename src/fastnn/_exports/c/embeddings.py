"""The embeddings of a C file: their constants, their functions, and the calls that set the inputs of the first layer.

The functions have the bits of the kernels, and take the values of a row one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn._exports.c.functions import rendered
from fastnn._exports.c.literals import array, integers, literal
from fastnn._exports.layers import Stage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fastnn.embeddings import Embedding

_PBLD = """
/* For each column: a linear map of cosines, and the column itself. */
static void @pbld(const @real *p, const int *columns, int n_columns, int n_frequencies, int n_linear, const @real *x,
                 @real *y)
{
    int c, k, o;
    for (c = 0; c < n_columns; c++, y += n_linear + 1) {
        const @real own = x[columns[c]], *weights = p + 2 * n_frequencies, *biases = weights + n_frequencies * n_linear;
        for (o = 0; o < n_linear; o++) y[o] = biases[o];
        for (k = 0; k < n_frequencies; k++, weights += n_linear) {
            const @real cosine = @cosine(@fma(own, %(two_pi)s * p[k], p[n_frequencies + k]));
            for (o = 0; o < n_linear; o++) y[o] = @fma(cosine, weights[o], y[o]);
        }
        y[n_linear] = own;
        p = biases + n_linear;
    }
}
"""
_PLR = """
/* For each column: a linear map of cosines and sines, and a ReLU. */
static void @plr(const @real *p, const int *columns, int n_columns, int n_frequencies, int n_linear, const @real *x,
                 @real *y)
{
    const int n_weights = n_frequencies * n_linear;
    int c, k, o;
    for (c = 0; c < n_columns; c++, y += n_linear) {
        const @real own = x[columns[c]], *weights = p + n_frequencies, *biases = weights + 2 * n_weights;
        for (o = 0; o < n_linear; o++) y[o] = biases[o];
        for (k = 0; k < n_frequencies; k++, weights += n_linear) {
            const @real angle = own * (%(two_pi)s * p[k]), sine = @sine(angle), cosine = @cosine(angle);
            for (o = 0; o < n_linear; o++) {
                y[o] = @fma(cosine, weights[o], y[o]);
                y[o] = @fma(sine, weights[n_weights + o], y[o]);
            }
        }
        for (o = 0; o < n_linear; o++) y[o] = 0.0@suffix > y[o] ? 0.0@suffix : y[o];
        p = biases + n_linear;
    }
}
"""
_CATEGORY = """
/* Returns the category of a number: n if there is none. */
static int @category(@real x, int n)
{
    int code;
    if (!(x >= 0.0@suffix && x < (@real)n)) return n;
    code = (int)x;
    return (@real)code < x ? n : code;
}
"""
_ONE_HOT = """
/* For each column: 1 for its category, and 0 for all others. */
static void @one_hot(const int *columns, const int *n_categories, int n_columns, const @real *x, @real *y)
{
    int c, i;
    for (c = 0; c < n_columns; y += n_categories[c++]) {
        const int category = @category(x[columns[c]], n_categories[c]);
        for (i = 0; i < n_categories[c]; i++) y[i] = i == category ? 1.0@suffix : 0.0@suffix;
    }
}
"""
_CATEGORICAL = """
/* For each column: the row of its category in a table, whose last row is for all that are missing or unknown. */
static void @categorical(const @real *table, const int *columns, const int *n_categories, int n_columns, int width,
                         const @real *x, @real *y)
{
    int c, i;
    for (c = 0; c < n_columns; c++, y += width) {
        const @real *own = table + (long)@category(x[columns[c]], n_categories[c]) * width;
        for (i = 0; i < width; i++) y[i] = own[i];
        table += ((long)n_categories[c] + 1) * width;
    }
}
"""
_PIECEWISE_LINEAR = """
/* For each column: the share of each bin that lies below the number. */
static void @piecewise_linear(const @real *edges, const int *columns, const int *n_bins, int n_columns, const @real *x,
                              @real *y)
{
    int b, c;
    for (c = 0; c < n_columns; c++, edges++) {
        const @real own = x[columns[c]];
        for (b = 0; b < n_bins[c]; b++, edges++) {
            const @real share = (own - edges[0]) / (edges[1] - edges[0]);
            *y++ = b > 0 && share < 0.0@suffix ? 0.0@suffix : b < n_bins[c] - 1 && share > 1.0@suffix ? 1.0@suffix : share;
        }
    }
}
"""
_PASS = """
/* Copies columns. */
static void @pass(const int *columns, int n_columns, const @real *x, @real *y)
{
    int c;
    for (c = 0; c < n_columns; c++) y[c] = x[columns[c]];
}
"""
_FUNCTIONS = {
    "pbld": _PBLD,
    "plr": _PLR,
    "one_hot": _ONE_HOT,
    "categorical": _CATEGORICAL,
    "piecewise_linear": _PIECEWISE_LINEAR,
}
_WAVES = {"pbld": ("cosine",), "plr": ("sine", "cosine")}


def names_of(stage: Stage | None) -> list[str]:
    """Return the names of the kinds of embeddings, each once."""
    return [] if stage is None else list(dict.fromkeys(e.name for e, _ in stage.embeddings))


def waves_of(stage: Stage | None) -> list[str]:
    """Return the functions of angles that the embeddings call."""
    return sorted({wave for name in names_of(stage) for wave in _WAVES.get(name, ())}, reverse=True)


def embedding_functions(stage: Stage, prefix: str, dtype: np.dtype[Any]) -> Iterator[str]:
    """Yield the functions of embeddings, after those of angles."""
    names = names_of(stage)
    if {"one_hot", "categorical"} & set(names):
        yield rendered(_CATEGORY, prefix, dtype)
    for name in names:
        text = _FUNCTIONS[name]
        yield rendered(text % {"two_pi": literal(2 * np.pi, dtype)} if name in _WAVES else text, prefix, dtype)
    if stage.passed:
        yield rendered(_PASS, prefix, dtype)


def constants(stage: Stage, dtype: np.dtype[Any]) -> Iterator[str]:
    """Yield the constants of the embeddings."""
    for i, (e, parameters) in enumerate(stage.embeddings, 1):
        yield f"/* Embedding {i}: {described(e)}. */\n"
        yield integers(f"@columns_{i}", e.columns)
        if e.categories:
            yield integers(f"@categories_{i}", e.categories)
        if e.edges:
            yield integers(f"@bins_{i}", e.widths)
            yield array(f"@edges_{i}", _edges(e, dtype))
        if parameters is not None:
            yield array(f"@embedding_{i}", parameters)
        yield "\n"
    if stage.passed:
        yield "/* The columns that pass. */\n" + integers("@passed", stage.passed) + "\n"


def calls(stage: Stage) -> Iterator[str]:
    """Yield the calls that set the array `inputs` by x."""
    place = 0
    for i, (e, parameters) in enumerate(stage.embeddings, 1):
        n, to = len(e.columns), f"x, inputs + {place});"
        given = [
            f"@columns_{i}",
            *([f"@categories_{i}"] if e.categories else []),
            *([f"@bins_{i}"] if e.edges else []),
            str(n),
        ]
        if parameters is not None:
            given.insert(0, f"@embedding_{i}")
        if e.edges:
            given.insert(0, f"@edges_{i}")
        if e.frequencies:
            given += [str(e.frequencies), str(_n_linear(e))]
        elif e.has_table:
            given.append(str(e.widths[0]))
        yield f"    @{e.name}({', '.join(given)}, {to}"
        place += sum(e.widths)
    if stage.passed:
        yield f"    @pass(@passed, {len(stage.passed)}, x, inputs + {place});"


def size(stage: Stage) -> int:
    """Return the number of numbers in the constants."""
    edges = sum(len(own) for e, _ in stage.embeddings for own in e.edges)
    return edges + sum(parameters.size for _, parameters in stage.embeddings if parameters is not None)


def products(stage: Stage) -> int:
    """Return the number of multiply-adds of linear maps of sines and cosines."""
    each = ((e, len(_WAVES.get(e.name, ()))) for e, _ in stage.embeddings)
    return sum(len(e.columns) * n_waves * e.frequencies * _n_linear(e) for e, n_waves in each if n_waves)


def described(e: Embedding) -> str:
    """Return the kind of an embedding, and its columns."""
    return f"{type(e).__name__} of {_listed(f'x[{column}]' for column in e.columns)}, {sum(e.widths)} outputs"


def _listed(names: Iterable[str]) -> str:
    each = list(names)
    return ", ".join(each if len(each) <= 8 else [*each[:7], "…", each[-1]]).replace("…", "...")


def _n_linear(e: Embedding) -> int:
    return e.widths[0] - (1 if e.name == "pbld" else 0)


def _edges(e: Embedding, dtype: np.dtype[Any]) -> NDArray[Any]:
    return np.array([edge for own in e.edges for edge in own], dtype)
