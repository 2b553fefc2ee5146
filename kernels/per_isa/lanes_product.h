// Arithmetic of many small networks at once: each lane of a vector belongs to a network of its own. In predictions of many rows by a
// small network, each lane belongs to a row (small_predictor.h).
//
// What is one number in dense.h is a vector here, and each element of a product has the same order over k. So each network has the
// bits of the kernels for a single one.
#pragma once

#include "product.h"

namespace {

// C[i][j] = sum over k of A[i][k] * B[k][j], in all lanes. Distances count elements of memory: vectors times lanes.
template <class T> struct LaneProduct {
    int64_t depth;  // k = 0 … depth - 1
    const T *a;
    int64_t a_row, a_column;
    const T *b;
    int64_t b_row, b_column;
    T *c;
    int64_t c_row;  // columns stand side by side
    const T *bias = nullptr;
};

// The size of the main tile: all sums stay in registers, of which there are 32 at 64 bytes, 16 below.
constexpr int lane_tile_rows = 4, lane_tile_columns = FASTNN_VECTOR_BYTES == 64 ? 4 : 2;

template <class T, int ROWS, int COLUMNS, Start START>
__attribute__((noinline)) void lane_tile(const LaneProduct<T> &p, int64_t row, int64_t column) {
    const T *a = p.a + row * p.a_row, *b = p.b + column * p.b_column;
    T *c = p.c + row * p.c_row + column * lanes<T>;
    const int64_t a_row = p.a_row, a_column = p.a_column, b_row = p.b_row, b_column = p.b_column, c_row = p.c_row;
    Vec<T> sum[ROWS][COLUMNS];
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 4
        for (int j = 0; j < COLUMNS; j++) {
            if constexpr (START == Start::zero) sum[i][j] = Vec<T>{};
            if constexpr (START == Start::bias) sum[i][j] = load(p.bias + (column + j) * lanes<T>);
            if constexpr (START == Start::previous) sum[i][j] = load(c + i * c_row + j * lanes<T>);
        }
    for (int64_t k = 0; k < p.depth; k++) {
        Vec<T> right[COLUMNS];
#pragma GCC unroll 4
        for (int j = 0; j < COLUMNS; j++) right[j] = load(b + j * b_column);
#pragma GCC unroll 8
        for (int i = 0; i < ROWS; i++) {
            const Vec<T> left = load(a + i * a_row);
#pragma GCC unroll 4
            for (int j = 0; j < COLUMNS; j++) sum[i][j] = fma(left, right[j], sum[i][j]);
        }
        a += a_column;
        b += b_row;
    }
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 4
        for (int j = 0; j < COLUMNS; j++) store(c + i * c_row + j * lanes<T>, sum[i][j]);
}

// Computes the tiles of COLUMNS columns: as many tiles of ROWS rows as fit, then lower ones.
template <class T, int COLUMNS, int ROWS, Start START>
FASTNN_INLINE void lane_panel(const LaneProduct<T> &p, int64_t row, int64_t n_rows, int64_t column) {
    for (; n_rows - row >= ROWS; row += ROWS) lane_tile<T, ROWS, COLUMNS, START>(p, row, column);
    if constexpr (ROWS > 1) lane_panel<T, COLUMNS, ROWS / 2, START>(p, row, n_rows, column);
}

template <class T, Start START> void multiply_lanes(const LaneProduct<T> &p, int64_t n_rows, int64_t n_columns) {
    int64_t j = 0;
    for (; n_columns - j >= lane_tile_columns; j += lane_tile_columns)
        lane_panel<T, lane_tile_columns, lane_tile_rows, START>(p, 0, n_rows, j);
    if constexpr (lane_tile_columns > 2)
        for (; n_columns - j >= 2; j += 2) lane_panel<T, 2, lane_tile_rows, START>(p, 0, n_rows, j);
    if (j < n_columns) lane_panel<T, 1, 2 * lane_tile_rows, START>(p, 0, n_rows, j);
}

// Returns the sum of term(0) … term(N - 1), N <= block_lanes, in the order of sum_block for the lanes of one block. The lanes that a
// block has beyond N are 0, and no sum is -0: to leave them out changes nothing.
template <class T, int N, int I = 0, int STEP = 1, class Term> FASTNN_INLINE Vec<T> fold_terms(const Term &term) {
    if constexpr (STEP >= block_lanes<T>) {
        return term(I);
    } else {
        const Vec<T> first = fold_terms<T, N, I, 2 * STEP>(term);
        if constexpr (I + STEP < N) return first + fold_terms<T, N, I + STEP, 2 * STEP>(term);
        else return first;
    }
}

// The same for n vectors in memory, which are overwritten.
template <class T> Vec<T> fold_vectors(T *terms, int64_t n) {
    for (int64_t half = block_lanes<T> / 2; half > 0; half /= 2) {
        for (int64_t i = 0; i + half < n; i++)
            store(terms + i * lanes<T>, load(terms + i * lanes<T>) + load(terms + (i + half) * lanes<T>));
        if (n > half) n = half;
    }
    return load(terms);
}

// Returns the sum of x(k) * w(k) over k < N, in the order of multiply_narrow: a lane of a block, which is one of up to block_lanes
// terms here, holds the products k, k + block_lanes.
template <class T, int N, class X, class W> FASTNN_INLINE Vec<T> dot(const X &x, const W &w) {
    constexpr int terms = N < block_lanes<T> ? N : block_lanes<T>;
    return fold_terms<T, terms>([&](int k) __attribute__((always_inline)) {
        const Vec<T> product = fma(w(k), x(k), Vec<T>{});
        const int next = k + block_lanes<T>;
        return next < N ? fma(w(next), x(next), product) : product;
    });
}

// out[i] = bias + <x[i], weights>.
template <class T, int N> void lane_dots(int64_t n_rows, const T *x, const T *weights, Vec<T> bias, T *out, int64_t out_row) {
    for (int64_t i = 0; i < n_rows; i++, x += N * lanes<T>)
        store(out + i * out_row, dot<T, N>([=](int k) __attribute__((always_inline)) { return load(x + k * lanes<T>); },
                                           [=](int k) __attribute__((always_inline)) { return load(weights + k * lanes<T>); }) +
                                     bias);
}

// The sums of a narrow layer's gradients, and of all biases': four interleaved sums, (0 + 1) + (2 + 3), as in narrow_layer.h. A strip
// adds its rows to the four, which stand one after the other for each sum. The number of a strip's first row is a multiple of 4.
template <class T, class Add> FASTNN_INLINE void add_in_fours(T *sums, bool first, int64_t n_rows, Add add) {
    Vec<T> four[4];
#pragma GCC unroll 4
    for (int q = 0; q < 4; q++) four[q] = first ? Vec<T>{} : load(sums + q * lanes<T>);
    int64_t i = 0;
    for (; i + 4 <= n_rows; i += 4)
#pragma GCC unroll 4
        for (int q = 0; q < 4; q++) four[q] = add(i + q, four[q]);
#pragma GCC unroll 3
    for (int q = 0; q < 3; q++)
        if (i + q < n_rows) four[q] = add(i + q, four[q]);
#pragma GCC unroll 4
    for (int q = 0; q < 4; q++) store(sums + q * lanes<T>, four[q]);
}
template <class T> FASTNN_INLINE Vec<T> sum_of_four(const T *sums) {
    return (load(sums) + load(sums + lanes<T>)) + (load(sums + 2 * lanes<T>) + load(sums + 3 * lanes<T>));
}

}  // namespace
