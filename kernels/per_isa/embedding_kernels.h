// The kernels of embeddings: what they take, and their table.
#pragma once

#include "api.h"
#include "product.h"
#include "registry.h"

namespace fastnn::FASTNN_ISA_NAME {

// Rows of X and of an input stage's outputs, and perhaps the loss's derivatives by these.
template <class T> struct EmbeddedRows {
    int64_t n_rows;
    const T *x;  // 0 elements from one row to the next, if all outputs are those of one row
    int64_t x_row;
    T *out;
    int64_t out_row;
    const T *delta = nullptr;
    int64_t delta_row = 0;
};

// The columns of a chunk's rows, side by side: row j is column j of X, or output j. Elements after the chunk's last row are zero up
// to a whole block of lanes.
template <class T> struct EmbeddedColumns {
    int64_t n_rows;
    T *x, *delta;  // of columns of X, and the loss's derivatives by outputs
    int64_t row;
};

// Rows of parameters that a batch touches, of those that one thread owns. Their gradients stand side by side, from the place of the
// thread's first row on: memory that the batch does not need is not touched.
struct TouchedRows {
    int32_t *places;  // of each row of the block: 1 and the number of its gradient; 0 if it is not touched
    int64_t *rows;    // `count` touched rows, each once
    int64_t count;
};

template <class T> struct EmbeddingKernels {
    // Sets the outputs.
    void (*forward)(const Embedding &, const T *parameters, const EmbeddedRows<T> &rows);
    // Sets the derivatives by the embedding's columns of X in rows of `to`.
    void (*back)(const Embedding &, const T *parameters, const EmbeddedRows<T> &rows, T *to, int64_t to_row);
    // Sets the columns of some rows of a chunk, from row `first` of it on, which is a multiple of a block of lanes. Derivatives by
    // outputs become those by the sums that the parameters have part in. It is null if the gradient does not need them.
    void (*turn)(const Embedding &, const EmbeddedRows<T> &rows, const EmbeddedColumns<T> &columns, int64_t first);
    // Sets the gradients of some rows of the parameters, from all rows of a chunk, or adds to them. `to` is laid out like the whole
    // block. It is null for embeddings without parameters.
    void (*gradient)(const Embedding &, const T *parameters, const EmbeddedRows<T> &rows, const EmbeddedColumns<T> &columns,
                     Range own, bool add, T *to);
    // Adds the gradients of some rows of the parameters from all rows of a chunk, but only of rows that the chunk has. Those that
    // were not touched yet begin with zeros, and are listed. `to` is the place of the first of them. It is null unless each row of
    // the parameters is of a category.
    void (*add_rows)(const Embedding &, const EmbeddedRows<T> &rows, Range own, TouchedRows &touched, T *to) = nullptr;
};

#define PLUS_ONE(...) +1
template <class T> struct Embeddings {
    EmbeddingKernels<T> of[0 FASTNN_EMBEDDINGS(PLUS_ONE)];
};
#undef PLUS_ONE

}  // namespace fastnn::FASTNN_ISA_NAME

FASTNN_DECLARE_TABLE(Embeddings, embeddings)

namespace {

template <class T> constexpr auto &all_embeddings = embeddings<T>.of;

}  // namespace
