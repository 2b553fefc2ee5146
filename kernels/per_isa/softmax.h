// Softmax: exponentials over whole rows. Most networks have few classes, and rows of these are worked on several at a time.
#pragma once

#include "elementary.h"
#include "vec.h"

#include <limits>
#include <type_traits>

namespace {

// The first n - i of a vector's lanes; the others become `other`.
template <class T> FASTNN_INLINE Vec<T> keep_lanes(Vec<T> a, int64_t n, T other) {
    IntVec<T> lane;
    for (int q = 0; q < lanes<T>; q++) lane[q] = q;
    return lane < splat_int<T>(n) ? a : splat(other);
}

template <class T> T largest(const T *z, int64_t n) {
    T top = z[0];
    for (int64_t j = 1; j < n; j++) top = z[j] > top ? z[j] : top;
    return top;
}

// A row of at most V vectors, as most networks' classes are: whole in registers, without a branch, so that the CPU works on
// several rows at a time. With `padded`, whole vectors of the row may be read and written.
template <class T, int V> struct ShortRow {
    Vec<T> at[V];

    static ShortRow read(const T *from, int64_t n, bool padded, T other) {
        ShortRow row = {};
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
            const int64_t part = n - v * lanes<T>;
            if (padded) row.at[v] = load(from + v * lanes<T>);
            else
                for (int64_t q = 0; q < part && q < lanes<T>; q++) row.at[v][q] = from[v * lanes<T> + q];
            row.at[v] = keep_lanes<T>(row.at[v], part, other);
        }
        return row;
    }
    // Past the n elements of a padded row, zeros.
    void write(T *to, int64_t n, bool padded) const {
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
            const int64_t part = n - v * lanes<T>;
            if (padded) store(to + v * lanes<T>, keep_lanes<T>(at[v], part, T(0)));
            else
                for (int64_t q = 0; q < part && q < lanes<T>; q++) to[v * lanes<T> + q] = at[v][q];
        }
    }
    // In all lanes.
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
    // exp(z - top), 0 past the n elements.
    ShortRow exp_shifted(Vec<T> top, int64_t n) const {
        ShortRow row = {};
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) row.at[v] = keep_lanes<T>(exp(at[v] - top), n - v * lanes<T>, T(0));
        return row;
    }
};

// One vector for each of a few columns; those beyond the n that there are hold zeros.
constexpr int max_columns = 4;
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

// A block of rows that stand without padding, column by column.
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

// Calls f with the number of vectors of a row of n as a constant, if these are few enough; says whether.
template <class T, class F> FASTNN_INLINE bool with_short_row(int64_t n, F f) {
    if (n <= lanes<T>) f(std::integral_constant<int, 1>());
    else if (n <= 2 * lanes<T>) f(std::integral_constant<int, 2>());
    else if (n <= 3 * lanes<T>) f(std::integral_constant<int, 3>());
    else if (n <= 4 * lanes<T>) f(std::integral_constant<int, 4>());
    else return false;
    return true;
}

// e[j] = exp(z[j] - max z), and their sum. z and e may be the same; nothing past their n elements is touched.
template <class T> T exp_shifted(const T *z, int64_t n, T *e) {
    const T top = largest(z, n);
    Vec<T> sums[block_vectors] = {};
    for (int64_t j = 0, v = 0; j < n; j += lanes<T>, v++) {
        const int64_t part = n - j < lanes<T> ? n - j : lanes<T>;
        const Vec<T> zj = part < lanes<T> ? load_part(z + j, part) : load(z + j);
        const Vec<T> x = keep_lanes<T>(exp(zj - top), part, T(0));
        sums[v % block_vectors] += x;
        store_part(e + j, x, part);
    }
    return sum_block<T>(sums);
}

// softmax(z) = exp(z - max z) / sum, a row at a time. Its derivative is a matrix: delta becomes a * (delta - <delta, a>).
template <class T> struct Softmax {
    static constexpr bool is_identity = false, elementwise = false, from_output = true, has_slopes = false;
    static constexpr double initial_slope = 0;

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
            const T scale = T(1) / exp_shifted(z, n, z);
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

// t - log(sum exp t) with t = z - max z, a row at a time, in place.
template <class T> void log_softmax(T *z, int64_t rows, int64_t n) {
    for (int64_t i = 0; i < rows; i++, z += n) {
        const T top = largest(z, n);
        Vec<T> sums[block_vectors] = {};
        for (int64_t j = 0, v = 0; j < n; j += lanes<T>, v++) {
            const int64_t part = n - j < lanes<T> ? n - j : lanes<T>;
            sums[v % block_vectors] += keep_lanes<T>(exp(load_part(z + j, part) - top), part, T(0));
        }
        const Vec<T> log_sum = log(splat(sum_block<T>(sums)));
        for_each_vector<T>(n, [=](int64_t j, auto access) { access.store(z + j, (access.load(z + j) - top) - log_sum); });
    }
}

}  // namespace
