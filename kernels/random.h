// Random numbers: NumPy's bit generators through their C interface, and dropout's masks from a counter.
#pragma once

#include "api.h"

namespace {

// Uniform on 0 … most. Lemire 2019 (doi 10.1145/3230636), drawing as numpy.random.Generator does.
inline uint64_t random_below_or_equal(bitgen_t *random, uint64_t most) {
    if (most < UINT32_MAX) {
        const uint32_t count = uint32_t(most) + 1;
        uint64_t product = uint64_t(random->next_uint32(random->state)) * count;
        if (uint32_t(product) < count) {
            const uint32_t threshold = (UINT32_MAX - uint32_t(most)) % count;
            while (uint32_t(product) < threshold) product = uint64_t(random->next_uint32(random->state)) * count;
        }
        return product >> 32;
    }
    const uint64_t count = most + 1;
    __extension__ typedef unsigned __int128 Wide;
    Wide product = Wide(random->next_uint64(random->state)) * count;
    if (uint64_t(product) < count) {
        const uint64_t threshold = (UINT64_MAX - most) % count;
        while (uint64_t(product) < threshold) product = Wide(random->next_uint64(random->state)) * count;
    }
    return uint64_t(product >> 64);
}

// order = the permutation that numpy.random.Generator.permutation(n) returns.
inline void shuffle(bitgen_t *random, int64_t *order, int64_t n) {
    for (int64_t i = 0; i < n; i++) order[i] = i;
    for (int64_t i = n - 1; i > 0; i--) {
        const int64_t j = int64_t(random_below_or_equal(random, uint64_t(i)));
        const int64_t kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
}

// C. Wellons' integer hash "lowbias32" (hash-prospector): every input bit moves every output bit.
inline uint32_t mix(uint32_t x) {
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
}

// Multiplies n units, the first of which has the number `first`, by their mask: 0 where dropped, else `scale`.
template <class T>
void drop_units(T *values, int64_t n, uint64_t key, int64_t layer, int64_t first, double probability, T scale) {
    const uint32_t low = uint32_t(key) + uint32_t(layer) * 0x9e3779b9u, high = uint32_t(key >> 32);
    const uint32_t threshold = uint32_t(probability * 4294967296.0);
    for (int64_t u = 0; u < n; u++)
        values[u] *= mix(mix(uint32_t(first + u) ^ low) + high) < threshold ? T(0) : scale;
}

}  // namespace
