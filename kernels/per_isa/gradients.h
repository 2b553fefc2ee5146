// The gradients of a chunk's parameters, block by block.
#pragma once

#include "layer_loops.h"
#include "members.h"

namespace {

// A chunk after its passes forward and back: the deltas of all layers stand in the workspace, until the next chunk.
template <class T> class ChunkGradients {
  public:
    // The gradients of no rows.
    ChunkGradients() = default;

    ChunkGradients(const Layers<T> &layers, const Entries<T> &entries, const InputRows<T> &input, int64_t n_rows, T *packing)
        : layers_(&layers), entries_(&entries), input_(input), n_rows_(n_rows), packing_(packing) {}

    // Prefetches what other threads have written, or read last, of the inputs and deltas from which the gradient of some weights is
    // computed.
    void prefetch(const BlockPart &part, const Team &team) const {
        const int64_t l = part.layer;
        const Layer &layer = (*layers_)[l];
        if (part.rows.size() == 0 || layer.is_separate || layers_->splits_outputs(l, team)) return;
        const Range own = share(n_rows_, row_group, team), units = layer.narrow ? part.rows : part.columns;
        for_each_other(own, n_rows_, [&](Range others) {
            if (l > 0 || !input_.sparse)
                prefetch_rows(layers_->input(l, input_), layers_->input_row(l, input_), others,
                              layer.narrow ? Range{0, layer.n_in} : part.rows);
            prefetch_rows(layers_->buffers(l).delta, layer.row, others, units);
        });
    }

    // Stores the gradient of a part of a block. `to` is laid out like the whole block.
    void compute(const BlockPart &part, T *to) const { block_gradient<Start::zero, Finish::store>(part, to, 0); }

    // Adds the gradient to the previous contents of `to`.
    void add(const BlockPart &part, T *to) const { block_gradient<Start::previous, Finish::store>(part, to, 0); }

    // Adds the gradients of the rows of a table that the chunk touches to `to`, which is laid out like the whole block.
    void add_rows(const BlockPart &part, TouchedRows &touched, T *to) const {
        layers_->stage().add_rows(part.block, n_rows_, part.rows, touched, to);
    }

    // Makes a step of plain gradient descent: parameters -= learning_rate * gradient, without a gradient array.
    void descend(const BlockPart &part, T *parameters, T learning_rate) const {
        block_gradient<Start::zero, Finish::descend>(part, parameters, learning_rate);
    }

    // Stores the gradient by some rows of X.
    void by_input(Range rows, T *to, int64_t to_row) const {
        if (layers_->network().stage) return layers_->stage().by_input(rows, to, to_row);
        layers_->first_input_gradient(rows, to, to_row, packing_);
        if ((*layers_)[0].scales_inputs)
            for (int64_t i = rows.begin; i < rows.end; i++)
                layers_->changed_inputs().scale_row(i, to + i * to_row, to + i * to_row);
    }

    // Whether the first layer's weights alone lead from its deltas to X.
    bool has_plain_inputs() const {
        return !layers_->network().stage && !layers_->network().has_residual_from(0) && !(*layers_)[0].scales_inputs;
    }
    // Stores some columns of the gradient by all rows of such an X.
    void by_columns(Range columns, T *to, int64_t to_row) const {
        layers_->input_gradient(0, {0, n_rows_}, columns, to, to_row, packing_);
    }

    // Calls use(k) for each feature k of the thread's that the chunk has, when the gradient of its row of weights stands in
    // `row`. The first layer is not narrow.
    template <class Use> void for_each_feature(T *row, Use use) const {
        const Layer &layer = (*layers_)[0];
        entries_->for_each_column({0, layer.n_in}, [&](int64_t k, const Entry<T> *first, const Entry<T> *end) {
            sparse_gradient_row(first, end, layers_->buffers(0).delta, layer.row, layer.n_out, false, row);
            use(k);
        });
    }

  private:
    template <Start START, Finish FINISH> void block_gradient(const BlockPart &part, T *to, T learning_rate) const {
        const LayerBuffers<T> &buffers = layers_->buffers(part.layer);
        switch (part.block.kind) {
            case BlockKind::weights: return weight_gradient<START, FINISH>(part, to, learning_rate);
            case BlockKind::biases:
                if ((*layers_)[part.layer].has_own_sums()) return member_bias_gradient<START, FINISH>(part, to, learning_rate);
                return unit_gradient<START, FINISH>(part, buffers.delta, to, learning_rate);
            case BlockKind::slopes:
            case BlockKind::alphas: return unit_gradient<START, FINISH>(part, buffers.by_slope, to, learning_rate);
            case BlockKind::gains: return unit_gradient<START, FINISH>(part, buffers.normalization->by_gain, to, learning_rate);
            case BlockKind::shifts: return unit_gradient<START, FINISH>(part, buffers.normalization->by_shift, to, learning_rate);
            case BlockKind::projections: return projection_gradient<START, FINISH>(part, to, learning_rate);
            case BlockKind::scales:  // the sums of a sparse chunk stand in one row
                if (part.block.rows > 1) return member_scale_gradient<START, FINISH>(part, to, learning_rate);
                return sum_columns<T, START, FINISH>(layers_->by_scale(), layers_->x_row(), input_.sparse ? 1 : n_rows_,
                                                     (*layers_)[0].n_in, to, learning_rate);
            case BlockKind::output_scales:
                return sum_columns_by_member<T, START, FINISH>((*layers_)[part.layer], part, buffers.members->sums,
                                                               (*layers_)[part.layer].row, n_rows_, to, learning_rate);
            case BlockKind::embedding_parameters:
                return layers_->stage().gradient(part.block, n_rows_, part.rows, START == Start::previous, to);
        }
    }

    template <Start START, Finish FINISH> void weight_gradient(const BlockPart &part, T *gradient, T learning_rate) const {
        const int64_t l = part.layer;
        const Layer &layer = (*layers_)[l];
        const T *delta = layers_->buffers(l).delta;
        if (l == 0 && input_.sparse)
            sparse_weight_gradient<T, START, FINISH>(*entries_, layer, delta, part.rows, gradient, learning_rate);
        else if (layer.is_separate)
            separate_weight_gradient<T, START, FINISH>(layer, part, delta, layers_->input(l, input_), layers_->input_row(l, input_),
                                                       n_rows_, gradient, learning_rate);
        else if (layer.narrow)
            multiply_narrow_gradient<T, START, FINISH>(part.rows, n_rows_, layer.n_in, layer.n_out, delta,
                                                       layers_->input(l, input_), layers_->input_row(l, input_), gradient,
                                                       layer.weights().row, learning_rate);
        else
            multiply<T, START, FINISH>(
                {n_rows_, layers_->input(l, input_), 1, layers_->input_row(l, input_), delta + part.columns.begin, layer.row,
                 gradient + part.start, part.row, nullptr, learning_rate},
                part.rows, {0, part.columns.size()}, packing_);
    }

    // That of weights whose inputs are the units where the connection begins.
    template <Start START, Finish FINISH> void projection_gradient(const BlockPart &part, T *gradient, T learning_rate) const {
        const Layer &layer = (*layers_)[part.layer];
        const int64_t from = layer.residual_from, from_row = layers_->stream_row(from, input_);
        const T *stream = layers_->stream(from, input_), *delta = layers_->buffers(part.layer).residual->delta;
        if (layer.narrow)
            multiply_narrow_gradient<T, START, FINISH>(part.rows, n_rows_, part.block.columns, layer.n_out, delta, stream, from_row,
                                                       gradient, part.block.row, learning_rate);
        else
            multiply<T, START, FINISH>({n_rows_, stream, 1, from_row, delta, layer.row, gradient, part.row, nullptr, learning_rate},
                                       part.rows, {0, layer.n_out}, packing_);
    }

    // Each member has biases of its own: those of all members stand in one row, or each member's in a row.
    template <Start START, Finish FINISH> void member_bias_gradient(const BlockPart &part, T *gradient, T learning_rate) const {
        const Layer &layer = (*layers_)[part.layer];
        const LayerBuffers<T> &buffers = layers_->buffers(part.layer);
        if (layer.is_separate)
            return separate_bias_gradient<T, START, FINISH>(layer, buffers.delta, n_rows_, gradient, learning_rate);
        sum_columns_by_member<T, START, FINISH>(layer, part, buffers.members->by_bias, layer.row, n_rows_, gradient, learning_rate);
    }

    // That of the scales of a layer's inputs.
    template <Start START, Finish FINISH> void member_scale_gradient(const BlockPart &part, T *gradient, T learning_rate) const {
        const int64_t l = part.layer;
        const T *contributions = l ? layers_->buffers(l - 1).members->unscaled : layers_->by_scale();
        const int64_t row = l ? (*layers_)[l - 1].row : layers_->x_row();
        sum_columns_by_member<T, START, FINISH>((*layers_)[l], part, contributions, row, n_rows_, gradient, learning_rate);
    }

    // Each unit has one such parameter, whose gradient is the sum of the rows' contributions. Rows of separate outputs may be padded.
    template <Start START, Finish FINISH>
    void unit_gradient(const BlockPart &part, const T *contributions, T *gradient, T learning_rate) const {
        const Layer &layer = (*layers_)[part.layer];
        if (layer.narrow && layer.row == layer.n_out)
            sum_columns_narrow<T, START, FINISH>(contributions, n_rows_, layer.n_out, gradient, learning_rate);
        else
            sum_columns<T, START, FINISH>(contributions + part.start, layer.row, n_rows_, part.columns.size(),
                                          gradient + part.start, learning_rate);
    }

    const Layers<T> *layers_ = nullptr;
    const Entries<T> *entries_ = nullptr;
    InputRows<T> input_;
    int64_t n_rows_ = 0;
    T *packing_ = nullptr;  // the thread's
};

}  // namespace
