// Columns of X that pass an input stage as they are.
#pragma once

#include "embedding_kernels.h"

namespace {

struct PassedColumns {
    template <class T> static void forward(const Embedding &e, const T *, const EmbeddedRows<T> &rows) {
        for (int64_t i = 0; i < rows.n_rows; i++)
            for (int64_t c = 0; c < e.n_columns; c++)
                rows.out[i * rows.out_row + e.columns[c].place] = rows.x[i * rows.x_row + e.columns[c].of_x];
    }

    template <class T> static void back(const Embedding &e, const T *, const EmbeddedRows<T> &rows, T *to, int64_t to_row) {
        for (int64_t i = 0; i < rows.n_rows; i++)
            for (int64_t c = 0; c < e.n_columns; c++)
                to[i * to_row + e.columns[c].of_x] = rows.delta[i * rows.delta_row + e.columns[c].place];
    }

    template <class T> static constexpr EmbeddingKernels<T> kernels() { return {forward<T>, back<T>, nullptr, nullptr}; }
};

template <class T, class E> constexpr EmbeddingKernels<T> embedding_kernels() { return E::template kernels<T>(); }

}  // namespace
