// The members of a shared ensemble: row i of a chunk is that of member i % n_members. Chunks have as many rows of each.
//
// Nothing here is inlined: the code that all networks run stays short.
#pragma once

#include "block_parts.h"
#include "input_rows.h"
#include "padding.h"
#include "products.h"

namespace {

// The rows of X in a chunk of a pass, once for each member: rows first to first + n of the pass. `rows` has place for n.
inline Batch repeat_rows(const Batch &batch, int64_t n_members, int64_t first, int64_t n, int64_t *rows) {
    for (int64_t i = 0; i < n; i++) rows[i] = batch.own_row((first + i) / n_members);
    return {rows, 0, n, batch.weights, batch.stand_in, batch.weight, batch.checks_numbers};
}

// ---- Separate outputs: n_out rows of weights for each member ----

// Computes the sums z of some rows.
template <class T>
__attribute__((noinline)) void multiply_separate(const Layer &layer, Range rows, const T *x, int64_t x_row, const T *weights,
                                                 const T *bias, T *out) {
    const int64_t n_out = layer.n_out, row = layer.weights().row;
    for (int64_t i = rows.begin; i < rows.end; i++) {
        const int64_t first = i % layer.n_members * n_out;
        multiply_narrow({0, 1}, layer.n_in, n_out, x + i * x_row, x_row, weights + first * row, row, bias + first,
                        out + i * layer.row);
    }
    if (layer.row > n_out) clear_padding(out + rows.begin * layer.row, rows.size(), n_out, layer.row);
}

// The same as a product of the deltas with the weights, if each row had those of its member.
template <class T> __attribute__((noinline)) void pass_back_separate(const Layer &layer, Product<T> p, Range rows, Range inputs) {
    const T *weights = p.b;
    for (int64_t i = rows.begin; i < rows.end; i++) {
        p.b = weights + i % layer.n_members * layer.n_out * p.b_row;
        multiply<T, Start::zero, Finish::store>(p, {i, i + 1}, inputs);
    }
}

// The gradient of a part of the weights: row j of member m is the sum over the member's rows of delta[i][j] * x[i].
template <class T, Start START, Finish FINISH>
__attribute__((noinline)) void separate_weight_gradient(const Layer &layer, const BlockPart &part, const T *delta, const T *x,
                                                        int64_t x_row, int64_t n_rows, T *to, T learning_rate) {
    const int64_t k = layer.n_members;
    for (int64_t i = part.rows.begin; i < part.rows.end; i++) {
        const int64_t member = i / layer.n_out, j = i % layer.n_out;
        multiply_narrow_gradient<T, START, FINISH>({0, 1}, n_rows / k, layer.n_in, k * layer.row, delta + member * layer.row + j,
                                                   x + member * x_row, k * x_row, to + i * part.row, 0, learning_rate);
    }
}

// The gradient of the biases, in the order of sum_columns_narrow.
template <class T, Start START, Finish FINISH>
__attribute__((noinline)) void separate_bias_gradient(const Layer &layer, const T *delta, int64_t n_rows, T *to, T learning_rate) {
    const int64_t k = layer.n_members;
    for (int64_t member = 0; member < k; member++)
        for (int64_t j = 0; j < layer.n_out; j++) {
            T sums[4] = {};
            for (int64_t i = 0; i < n_rows / k; i++) sums[i % 4] += delta[(i * k + member) * layer.row + j];
            T total = (sums[0] + sums[1]) + (sums[2] + sums[3]);
            T &own = to[member * layer.n_out + j];
            if constexpr (START == Start::previous) total += own;
            own = FINISH == Finish::store ? total : own - learning_rate * total;
        }
}

// ---- Sums over rows, and over members ----

// The gradient of a part of a block with one row for each member: the sums of the columns over the member's rows.
template <class T, Start START, Finish FINISH>
__attribute__((noinline)) void sum_columns_by_member(const Layer &layer, const BlockPart &part, const T *in, int64_t in_row,
                                                     int64_t n_rows, T *to, T learning_rate) {
    const int64_t k = layer.n_members;
    for (int64_t member = part.rows.begin; member < part.rows.end; member++)
        sum_columns<T, START, FINISH>(in + member * in_row, k * in_row, n_rows / k, part.columns.size(), to + member * part.row,
                                      learning_rate);
}

// Adds up the members' rows, n columns each, for some rows of X, member by member, and divides the sums by divisor. Row i is stored
// as row first + i of out.
template <class T>
void add_members(int64_t n_members, Range rows, const T *in, int64_t in_row, int64_t n, T divisor, int64_t first, T *out) {
    for (int64_t i = rows.begin; i < rows.end; i++) {
        const T *own = in + i * n_members * in_row;
        for (int64_t j = 0; j < n; j++) {
            T sum = own[j];
            for (int64_t member = 1; member < n_members; member++) sum += own[member * in_row + j];
            out[(first + i) * n + j] = sum / divisor;
        }
    }
}

}  // namespace
