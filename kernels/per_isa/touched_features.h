// Lazy updates of the first layer's weights where DeferredRows does not make them: the norm of the gradient is clipped,
// a batch has several chunks, or the layer is narrow. The whole gradient is then computed before any weight changes, and the
// update leaves out the weights of features that are not in the batch.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>

#include "optimizer_state.h"
#include "sparse.h"

namespace {

template <class T> class TouchedFeatures {
  public:
    // If the arena has no memory, the object only counts the bytes that it needs.
    TouchedFeatures(const Training &training, bool active, Arena &arena)
        : layer_(training.network.layers[0]),
          active_(active),
          flags_(arena.take<uint8_t>(active ? layer_.n_in * training.max_threads : 0)),
          rows_(arena.take<T>(active ? int64_t(updated_arrays) * layer_.weights().row * training.max_threads : 0)) {}

    // Returns a thread's own object.
    TouchedFeatures of_thread(const Team &team) const {
        TouchedFeatures own = *this;
        if (!active_) return own;
        own.flags_ += layer_.n_in * team.index;
        own.rows_ += int64_t(updated_arrays) * layer_.weights().row * team.index;
        own.clear();
        return own;
    }

    void clear() {
        if (active_) std::fill_n(flags_, layer_.n_in, uint8_t(0));
    }

    // Flags the thread's features that the chunk has.
    __attribute__((noinline)) void mark(const Entries<T> &entries) {
        entries.for_each_column({0, layer_.n_in}, [&](int64_t k, const Entry<T> *, const Entry<T> *) { flags_[k] = 1; });
    }

    bool active() const { return active_; }

    // Returns row k of the weights' storage, with zeros in place of the weights that the batch does not touch.
    const T *touched_weights(int64_t k, const T *weights) const {
        if (!layer_.narrow && flags_[k]) return weights;
        std::fill_n(rows_, layer_.weights().row, T(0));
        for (int64_t i = 0; layer_.narrow && i < layer_.n_in; i++)
            if (flags_[i]) rows_[i] = weights[i];
        return rows_;
    }

    // Calls update() for row k of the weights' storage, and takes back its effect on untouched elements of these arrays, of which
    // some may be null.
    template <class Update> void update_row(int64_t k, const std::array<T *, updated_arrays> &arrays, Update update) const {
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
