// Piecewise linear encoding of numeric columns (Gorishniy, Rubachev and Babenko 2022, arXiv:2203.05556): each bin of a column has an
// output, which is 0 below the bin, 1 above it, and linear within. The first bin has no lower limit, and the last one no upper.
#pragma once

#include "embedding_kernels.h"

namespace {

struct PiecewiseLinear {
    template <class T> static void forward(const Embedding &e, const T *, const EmbeddedRows<T> &rows) {
        for (int64_t i = 0; i < rows.n_rows; i++)
            for (int64_t c = 0; c < e.n_columns; c++) {
                const EmbeddedColumn &column = e.columns[c];
                const T x = rows.x[i * rows.x_row + column.of_x];
                T *const out = rows.out + i * rows.out_row + column.place;
                for (int64_t b = 0; b < column.width; b++) {
                    const T share = (x - T(column.edges[b])) / width_of<T>(column, b);
                    out[b] = b > 0 && share < T(0) ? T(0) : b < column.width - 1 && share > T(1) ? T(1) : share;
                }
            }
    }

    template <class T> static void back(const Embedding &e, const T *, const EmbeddedRows<T> &rows, T *to, int64_t to_row) {
        for (int64_t i = 0; i < rows.n_rows; i++)
            for (int64_t c = 0; c < e.n_columns; c++) {
                const EmbeddedColumn &column = e.columns[c];
                const T x = rows.x[i * rows.x_row + column.of_x];
                T sum = 0;
                for (int64_t b = 0; b < column.width; b++)
                    if ((b == 0 || x > T(column.edges[b])) && (b == column.width - 1 || x < T(column.edges[b + 1])))
                        sum += rows.delta[i * rows.delta_row + column.place + b] / width_of<T>(column, b);
                to[i * to_row + column.of_x] = sum;
            }
    }

    template <class T> static constexpr EmbeddingKernels<T> kernels() { return {forward<T>, back<T>, nullptr, nullptr}; }

  private:
    template <class T> static T width_of(const EmbeddedColumn &column, int64_t bin) {
        return T(column.edges[bin + 1]) - T(column.edges[bin]);
    }
};

}  // namespace
