// The peak performance of a core with this instruction set: the yardstick of benchmarks.
#pragma once

#include "vec.h"

namespace {

// The number of independent chains of fma. It hides the latency of fma, 4 cycles on 2 pipes, with a margin, and leaves registers
// free.
constexpr int fma_chains = 12;

// Returns the sum of all chains, which take 2 * fma_chains * lanes operations per round. No compiler knows the factor's value.
template <class T> Vec<T> multiply_add(int64_t rounds) {
    Vec<T> sums[fma_chains];
    for (int q = 0; q < fma_chains; q++) sums[q] = splat(T(q));
    const Vec<T> factor = splat(T(1) / T(rounds + 1)), term = splat(T(1));
    for (int64_t i = 0; i < rounds; i++)
#pragma GCC unroll 12
        for (int q = 0; q < fma_chains; q++) sums[q] = fma(sums[q], factor, term);
    for (int q = 1; q < fma_chains; q++) sums[0] += sums[q];
    return sums[0];
}

template <class T> void copy(const T *from, T *to, int64_t n) {
    for_each_vector<T>(n, [=](int64_t i, auto access) { access.store(to + i, access.load(from + i)); });
}

}  // namespace
