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
        for (int64_t e = 0; e < stage.n_embeddings; e++) {
            const Embedding &own = stage.embeddings[e];
            if (!is_table(own)) continue;
            const int64_t room = std::min(own.parameters.rows, training.batch_size * own.n_columns);
            uint8_t *const flags = arena.take<uint8_t>(own.parameters.rows);
            uint8_t *const saved = arena.take<uint8_t>(saves_rows_ ? own.parameters.rows : 0);
            int64_t *const rows = arena.take<int64_t>(room * n_threads_);
            for (int t = 0; lists_ && t < n_threads_; t++) lists_[t * stage.n_embeddings + e] = {flags, saved, rows + t * room, 0};
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
            if (!list.flags) continue;
            const Range rows = own_rows<T>(network_.layers[0], block, team);
            std::memset(list.flags + rows.begin, 0, size_t(rows.size()));
            list.count = 0;
        }
        return own;
    }

    bool active() const { return active_; }

    // Begins a batch, of which perhaps no row counts.
    void begin_batch(bool any_counts) { any_counts_ = any_counts; }

    // Adds the gradients of the thread's touched rows of a block, from all rows of a chunk.
    void add(const ChunkGradients<T> &gradients, const BlockPart &part, T *to) const {
        if (any_counts_) gradients.add_rows(part, rows(part.block), to);
    }

    // Whether the updates of a block leave out rows.
    bool has(const Block &block) const {
        return active_ && block.kind == BlockKind::embedding_parameters && list(number(block), 0).flags;
    }

    // The thread's rows of a block.
    TouchedRows &rows(const Block &block) const { return list(number(block), thread_); }

    // Begins an epoch for the thread's rows of a block. Returns false, and does nothing, if the snapshot must be taken of all of them.
    bool begin_epoch(const BlockPart &part) const {
        if (!saves_rows_ || !has(part.block)) return false;
        std::memset(rows(part.block).saved + part.rows.begin, 0, size_t(part.rows.size()));
        return true;
    }

    // Takes a snapshot of a row of a block, unless the epoch has one.
    void save(const OptimizerState<T> &state, const Block &block, uint8_t *saved, int64_t row) const {
        if (!saves_rows_ || saved[row]) return;
        saved[row] = 1;
        state.take_snapshot(block.offset + row * block.row, block.row);
    }

    // Takes a snapshot of all rows that no update of the epoch has changed: the snapshot is then complete. For one thread.
    __attribute__((noinline)) void complete_snapshot(const OptimizerState<T> &state) const {
        for (int64_t e = 0; saves_rows_ && e < network_.stage->n_embeddings; e++) {
            const Block &block = network_.stage->embeddings[e].parameters;
            if (uint8_t *const saved = list(e, 0).saved)
                for (int64_t row = 0; row < block.rows; row++) save(state, block, saved, row);
        }
    }

    // Ends the batch for a block, of which nothing is touched then.
    void clear(const Block &block) const {
        TouchedRows &list = rows(block);
        for (int64_t i = 0; i < list.count; i++) list.flags[list.rows[i]] = 0;
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
    static bool is_table(const Embedding &e) { return all_embeddings<T>[e.kind].add_rows && e.parameters.rows > 0; }

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
    TouchedRows *lists_ = nullptr;  // of each thread and embedding; without flags for embeddings that have no table
};

}  // namespace
