// The arithmetic of a dense layer: one matrix product computes the outputs, the input gradient and the weight gradient.
//
// One thread owns each element of a product, and computes it in one order: fma over k = 0, 1, 2, … from its start value. Tiles,
// threads and instruction sets divide rows and columns only, so none of them changes a bit.
#pragma once

#include <array>
#include <utility>

#include "product.h"

namespace {

// Sets ROWS x COLUMNS vectors of sums to their start values.
template <class T, int ROWS, int COLUMNS, Start START>
FASTNN_INLINE void start_sums(const Product<T> &p, int64_t row, int64_t column, Vec<T> (&sum)[ROWS][COLUMNS]) {
    const T *c = p.c + row * p.c_row + column;
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 4
        for (int j = 0; j < COLUMNS; j++) {
            if constexpr (START == Start::zero) sum[i][j] = Vec<T>{};
            if constexpr (START == Start::bias) sum[i][j] = load(p.bias + column + j * lanes<T>);
            if constexpr (START == Start::previous) sum[i][j] = load(c + i * p.c_row + j * lanes<T>);
        }
}

// Computes a tile of ROWS x COLUMNS vectors with all sums in registers. Three rows of A share one pointer, since addresses have
// the form base + {0, 1, 2} * index.
template <class T, int ROWS, int COLUMNS, Start START, Finish FINISH, bool AHEAD = false>
__attribute__((noinline)) void tile(const Product<T> &p, int64_t row, int64_t column) {
    constexpr int pointers = (ROWS + 2) / 3;
    const T *a[pointers];
#pragma GCC unroll 8
    for (int g = 0; g < pointers; g++) a[g] = p.a + (row + 3 * g) * p.a_row;
    const T *b = p.b + column, *ahead = p.ahead;
    T *c = p.c + row * p.c_row + column;
    const int64_t a_row = p.a_row, a_column = p.a_column, b_row = p.b_row;

    Vec<T> sum[ROWS][COLUMNS];
    start_sums<T, ROWS, COLUMNS, START>(p, row, column, sum);
    if constexpr (FINISH == Finish::descend && COLUMNS == 2)  // C comes while the sums are computed
#pragma GCC unroll 16
        for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 4
            for (int j = 0; j < COLUMNS; j++) __builtin_prefetch(c + i * p.c_row + j * lanes<T>, 1);
#pragma GCC unroll 2
    for (int64_t k = 0; k < p.depth; k++) {
        if constexpr (AHEAD) {
            __builtin_prefetch(ahead, 0, 2);  // into the second-level cache
            ahead += p.ahead_row;
        }
        Vec<T> right[COLUMNS];
#pragma GCC unroll 4
        for (int j = 0; j < COLUMNS; j++) right[j] = load(b + j * lanes<T>);
#pragma GCC unroll 16
        for (int i = 0; i < ROWS; i++) {
            const Vec<T> left = splat(a[i / 3][(i % 3) * a_row]);
#pragma GCC unroll 4
            for (int j = 0; j < COLUMNS; j++) sum[i][j] = fma(left, right[j], sum[i][j]);
        }
#pragma GCC unroll 8
        for (int g = 0; g < pointers; g++) a[g] += a_column;
        b += b_row;
    }
    const Vec<T> minus_rate = splat(-p.learning_rate);
#pragma GCC unroll 16
    for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 4
        for (int j = 0; j < COLUMNS; j++) {
            T *to = c + i * p.c_row + j * lanes<T>;
            if constexpr (FINISH == Finish::store) store(to, sum[i][j]);
            if constexpr (FINISH == Finish::descend) store(to, fma(minus_rate, sum[i][j], load(to)));
        }
}

// Computes the tiles of a panel of one vector, of four, or of copied elements: as many tiles of ROWS rows as fit, then lower ones.
// Eight rows are 4 + 4, which is faster than 6 + 2.
template <class T, int COLUMNS, int ROWS, Start START, Finish FINISH>
FASTNN_INLINE void panel(const Product<T> &p, Range rows, int64_t column) {
    int64_t i = rows.begin;
    for (; rows.end - i >= ROWS && !(ROWS == 6 && rows.end - i == 8); i += ROWS)
        tile<T, ROWS, COLUMNS, START, FINISH>(p, i, column);
    if constexpr (ROWS > 1) panel<T, COLUMNS, (ROWS == 6 ? 4 : ROWS / 2), START, FINISH>(p, {i, rows.end}, column);
}

template <class T> using Tile = void (*)(const Product<T> &p, int64_t row, int64_t column);
template <class T, Start START, Finish FINISH, int... N>
constexpr std::array<Tile<T>, sizeof...(N)> tiles_by_height(std::integer_sequence<int, N...>) {
    return {tile<T, N + 1, 2, START, FINISH>...};
}

// Computes the tiles of panels of two vectors. They are as few as possible for each panel, since each reads the panel again, and
// their heights differ by one at most.
template <class T, Start START, Finish FINISH> void panels(const Product<T> &p, Range rows, Range columns) {
    if (rows.size() == 0) return;
    static constexpr auto tiles = tiles_by_height<T, START, FINISH>(std::make_integer_sequence<int, high_tile_rows>());
    const int64_t n = (rows.size() + high_tile_rows - 1) / high_tile_rows, low = rows.size() / n, n_higher = rows.size() - n * low;
    for (int64_t j = columns.begin; j < columns.end; j += 2 * lanes<T>)
        for (int64_t q = 0, i = rows.begin; q < n; q++) {
            const int64_t height = q < n_higher ? low + 1 : low;
            tiles[size_t(height - 1)](p, i, j);
            i += height;
        }
}

// Computes a tile of few columns whose vectors hold rows of C, so that no lanes are lost to padding. The rows of A stand side by side,
// as in the gradient of weights. B is read by elements.
template <class T, int VECTORS, int COLUMNS, Start START, Finish FINISH>
__attribute__((noinline)) void upright_tile(const Product<T> &p, int64_t row, int64_t column) {
    Vec<T> sum[VECTORS][COLUMNS], square[size_t(lanes<T>)];
    T *const c = p.c + row * p.c_row + column;
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) {
        if constexpr (START == Start::previous) {
#pragma GCC unroll 16
            for (int q = 0; q < lanes<T>; q++) square[q] = load(c + (v * lanes<T> + q) * p.c_row);
            transpose_square<T>(square);
        }
#pragma GCC unroll 8
        for (int j = 0; j < COLUMNS; j++) sum[v][j] = START == Start::previous ? square[j] : Vec<T>{};
    }
    const T *a = p.a + row, *b = p.b + column;
    for (int64_t k = 0; k < p.depth; k++, a += p.a_column, b += p.b_row) {
        Vec<T> left[VECTORS];
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++) left[v] = load(a + v * lanes<T>);
#pragma GCC unroll 8
        for (int j = 0; j < COLUMNS; j++)
#pragma GCC unroll 8
            for (int v = 0; v < VECTORS; v++) sum[v][j] = fma(left[v], splat(b[j]), sum[v][j]);
    }
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) {
#pragma GCC unroll 16
        for (int q = 0; q < lanes<T>; q++) square[q] = q < COLUMNS ? sum[v][q] : Vec<T>{};
        transpose_square<T>(square);
#pragma GCC unroll 16
        for (int q = 0; q < lanes<T>; q++) {
            T *const to = c + (v * lanes<T> + q) * p.c_row;
            store(to, FINISH == Finish::store ? square[q] : fma(splat(-p.learning_rate), square[q], load(to)));
        }
    }
}

