// Random numbers: from NumPy's bit generators, through their C interface, and from a counter for the masks of dropout.
#pragma once

#include "api.h"

namespace {

// Sets order to the permutation that numpy.random.Generator.permutation(n) returns, or permutation(rows) if rows is not null. The
// last of the first i + 1 elements changes places with one of them. The number of that one is drawn with as many bits as i has, and
// drawn again while it exceeds i. After a number that is too large, the last element changes places with itself: a branch that the
// CPU can't predict would cost more. With `again`, the order before is permuted, as numpy.random.RandomState.shuffle(order) does.
inline void shuffle(bitgen_t *random, int64_t *order, const int64_t *rows, int64_t n, bool again) {
    for (int64_t i = 0; !again && i < n; i++) order[i] = rows ? rows[i] : i;
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

// C. Wellons' integer hash "lowbias32" (hash-prospector): every input bit affects every output bit.
inline uint32_t mix(uint32_t x) {
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
}

constexpr int64_t input_layer = -1;  // the number of the inputs among the layers whose units are dropped

// The mask of a layer's units: 0 for a dropped unit, and otherwise 1 / (1 - probability).
template <class T> class Mask {
  public:
    Mask(uint64_t key, int64_t layer, double probability)
        : low_(uint32_t(key) + uint32_t(layer) * 0x9e3779b9u),
          high_(uint32_t(key >> 32)),
          threshold_(uint32_t(probability * 4294967296.0)),
          scale_(T(1 / (1 - probability))) {}

    // Units are counted over all rows of the batch.
    T operator()(int64_t unit) const { return mix(mix(uint32_t(unit) ^ low_) + high_) < threshold_ ? T(0) : scale_; }

  private:
    const uint32_t low_, high_, threshold_;
    const T scale_;
};

// Multiplies n units by their mask, and other values of the same units. `first` is the number of the first unit.
template <class T, class... Others>
void drop_units(const Mask<T> &mask, int64_t first, int64_t n, T *__restrict values, Others *__restrict... others) {
    for (int64_t u = 0; u < n; u++) {
        const T factor = mask(first + u);
        values[u] *= factor;
        ((others[u] *= factor), ...);
    }
}

}  // namespace
