// The product of sparse rows and the first layer's weights.
#pragma once

#include <algorithm>

#include "sparse_rows.h"

namespace {

// The number of registers for one row of outputs.
constexpr int sparse_vectors = 8;

// Sets out[i] = bias + x[i] weights for a range of rows, where change(i, k, value) returns x[i][k] for the stored value.
template <class T, class Change>
void multiply_sparse_wide(const Rows &x, const Batch &chunk, Change change, Range rows, int64_t n_in, int64_t n_out,
                          const T *weights, int64_t weights_row, const T *bias, T *out, int64_t out_row) {
    constexpr int64_t panel = sparse_vectors * lanes<T>;
    for (int64_t i = rows.begin; i < rows.end; i++)
        for (int64_t j = 0; j < n_out; j += panel) {
            const int count = int(std::min<int64_t>((n_out - j + lanes<T> - 1) / lanes<T>, sparse_vectors));
            Vec<T> sums[sparse_vectors];
            for (int v = 0; v < count; v++) sums[v] = load(bias + j + v * lanes<T>);
            const auto add = [&](int n, int64_t k, T value) {
#pragma GCC unroll 8
                for (int v = 0; v < n; v++)
                    sums[v] = fma(splat(value), load(weights + k * weights_row + j + v * lanes<T>), sums[v]);
            };
            if (count == sparse_vectors)
                for_each_entry<T>(x, chunk.row(i), n_in, [&](int64_t k, T value) { add(sparse_vectors, k, change(i, k, value)); });
            else for_each_entry<T>(x, chunk.row(i), n_in, [&](int64_t k, T value) { add(count, k, change(i, k, value)); });
            for (int v = 0; v < count; v++) store(out + i * out_row + j + v * lanes<T>, sums[v]);
        }
}

// Does the same for a narrow layer, with the partial sums of multiply_narrow.
template <class T, class Change>
void multiply_sparse_narrow(const Rows &x, const Batch &chunk, Change change, Range rows, int64_t n_in, int64_t n_out,
                            const T *weights, int64_t weights_row, const T *bias, T *out) {
    for (int64_t i = rows.begin; i < rows.end; i++)
        for (int64_t j = 0; j < n_out; j++) {
            alignas(block_bytes) T sums[block_lanes<T>] = {};
            for_each_entry<T>(x, chunk.row(i), n_in, [&](int64_t k, T value) {
                T &sum = sums[k % block_lanes<T>];
                sum = fma(splat(change(i, k, value)), splat(weights[j * weights_row + k]), splat(sum))[0];
            });
            Vec<T> block[block_vectors];
            for (int v = 0; v < block_vectors; v++) block[v] = load(sums + v * lanes<T>);
            out[i * n_out + j] = sum_block<T>(block) + bias[j];
        }
}

template <class T, class Change>
void multiply_sparse_by(const Rows &x, const Batch &chunk, Change change, Range rows, const Layer &layer, const T *weights,
                        const T *bias, T *out) {
    const int64_t n_in = layer.n_in, n_out = layer.n_out, weights_row = layer.weights().row;
    if (layer.narrow) multiply_sparse_narrow(x, chunk, change, rows, n_in, n_out, weights, weights_row, bias, out);
    else multiply_sparse_wide(x, chunk, change, rows, n_in, n_out, weights, weights_row, bias, out, layer.row);
}

template <class T>
void multiply_sparse(const Rows &x, const Batch &chunk, const InputFactors<T> &factors, Range rows, const Layer &layer,
                     const T *weights, const T *bias, T *out) {
    if (!factors.any())
        return multiply_sparse_by(x, chunk, [](int64_t, int64_t, T value) { return value; }, rows, layer, weights, bias, out);
    const DroppedInput<T> dropped(factors, layer.n_in);
    const auto change = [&](int64_t i, int64_t k, T value) {
        value = dropped(i, k, value);
        return factors.scales ? value * factors.scales[k] : value;
    };
    multiply_sparse_by(x, chunk, change, rows, layer, weights, bias, out);
}

}  // namespace
