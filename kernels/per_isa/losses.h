// Losses: value and gradient are computed together. Poisson and the cross-entropies take logits z, the others the output a.
#pragma once

#include "elementary.h"
#include "kernel_tables.h"

namespace {

// A struct has value(z, y, p) and gradient(z, y, p) of one element, where p is the loss's parameter; or, if it takes rows,
// compute(loss, rows).

// The traits that most structs share. A struct that differs declares its own.
struct LossTraits {
    static constexpr bool takes_rows = false;  // computes whole rows, with padding, rather than single elements
    static constexpr bool may_be_focal = false;
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
    static constexpr bool may_be_focal = true;
    FASTNN_INLINE Vec<T> value(Vec<T> z, Vec<T> y, Vec<T> epsilon) {
        return cut_log_loss<T>(fma(-y, z, max(Vec<T>{}, z)) + log1p(exp(-abs<T>(z))), epsilon);
    }
    FASTNN_INLINE Vec<T> gradient(Vec<T> z, Vec<T> y, Vec<T>) { return sigmoid(z) - y; }
};

// The same without epsilon, where the logarithm of each probability p is multiplied by (1 - p)^gamma (Lin et al. 2017).
template <class T> struct BinaryFocal : LossTraits {
    FASTNN_INLINE Vec<T> value(Vec<T> z, Vec<T> y, Vec<T> gamma) {
        const Logs logs(z);
        return y * exp(-gamma * logs.zero) * logs.one + (T(1) - y) * exp(-gamma * logs.one) * logs.zero;
    }
    FASTNN_INLINE Vec<T> gradient(Vec<T> z, Vec<T> y, Vec<T> gamma) {
        const Logs logs(z);
        const Vec<T> one = sigmoid(z), zero = sigmoid(-z);
        const Vec<T> if_one = exp(-gamma * logs.zero) * fma(gamma * one, logs.one, zero);
        const Vec<T> if_zero = exp(-gamma * logs.one) * fma(gamma * zero, logs.zero, one);
        return (T(1) - y) * if_zero - y * if_one;
    }

  private:
    // -log of the probabilities of 1 and of 0.
    struct Logs {
        Vec<T> one, zero;
        explicit Logs(Vec<T> z) {
            const Vec<T> rest = log1p(exp(-abs<T>(z)));
            one = max(Vec<T>{}, -z) + rest;
            zero = max(Vec<T>{}, z) + rest;
        }
    };
};

// Takes targets of -1 and 1.
template <class T> struct Hinge : LossTraits {
    FASTNN_INLINE Vec<T> value(Vec<T> a, Vec<T> y, Vec<T> margin) { return max(Vec<T>{}, margin - y * a); }
    FASTNN_INLINE Vec<T> gradient(Vec<T> a, Vec<T> y, Vec<T> margin) { return y * a < margin ? -y : Vec<T>{}; }
};
template <class T> struct SquaredHinge : LossTraits {
    FASTNN_INLINE Vec<T> value(Vec<T> a, Vec<T> y, Vec<T> margin) {
        const Vec<T> below = Hinge<T>::value(a, y, margin);
        return below * below;
    }
    FASTNN_INLINE Vec<T> gradient(Vec<T> a, Vec<T> y, Vec<T> margin) { return T(-2) * y * Hinge<T>::value(a, y, margin); }
};

// The gradient with respect to the outputs is y itself. The value only shows whether the outputs are finite.
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

// Sets delta = scale * gradient, and returns the sum of scale * value; the lanes of a block are its partial sums. Rows that share
// their scale are whole blocks; the others stand in one piece with their targets.
template <class T, template <class> class L> T elementwise_loss(const LossRow<T> &r, T parameter) {
    const Vec<T> p = splat(parameter);
    Vec<T> sums[block_vectors] = {};
    const auto add = [p, &sums](const T *z, const T *y, const T *scale, T *delta, int v, auto access, auto access_y) {
        const Vec<T> zi = access.load(z), yi = access_y.load(y), si = access.load(scale);
        sums[v] = fma(si, counted<T>(si, L<T>::value(zi, yi, p)), sums[v]);
        access.store(delta, si * counted<T>(si, L<T>::gradient(zi, yi, p)));
    };
    if (r.scale_row) {
        const T *z = r.z, *y = r.y, *scale = r.scale;
        T *delta = r.delta;
        add_vectors<T>(r.rows * r.row,
                       [=](int64_t i, int v, auto access) { add(z + i, y + i, scale + i, delta + i, v, access, access); });
        return sum_block<T>(sums);
    }
    for (int64_t i = 0; i < r.rows; i++) {
        const T *z = r.z + i * r.row, *y = r.y + (r.order ? r.order[i] : i) * r.target_row, *scale = r.scale;
        T *delta = r.delta + i * r.row;
        const int64_t whole = r.n / block_lanes<T> * block_lanes<T>;
        add_vectors<T>(whole, [=](int64_t j, int v, auto access) { add(z + j, y + j, scale + j, delta + j, v, access, access); });
        for (int64_t v = 0, j = whole; j < r.row; v++, j += lanes<T>) {  // the last block
            const Partial<T> rest = {r.n <= j ? 0 : r.n - j < lanes<T> ? r.n - j : lanes<T>};
            add(z + j, y + j, scale + j, delta + j, int(v), Whole<T>{}, rest);
        }
    }
    return sum_block<T>(sums);
}

// Computes a custom loss in the same way.
template <class T> T custom_loss(const Loss &loss, const LossRow<T> &r) {
    constexpr int64_t segment = 64 * block_lanes<T>;
    alignas(block_bytes) T values[segment];
    const T *scale = r.scale;
    T *delta = r.delta;
    const int64_t count = r.rows * r.row;
    Vec<T> sums[block_vectors] = {};
    for (int64_t first = 0; first < count; first += segment) {
        const int64_t n = count - first < segment ? count - first : segment;
        loss.custom(r.y + first, r.z + first, values, delta + first, n);
        add_vectors<T>(n, [=, &sums, &values](int64_t i, int v, auto access) {
            const Vec<T> si = access.load(scale + first + i), value = access.load(values + i);
            const Vec<T> gradient = access.load(delta + first + i);
            sums[v] = fma(si, counted<T>(si, value), sums[v]);
            access.store(delta + first + i, si * counted<T>(si, gradient));
        });
    }
    return sum_block<T>(sums);
}

}  // namespace
