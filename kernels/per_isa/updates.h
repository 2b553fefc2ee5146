// The updates of a batch: its gradients get penalties, are clipped, and the optimizer makes its step with them.
#pragma once

#include <algorithm>

#include "orthogonal_updates.h"
#include "penalties.h"
#include "touched_features.h"
#include "update_memory.h"

namespace {

template <class T> class Updater : public UpdateMemory<T> {
    using Memory = UpdateMemory<T>;
    using Memory::for_each_own_part, Memory::gradient_, Memory::gradient_at, Memory::gradient_of, Memory::is_of_inputs,
        Memory::is_table, Memory::is_updated;
    using Memory::layers_, Memory::network_, Memory::partial_, Memory::rules_, Memory::squares_from, Memory::state_,
        Memory::state_of, Memory::storage_rows, Memory::take_snapshot;

  public:
    Updater(const Training &training, const UpdateRules &rules, const OptimizerState<T> &state, const Panels<T> &panels,
            const Layers<T> &layers, Arena &arena)
        : Memory(training, rules, state, panels, layers, arena),
          clip_value_(T(training.optimizer.clip_value)),
          clip_norm_(training.optimizer.clip_norm),
          orthogonal_(training, rules.orthogonalizes, arena) {}

    // Stores the gradients of a batch's first chunk, and adds those of its other chunks.
    __attribute__((noinline)) void accumulate(const ChunkGradients<T> &gradients, const Owner &owner,
                                              const TouchedCategories<T> &categories, bool add) const {
        if (owner.team.size > 1) prefetch(gradients, owner);
        for_each_own_part(owner, [&](const BlockPart &part, int64_t) {
            if (part.block.is_frozen) return;
            if (is_table(part.block, categories)) return categories.add(gradients, part, gradient_of(part.block));
            if (add) gradients.add(part, gradient_of(part.block));
            else gradients.compute(part, gradient_of(part.block));
        });
    }

    // Updates the parameters, all threads together. `gradients` are the batch's, and null if they stand in the memory already. With
    // `keep`, a snapshot is taken first. share: of the parameters in their average, 0 to leave it as it is.
    void update(const ChunkGradients<T> *gradients, const Owner &owner, const Coefficients<T> &c, const TouchedFeatures<T> &touched,
                const TouchedCategories<T> &categories, bool keep, T share) const {
        if (gradients && owner.team.size > 1) prefetch(*gradients, owner);
        if (rules_.descends_in_product && gradients) return descend(*gradients, owner, c, keep, share);
        const bool saves_rows = keep && rules_.skips_absent_categories && categories.saves_rows();
        if (saves_rows) begin_epoch_of_tables(owner, categories);
        for_each_own_part(owner, [&](const BlockPart &part, int64_t number) {
            const Block &block = part.block;
            if (keep && !(saves_rows && categories.has(block))) take_snapshot(part);
            if (!is_updated(part)) return average_frozen(part, share);
            Coefficients<T> scaled;
            const Coefficients<T> &own = block.has_own_factors() ? scaled = c.of(block) : c;
            if (is_table(block, categories)) return update_table(gradients, owner.team, part, number, own, categories, share);
            if (gradients) gradients->compute(part, gradient_of(block));
            prepare_gradient(part, number, own, touched);
            if (rules_.clips_norm || has_orthogonal_update(part)) return;
            apply(part, own, touched);
            finish_update(owner.team, part, share);
        });
        if (rules_.clips_norm) update_by_clipped_norm(owner, c, touched, categories, share);
        if (rules_.orthogonalizes) update_hidden_matrices(owner.team, c, share);
    }

  private:
    __attribute__((noinline)) void prefetch(const ChunkGradients<T> &gradients, const Owner &owner) const {
        for (const OwnBlock *own = owner.blocks; own < owner.blocks + owner.n_blocks; own++)
            if (own->part.block.kind == BlockKind::weights && !own->part.block.is_frozen) gradients.prefetch(own->part, owner.team);
    }

    // Plain gradient descent has no gradient array, and makes its step in whole blocks.
    void descend(const ChunkGradients<T> &gradients, const Owner &owner, const Coefficients<T> &c, bool keep, T share) const {
        for (const OwnBlock *own = owner.blocks; own < owner.blocks + owner.n_blocks; own++) {
            const auto descend = [&](const BlockPart &part) { this->descend(gradients, owner.team, part, c, keep, share); };
            if (own->is_in_panels) for_each_part<T>(*own, own->part.block.rows, descend);
            else if (own->part.rows.size() > 0) descend(own->part);
        }
    }

    __attribute__((noinline)) void descend(const ChunkGradients<T> &gradients, const Team &team, const BlockPart &part,
                                           const Coefficients<T> &c, bool keep, T share) const {
        if (keep) take_snapshot(part);
        if (!is_updated(part)) return average_frozen(part, share);
        gradients.descend(part, state_of(part).parameters() + part.block.offset,
                          c.learning_rate * T(part.block.learning_rate_factor));
        finish_update(team, part, share);
    }

    // Averages the new parameters, and transposes weights: a team of one thread transposes all before each batch instead.
    void finish_update(const Team &team, const BlockPart &part, T share) const {
        if (share != 0) average(part, share);
        if (team.size > 1 && part.block.kind == BlockKind::weights) layers_.transpose_weights(part);
    }

    // The average of frozen parameters moves like the others: it may not have reached them yet.
    __attribute__((noinline)) void average_frozen(const BlockPart &part, T share) const {
        if (part.block.is_frozen && share != 0) average(part, share);
    }

    void average(const BlockPart &part, T share) const {
        part.for_each_piece([&](int64_t offset, int64_t count) { state_of(part).average(offset, count, share); });
    }

    // Adds penalties, clips by value, and computes the rows' contributions to the norm: each sum over a row has one owner.
    void prepare_gradient(const BlockPart &part, int64_t number, const Coefficients<T> &c,
                          const TouchedFeatures<T> &touched) const {
        if (rules_.penalizes && part.block.penalty_factor > 0)
            for (int64_t i = 0; i < part.rows.size(); i++) partial_[number + i] = penalize_row(part, i, c, touched);
        if (rules_.clips_value)
            part.for_each_piece([&](int64_t offset, int64_t count) { clip_by_value(gradient_at(offset), count, clip_value_); });
        if (rules_.clips_norm) {
            const T *gradient = gradient_at(part.offset());
            T *squares = squares_from(number);
            for (int64_t i = 0; i < part.rows.size(); i++) squares[i] = sum_of_squares(gradient + i * part.row, part.row);
        }
    }

    // Returns the penalties of a row of the part.
    T penalize_row(const BlockPart &part, int64_t i, const Coefficients<T> &c, const TouchedFeatures<T> &touched) const {
        const int64_t at = part.offset() + i * part.row;
        const T *w = state_.parameters() + at;
        if (touched.active() && is_of_inputs(part)) w = touched.touched_weights(part.rows.begin + i, w);
        return add_penalty(w, gradient_at(at), part.row, c.l1, c.l2);
    }

    // The part of a table that a thread owns, of which only the touched rows have an update. Parameters of embeddings have no
    // penalties. With a bound of the norm, the gradients are only prepared.
    __attribute__((noinline)) void update_table(const ChunkGradients<T> *gradients, const Team &team, const BlockPart &part,
                                                int64_t number, const Coefficients<T> &c, const TouchedCategories<T> &categories,
                                                T share) const {
        T *const of_block = gradient_of(part.block);
        if (gradients) categories.add(*gradients, part, of_block);
        const TouchedRows &touched = categories.rows(part.block);
        for (int64_t i = 0; i < touched.count && rules_.clips_value; i++)
            clip_by_value(categories.gradient_of(part, touched.rows[i], of_block), part.row, clip_value_);
        if (!rules_.clips_norm) return apply_to_table(team, part, c, categories, {}, share);
        // With a comparison of this file's own, since the linker would merge the sort of another instruction set with this one.
        std::sort(touched.rows, touched.rows + touched.count, [](int64_t a, int64_t b) { return a < b; });
        T *const squares = squares_from(number - part.rows.begin);
        for (int64_t i = 0; i < touched.count; i++)
            squares[touched.rows[i]] = sum_of_squares(categories.gradient_of(part, touched.rows[i], of_block), part.row);
    }

    void apply_to_table(const Team &team, const BlockPart &part, const Coefficients<T> &c, const TouchedCategories<T> &categories,
                        const NormClipping<T> &clipping, T share) const {
        const TouchedRows &touched = categories.rows(part.block);
        for (int64_t i = 0; i < touched.count; i++) {
            const int64_t row = touched.rows[i];
            T *const gradient = categories.gradient_of(part, row, gradient_of(part.block));
            clipping.apply(gradient, part.row);
            categories.save(state_, part.block, row);
            state_.update(part.block.offset + row * part.row, gradient, part.row, c);
        }
        categories.clear(part.block);
        finish_update(team, part, share);
    }

    __attribute__((noinline)) void begin_epoch_of_tables(const Owner &owner, const TouchedCategories<T> &categories) const {
        for_each_own_part(owner, [&](const BlockPart &part, int64_t) {
            if (categories.has(part.block)) categories.begin_epoch(part);
        });
        owner.team.wait();
    }

    void update_by_clipped_norm(const Owner &owner, const Coefficients<T> &c, const TouchedFeatures<T> &touched,
                                const TouchedCategories<T> &categories, T share) const {
        owner.team.wait();
        const NormClipping<T> clipping = clip_norm(owner, categories);
        if (rules_.skips_absent_categories) owner.team.wait();  // the lists of touched rows are cleared next
        for_each_own_part(owner, [&](const BlockPart &part, int64_t) {
            if (!is_updated(part)) return;
            if (is_table(part.block, categories))
                return apply_to_table(owner.team, part, c.of(part.block), categories, clipping, share);
            part.for_each_piece([&](int64_t offset, int64_t count) { clipping.apply(gradient_at(offset), count); });
            if (has_orthogonal_update(part)) return;
            apply(part, c.of(part.block), touched);
            finish_update(owner.team, part, share);
        });
    }

    bool has_orthogonal_update(const BlockPart &part) const {
        return rules_.orthogonalizes && is_hidden_matrix(network_, part.layer, part.block);
    }

    // All threads together, layer by layer. Their gradients are ready.
    __attribute__((noinline)) void update_hidden_matrices(const Team &team, const Coefficients<T> &c, T share) const {
        team.wait();
        for (int64_t l = 1; l < network_.n_layers - 1; l++) {
            const Layer &layer = network_.layers[l];
            const Block &block = layer.weights();
            if (block.is_frozen) continue;
            orthogonal_.update(state_, gradient_of(block), l, layer, team, c.of(block),
                               [&](const BlockPart &part) { finish_update(team, part, share); });
        }
    }

    // The threads have squared the rows of the gradients.
    NormClipping<T> clip_norm(const Owner &owner, const TouchedCategories<T> &categories) const {
        return NormClipping<T>::of(clip_norm_, sum_of_rows(owner.team, categories),
                                   [&] { return sum_of_shrunk_rows(owner, categories); });
    }

    // Squares the rows anew, after a multiplication by a power of two that makes all squares of finite gradients finite.
    __attribute__((noinline)) double sum_of_shrunk_rows(const Owner &owner, const TouchedCategories<T> &categories) const {
        owner.team.wait();  // all threads have read the sums
        for_each_own_part(owner, [&](const BlockPart &part, int64_t number) {
            if (!is_updated(part)) return;
            T *const squares = squares_from(number - part.rows.begin);
            T *const of_block = gradient_of(part.block);
            const auto square = [&](int64_t row, const T *gradient) { squares[row] = sum_of_shrunk_squares(gradient, part.row); };
            if (is_table(part.block, categories)) {
                const TouchedRows &touched = categories.rows(part.block);
                for (int64_t i = 0; i < touched.count; i++)
                    square(touched.rows[i], categories.gradient_of(part, touched.rows[i], of_block));
            } else {
                for (int64_t i = part.rows.begin; i < part.rows.end; i++) square(i, of_block + i * part.row);
            }
        });
        owner.team.wait();
        return sum_of_rows(owner.team, categories);
    }

    double sum_of_rows(const Team &team, const TouchedCategories<T> &categories) const {
        const T *squares = squares_from(0);
        double sum = 0;
        if (!rules_.skips_absent_categories) {
            for (int64_t i = 0; i < storage_rows(); i++) sum += double(squares[i]);
            return sum;
        }
        for_each_block(network_, [&](int64_t, const Layer &, const Block &block) {
            const auto add = [&](int64_t row) { sum += double(squares[row]); };
            if (categories.has(block)) categories.for_each_row(block, team, add);
            else
                for (int64_t i = 0; i < block.rows; i++) add(i);
            squares += block.rows;
        });
        return sum;
    }

    void apply(const BlockPart &part, const Coefficients<T> &c, const TouchedFeatures<T> &touched) const {
        if (!touched.active() || !is_of_inputs(part))
            return part.for_each_piece(
                [&](int64_t offset, int64_t count) { state_of(part).update(offset, gradient_at(offset), count, c); });
        const T *gradient = gradient_at(part.offset());
        for (int64_t i = 0; i < part.rows.size(); i++) {
            const int64_t at = part.offset() + i * part.row;
            touched.update_row(part.rows.begin + i, state_.arrays(at),
                               [&] { state_.update(at, gradient + i * part.row, part.row, c); });
        }
    }

    const T clip_value_;
    const double clip_norm_;
    const OrthogonalUpdates<T> orthogonal_;
};

}  // namespace
