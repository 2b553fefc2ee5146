// Softmax: exponentials over whole rows. Most networks have few classes; the kernels work on several of such short rows at a
// time.
#pragma once

#include <limits>
#include <type_traits>

#include "elementary.h"
#include "kernel_tables.h"

namespace {

// Returns the largest element, in all lanes.
template <class T> Vec<T> largest(const T *z, int64_t n) {
    if (n < lanes<T>) return largest_lane<T>(keep_lanes<T>(load_partial(z, n), n, z[0]));
    Vec<T> top = load(z + n - lanes<T>);  // the others may overlap it
    for (int64_t j = 0; j + lanes<T> <= n; j += lanes<T>) top = max(load(z + j), top);
    return largest_lane<T>(top);
}

// A row of at most V vectors: most networks have no more classes. It stays in registers, and the code has no branches, so that
// the CPU works on several rows at a time. With `padded`, whole vectors of the row may be read and written.
template <class T, int V> struct ShortRow {
    Vec<T> at[V];

    static ShortRow read(const T *from, int64_t n, bool padded, T other) {
        ShortRow row = {};
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
            const int64_t rest = n - v * lanes<T>;
            if (padded) row.at[v] = load(from + v * lanes<T>);
            else
                for (int64_t q = 0; q < rest && q < lanes<T>; q++) row.at[v][q] = from[v * lanes<T> + q];
            row.at[v] = keep_lanes<T>(row.at[v], rest, other);
        }
        return row;
    }
    // Writes zeros past the n elements of a padded row.
    void write(T *to, int64_t n, bool padded) const {
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
            const int64_t rest = n - v * lanes<T>;
            if (padded) store(to + v * lanes<T>, keep_lanes<T>(at[v], rest, T(0)));
            else
                for (int64_t q = 0; q < rest && q < lanes<T>; q++) to[v * lanes<T> + q] = at[v][q];
        }
    }
    // Returns the largest element, in all lanes.
    Vec<T> largest() const {
        Vec<T> top = at[0];
#pragma GCC unroll 4
        for (int v = 1; v < V; v++) top = max(at[v], top);
        return largest_lane<T>(top);
    }
    T sum() const {
        Vec<T> block[block_vectors] = {};
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) block[v % block_vectors] += at[v];
        return sum_block<T>(block);
    }
    // Returns the sum of the products with another row. Both have zeros past their elements.
    T dot(const ShortRow &other) const {
        Vec<T> block[block_vectors] = {};
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) block[v % block_vectors] = fma(at[v], other.at[v], block[v % block_vectors]);
        return sum_block<T>(block);
    }
    // Returns exp(z - top), and 0 past the n elements.
    ShortRow exp_shifted(Vec<T> top, int64_t n) const {
        ShortRow row = {};
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) row.at[v] = keep_lanes<T>(exp(at[v] - top), n - v * lanes<T>, T(0));
        return row;
    }
};

// One vector per column, for a few columns; the vectors past the n columns in use hold zeros.
template <class T> struct ColumnVectors {
    Vec<T> at[max_columns] = {};

    Vec<T> largest(int64_t n) const {
        Vec<T> top = at[0];
        for (int64_t j = 1; j < n; j++) top = max(at[j], top);
        return top;
    }
    Vec<T> sum() const { return (at[0] + at[2]) + (at[1] + at[3]); }
    ColumnVectors exp_shifted(Vec<T> top, int64_t n) const {
        ColumnVectors e;
        for (int64_t j = 0; j < n; j++) e.at[j] = exp(at[j] - top);
        return e;
    }
};

// A block of rows without padding, stored column by column.
template <class T> class Columns {
  public:
    Columns() = default;
    Columns(const T *from, int64_t rows, int64_t n) {
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < n; j++) at_[j][i] = from[i * n + j];
        for (int64_t i = rows; i < block_lanes<T>; i++)
            for (int64_t j = 0; j < n; j++) at_[j][i] = 0;
    }
    ColumnVectors<T> read(int v, int64_t n) const {
        ColumnVectors<T> columns;
        for (int64_t j = 0; j < n; j++) columns.at[j] = load(at_[j] + v * lanes<T>);
        return columns;
    }
    void write(int v, int64_t j, Vec<T> values) { store(at_[j] + v * lanes<T>, values); }
    void spread(T *to, int64_t rows, int64_t n) const {
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < n; j++) to[i * n + j] = at_[j][i];
    }

  private:
    alignas(block_bytes) T at_[max_columns][size_t(block_lanes<T>)];
};

