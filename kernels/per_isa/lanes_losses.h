// Losses of many networks at once, each in a lane of its own.
#pragma once

#include "cross_entropy.h"
#include "lanes_product.h"
#include "losses.h"

namespace {

template <class T, template <class> class L> void lane_elements(const LaneLossRows<T> &r, T parameter) {
    const Vec<T> p = splat(parameter);
    for (int64_t i = 0; i < r.rows; i++) {
        const Vec<T> scale = load(r.scale + i * lanes<T>);
        for (int64_t j = 0; j < r.n; j++) {
            const int64_t at = (i * r.n + j) * lanes<T>;
            const Vec<T> z = load(r.z + at), y = load(r.y + at);
            T *sum = r.sum(i, j);
            store(sum, fma(scale, counted<T>(scale, L<T>::value(z, y, p)), load(sum)));
            store(r.delta + at, scale * counted<T>(scale, L<T>::gradient(z, y, p)));
        }
    }
}

// Sums over a row have the order of sums over the lanes of a block: the exponentials are at least 0, so that none is -0.
template <class T> void lane_cross_entropy(const LaneLossRows<T> &r, T epsilon) {
    alignas(block_bytes) T e[16 * lanes<T>], terms[16 * lanes<T>];
    for (int64_t i = 0; i < r.rows; i++) {
        const T *z = r.z + i * r.n * lanes<T>, *y = r.y + i * r.n * lanes<T>;
        T *delta = r.delta + i * r.n * lanes<T>;
        const Vec<T> weight = load(r.scale + i * lanes<T>);
        Vec<T> top = load(z), target = load(y);
        for (int64_t j = 1; j < r.n; j++) {
            top = max(load(z + j * lanes<T>), top);
            target += load(y + j * lanes<T>);
        }
        for (int64_t j = 0; j < r.n; j++) {
            const Vec<T> ej = exp(load(z + j * lanes<T>) - top);
            store(e + j * lanes<T>, ej);
            T *term = terms + j % block_lanes<T> * lanes<T>;
            store(term, j < block_lanes<T> ? ej : load(term) + ej);
        }
        const Vec<T> sum = fold_vectors(terms, r.n < block_lanes<T> ? r.n : block_lanes<T>);
        const Vec<T> log_sum = log(sum) + top, factor = weight * target / sum;
        for (int64_t j = 0; j < r.n; j++) {
            const Vec<T> value = cut_log_loss<T>(log_sum - load(z + j * lanes<T>), splat(epsilon));
            const Vec<T> wy = weight * load(y + j * lanes<T>);
            T *to = r.sum(i, j);
            store(to, fma(wy, counted<T>(weight, value), load(to)));
            store(delta + j * lanes<T>, counted<T>(weight, fma(load(e + j * lanes<T>), factor, -wy)));
        }
    }
}

}  // namespace