// Computes the whole vectors of rows by upright tiles, and returns the rows that are left.
template <class T, int COLUMNS, Start START, Finish FINISH> Range upright_panel(const Product<T> &p, Range rows, int64_t column) {
    constexpr int vectors = (FASTNN_VECTOR_BYTES == 64 ? 16 : 8) / COLUMNS;
    for (; rows.size() >= vectors * lanes<T>; rows.begin += vectors * lanes<T>)
        upright_tile<T, vectors, COLUMNS, START, FINISH>(p, rows.begin, column);
    for (; rows.size() >= lanes<T>; rows.begin += lanes<T>) upright_tile<T, 1, COLUMNS, START, FINISH>(p, rows.begin, column);
    return rows;
}

// The same for up to half a vector of columns: with more, upright tiles would make as many multiplications as others.
template <class T, Start START, Finish FINISH> Range upright_panels(const Product<T> &p, Range rows, Range columns) {
    if constexpr (lanes<T> > 8)
        if (columns.size() > 4) return upright_panel<T, 8, START, FINISH>(p, rows, columns.begin);
    if constexpr (lanes<T> > 4)
        if (columns.size() > 2) return upright_panel<T, 4, START, FINISH>(p, rows, columns.begin);
    return upright_panel<T, 2, START, FINISH>(p, rows, columns.begin);
}

