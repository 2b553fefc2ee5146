// The memory of updates: gradients and sums over their rows, and the parts of the parameters that each thread owns.
#pragma once

#include <cstring>
#include <new>

#include "gradients.h"
#include "optimizer_state.h"
#include "panels.h"
#include "touched_categories.h"

namespace {

template <class T> class UpdateMemory {
  public:
    // If the arena has no memory, the object only counts the bytes that it needs.
    UpdateMemory(const Training &training, const UpdateRules &rules, const OptimizerState<T> &state, const Panels<T> &panels,
                 const Layers<T> &layers, Arena &arena)
        : rules_(rules),
          uses_gradients_(!rules.descends_in_product || training.batch_size > training.network.rows_at_once()),
          chunk_(training.network.passed_rows(std::min(training.batch_size, training.network.rows_at_once()))),
          state_(state),
          panels_(panels),
          layers_(layers),
          network_(training.network),
          is_sparse_(training.x.sparse()),
          gradient_(training.gradient ? static_cast<T *>(training.gradient) : arena.take<T>(network_.size - skipped())),
          partial_(arena.take<T>(2 * storage_rows())),
          own_blocks_(arena.take<OwnBlock>(training.max_threads * n_blocks())) {}

    // Sets what a thread owns: the same in all batches of a region, and too long to be found anew in each batch of a small network.
    Owner join(const Team &team) const {
        OwnBlock *const own = own_blocks_ + team.index * n_blocks();
        int64_t n = 0;
        for_each_block(network_, [&](int64_t l, const Layer &layer, const Block &block) {
            new (own + n++) OwnBlock(own_part(l, layer, block, team));
        });
        return {team, own, n};
    }

    // Copies the weights of a thread's panels from the storage, or back to it. Their gradients are cleared: those of one layout would
    // stand in the padding of the other.
    void load_panels(const Owner &owner) const {
        for_each_own_panel(owner, [&](const BlockPart &panel) {
            clear_gradient(panel);
            panels_.load(panel);
        });
    }
    void store_panels(const Owner &owner) const {
        for_each_own_panel(owner, [&](const BlockPart &panel) {
            clear_gradient(panel);
            panels_.store(panel);
        });
    }

    // Returns the last batch's penalties, without those of deferred rows.
    double penalty() const {
        double sum = 0;
        if (!rules_.penalizes) return sum;
        for (int64_t i = rules_.defers_first_layer ? network_.layers[0].weights().rows : rows_of_embeddings_; i < storage_rows();
             i++)
            sum += double(partial_[i]);
        return sum;
    }

  protected:
    static bool is_of_inputs(const BlockPart &part) { return part.layer == 0 && part.block.kind == BlockKind::weights; }

    // Whether the part has an update here: the weights of a deferred first layer have theirs elsewhere.
    bool is_updated(const BlockPart &part) const {
        return !part.block.is_frozen && !(rules_.defers_first_layer && is_of_inputs(part));
    }

    // Calls body(part, number of the part's first row among all rows of the storage).
    template <class Body> void for_each_own_part(const Owner &owner, Body body) const {
        int64_t number = 0;
        for (const OwnBlock *own = owner.blocks; own < owner.blocks + owner.n_blocks; own++) {
            for_each_part<T>(*own, rows_at_once(*own), [&](const BlockPart &part) { body(part, number + part.rows.begin); });
            number += own->part.block.rows;
        }
    }

    // Returns the place of the gradients from an element of the storage on, or of a block. Deferred rows have none.
    T *gradient_at(int64_t offset) const { return gradient_ + (offset - skipped()); }
    T *gradient_of(const Block &block) const { return gradient_at(block.offset); }
    // Returns the number of elements at the beginning of the storage that have no place in gradient_.
    int64_t skipped() const { return rules_.defers_first_layer ? network_.layers[0].weights().end() : 0; }

    int64_t storage_rows() const {
        int64_t sum = 0;
        for_each_block(network_, [&](int64_t, const Layer &, const Block &block) { sum += block.rows; });
        return sum;
    }

    // Returns the sums of squares of the gradient's rows, from the row of that number in the storage on.
    T *squares_from(int64_t number) const { return partial_ + storage_rows() + number; }

    const OptimizerState<T> &state_of(const BlockPart &part) const { return part.is_panel() ? panels_.state() : state_; }

    void take_snapshot(const BlockPart &part) const {
        if (part.is_panel()) panels_.take_snapshot(part);
        else part.for_each_piece([&](int64_t offset, int64_t count) { state_.take_snapshot(offset, count); });
    }

    void clear_gradient(const BlockPart &part) const {
        if (!uses_gradients_) return;
        part.for_each_piece([&](int64_t offset, int64_t count) { std::memset(gradient_at(offset), 0, size_t(count) * sizeof(T)); });
    }

    // Whether only the rows of a block that a batch touches have an update.
    bool is_table(const Block &block, const TouchedCategories<T> &categories) const {
        return rules_.skips_absent_categories && categories.has(block);
    }

    const UpdateRules &rules_;
    const bool uses_gradients_;  // an array of them
    const int64_t chunk_;        // rows of a batch's largest chunk
    const OptimizerState<T> &state_;
    const Panels<T> &panels_;
    const Layers<T> &layers_;
    const Network &network_;
    const bool is_sparse_;        // the inputs
    T *const gradient_;           // like the storage from element skipped() on
    T *const partial_;            // storage_rows() penalties, then as many sums of squares
    OwnBlock *const own_blocks_;  // of all threads

  private:
    // Returns the rows of a block in a part. A few, so that their gradient is used while it is in the cache, unless that would take
    // longer than it saves: a product that packs the deltas would pack them anew for each part.
    int64_t rows_at_once(const OwnBlock &own) const {
        const Block &block = own.part.block;
        const bool is_packed = !own.is_in_panels && pays_packing<T>(own.part.rows.size(), chunk_, own.part.columns.size());
        const bool is_whole = rules_.descends_in_product || block.kind == BlockKind::embedding_parameters || is_packed;
        return is_whole ? block.rows : 64;
    }

    template <class Use> void for_each_own_panel(const Owner &owner, Use use) const {
        for (const OwnBlock *own = owner.blocks; own < owner.blocks + owner.n_blocks; own++)
            if (own->is_in_panels) for_each_part<T>(*own, own->part.block.rows, use);
    }

    OwnBlock own_part(int64_t l, const Layer &layer, const Block &block, const Team &team) const {
        if (splits_columns(l, layer, block, team)) return own_columns_of<T>(l, block, team);
        return block.kind == BlockKind::weights ? layers_.own_weights(l, team) : own_rows_of<T>(l, layer, block, team);
    }

    // Whether threads own columns of a block because a share of its rows would be larger than 4/3 of the mean. Not with penalties or a
    // bound of the norm: a row has one sum of penalties and one of squares.
    bool splits_columns(int64_t l, const Layer &layer, const Block &block, const Team &team) const {
        if (team.size == 1 || rules_.penalizes || rules_.clips_norm || rules_.orthogonalizes) return false;
        if (layer.narrow || layer.has_own_sums() || (l == 0 && is_sparse_)) return false;
        if (block.kind == BlockKind::weights ? layers_.in_panels(l, team) : block.kind != BlockKind::biases) return false;
        const int64_t units = (block.rows + lanes<T> - 1) / lanes<T>, largest = (units + team.size - 1) / team.size * lanes<T>;
        return 3 * largest * team.size > 4 * block.rows && shares_columns_evenly<T>(block.columns, team);
    }

    int64_t n_blocks() const {
        int64_t n = 0;
        for_each_block(network_, [&](int64_t, const Layer &, const Block &) { n++; });
        return n;
    }

    int64_t count_rows_of_embeddings() const {
        int64_t sum = 0;
        for_each_block(network_, [&](int64_t, const Layer &, const Block &block) {
            if (block.kind == BlockKind::embedding_parameters) sum += block.rows;
        });
        return sum;
    }

    const int64_t rows_of_embeddings_ = count_rows_of_embeddings();  // the first rows of the storage, which have no penalties
};

}  // namespace
