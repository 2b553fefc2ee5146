// The cross-entropy of one class per row, from logits: whole rows at a time.
#pragma once

#include "losses.h"
#include "softmax.h"

namespace {

template <class T, int V>
void short_cross_entropy(const T *z, const T *y, const T *scale, T *delta, int64_t rows, int64_t n, int64_t row, T epsilon,
                         Vec<T> *sums) {
    const bool padded = row >= V * lanes<T>;
    for (int64_t i = 0; i < rows; i++, z += row, y += row, scale += row, delta += row) {
        ShortRow<T, V> zi = ShortRow<T, V>::read(z, n, padded, -std::numeric_limits<T>::infinity());
        const ShortRow<T, V> yi = ShortRow<T, V>::read(y, n, padded, T(0));
        const Vec<T> top = zi.largest();
        ShortRow<T, V> e = zi.exp_shifted(top, n);
        const T sum = e.sum();
        const Vec<T> log_sum = log(splat(sum)) + top;
        T target = 0;
        for (int64_t j = 0; j < n; j++) target += y[j];
        const Vec<T> factor = splat(scale[0] * target / sum), weight = splat(scale[0]);
#pragma GCC unroll 4
        for (int v = 0; v < V; v++) {
            const Vec<T> zj = keep_lanes<T>(zi.at[v], n - v * lanes<T>, top[0]);
            const Vec<T> value = cut_log_loss<T>(log_sum - zj, splat(epsilon));
            sums[v % block_vectors] = fma(weight * yi.at[v], counted<T>(weight, value), sums[v % block_vectors]);
            e.at[v] = counted<T>(weight, fma(e.at[v], factor, -(weight * yi.at[v])));
        }
        e.write(delta, n, padded);
    }
}

// Takes rows of at most 4 values without padding, one block of rows at a time: each lane holds one row. Sums over a row have the
// order of sums over the lanes of a block.
template <class T>
void narrow_cross_entropy(const T *z, const T *y, const T *scale, T *delta, int64_t rows, int64_t n, T epsilon, Vec<T> *sums) {
    for (int64_t i = 0; i < rows; i += block_lanes<T>) {
        const int64_t count = rows - i < block_lanes<T> ? rows - i : block_lanes<T>;
        const Columns<T> zs(z + i * n, count, n), ys(y + i * n, count, n), weights(scale + i * n, count, n);
        Columns<T> deltas;
        for (int v = 0; v < block_vectors; v++) {
            const ColumnVectors<T> zi = zs.read(v, n), yi = ys.read(v, n);
            const Vec<T> top = zi.largest(n);
            const ColumnVectors<T> e = zi.exp_shifted(top, n);
            const Vec<T> sum = e.sum(), log_sum = log(sum) + top, weight = weights.read(v, n).at[0];
            const Vec<T> factor = weight * (((yi.at[0] + yi.at[1]) + yi.at[2]) + yi.at[3]) / sum;
            for (int64_t j = 0; j < n; j++) {
                const Vec<T> value = cut_log_loss<T>(log_sum - zi.at[j], splat(epsilon));
                sums[v] = fma(weight * yi.at[j], counted<T>(weight, value), sums[v]);
                deltas.write(v, j, counted<T>(weight, fma(e.at[j], factor, -(weight * yi.at[j]))));
            }
        }
        deltas.spread(delta + i * n, count, n);
    }
}

// The sum over j of y_j * (log(sum exp z) - z_j), where y is a one-hot row or probabilities. The mean is over rows: all elements
// of a row have the same scale.
template <class T>
T cross_entropy_loss(const T *z, const T *y, const T *scale, T *delta, int64_t rows, int64_t n, int64_t row, T epsilon) {
    Vec<T> sums[block_vectors] = {};
    if (row == n && n <= max_columns) {
        narrow_cross_entropy(z, y, scale, delta, rows, n, epsilon, sums);
        return sum_block<T>(sums);
    }
    if (with_short_row<T>(
            n, [=, &sums](auto vectors) { short_cross_entropy<T, vectors()>(z, y, scale, delta, rows, n, row, epsilon, sums); }))
        return sum_block<T>(sums);
    for (int64_t i = 0; i < rows; i++, z += row, y += row, scale += row, delta += row) {
        const Vec<T> top = largest(z, n);
        const T sum = exp_shifted(z, n, top, delta);
        const Vec<T> log_sum = log(splat(sum)) + top;
        T target = 0;
        for (int64_t j = 0; j < n; j++) target += y[j];
        const Vec<T> factor = splat(scale[0] * target / sum), weight = splat(scale[0]);
        for (int64_t j = 0, v = 0; j < n; j += lanes<T>, v++) {
            const int64_t rest = n - j < lanes<T> ? n - j : lanes<T>;
            const Vec<T> yj = keep_lanes<T>(load(y + j), rest, T(0));
            const Vec<T> zj = keep_lanes<T>(load(z + j), rest, top[0]);
            const Vec<T> value = cut_log_loss<T>(log_sum - zj, splat(epsilon));
            sums[v % block_vectors] = fma(weight * yj, counted<T>(weight, value), sums[v % block_vectors]);
            store_partial(delta + j, counted<T>(weight, fma(load_partial(delta + j, rest), factor, -(weight * yj))), rest);
        }
    }
    return sum_block<T>(sums);
}

// For each element of a row: s = -log(p), and the factor (1 - p)^gamma of the focal loss.
template <class T> struct FocalTerm {
    Vec<T> s, p, factor, ratio;
    FocalTerm(Vec<T> z, Vec<T> top, Vec<T> log_sum, Vec<T> gamma) {
        s = (top - z) + log_sum;
        p = exp(-s);
        const Vec<T> rest = -expm1(-s);  // 1 - p
        factor = rest > Vec<T>{} ? exp(gamma * log(rest)) : Vec<T>{};
        ratio = rest > Vec<T>{} ? s / rest : splat(T(1));
    }
    // The derivative of the value factor * s by log(p).
    Vec<T> by_log(Vec<T> gamma) const { return -factor * fma(gamma * p, ratio, splat(T(1))); }
};

// The sum over j of y_j (1 - p_j)^gamma (-log(p_j)), where p is the softmax of z (Lin et al. 2017).
template <class T> T focal_cross_entropy(const LossRow<T> &r, T gamma_) {
    const Vec<T> gamma = splat(gamma_);
    Vec<T> sums[block_vectors] = {};
    for (int64_t i = 0; i < r.rows; i++) {
        const T *z = r.z + i * r.row, *y = r.y + i * r.target_row;
        T *delta = r.delta + i * r.row;
        const Vec<T> top = largest(z, r.n), log_sum = log(splat(exp_shifted(z, r.n, top, delta)));
        const Vec<T> weight = splat(r.scale[i * r.row]);
        Vec<T> by_logs[block_vectors] = {};
        add_vectors<T>(r.n, [&](int64_t j, int v, auto access) {
            const FocalTerm<T> term(access.load(z + j), top, log_sum, gamma);
            const Vec<T> wy = weight * access.load(y + j), by_log = wy * counted<T>(wy, term.by_log(gamma));
            sums[v] = fma(wy, counted<T>(wy, term.factor * term.s), sums[v]);
            by_logs[v] += by_log;
            access.store(delta + j, by_log);
        });
        const Vec<T> sum = splat(sum_block<T>(by_logs));
        add_vectors<T>(r.n, [&](int64_t j, int, auto access) {
            const Vec<T> p = FocalTerm<T>(access.load(z + j), top, log_sum, gamma).p;
            access.store(delta + j, counted<T>(weight, fma(-p, sum, access.load(delta + j))));
        });
    }
    return sum_block<T>(sums);
}

template <class T> struct CrossEntropy : LossTraits {
    static constexpr bool takes_rows = true;
    static T compute(const Loss &loss, const LossRow<T> &r) {
        if (loss.n_parameters) return focal_cross_entropy(r, T(loss.parameters[0]));
        return cross_entropy_loss(r.z, r.y, r.scale, r.delta, r.rows, r.n, r.row, T(loss.parameter));
    }
};

}  // namespace