// Calls f with the number of vectors in a row of n as a constant, if there are at most 4; returns whether it did.
template <class T, class F> FASTNN_INLINE bool with_short_row(int64_t n, F f) {
    if (n <= lanes<T>) f(std::integral_constant<int, 1>());
    else if (n <= 2 * lanes<T>) f(std::integral_constant<int, 2>());
    else if (n <= 3 * lanes<T>) f(std::integral_constant<int, 3>());
    else if (n <= 4 * lanes<T>) f(std::integral_constant<int, 4>());
    else return false;
    return true;
}

// Sets e[j] = exp(z[j] - top), and returns their sum. z and e may be the same; nothing past their n elements is read or
// written.
template <class T> T exp_shifted(const T *z, int64_t n, Vec<T> top, T *e) {
    Vec<T> sums[block_vectors] = {};
    for (int64_t j = 0, v = 0; j < n; j += lanes<T>, v++) {
        const int64_t rest = n - j < lanes<T> ? n - j : lanes<T>;
        const Vec<T> zj = rest < lanes<T> ? load_partial(z + j, rest) : load(z + j);
        const Vec<T> x = keep_lanes<T>(exp(zj - top), rest, T(0));
        sums[v % block_vectors] += x;
        store_partial(e + j, x, rest);
    }
    return sum_block<T>(sums);
}

// softmax(z) = exp(z - max z) / sum, one row at a time. Its derivative is a matrix: delta becomes a * (delta - <delta, a>).
template <class T> struct SoftmaxOfRows {
    template <int V> static void short_rows(T *z, int64_t rows, int64_t n, int64_t row) {
        const bool padded = row >= V * lanes<T>;
        for (int64_t i = 0; i < rows; i++, z += row) {
            const ShortRow<T, V> zi = ShortRow<T, V>::read(z, n, padded, -std::numeric_limits<T>::infinity());
            ShortRow<T, V> e = zi.exp_shifted(zi.largest(), n);
            const T scale = T(1) / e.sum();
#pragma GCC unroll 4
            for (int v = 0; v < V; v++) e.at[v] *= scale;
            e.write(z, n, padded);
        }
    }
    static void narrow_rows(T *z, int64_t rows, int64_t n) {
        for (int64_t i = 0; i < rows; i += block_lanes<T>) {
            const int64_t count = rows - i < block_lanes<T> ? rows - i : block_lanes<T>;
            Columns<T> columns(z + i * n, count, n);
            for (int v = 0; v < block_vectors; v++) {
                const ColumnVectors<T> zi = columns.read(v, n), e = zi.exp_shifted(zi.largest(n), n);
                const Vec<T> scale = T(1) / e.sum();
                for (int64_t j = 0; j < n; j++) columns.write(v, j, e.at[j] * scale);
            }
            columns.spread(z + i * n, count, n);
        }
    }
    static void value(T *z, int64_t rows, int64_t n, int64_t row) {
        if (row == n && n <= max_columns) return narrow_rows(z, rows, n);
        if (with_short_row<T>(n, [=](auto vectors) { short_rows<vectors()>(z, rows, n, row); })) return;
        for (int64_t i = 0; i < rows; i++, z += row) {
            const T scale = T(1) / exp_shifted(z, n, largest(z, n), z);
            for (int64_t j = 0; j < n; j++) z[j] *= scale;
        }
    }
    static void times_derivative(T *delta, const T *a, int64_t rows, int64_t n, int64_t row) {
        for (int64_t i = 0; i < rows; i++, delta += row, a += row) {
            T dot = 0;
            for (int64_t j = 0; j < n; j++) dot += delta[j] * a[j];
            for (int64_t j = 0; j < n; j++) delta[j] = a[j] * (delta[j] - dot);
        }
    }
};

// z becomes t - log(sum exp t) with t = z - max z, one row at a time.
template <class T> void log_softmax(T *z, int64_t rows, int64_t n) {
    for (int64_t i = 0; i < rows; i++, z += n) {
        const Vec<T> top = largest(z, n);
        Vec<T> sums[block_vectors] = {};
        for (int64_t j = 0, v = 0; j < n; j += lanes<T>, v++) {
            const int64_t rest = n - j < lanes<T> ? n - j : lanes<T>;
            sums[v % block_vectors] += keep_lanes<T>(exp(load_partial(z + j, rest) - top), rest, T(0));
        }
        const Vec<T> log_sum = log(splat(sum_block<T>(sums)));
        for_each_vector<T>(n, [=](int64_t j, auto access) { access.store(z + j, (access.load(z + j) - top) - log_sum); });
    }
}

}  // namespace
