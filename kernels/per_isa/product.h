// Matrix products: their arguments, and the table of their kernels.
#pragma once

#include "api.h"
#include "shared.h"
#include "vec.h"

namespace fastnn::FASTNN_ISA_NAME {

enum class Start { zero, bias, previous };  // the start value of an element of C: 0, the bias of its column, or C itself
enum class Finish { store, descend };       // C = sum, or C = C - learning_rate * sum: gradient descent without a gradient array

// C[i][j] = sum over k of A[i][k] * B[k][j].
template <class T> struct Product {
    int64_t depth;  // k = 0 … depth - 1
    const T *a;     // element (i, k) stands at a[i * a_row + k * a_column], so that X and its transpose are read alike
    int64_t a_row, a_column;
    const T *b;  // rows of whole vectors
    int64_t b_row;
    T *c;
    int64_t c_row;
    const T *bias = nullptr;
    T learning_rate = 0;
    // For packed products only.
    bool b_is_transposed = false;  // B's columns are rows of vectors
    int64_t b_panel_rows = 0;      // of a transposed B that stands in panels; 0 otherwise. Its row 0 is the first block's
    int64_t b_first = 0;           // row where a block of such a B begins
    const T *ahead = nullptr;      // an element that will be read soon, and the distance to the next one
    int64_t ahead_row = 0;
};

struct Range {
    int64_t begin, end;
    FASTNN_MEMBER int64_t size() const { return end - begin; }
};

// The kernels of one start and finish; null where nothing needs them. dense.h and narrow_layer.h describe them.
template <class T> struct ProductKernels {
    void (*multiply)(const Product<T> &p, Range rows, Range columns, T *memory);
    void (*multiply_packed)(const Product<T> &p, Range rows, Range columns, T *memory);
    void (*multiply_narrow_gradient)(Range outputs, int64_t n_rows, int64_t n_in, int64_t n_out, const T *delta, const T *x,
                                     int64_t x_row, T *to, int64_t to_row, T learning_rate);
    void (*sum_columns)(const T *in, int64_t in_row, int64_t n_rows, int64_t n_columns, T *out, T learning_rate);
    void (*sum_columns_narrow)(const T *in, int64_t n_rows, int64_t n_columns, T *out, T learning_rate);
};

template <class T> struct Products {
    ProductKernels<T> from_zero, from_bias, from_previous, descend;
    void (*multiply_narrow)(Range rows, int64_t n_in, int64_t n_out, const T *x, int64_t x_row, const T *weights,
                            int64_t weights_row, const T *bias, T *out);
    void (*transpose)(const T *in, int64_t in_row, T *out, int64_t out_row, Range rows, int64_t columns);
};

}  // namespace fastnn::FASTNN_ISA_NAME

FASTNN_DECLARE_TABLE(Products, products)

namespace {

// The maximal number of rows in a tile of two vectors: all sums stay in registers, of which there are 32 at 64 bytes, 16 below.
constexpr int high_tile_rows = FASTNN_VECTOR_BYTES == 64 ? 14 : 6;
// The same for panels of copied elements.
constexpr int tile_rows = FASTNN_VECTOR_BYTES == 64 ? 8 : 6;

// Calls f with n as a constant, for n = 1 … MAX.
template <int MAX, int N = 1, class F> FASTNN_INLINE void with_constant(int64_t n, F f) {
    if constexpr (N == MAX) f(std::integral_constant<int, N>());
    else if (n == N) f(std::integral_constant<int, N>());
    else with_constant<MAX, N + 1>(n, f);
}

// Ends the sum of an element like a product.
template <class T, Start START, Finish FINISH> FASTNN_INLINE void finish(Vec<T> sum, T *to, T learning_rate) {
    if constexpr (START == Start::previous) sum += load(to);
    store(to, FINISH == Finish::store ? sum : fma(splat(-learning_rate), sum, load(to)));
}

}  // namespace
