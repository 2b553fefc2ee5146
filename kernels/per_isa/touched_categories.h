// The rows of tables of categories that a batch touches: the others get no gradient and no update, and cost nothing.
//
// That is exact for optimizers that change nothing without a gradient, and what lazy updates mean for all others. The snapshot of an
// epoch's beginning is made row by row, too, before the first update of a row.
#pragma once

#include <algorithm>
#include <cstring>

#include "gradients.h"
#include "optimizer_state.h"

namespace {

// The object of a thread holds the rows that the thread owns.
template <class T> class TouchedCategories {
  public:
    // If the arena has no memory, the object only counts the bytes that it needs.
    TouchedCategories(const Training &training, bool active, Arena &arena)
        : network_(training.network),
          active_(active),
          saves_rows_(active && !training.averaging.average),  // averages change all rows
          n_threads_(training.max_threads) {
        if (!active_) return;
        const InputStage &stage = *network_.stage;
        lists_ = arena.take<TouchedRows>(stage.n_embeddings * n_threads_);
        saved_ = arena.take<Saved>(saves_rows_ ? stage.n_embeddings : 0);
        for (int64_t e = 0; e < stage.n_embeddings; e++) {  // all entries are set: the memory may have had other uses
            const Embedding &own = stage.embeddings[e];
            const int64_t n_rows = skips_rows(own, training) ? own.parameters.rows : 0;
            const int64_t room = std::min(n_rows, training.batch_size * own.n_columns);
            int32_t *const places = arena.take<int32_t>(n_rows);
            int64_t *const rows = arena.take<int64_t>(room * n_threads_);
            for (int t = 0; lists_ && t < n_threads_; t++)
                lists_[t * stage.n_embeddings + e] = {n_rows > 0 ? places : nullptr, rows + t * room, 0};
            if (!saves_rows_) continue;
            const Saved saved = {arena.take<uint8_t>(n_rows), arena.take<int64_t>(n_rows), arena.take<int64_t>(1)};
            if (saved_) saved_[e] = n_rows > 0 ? saved : Saved{};
        }
    }

    // Returns a thread's own object. Nothing is touched.
    TouchedCategories of_thread(const Team &team) const {
        TouchedCategories own = *this;
        if (!active_) return own;
        own.thread_ = team.index;
        for (int64_t e = 0; e < network_.stage->n_embeddings; e++) {
            const Block &block = network_.stage->embeddings[e].parameters;
            TouchedRows &list = own.list(e, team.index);
            if (!list.places) continue;
            const Range rows = own_rows<T>(network_.layers[0], block, team);
            std::memset(list.places + rows.begin, 0, size_t(rows.size()) * sizeof(int32_t));
            list.count = 0;
        }
        return own;
    }

    // Begins a batch, of which perhaps no row counts.
    void begin_batch(bool any_counts) { any_counts_ = any_counts; }

    // Adds the gradients of the thread's touched rows of a block, from all rows of a chunk.
    void add(const ChunkGradients<T> &gradients, const BlockPart &part, T *to) const {
        if (any_counts_) gradients.add_rows(part, rows(part.block), to + part.rows.begin * part.row);
    }

    // Whether the updates of a block leave out rows.
    bool has(const Block &block) const {
        return active_ && block.kind == BlockKind::embedding_parameters && list(number(block), 0).places;
    }

    // The thread's rows of a block.
    TouchedRows &rows(const Block &block) const { return list(number(block), thread_); }

    // Returns the gradient of a touched row of the thread's part of a block, given the place of the gradients of the whole block.
    T *gradient_of(const BlockPart &part, int64_t row, T *gradient) const {
        return gradient + (part.rows.begin + rows(part.block).places[row] - 1) * part.row;
    }

    // Begins an epoch for the thread's rows of a block, of whose snapshot nothing is taken then. The threads meet before they save rows.
    void begin_epoch(const BlockPart &part) const {
        const Saved &saved = saved_[number(part.block)];
        std::memset(saved.flags + part.rows.begin, 0, size_t(part.rows.size()));
        if (part.rows.begin == 0) *saved.count = 0;
    }

    // Whether snapshots of tables are taken row by row.
    bool saves_rows() const { return saves_rows_; }

    // Takes a snapshot of a row of a block, unless the epoch has one. Snapshots stand side by side in the block's place, in any order.
    void save(const OptimizerState<T> &state, const Block &block, int64_t row) const {
        if (!saves_rows_) return;
        const Saved &saved = saved_[number(block)];
        if (saved.flags[row]) return;
        const int64_t place = __atomic_fetch_add(saved.count, 1, __ATOMIC_RELAXED);
        saved.flags[row] = 1;
        saved.rows[place] = row;
        state.take_snapshot(block.offset + row * block.row, block.row, block.offset + place * block.row);
    }

    // Returns to the snapshots of rows, and takes one of each whole table. For one thread.
    __attribute__((noinline)) void restore_rows(const OptimizerState<T> &state) const {
        for (int64_t e = 0; saves_rows_ && e < network_.stage->n_embeddings; e++) {
            const Block &block = network_.stage->embeddings[e].parameters;
            const Saved &saved = saved_[e];
            if (!saved.flags) continue;
            for (int64_t i = 0; i < *saved.count; i++)
                state.restore_snapshot(block.offset + saved.rows[i] * block.row, block.row, block.offset + i * block.row);
            state.take_snapshot(block.offset, block.rows * block.row);
            *saved.count = 0;
        }
    }

    // Ends the batch for a block, of which nothing is touched then.
    void clear(const Block &block) const {
        TouchedRows &list = rows(block);
        for (int64_t i = 0; i < list.count; i++) list.places[list.rows[i]] = 0;
        list.count = 0;
    }

    // Calls use(row) for the rows of all threads in ascending order, if each thread has sorted its own.
    template <class Use> void for_each_row(const Block &block, const Team &team, Use use) const {
        for (int t = 0; t < team.size; t++) {
            const TouchedRows &of_thread = list(number(block), t);
            for (int64_t i = 0; i < of_thread.count; i++) use(of_thread.rows[i]);
        }
    }

  private:
    // The rows of a table of which the snapshot of the epoch has a copy.
    struct Saved {
        uint8_t *flags;  // of each row
        int64_t *rows;   // `count` rows, in the order of their copies
        int64_t *count;
    };

    // Whether the updates of an embedding leave out rows. Where that is no matter of definition, it must be worth its cost.
    static bool skips_rows(const Embedding &e, const Training &training) {
        if (!all_embeddings<T>[e.kind].add_rows) return false;
        return training.optimizer.lazy || e.parameters.rows > 4 * training.batch_size * e.n_columns;
    }

    int64_t number(const Block &block) const {
        int64_t e = 0;
        while (&network_.stage->embeddings[e].parameters != &block) e++;
        return e;
    }

    TouchedRows &list(int64_t e, int thread) const { return lists_[thread * network_.stage->n_embeddings + e]; }

    const Network &network_;
    const bool active_, saves_rows_;
    const int n_threads_;
    int thread_ = 0;
    bool any_counts_ = true;
    TouchedRows *lists_ = nullptr;  // of each thread and embedding; without places for embeddings that have no table
    Saved *saved_ = nullptr;        // of each embedding; without flags for those that have no table
};

}  // namespace
