// What happens to gradients before an update: penalties are added, and they are clipped.
#pragma once

#include <cmath>

#include "vec.h"

namespace {

// These return the derivative of the penalties l1 * |w| + l2 / 2 * w², and their value.
template <class T, class Number> FASTNN_INLINE Vec<T> penalty_derivative(Vec<T> w, Number l1, Number l2) {
    const Vec<T> sign = w == Vec<T>{} ? Vec<T>{} : copysign<T>(splat(T(1)), w);
    return fma(splat(l2), w, l1 * sign);
}
template <class T, class Number> FASTNN_INLINE Vec<T> penalty_value(Vec<T> w, Number l1, Number l2) {
    return l1 * abs<T>(w) + T(0.5) * l2 * w * w;  // w * w may overflow
}

// Adds the derivative of the penalties l1 * sum |w| + l2 / 2 * sum w² to the gradients, and returns their value.
template <class T> T add_penalty(const T *w, T *g, int64_t count, T l1, T l2) {
    Vec<T> sums[block_vectors] = {};
    for (int64_t i = 0; i < count; i += block_lanes<T>)
        for (int u = 0; u < block_vectors; u++) {
            const int64_t at = i + u * lanes<T>;
            const Vec<T> wi = load(w + at);
            store(g + at, load(g + at) + penalty_derivative<T>(wi, l1, l2));
            sums[u] += penalty_value<T>(wi, l1, l2);
        }
    return sum_block<T>(sums);
}

template <class T> void clip_by_value(T *g, int64_t count, T limit) {
    for_each_vector<T>(
        count, [=](int64_t i, auto access) { access.store(g + i, max(splat(-limit), min(splat(limit), access.load(g + i)))); });
}

template <class T> void scale_by(T *g, int64_t count, T factor) {
    for_each_vector<T>(count, [=](int64_t i, auto access) { access.store(g + i, factor * access.load(g + i)); });
}

// A power of two. Numbers whose squares are too large for T have finite squares after a multiplication by it, and it is exact.
template <class T> constexpr T shrinking = T(sizeof(T) == 4 ? 0x1p-80 : 0x1p-600);

// Return the sum of the squares of the numbers that `change` makes of g. count is in whole blocks.
template <class T, class Change> FASTNN_INLINE T sum_of_changed_squares(const T *g, int64_t count, Change change) {
    Vec<T> sums[block_vectors] = {};
    for (int64_t i = 0; i < count; i += block_lanes<T>)
        for (int u = 0; u < block_vectors; u++) {
            const Vec<T> gi = change(load(g + i + u * lanes<T>));
            sums[u] = fma(gi, gi, sums[u]);
        }
    return sum_block<T>(sums);
}

template <class T> T sum_of_squares(const T *g, int64_t count) {
    return sum_of_changed_squares(g, count, [](Vec<T> gi) { return gi; });
}
template <class T> T sum_of_shrunk_squares(const T *g, int64_t count) {
    return sum_of_changed_squares(g, count, [](Vec<T> gi) { return shrinking<T> * gi; });
}

// What clips a norm: two factors for all gradients, one after the other. Norms above 1 / shrinking<T> have factors that T could
// not hold with all their digits.
template <class T> struct NormClipping {
    T first = 1, second = 1;

    // Returns the factors for gradients, given the sum of the squares of their products with `first`. The constant is PyTorch's.
    static NormClipping of(double bound, double squares, T first = 1) {
        const double factor = bound / (std::sqrt(squares) + 1e-6 * double(first));
        if (factor * double(first) < 1) return {first, T(factor)};
        return {};
    }

    // The same given the sum of squares itself, which may be infinite; shrunk() returns that of the products with `shrinking`.
    template <class Shrunk> static NormClipping of(double bound, double squares, Shrunk shrunk) {
        return std::isfinite(squares) ? of(bound, squares) : of(bound, shrunk(), shrinking<T>);
    }

    void apply(T *g, int64_t count) const {
        if (first != 1) scale_by(g, count, first);
        if (second != 1) scale_by(g, count, second);
    }
};

}  // namespace
