// The average of two arrays: a target network follows another one by it.
#pragma once

#include "vec.h"

namespace {

// own += tau * (other - own) for n elements.
template <class T> void blend(T *own, const T *other, int64_t n, T tau) {
    const Vec<T> share = splat<T>(tau);
    for_each_vector<T>(n, [=](int64_t i, auto access) {
        const Vec<T> a = access.load(own + i);
        access.store(own + i, fma(share, access.load(other + i) - a, a));
    });
}

}  // namespace
