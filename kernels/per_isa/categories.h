// Columns of categories, whose numbers are the codes 0, 1, … below the number of categories. Any other number, and NaN, stands for
// a category that is missing or unknown.
#pragma once

#include "embedding_kernels.h"

namespace {

// Returns the category of a number, or n if there is none.
template <class T> int64_t category_of(T x, int64_t n) {
    if (!(x >= T(0) && x < T(n))) return n;
    const int64_t code = int64_t(x);
    return T(code) == x ? code : n;
}

// The derivatives by codes are 0.
template <class T> void codes_back(const Embedding &e, const T *, const EmbeddedRows<T> &rows, T *to, int64_t to_row) {
    for (int64_t i = 0; i < rows.n_rows; i++)
        for (int64_t c = 0; c < e.n_columns; c++) to[i * to_row + e.columns[c].of_x] = T(0);
}

// Each category has an output of its own, which is 1 for this category and 0 for all others. All are 0 if it is missing.
struct OneHot {
    template <class T> static void forward(const Embedding &e, const T *, const EmbeddedRows<T> &rows) {
        for (int64_t i = 0; i < rows.n_rows; i++)
            for (int64_t c = 0; c < e.n_columns; c++) {
                T *const out = rows.out + i * rows.out_row + e.columns[c].place;
                const int64_t n = e.n_categories[c], category = category_of(rows.x[i * rows.x_row + e.columns[c].of_x], n);
                std::memset(out, 0, size_t(n) * sizeof(T));
                if (category < n) out[category] = T(1);
            }
    }

    template <class T> static constexpr EmbeddingKernels<T> kernels() { return {forward<T>, codes_back<T>, nullptr, nullptr}; }
};

// The outputs are a row of parameters. Each column has a row for each category, and behind these one for a missing category.
struct Categorical {
    template <class T> static void forward(const Embedding &e, const T *parameters, const EmbeddedRows<T> &rows) {
        for (int64_t i = 0; i < rows.n_rows; i++)
            for (int64_t c = 0; c < e.n_columns; c++) {
                const EmbeddedColumn &column = e.columns[c];
                const int64_t row = row_of(e, c, rows.x[i * rows.x_row + column.of_x]);
                std::memcpy(rows.out + i * rows.out_row + column.place, parameters + row * e.parameters.row,
                            size_t(column.width) * sizeof(T));
            }
    }

    // Each row of parameters has one owner, who adds up the rows of the chunk in their order.
    template <class T>
    static void gradient(const Embedding &e, const T *, const EmbeddedRows<T> &rows, const EmbeddedColumns<T> &, Range own,
                         bool add, T *to) {
        const int64_t row = e.parameters.row;
        if (!add) std::memset(to + own.begin * row, 0, size_t(own.size() * row) * sizeof(T));
        for (int64_t c = 0; c < e.n_columns; c++) {
            const EmbeddedColumn &column = e.columns[c];
            if (column.first_row >= own.end || column.first_row + e.n_categories[c] < own.begin) continue;
            for (int64_t i = 0; i < rows.n_rows; i++) {
                const int64_t k = row_of(e, c, rows.x[i * rows.x_row + column.of_x]);
                if (k < own.begin || k >= own.end) continue;
                const T *delta = rows.delta + i * rows.delta_row + column.place;
                for (int64_t o = 0; o < column.width; o++) to[k * row + o] += delta[o];
            }
        }
    }

    // The sums are those of gradient().
    template <class T>
    static void add_rows(const Embedding &e, const EmbeddedRows<T> &rows, Range own, TouchedRows &touched, T *to) {
        const int64_t row = e.parameters.row;
        int64_t count = touched.count;  // not next to that of another thread
        for (int64_t c = 0; c < e.n_columns; c++) {
            const EmbeddedColumn &column = e.columns[c];
            for (int64_t i = 0; i < rows.n_rows; i++) {
                const int64_t k = row_of(e, c, rows.x[i * rows.x_row + column.of_x]);
                if (k < own.begin || k >= own.end) continue;
                if (touched.places[k] == 0) {
                    touched.rows[count++] = k;
                    touched.places[k] = int32_t(count);
                    std::memset(to + (count - 1) * row, 0, size_t(row) * sizeof(T));
                }
                const T *delta = rows.delta + i * rows.delta_row + column.place;
                T *sums = to + (touched.places[k] - 1) * row;
                for (int64_t o = 0; o < column.width; o++) sums[o] += delta[o];
            }
        }
        touched.count = count;
    }

    template <class T> static constexpr EmbeddingKernels<T> kernels() {
        return {forward<T>, codes_back<T>, nullptr, gradient<T>, add_rows<T>};
    }

  private:
    template <class T> static int64_t row_of(const Embedding &e, int64_t c, T x) {
        return e.columns[c].first_row + category_of(x, e.n_categories[c]);
    }
};

}  // namespace