// If C has few rows, B may be swept: the product reads a few rows of B at a time, from end to end, while panels read a few
// columns of every row. A sweep reads at the speed of memory. Panels are 2 to 3 times slower if each row of B is a page or more.
constexpr int64_t page = 4096;                                  // bytes
constexpr int max_splats = FASTNN_VECTOR_BYTES == 64 ? 16 : 8;  // that stay in registers
template <int ROWS> constexpr int sweep_depth = ROWS == 1 ? max_splats / 2 : max_splats / ROWS;

// Adds the products with rows k … k + DEPTH - 1 of B to COLUMNS vectors in each of ROWS rows of C. `left` has the elements of A.
template <class T, int ROWS, int DEPTH, int COLUMNS, Start START>
FASTNN_INLINE void add_rows(const Product<T> &p, const Vec<T> (&left)[DEPTH][ROWS], int64_t row, int64_t k, int64_t column) {
    T *c = p.c + row * p.c_row + column;
    Vec<T> sum[ROWS][COLUMNS];
    start_sums<T, ROWS, COLUMNS, START>(p, row, column, sum);
#pragma GCC unroll 8
    for (int q = 0; q < DEPTH; q++)
#pragma GCC unroll 4
        for (int j = 0; j < COLUMNS; j++) {
            const Vec<T> right = load(p.b + (k + q) * p.b_row + column + j * lanes<T>);
#pragma GCC unroll 4
            for (int i = 0; i < ROWS; i++) sum[i][j] = fma(left[q][i], right, sum[i][j]);
        }
#pragma GCC unroll 4
    for (int i = 0; i < ROWS; i++)
#pragma GCC unroll 4
        for (int j = 0; j < COLUMNS; j++) store(c + i * p.c_row + j * lanes<T>, sum[i][j]);
}

template <class T, int ROWS, int DEPTH, Start START>
__attribute__((noinline)) void sweep(const Product<T> &p, int64_t row, int64_t k, Range columns) {
    constexpr int width = ROWS == 4 && FASTNN_VECTOR_BYTES == 64 ? 2 : 4 / ROWS;  // vectors
    Vec<T> left[DEPTH][ROWS];
#pragma GCC unroll 8
    for (int q = 0; q < DEPTH; q++)
#pragma GCC unroll 4
        for (int i = 0; i < ROWS; i++) left[q][i] = splat(p.a[(row + i) * p.a_row + (k + q) * p.a_column]);
    int64_t j = columns.begin;
    for (; columns.end - j > (width - 1) * lanes<T>; j += width * lanes<T>)
        add_rows<T, ROWS, DEPTH, width, START>(p, left, row, k, j);
    for (; j < columns.end; j += lanes<T>) add_rows<T, ROWS, DEPTH, 1, START>(p, left, row, k, j);
}

// Sweeps B for ROWS rows of C, one panel after the other: a panel of C stays in the first cache. p.depth is at least sweep_depth.
template <class T, int ROWS, Start START> void sweep_rows(const Product<T> &p, int64_t row, Range columns) {
    constexpr int64_t panel_columns = 8192 / int64_t(sizeof(T));
    constexpr int depth = sweep_depth<ROWS>;
    for (int64_t j = columns.begin; j < columns.end; j += panel_columns) {
        const Range panel = {j, columns.end - j < panel_columns ? columns.end : j + panel_columns};
        sweep<T, ROWS, depth, START>(p, row, 0, panel);
        int64_t k = depth;
        for (; k + depth <= p.depth; k += depth) sweep<T, ROWS, depth, Start::previous>(p, row, k, panel);
        for (; k < p.depth; k++) sweep<T, ROWS, 1, Start::previous>(p, row, k, panel);
    }
}

// Returns the number of C's last rows for which B is swept. Panels are slowest if each of their vectors touches two cache lines,
// if all rows fall on the same few sets of the cache, or if B has more pages than the processor's cache of page addresses holds.
template <class T> int64_t swept_rows(const Product<T> &p, int64_t rows) {
    const int64_t b_row = p.b_row * int64_t(sizeof(T));
    if (p.depth < max_splats || b_row < page) return 0;
    const bool fits_lines = (uintptr_t(p.b) | uintptr_t(b_row)) % block_bytes == 0 && b_row % fastnn::set_stride != 0;
    const bool large = p.depth * b_row >= 8 << 20;
    if (fits_lines) return rows < (large ? 8 : 4) ? rows : 0;
    return rows < (large ? 32 : 8) ? rows : rows % 8;
}

