// The updates of a batch: its gradients get penalties, are clipped, and the optimizer makes its step with them.
#pragma once

#include <algorithm>

#include "gradients.h"
#include "optimizer_state.h"
#include "penalties.h"
#include "touched_features.h"

namespace {

template <class T> class Updater {
  public:
    // If the arena has no memory, the object only counts the bytes that it needs.
    Updater(const Training &training, const UpdateRules &rules, const OptimizerState<T> &state, const Layers<T> &layers,
            Arena &arena)
        : rules_(rules),
          clip_value_(T(training.optimizer.clip_value)),
          clip_norm_(training.optimizer.clip_norm),
          state_(state),
          layers_(layers),
          network_(training.network),
          gradient_(arena.take<T>(network_.size - skipped())),
          partial_(arena.take<T>(2 * storage_rows())) {}

    // Returns the gradients of all parameters, laid out like the storage. Deferred weights of the first layer are left out.
    T *gradient() const { return gradient_; }

    // Stores the gradients of a batch's first chunk, and adds those of its other chunks.
    void accumulate(const ChunkGradients<T> &gradients, const Team &team, bool add) const {
        for_each_own_rows(team, [&](const OwnRows &block_rows) {
            if (add) gradients.add(block_rows, gradient_of(block_rows.block));
            else gradients.compute(block_rows, gradient_of(block_rows.block));
        });
    }

    // Updates the parameters, all threads together. `gradients` are the batch's, and null if they stand in gradient() already. With
    // `keep`, a snapshot is taken first.
    void update(const ChunkGradients<T> *gradients, const Team &team, const Coefficients<T> &c, const TouchedFeatures<T> &touched,
                bool keep) const {
        for_each_own_rows(team, [&](const OwnRows &block_rows) {
            const Block &block = block_rows.block;
            if (keep) state_.take_snapshot(block_rows.offset(), block_rows.count());
            if (rules_.defers_first_layer && block_rows.is_of_inputs()) return;
            Coefficients<T> scaled;
            const Coefficients<T> &own = block.has_own_factors() ? scaled = c.of(block) : c;
            if (rules_.descends_in_product && gradients) {
                gradients->descend(block_rows, state_.parameters() + block.offset, own.learning_rate);
            } else {
                if (gradients) gradients->compute(block_rows, gradient_of(block));
                prepare_gradient(block_rows, own, touched);
                if (!rules_.clips_norm) apply(block_rows, own, touched);
            }
            if (!rules_.clips_norm) transpose_after_update(team, block_rows);
        });
        if (rules_.clips_norm) update_by_clipped_norm(team, c, touched);
    }

    // One thread updates all parameters in one sweep, by gradients that stand in gradient() and need no preparation.
    void update_all(const Coefficients<T> &c, bool keep) const {
        if (keep) state_.take_snapshot(0, network_.size);
        state_.update(0, gradient_, network_.size, c);
    }

    // Returns the last batch's penalties, without those of deferred rows.
    double penalty() const {
        double sum = 0;
        if (!rules_.penalizes) return sum;
        for (int64_t i = rules_.defers_first_layer ? network_.layers[0].weights().rows : 0; i < storage_rows(); i++)
            sum += double(partial_[i]);
        return sum;
    }

  private:
    static constexpr int64_t cached_rows = 64;  // rows of weights whose gradient is used while it is in the cache

    struct OwnRows : BlockRows {
        int64_t number;  // of the first row among all rows of storage

        int64_t offset() const { return block.offset + rows.begin * block.row; }
        int64_t count() const { return rows.size() * block.row; }
        bool is_of_inputs() const { return layer == 0 && block.kind == BlockKind::weights; }
    };

    template <class Body> void for_each_own_rows(const Team &team, Body body) const {
        int64_t number = 0;
        for_each_block(network_, [&](int64_t l, const Layer &layer, const Block &block) {
            const Range own = own_rows<T>(layer, block, team);
            const int64_t at_a_time = rules_.descends_in_product ? own.size() : cached_rows;
            for (int64_t k = own.begin; k < own.end; k += at_a_time)
                body(OwnRows{{l, block, {k, std::min(k + at_a_time, own.end)}}, number + k});
            number += block.rows;
        });
    }

    int64_t storage_rows() const {
        int64_t sum = 0;
        for_each_block(network_, [&](int64_t, const Layer &, const Block &block) { sum += block.rows; });
        return sum;
    }

    // These return the place of the gradients of a block, or of some of its rows. Deferred rows have none.
    T *gradient_of(const Block &block) const { return gradient_ + (block.offset - skipped()); }
    T *gradient_of(const OwnRows &block_rows) const { return gradient_ + (block_rows.offset() - skipped()); }
    // Returns the number of elements at the beginning of the storage that have no place in gradient_.
    int64_t skipped() const { return rules_.defers_first_layer ? network_.layers[0].weights().end() : 0; }

    // A team of one thread transposes all weights before each batch instead.
    void transpose_after_update(const Team &team, const BlockRows &block_rows) const {
        if (team.size > 1 && block_rows.block.kind == BlockKind::weights)
            layers_.transpose_weights(block_rows.layer, block_rows.rows);
    }

    // Adds penalties, clips by value, and computes the rows' contributions to the norm: each sum over a row has one owner.
    void prepare_gradient(const OwnRows &block_rows, const Coefficients<T> &c, const TouchedFeatures<T> &touched) const {
        T *gradient = gradient_of(block_rows);
        const int64_t row = block_rows.block.row;
        if (rules_.penalizes && block_rows.block.penalty_factor > 0)
            for (int64_t i = 0; i < block_rows.rows.size(); i++) {
                const T *w = state_.parameters() + block_rows.offset() + i * row;
                if (touched.active() && block_rows.is_of_inputs()) w = touched.touched_weights(block_rows.rows.begin + i, w);
                partial_[block_rows.number + i] = add_penalty(w, gradient + i * row, row, c.l1, c.l2);
            }
        if (rules_.clips_value) clip_by_value(gradient, block_rows.count(), clip_value_);
        if (rules_.clips_norm) {
            T *squares = partial_ + storage_rows() + block_rows.number;
            for (int64_t i = 0; i < block_rows.rows.size(); i++) squares[i] = sum_of_squares(gradient + i * row, row);
        }
    }

    void update_by_clipped_norm(const Team &team, const Coefficients<T> &c, const TouchedFeatures<T> &touched) const {
        team.wait();
        const T factor = clip_factor();
        for_each_own_rows(team, [&](const OwnRows &block_rows) {
            if (factor < 1) scale_by(gradient_of(block_rows), block_rows.count(), factor);
            apply(block_rows, c.of(block_rows.block), touched);
            transpose_after_update(team, block_rows);
        });
    }

    T clip_factor() const {
        double sum = 0;
        for (int64_t i = 0; i < storage_rows(); i++) sum += double(partial_[storage_rows() + i]);
        return T(clip_norm_ / (std::sqrt(sum) + 1e-6));
    }

    void apply(const OwnRows &block_rows, const Coefficients<T> &c, const TouchedFeatures<T> &touched) const {
        const T *gradient = gradient_of(block_rows);
        if (!touched.active() || !block_rows.is_of_inputs())
            return state_.update(block_rows.offset(), gradient, block_rows.count(), c);
        const int64_t row = block_rows.block.row;
        for (int64_t i = 0; i < block_rows.rows.size(); i++) {
            const int64_t at = block_rows.offset() + i * row;
            touched.update_row(block_rows.rows.begin + i, state_.arrays(at),
                               [&] { state_.update(at, gradient + i * row, row, c); });
        }
    }

    const UpdateRules &rules_;
    const T clip_value_;
    const double clip_norm_;
    const OptimizerState<T> &state_;
    const Layers<T> &layers_;
    const Network &network_;
    T *const gradient_;  // like the storage from element skipped() on
    T *const partial_;   // storage_rows() penalties, then as many sums of squares
};

}  // namespace
