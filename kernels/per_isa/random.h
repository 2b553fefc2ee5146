// Random numbers: NumPy's bit generators through their C interface, and dropout's masks from a counter.
#pragma once

#include "api.h"

namespace {

// order = the permutation that numpy.random.Generator.permutation(n) returns: the last of the first i + 1 changes places with
// one of them, whose number is drawn with as many bits as i has, and again while it exceeds i. A number drawn in vain makes
// the last change places with itself, since a branch that nobody can predict would cost more.
// With `again`, it is the order before, so permuted: what numpy.random.RandomState.shuffle(order) does.
inline void shuffle(bitgen_t *random, int64_t *order, int64_t n, bool again) {
    for (int64_t i = 0; !again && i < n; i++) order[i] = i;
    for (int64_t i = n - 1; i > 0;) {
        const uint64_t drawn = i <= UINT32_MAX ? random->next_uint32(random->state) : random->next_uint64(random->state);
        const int64_t j = int64_t(drawn & (UINT64_MAX >> __builtin_clzll(uint64_t(i)))), last = order[i];
        const bool valid = j <= i;
        const int64_t with = valid ? j : i;
        order[i] = order[with];
        order[with] = last;
        i -= valid;
    }
}

// C. Wellons' integer hash "lowbias32" (hash-prospector): every input bit moves every output bit.
inline uint32_t mix(uint32_t x) {
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
}

// Multiplies n units, the first of which has the number `first`, by their mask: 0 where dropped, else `scale`.
template <class T> void drop_units(T *values, int64_t n, uint64_t key, int64_t layer, int64_t first, double probability, T scale) {
    const uint32_t low = uint32_t(key) + uint32_t(layer) * 0x9e3779b9u, high = uint32_t(key >> 32);
    const uint32_t threshold = uint32_t(probability * 4294967296.0);
    for (int64_t u = 0; u < n; u++) values[u] *= mix(mix(uint32_t(first + u) ^ low) + high) < threshold ? T(0) : scale;
}

}  // namespace
