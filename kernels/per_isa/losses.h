// Losses: value and gradient are computed together. Poisson and the cross-entropies take logits z, the others the output a.
#pragma once

#include "activations.h"
#include "api.h"

namespace {

// A struct has value(z, y, p) and gradient(z, y, p) of one element, where p is the loss's parameter.

// The traits that most structs share. A struct that differs declares its own.
struct LossTraits {
    static constexpr bool takes_rows = false;  // computes whole rows, with padding, rather than single elements
};

template <class T> struct SquaredError : LossTraits {
    FASTNN_INLINE Vec<T> value(Vec<T> a, Vec<T> y, Vec<T>) { return (a - y) * (a - y); }
    FASTNN_INLINE Vec<T> gradient(Vec<T> a, Vec<T> y, Vec<T>) { return T(2) * (a - y); }
};

template <class T> struct AbsoluteError : LossTraits {
    FASTNN_INLINE Vec<T> value(Vec<T> a, Vec<T> y, Vec<T>) { return abs<T>(a - y); }
    FASTNN_INLINE Vec<T> gradient(Vec<T> a, Vec<T> y, Vec<T>) { return a == y ? Vec<T>{} : copysign<T>(splat(T(1)), a - y); }
};

// Huber's loss is quadratic up to an error of delta, and linear beyond (Huber 1964).
template <class T> struct Huber : LossTraits {
    FASTNN_INLINE Vec<T> value(Vec<T> a, Vec<T> y, Vec<T> delta) {
        const Vec<T> e = abs<T>(a - y), near = min(delta, e);
        return near * (e - T(0.5) * near);
    }
    FASTNN_INLINE Vec<T> gradient(Vec<T> a, Vec<T> y, Vec<T> delta) { return max(-delta, min(delta, a - y)); }
};

// The pinball loss has its minimum at the q-quantile (Koenker & Bassett 1978).
template <class T> struct Quantile : LossTraits {
    FASTNN_INLINE Vec<T> value(Vec<T> a, Vec<T> y, Vec<T> q) { return max(q * (y - a), (q - T(1)) * (y - a)); }
    FASTNN_INLINE Vec<T> gradient(Vec<T> a, Vec<T> y, Vec<T> q) { return a == y ? Vec<T>{} : (a < y ? -q : T(1) - q); }
};

// The negative log-likelihood of counts y with the logarithm z of their rate, without the term log(y!), which depends on no
// parameter. With p = 1 it is half the deviance, which is 0 where exp(z) = y.
template <class T> struct Poisson : LossTraits {
    FASTNN_INLINE Vec<T> value(Vec<T> z, Vec<T> y, Vec<T> deviance) {
        const Vec<T> minimum = y > 0 ? y * log(y) - y : Vec<T>{};
        return fma(-y, z, exp(z)) + (deviance > 0 ? minimum : Vec<T>{});
    }
    FASTNN_INLINE Vec<T> gradient(Vec<T> z, Vec<T> y, Vec<T>) { return exp(z) - y; }
};

// Returns the value -log(p) for the probability p clipped to [epsilon, 1 - epsilon]; without change if epsilon is 0.
template <class T> FASTNN_INLINE Vec<T> cut_log_loss(Vec<T> value, Vec<T> epsilon) {
    const Vec<T> low = -log1p(-epsilon), high = -log(epsilon);
    const Vec<T> cut = value < low ? low : value > high ? high : value;  // NaN stays NaN
    return epsilon > 0 ? cut : value;
}

// -y log(sigmoid(z)) - (1 - y) log(1 - sigmoid(z)), without overflow or cancellation for either sign of z. With an epsilon, y is
// 0 or 1.
template <class T> struct BinaryCrossEntropy : LossTraits {
    FASTNN_INLINE Vec<T> value(Vec<T> z, Vec<T> y, Vec<T> epsilon) {
        return cut_log_loss<T>(fma(-y, z, max(Vec<T>{}, z)) + log1p(exp(-abs<T>(z))), epsilon);
    }
    FASTNN_INLINE Vec<T> gradient(Vec<T> z, Vec<T> y, Vec<T>) { return sigmoid(z) - y; }
};

// The gradient by the outputs is y itself. The value only shows whether the outputs are finite.
template <class T> struct GivenGradient : LossTraits {
    FASTNN_INLINE Vec<T> value(Vec<T> a, Vec<T>, Vec<T>) { return a - a; }
    FASTNN_INLINE Vec<T> gradient(Vec<T>, Vec<T> y, Vec<T>) { return y; }
};

// Calls add(i, v, access) for the vectors from 0 to count, where v is a vector's place in its block.
template <class T, class Add> FASTNN_INLINE void add_vectors(int64_t count, Add add) {
    int64_t i = 0;
    for (; i + block_lanes<T> <= count; i += block_lanes<T>)
#pragma GCC unroll 4
        for (int v = 0; v < block_vectors; v++) add(i + v * lanes<T>, v, Whole<T>{});
    for (int v = 0; i < count; i += lanes<T>, v++) add(i, v, Partial<T>{count - i < lanes<T> ? count - i : lanes<T>});
}

// Returns a value that will be multiplied by scale, or 0 where scale is 0. There, in the padding and in rows that don't count,
// the value may not be finite.
template <class T> FASTNN_INLINE Vec<T> counted(Vec<T> scale, Vec<T> value) { return scale == Vec<T>{} ? Vec<T>{} : value; }

// Takes rows of n values, `row` elements apart. Sets delta = scale * gradient, and returns the sum of scale * value; the lanes of
// a block are its partial sums. scale holds the weight of each element in the mean, and 0 in the padding.
template <class T, template <class> class L>
T elementwise_loss(const T *z, const T *y, const T *scale, T *delta, int64_t rows, int64_t, int64_t row, T parameter) {
    const Vec<T> p = splat(parameter);
    const int64_t count = rows * row;
    Vec<T> sums[block_vectors] = {};
    add_vectors<T>(count, [=, &sums](int64_t i, int v, auto access) {
        const Vec<T> zi = access.load(z + i), yi = access.load(y + i), si = access.load(scale + i);
        sums[v] = fma(si, counted<T>(si, L<T>::value(zi, yi, p)), sums[v]);
        access.store(delta + i, si * counted<T>(si, L<T>::gradient(zi, yi, p)));
    });
    return sum_block<T>(sums);
}

// Computes a user's own loss in the same way.
template <class T> T custom_loss(fastnn::CustomLoss function, const T *a, const T *y, const T *scale, T *delta, int64_t count) {
    constexpr int64_t segment = 64 * block_lanes<T>;
    alignas(block_bytes) T values[segment];
    Vec<T> sums[block_vectors] = {};
    for (int64_t first = 0; first < count; first += segment) {
        const int64_t n = count - first < segment ? count - first : segment;
        function(y + first, a + first, values, delta + first, n);
        add_vectors<T>(n, [=, &sums, &values](int64_t i, int v, auto access) {
            const Vec<T> si = access.load(scale + first + i), value = access.load(values + i);
            const Vec<T> gradient = access.load(delta + first + i);
            sums[v] = fma(si, counted<T>(si, value), sums[v]);
            access.store(delta + first + i, si * counted<T>(si, gradient));
        });
    }
    return sum_block<T>(sums);
}

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
        const T sum = exp_shifted(z, n, delta), top = largest(z, n);
        const Vec<T> log_sum = log(splat(sum)) + top;
        T target = 0;
        for (int64_t j = 0; j < n; j++) target += y[j];
        const Vec<T> factor = splat(scale[0] * target / sum), weight = splat(scale[0]);
        for (int64_t j = 0, v = 0; j < n; j += lanes<T>, v++) {
            const int64_t rest = n - j < lanes<T> ? n - j : lanes<T>;
            const Vec<T> yj = keep_lanes<T>(load(y + j), rest, T(0));
            const Vec<T> zj = keep_lanes<T>(load(z + j), rest, top);
            const Vec<T> value = cut_log_loss<T>(log_sum - zj, splat(epsilon));
            sums[v % block_vectors] = fma(weight * yj, counted<T>(weight, value), sums[v % block_vectors]);
            store_partial(delta + j, counted<T>(weight, fma(load_partial(delta + j, rest), factor, -(weight * yj))), rest);
        }
    }
    return sum_block<T>(sums);
}

