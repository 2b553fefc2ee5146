// The memory for packed blocks of large products (packed.h), and the conditions under which they are packed.
#pragma once

#include <algorithm>

#include "block_parts.h"
#include "cache_size.h"
#include "input_rows.h"

namespace {

// The memory of one thread for packed blocks.
template <class T> struct PackingSizes {
    // A product that updates B's weights can't be continued, so that its block has all rows of a chunk.
    static int64_t panels() {
        const int64_t least = panel_columns<T> * fastnn::chunk_rows;
        return std::max(least, fastnn::second_cache_bytes() / 4 / int64_t(sizeof(T)));
    }
    static int64_t tiles() { return fastnn::second_cache_bytes() / int64_t(sizeof(T)); }
    static int64_t all() { return panels() + tiles(); }
};

// Whether the transposed weights of a layer are packed from the weights, rather than kept beside them.
template <class T> bool packs_weights(const fastnn::Layer &layer) {
    return !layer.narrow && layer.weights().size() * int64_t(sizeof(T)) > fastnn::second_cache_bytes() / 2;
}

// Whether copies are worth their time for a product of matrices with m x k, k x n and m x n elements.
template <class T> bool exceeds_cache(int64_t m, int64_t k, int64_t n) {
    return (m * k + k * n + m * n) * int64_t(sizeof(T)) > fastnn::second_cache_bytes();
}

// The least number of rows of C for which copies pay: fewer would read each panel too rarely.
constexpr int64_t least_rows = 4 * tile_rows;

// Whether copies pay for a product of any size. Short sums or rows of C would make too little of a copied element.
template <class T> bool pays_packing(int64_t m, int64_t k, int64_t n) {
    return m >= least_rows && k >= 32 && n >= 64 && exceeds_cache<T>(m, k, n);
}

// The memory of all threads of a run; none if no product for batches of this many rows is large. backward: whether there are
// passes back.
template <class T> class Packing {
  public:
    Packing(const fastnn::Network &network, int64_t rows, bool backward, int n_threads, Arena &arena)
        : is_needed_(needs(network, std::min(rows, fastnn::chunk_rows), backward)),
          memory_(arena.take<T>(is_needed_ ? n_threads * PackingSizes<T>::all() : 0)) {}

    T *of_thread(int index) const { return is_needed_ ? memory_ + index * PackingSizes<T>::all() : nullptr; }

  private:
    static bool needs(const fastnn::Network &network, int64_t rows, bool backward) {
        if (!backward && rows < least_rows) return false;
        for (int64_t l = 0; l < network.n_layers; l++) {
            const fastnn::Layer &layer = network.layers[l];
            if (backward && (packs_weights<T>(layer) || layer.block(fastnn::BlockKind::projections))) return true;
            if (exceeds_cache<T>(rows, layer.n_in, layer.n_out)) return true;
        }
        return false;
    }

    const bool is_needed_;
    T *const memory_;
};

}  // namespace
