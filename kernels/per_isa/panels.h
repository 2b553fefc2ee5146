// Weights whose outputs are split over threads, their moments and their average, copied panel by panel while a team trains.
//
// A panel has some columns of all rows, without gaps, so that the panels of a thread are one piece of memory. In the storage, the
// columns of two threads stand side by side in each row: what the processor fetches ahead of one thread is then about to be
// written by the other, on another core, and two threads are no faster than one.
#pragma once

#include <array>
#include <cstring>

#include "optimizer_state.h"

namespace {

template <class T> class Panels {
  public:
    // If not in use, or if the arena has no memory, there are no copies.
    Panels(const Training &training, bool in_use, Arena &arena)
        : n_arrays_(training.n_state_arrays()),
          stored_(arrays_of<T>(training)),
          copies_(take_copies(in_use ? training.network.size : 0, n_arrays_, arena)),
          snapshots_(places_of_snapshots(training)),
          state_(training, copies_) {}

    const T *parameters() const { return copies_[0]; }
    const OptimizerState<T> &state() const { return state_; }

    void load(const BlockPart &panel) const {
        for_each_row(panel, [](T *copy, const T *stored, size_t bytes) { std::memcpy(copy, stored, bytes); }, stored_);
    }
    void store(const BlockPart &panel) const { copy_out(panel, stored_); }
    void take_snapshot(const BlockPart &panel) const { copy_out(panel, snapshots_); }

  private:
    using Arrays = std::array<T *, state_arrays>;

    static Arrays take_copies(int64_t size, int n_arrays, Arena &arena) {
        Arrays copies = {};
        for (int i = 0; i < n_arrays && size > 0; i++) copies[size_t(i)] = arena.take<T>(size);
        return copies;
    }

    static Arrays places_of_snapshots(const Training &training) {
        Arrays places = {static_cast<T *>(training.snapshot)};
        for (size_t i = 1; i < size_t(training.n_state_arrays()); i++) places[i] = places[i - 1] + training.network.size;
        return places;
    }

    void copy_out(const BlockPart &panel, const Arrays &to) const {
        for_each_row(panel, [](const T *copy, T *stored, size_t bytes) { std::memcpy(stored, copy, bytes); }, to);
    }

    // Calls copy(row in a copy, row in the other arrays, its bytes) for each row of the panel, and each array.
    template <class Copy> void for_each_row(const BlockPart &panel, Copy copy, const Arrays &others) const {
        const Block &block = panel.block;
        for (size_t a = 0; a < size_t(n_arrays_); a++) {
            T *in_copy = copies_[a] + panel.offset(), *other = others[a] + block.offset + panel.rows.begin * block.row;
            for (int64_t i = 0; i < panel.rows.size(); i++, in_copy += panel.row, other += block.row)
                copy(in_copy, other + panel.columns.begin, size_t(panel.columns.size()) * sizeof(T));
        }
    }

    const int n_arrays_;
    const Arrays stored_, copies_, snapshots_;
    const OptimizerState<T> state_;
};

}  // namespace