template <class T> struct CrossEntropy : LossTraits {
    static constexpr bool takes_rows = true;
};

template <class T> struct LossKernels {
    T (*compute)(const T *z, const T *y, const T *scale, T *delta, int64_t rows, int64_t n, int64_t row, T parameter);
    bool takes_rows;
};

template <class T, template <class> class L> constexpr LossKernels<T> loss_kernels() {
    if constexpr (L<T>::takes_rows) return {cross_entropy_loss<T>, true};
    else return {elementwise_loss<T, L>, false};
}

// ---- Losses of predictions, which are probabilities rather than logits: the sum of all terms ----

// Returns weight * logarithm, with 0 log(0) = 0.
template <class T> FASTNN_INLINE Vec<T> weighted_log(Vec<T> weight, Vec<T> logarithm) {
    return weight == Vec<T>{} ? Vec<T>{} : weight * logarithm;
}

template <class T> struct BinaryLogLikelihood {
    FASTNN_INLINE Vec<T> value(Vec<T> p, Vec<T> y) { return weighted_log<T>(y, log(p)) + weighted_log<T>(T(1) - y, log1p(-p)); }
};
template <class T> struct LogLikelihood {
    FASTNN_INLINE Vec<T> value(Vec<T> p, Vec<T> y) { return weighted_log<T>(y, log(p)); }
};
template <class T> struct SquaredDistance {
    FASTNN_INLINE Vec<T> value(Vec<T> p, Vec<T> y) { return (p - y) * (p - y); }
};

template <class T, template <class> class L> double sum_of_terms(const T *p, const T *y, int64_t n) {
    Vec<T> sums[block_vectors] = {};
    for (int64_t i = 0, v = 0; i < n; i += lanes<T>, v++) {
        const int64_t rest = n - i < lanes<T> ? n - i : lanes<T>;
        const Vec<T> terms = L<T>::value(load_partial(p + i, rest), load_partial(y + i, rest));
        sums[v % block_vectors] += keep_lanes<T>(terms, rest, T(0));
    }
    return double(sum_block<T>(sums));
}

}  // namespace
