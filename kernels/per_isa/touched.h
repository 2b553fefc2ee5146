// Lazy updates of the first layer's weights where DeferredRows does not make them: the norm of the gradient is clipped,
// a batch has several chunks, or the layer is stored by outputs. Then all of the gradient stands before any weight
// changes, and the update leaves out the weights of features that are not in the batch.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>

#include "step.h"

namespace {

constexpr int kept_arrays = 3;  // weights and at most two moments

template <class T> class TouchedFeatures {
  public:
    // Without memory behind the arena, only what it counts is of use.
    TouchedFeatures(const Training &training, bool active, Arena &arena)
        : layer_(training.network.layers[0]),
          active_(active),
          flags_(arena.take<uint8_t>(active ? layer_.n_in * training.max_threads : 0)),
          rows_(arena.take<T>(active ? kept_arrays * layer_.weights().row * training.max_threads : 0)) {}

    // Makes this copy the thread's.
    void join(const Team &team) {
        if (!active_) return;
        flags_ += layer_.n_in * team.index;
        rows_ += kept_arrays * layer_.weights().row * team.index;
        clear();
    }

    void clear() {
        if (active_) std::fill_n(flags_, layer_.n_in, uint8_t(0));
    }

    // The thread's features that the chunk has are the batch's.
    void mark(const Step<T> &step) {
        if (active_) step.for_each_feature(nullptr, [&](int64_t k) { flags_[k] = 1; });
    }

    bool active() const { return active_; }

    // Row k of the weights' storage, with zeros in place of the weights that the batch does not touch.
    const T *touched_weights(int64_t k, const T *weights) const {
        if (!layer_.narrow && flags_[k]) return weights;
        std::fill_n(rows_, layer_.weights().row, T(0));
        for (int64_t i = 0; layer_.narrow && i < layer_.n_in; i++)
            if (flags_[i]) rows_[i] = weights[i];
        return rows_;
    }

    // update() is called for row k of the weights' storage; what it does to untouched elements of these arrays (null
    // where there is none) is taken back.
    template <class Update> void update_row(int64_t k, const std::array<T *, kept_arrays> &arrays, Update update) const {
        if (!layer_.narrow) {
            if (flags_[k]) update();
            return;
        }
        for (size_t a = 0; a < arrays.size(); a++)
            if (arrays[a]) std::memcpy(kept(a), arrays[a], size_t(layer_.n_in) * sizeof(T));
        update();
        for (size_t a = 0; a < arrays.size(); a++)
            for (int64_t i = 0; arrays[a] && i < layer_.n_in; i++)
                if (!flags_[i]) arrays[a][i] = kept(a)[i];
    }

  private:
    T *kept(size_t a) const { return rows_ + int64_t(a) * layer_.weights().row; }

    const Layer &layer_;
    const bool active_;
    uint8_t *flags_;  // of each feature, whether the batch has it
    T *rows_;         // room for a row of each of the arrays
};

}  // namespace
