// The arithmetic of a narrow layer: a last layer with few outputs, which are a few dot products.
//
// Its weights are stored transposed, as n_out rows of n_in, and its rows of outputs have no padding.
#pragma once

#include "product.h"

namespace {

// out[i][j] = bias[j] + <x[i], weights[j]>. Rows of x and weights are whole blocks, padded with zeros; the lanes of a block are
// the partial sums of a dot product.
template <class T>
void multiply_narrow(Range rows, int64_t n_in, int64_t n_out, const T *x, int64_t x_row, const T *weights, int64_t weights_row,
                     const T *bias, T *out) {
    int64_t i = rows.begin;
    for (; i + lanes<T> <= rows.end; i += lanes<T>)
        for (int64_t j = 0; j < n_out; j++) {
            Vec<T> sums[block_vectors][lanes<T>] = {};
            for (int64_t k = 0; k < n_in; k += block_lanes<T>)
#pragma GCC unroll 4
                for (int v = 0; v < block_vectors; v++) {
                    const Vec<T> w = load(weights + j * weights_row + k + v * lanes<T>);
#pragma GCC unroll 16
                    for (int q = 0; q < lanes<T>; q++)
                        sums[v][q] = fma(w, load(x + (i + q) * x_row + k + v * lanes<T>), sums[v][q]);
                }
            Vec<T> dots[size_t(lanes<T>)];
#pragma GCC unroll 16
            for (int q = 0; q < lanes<T>; q++) {
                Vec<T> block[block_vectors];
                for (int v = 0; v < block_vectors; v++) block[v] = sums[v][q];
                dots[q] = fold_block<T>(block);
            }
            const Vec<T> z = sum_rows<T>(dots) + splat(bias[j]);
            if (n_out == 1) store(out + i, z);
            else
                for (int q = 0; q < lanes<T>; q++) out[(i + q) * n_out + j] = z[q];
        }
    for (; i < rows.end; i++)
        for (int64_t j = 0; j < n_out; j++) {
            Vec<T> block[block_vectors] = {};
            for (int64_t k = 0; k < n_in; k += block_lanes<T>)
#pragma GCC unroll 4
                for (int v = 0; v < block_vectors; v++)
                    block[v] =
                        fma(load(weights + j * weights_row + k + v * lanes<T>), load(x + i * x_row + k + v * lanes<T>), block[v]);
            out[i * n_out + j] = sum_block<T>(block) + bias[j];
        }
}

// Computes the gradient of the weights, the sum over i of delta[i][j] * x[i], as four interleaved sums, (0 + 1) + (2 + 3): a
// single chain of fma would be bound by latency.
template <class T, Start START, Finish FINISH>
void multiply_narrow_gradient(Range outputs, int64_t n_rows, int64_t n_in, int64_t n_out, const T *delta, const T *x, int64_t x_row,
                              T *to, int64_t to_row, T learning_rate) {
    for (int64_t j = outputs.begin; j < outputs.end; j++)
        for (int64_t k = 0; k < n_in; k += lanes<T>) {
            Vec<T> sums[4] = {};
            const auto add = [&](int64_t i, int q) {
                sums[q] = fma(splat(delta[i * n_out + j]), load(x + i * x_row + k), sums[q]);
            };
            int64_t i = 0;
            for (; i + 4 <= n_rows; i += 4)
#pragma GCC unroll 4
                for (int q = 0; q < 4; q++) add(i + q, q);
#pragma GCC unroll 3
            for (int q = 0; q < 3; q++)
                if (i + q < n_rows) add(i + q, q);
            finish<T, START, FINISH>((sums[0] + sums[1]) + (sums[2] + sums[3]), to + j * to_row + k, learning_rate);
        }
}

// Computes the sum of each column of rows without padding, in the order of sum_columns.
template <class T, Start START, Finish FINISH>
void sum_columns_narrow(const T *in, int64_t n_rows, int64_t n_columns, T *out, T learning_rate) {
    for (int64_t j = 0; j < n_columns; j++) {
        T sums[4] = {};
        int64_t i = 0;
        for (; i + 4 <= n_rows; i += 4)
#pragma GCC unroll 4
            for (int q = 0; q < 4; q++) sums[q] += in[(i + q) * n_columns + j];
#pragma GCC unroll 3
        for (int q = 0; q < 3; q++)
            if (i + q < n_rows) sums[q] += in[(i + q) * n_columns + j];
        T total = (sums[0] + sums[1]) + (sums[2] + sums[3]);
        if constexpr (START == Start::previous) total += out[j];
        out[j] = FINISH == Finish::store ? total : out[j] - learning_rate * total;
    }
}

}  // namespace