template <class T, Start START> void sweep_all(const Product<T> &p, Range rows, Range columns) {
    int64_t i = rows.begin;
    for (; i + 4 <= rows.end; i += 4) sweep_rows<T, 4, START>(p, i, columns);
    for (; i + 2 <= rows.end; i += 2) sweep_rows<T, 2, START>(p, i, columns);
    if (i < rows.end) sweep_rows<T, 1, START>(p, i, columns);
}

// Computes C's rows and columns of the given ranges. columns.begin is a multiple of lanes; the last vector is written whole.
template <class T, Start START, Finish FINISH> void multiply(const Product<T> &p, Range rows, Range columns) {
    if constexpr (FINISH == Finish::store)
        if (const int64_t swept = swept_rows(p, rows.size())) {
            sweep_all<T, START>(p, {rows.end - swept, rows.end}, columns);
            rows.end -= swept;
            if (rows.size() == 0) return;
        }
    int64_t j = columns.begin;
    // Few rows leave registers for wider panels, and need them: a single chain of fma per sum is bound by latency.
    if (rows.size() < 4)
        for (; columns.end - j > 3 * lanes<T>; j += 4 * lanes<T>) panel<T, 4, 2, START, FINISH>(p, rows, j);
    if (columns.end - j > lanes<T>) {
        const int64_t end = j + (columns.end - j + lanes<T> - 1) / (2 * lanes<T>)*(2 * lanes<T>);
        panels<T, START, FINISH>(p, rows, {j, end});
        j = end;
    }
    if (j >= columns.end) return;
    if constexpr (START != Start::bias)
        if (p.a_row == 1 && 2 * (columns.end - j) <= lanes<T>) rows = upright_panels<T, START, FINISH>(p, rows, {j, columns.end});
    panel<T, 1, 2 * tile_rows, START, FINISH>(p, rows, j);
}

// out[j][i] = in[i][j] for i in rows and j < columns. rows.begin is a multiple of lanes; whole squares are written.
template <class T> void transpose(const T *in, int64_t in_row, T *out, int64_t out_row, Range rows, int64_t columns) {
    for (int64_t i = rows.begin; i < rows.end; i += lanes<T>)
        for (int64_t j = 0; j < columns; j += lanes<T>) {
            Vec<T> square[size_t(lanes<T>)];
#pragma GCC unroll 16
            for (int q = 0; q < lanes<T>; q++) square[q] = i + q < rows.end ? load(in + (i + q) * in_row + j) : Vec<T>{};
            transpose_square<T>(square);
#pragma GCC unroll 16
            for (int q = 0; q < lanes<T>; q++)
                if (j + q < columns) store(out + (j + q) * out_row + i, square[q]);
        }
}

// Computes the sums of VECTORS vectors of columns, each as four interleaved sums, (0 + 1) + (2 + 3). They start and finish like a
// product's elements.
template <class T, int VECTORS, Start START, Finish FINISH>
FASTNN_INLINE void sum_vectors(const T *in, int64_t in_row, int64_t n_rows, T *out, T learning_rate) {
    Vec<T> sums[4][VECTORS] = {};
    int64_t i = 0;
    const auto add = [&](int q) {
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; v++) sums[q][v] += load(in + (i + q) * in_row + v * lanes<T>);
    };
    for (; i + 4 <= n_rows; i += 4)
#pragma GCC unroll 4
        for (int q = 0; q < 4; q++) add(q);
#pragma GCC unroll 3
    for (int q = 0; q < 3; q++)
        if (i + q < n_rows) add(q);
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; v++)
        finish<T, START, FINISH>((sums[0][v] + sums[1][v]) + (sums[2][v] + sums[3][v]), out + v * lanes<T>, learning_rate);
}

// Computes the sum of each column. Several vectors of a row are read together, since the rows may stand on pages of their own.
template <class T, Start START, Finish FINISH>
void sum_columns(const T *in, int64_t in_row, int64_t n_rows, int64_t n_columns, T *out, T learning_rate) {
    constexpr int together = FASTNN_VECTOR_BYTES == 64 ? 4 : 2;
    int64_t j = 0;
    for (; n_columns - j > (together - 1) * lanes<T>; j += together * lanes<T>)
        sum_vectors<T, together, START, FINISH>(in + j, in_row, n_rows, out + j, learning_rate);
    for (; j < n_columns; j += lanes<T>) sum_vectors<T, 1, START, FINISH>(in + j, in_row, n_rows, out + j, learning_rate);
}

}  // namespace
