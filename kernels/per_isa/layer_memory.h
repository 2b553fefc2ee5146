// The layers of a network with their workspace and their inputs: what a pass through them reads and writes.
#pragma once

#include "block_parts.h"
#include "changed_inputs.h"
#include "evaluate_loss.h"
#include "input_stage.h"
#include "layer_buffers.h"
#include "packing.h"
#include "padding.h"
#include "pass_inputs.h"

namespace {

template <class T> class LayerMemory {
  public:
    // rows: of the largest chunk. If the arena has no memory, the object only counts the bytes that it needs.
    LayerMemory(const Network &network, const void *parameters, const Rows &x, int64_t rows, Needs needs, const Loss *loss,
                Arena &arena)
        : network_(network),
          parameters_(static_cast<const T *>(parameters)),
          needs_(needs),
          has_logits_(loss && loss->from_logits),
          is_sparse_(x.sparse()),
          buffers_(arena.take<LayerBuffers<T>>(network.n_layers)),
          x_row_(padded_row(network.layers[0].n_in, sizeof(T))),
          x_(arena.take<T>(x.sparse() ? 0 : rows * x_row_)),
          inputs_(has_scale_gradient() ? ChangedInputs<T>::take(rows, x_row_, is_sparse_, arena) : InputBuffers<T>()),
          stage_(take_stage(rows, arena)),
          inputs_start_(network.has_residual_from(0)),
          copies_inputs_(network.layers[0].narrow || (inputs_start_ && network.last().narrow)) {
        for (int64_t l = 0; l < network.n_layers; l++) {
            const LayerBuffers<T> b = take_buffers(l, rows, loss, arena);
            if (buffers_) buffers_[l] = b;
            keeps_transposed_ |= b.transposed != nullptr;
        }
    }

    const Network &network() const { return network_; }
    const Layer &operator[](int64_t l) const { return network_.layers[l]; }
    const LayerBuffers<T> &buffers(int64_t l) const { return buffers_[l]; }
    const LayerBuffers<T> &last_buffers() const { return buffers_[network_.n_layers - 1]; }
    Needs needs() const { return needs_; }
    bool has_logits() const { return has_logits_; }
    const T *input(int64_t l, const InputRows<T> &x) const { return l ? buffers_[l - 1].out : x.dense; }
    int64_t input_row(int64_t l, const InputRows<T> &x) const { return l ? network_.layers[l - 1].row : x.row; }

    // ---- Inputs ----

    bool is_copied(const InputRows<T> &x) const { return x.dense == x_ || stage_; }

    // Returns the chunk's rows where they stand if the kernels can read them there; otherwise copies the given range of them.
    Input<T> read(const Rows &x, const Batch &chunk, Range rows, const Dropout &dropout) const {
        if (dropout.key || network_.layers[0].scales_inputs) return read_changed(x, chunk, rows, dropout);
        return read_unchanged(x, chunk, rows);
    }

    ChangedInputs<T> changed_inputs() const { return ChangedInputs<T>(network_.layers[0], parameters_, x_row_, inputs_); }

    bool has_scale_gradient() const {
        return needs_.weight_gradient && needs_.first_layer == 0 && network_.layers[0].scales_inputs;
    }
    const T *by_scale() const { return inputs_.by_scale; }
    int64_t x_row() const { return x_row_; }

    // For a chunk without any row that counts, sets outputs and deltas to 0, whatever the parameters are. Returns an input.
    Input<T> clear(const Rows &x, const Batch &chunk, Range rows) const {
        for (int64_t l = 0; l < network_.n_layers; l++) buffers_[l].clear(network_.layers[l], rows);
        if (has_scale_gradient() && !is_sparse_)
            std::memset(inputs_.by_scale + rows.begin * x_row_, 0, size_t(rows.size() * x_row_) * sizeof(T));
        if (stage_) {
            stage().clear(rows, network_.layers[0].n_in);
            std::memset(x_ + rows.begin * x_row_, 0, size_t(rows.size() * x_row_) * sizeof(T));
        }
        return x.sparse() ? Input<T>::of_sparse(x, chunk) : Input<T>::of_dense(x_, x_row_);
    }

    // ---- Residual connections ----

    // Returns the units where connections begin behind the given number of layers, and their row. The outputs of a layer are those
    // before their normalization.
    const T *stream(int64_t from, const InputRows<T> &x) const {
        if (from == 0) return x.dense;
        const LayerBuffers<T> &b = buffers_[from - 1];
        return b.residual->stream ? b.residual->stream : b.out;
    }
    int64_t stream_row(int64_t from, const InputRows<T> &x) const { return from ? network_.layers[from - 1].row : x.row; }

    // ---- Shared ensembles ----

    // Returns the outputs of a layer for users: those before the scales of the next layer's inputs.
    const T *unscaled_outputs(int64_t l) const {
        const LayerBuffers<T> &b = buffers_[l];
        return b.members && b.members->unscaled ? b.members->unscaled : b.out;
    }

    // The layer has a normalization.
    LayerNormalization<T> normalization(int64_t l) const {
        return LayerNormalization<T>(network_.layers[l], parameters_, *buffers_[l].normalization);
    }

    // The network has an input stage.
    StageRun<T> stage() const { return StageRun<T>(*network_.stage, parameters_, *stage_, stage_->out ? stage_->out : x_); }

    const T *weights(const Layer &layer) const { return parameters_ + layer.weights().offset; }

  protected:
    LayerMemory(const LayerMemory &other, const T *parameters)
        : network_(other.network_),
          parameters_(parameters),
          needs_(other.needs_),
          has_logits_(other.has_logits_),
          is_sparse_(other.is_sparse_),
          buffers_(other.buffers_),
          x_row_(other.x_row_),
          x_(other.x_),
          inputs_(other.inputs_),
          stage_(other.stage_),
          inputs_start_(other.inputs_start_),
          copies_inputs_(other.copies_inputs_),
          keeps_transposed_(other.keeps_transposed_) {}

    static bool keeps_derivative(const Layer &layer) { return LayerActivation<T>::keeps_derivative(layer); }
    static int64_t transposed_row(const Layer &layer) { return padded<T>(layer.n_in) + block_lanes<T>; }
    const T *bias(const Layer &layer) const { return parameters_ + layer.biases().offset; }

    const T *panels(const Layer &layer) const { return static_cast<const T *>(needs_.panels) + layer.weights().offset; }

    // Returns row 0 of the panel, or of the whole rows of weights, of which a part has some.
    const T *row_0(const BlockPart &part) const {
        const Layer &layer = network_.layers[part.layer];
        return (part.is_panel() ? panels(layer) : weights(layer)) + part.start;
    }

    LayerActivation<T> activation(int64_t l) const { return LayerActivation<T>(network_.layers[l], parameters_); }

    const Network &network_;
    const T *const parameters_;
    const Needs needs_;
    const bool has_logits_;  // the last layer's outputs stay logits
    const bool is_sparse_;   // the first layer's input is
    LayerBuffers<T> *const buffers_;
    const int64_t x_row_;
    T *const x_;  // copies of dense rows, or the outputs of the input stage
    const InputBuffers<T> inputs_;
    StageBuffers<T> *const stage_;   // null without a stage. Where memory is only counted, it is null too
    const bool inputs_start_;        // a residual connection
    const bool copies_inputs_;       // dot products run over their padding
    bool keeps_transposed_ = false;  // some weights

  private:
    // Whether the last layer's delta takes the place of its sums, which nothing reads behind the loss.
    bool overwrites_outputs(const Layer &last, const Loss &loss) const {
        const bool is_linear = has_logits_ || (!last.custom && all_activations<T>[last.activation].is_identity);
        return needs_.weight_gradient && !needs_.derivatives && is_linear && last.residual_from < 0 &&
               !LayerActivation<T>::has_parameters(last) && !loss.custom && !takes_rows<T>(loss);
    }

    StageBuffers<T> *take_stage(int64_t rows, Arena &arena) const {
        if (!network_.stage) return nullptr;
        const Layer &first = network_.layers[0];
        const bool changes = first.scales_inputs || first.input_dropout > 0;
        return StageRun<T>::take(*network_.stage, rows, first.n_in, needs_.any(), needs_.weight_gradient, changes, arena);
    }

    LayerBuffers<T> take_buffers(int64_t l, int64_t rows, const Loss *loss, Arena &arena) const {
        const Layer &layer = network_.layers[l];
        const bool is_last = l == network_.n_layers - 1, backward = needs_.any() || needs_.derivatives;
        LayerBuffers<T> b = {};
        b.out = arena.take<T>(rows * layer.row);
        if (loss && is_last && overwrites_outputs(layer, *loss)) b.delta = b.out;
        else if (backward || (loss && is_last)) b.delta = arena.take<T>(rows * layer.row);
        if (backward && keeps_derivative(layer) && !(is_last && has_logits_)) b.derivative = arena.take<T>(rows * layer.row);
        if (needs_.weight_gradient && LayerActivation<T>::has_parameters(layer)) b.by_slope = arena.take<T>(rows * layer.row);
        const bool keeps_transposed = !layer.narrow && (needs_.derivatives || !packs_weights<T>(layer));
        const bool passes_back = l > 0 || needs_.input_gradient || (has_scale_gradient() && !is_sparse_) || network_.stage;
        if (needs_.any() && keeps_transposed && passes_back) b.transposed = arena.take<T>(layer.n_out * transposed_row(layer));
        if (layer.normalization)
            b.normalization = LayerNormalization<T>::take(layer, rows, backward, needs_.weight_gradient, arena);
        const bool starts = network_.has_residual_from(l + 1);
        if (starts || layer.residual_from >= 0)
            b.residual = ResidualConnection<T>::take(layer, starts, rows, needs_.any(), b.delta, keeps_derivative(layer), arena);
        if (layer.scales_members)
            b.members = MemberScales<T>::take(layer, network_.layers[l + 1], rows, needs_.weight_gradient, arena);
        const bool is_logits = is_last && has_logits_, has_parts = b.normalization || b.residual || b.members;
        const bool has_parameters = LayerActivation<T>::has_parameters(layer);
        if (!is_logits && !has_parts && !has_parameters && !keeps_derivative(layer))
            b.alone = &all_activations<T>[layer.activation];
        return b;
    }

    Input<T> read_unchanged(const Rows &x, const Batch &chunk, Range rows) const {
        if (x.sparse()) return Input<T>::of_sparse(x, chunk);
        if (stage_) {
            stage().read(x, chunk, rows);
            return Input<T>::of_dense(stage().out(), x_row_);
        }
        if (!chunk.order && !chunk.weights && !copies_inputs_ && readable_in_place<T>(x))
            return Input<T>::of_dense(reinterpret_cast<const T *>(x.data + chunk.first * x.row_stride),
                                      x.row_stride / int64_t(sizeof(T)));
        read_rows<T>(x, chunk, rows, network_.layers[0].n_in, x_, x_row_);
        return Input<T>::of_dense(x_, x_row_);
    }

    // Not inlined, so that the reading of other inputs stays short.
    __attribute__((noinline)) Input<T> read_changed(const Rows &x, const Batch &chunk, Range rows, const Dropout &dropout) const {
        const ChangedInputs<T> changed = changed_inputs();
        const InputFactors<T> factors = changed.factors(dropout);
        if (!factors.any()) return read_unchanged(x, chunk, rows);
        if (x.sparse()) return Input<T>::of_sparse(x, chunk, factors);
        if (stage_) {
            stage().read(x, chunk, rows);
            changed.read_outputs(stage().out(), rows, factors, x_);
        } else {
            changed.read(x, chunk, rows, factors, x_);
        }
        return Input<T>::of_dense(x_, x_row_);
    }
};

}  // namespace
