// Losses of predictions, which are probabilities rather than logits: the sum of all terms.
#pragma once

#include "elementary.h"
#include "softmax.h"
#include "vec.h"

namespace {

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
