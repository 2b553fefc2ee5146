// The layers of a network with their workspace: the arithmetic of one layer, forward and backward, on some of a chunk's rows.
//
// Layers is fixed for a whole run, and all threads share it: each works on rows, or outputs, of its own. The state of one chunk
// is in the arguments: an Input exists only after the chunk's rows were read.
#pragma once

#include "layer_memory.h"
#include "members.h"
#include "products.h"

namespace {

template <class T> class Layers : public LayerMemory<T> {
    using Memory = LayerMemory<T>;
    using Memory::activation, Memory::bias, Memory::buffers_, Memory::has_logits_, Memory::inputs_, Memory::inputs_start_;
    using Memory::is_sparse_, Memory::keeps_transposed_, Memory::needs_, Memory::network_, Memory::panels, Memory::parameters_,
        Memory::row_0;
    using Memory::stage_, Memory::x_row_;

  public:
    using Memory::changed_inputs, Memory::input, Memory::input_row, Memory::normalization, Memory::stage, Memory::stream;
    using Memory::Memory;
    using Memory::stream_row, Memory::transposed_row, Memory::weights;

    // Returns the same layers with another network's parameters, and with the same workspace.
    Layers with_parameters(const void *parameters) const { return Layers(*this, static_cast<const T *>(parameters)); }

    // ---- The backward pass reads transposed weights: they follow each change of the weights ----

    bool keeps_transposed() const { return keeps_transposed_; }

    void transpose_weights(const Team &team) const {
        const auto transpose_part = [&](const BlockPart &part) { transpose_weights(part); };
        for (int64_t l = 0; l < network_.n_layers; l++) {
            const Layer &layer = network_.layers[l];
            if (!buffers_[l].transposed) continue;
            for_each_part<T>(own_weights(l, team), layer.n_in, transpose_part);
        }
    }

    void transpose_weights(const BlockPart &part) const {
        T *const to = buffers_[part.layer].transposed;
        const int64_t to_row = transposed_row(network_.layers[part.layer]);
        if (to) transpose(row_0(part), part.row, to + part.columns.begin * to_row, to_row, part.rows, part.columns.size());
    }

    // ---- Outputs or rows: how threads share a chunk ----

    // Whether each thread computes some of a layer's outputs for all rows, instead of all outputs for some rows. By measurement, that
    // is faster if the rows are fewer than twice the inputs.
    bool splits_outputs(int64_t l, const Team &team) const {
        const Layer &layer = network_.layers[l];
        if (team.size == 1 || needs_.rows_to_share == 0 || needs_.rows_to_share >= 2 * layer.n_in || layer.narrow) return false;
        if (l == 0 && is_sparse_) return false;
        return shares_columns_evenly<T>(layer.n_out, team);
    }

    // Whether each thread owns the weights that lead to its outputs, as panels. They stay in the cache of its core, and inputs and
    // outputs travel between the cores instead.
    bool in_panels(int64_t l, const Team &team) const {
        return needs_.panels && splits_outputs(l, team) && fits(network_.layers[l], team);
    }

    OwnBlock own_weights(int64_t l, const Team &team) const {
        const Layer &layer = network_.layers[l];
        return in_panels(l, team) ? own_panels_of<T>(l, layer.weights(), team) : own_rows_of<T>(l, layer, layer.weights(), team);
    }

    // ---- Forward ----

    // When the first layer's delta is known, sets the contributions of some of the chunk's dense rows to the gradient of the scales.
    // in_panels: whether the weights are.
    void pass_inputs_back(Range rows, T *packing, bool in_panels) const {
        first_input_gradient(rows, inputs_.by_scale, x_row_, packing, in_panels);
        changed_inputs().finish_by_scale(rows);
    }

    // Computes the sums z in some of a layer's outputs: in all, if the layer is narrow or its inputs are sparse.
    void multiply_layer(int64_t l, const Input<T> &x, Range rows, Range outputs, T *packing) const {
        const Layer &layer = network_.layers[l];
        T *out = buffers_[l].out;
        if (l == 0 && x.sparse)
            inputs<T>.multiply_sparse(*x.sparse, x.chunk, x.factors, rows, layer, weights(layer), bias(layer), out);
        else if (layer.has_own_sums()) multiply_by_member(l, x, rows, outputs, packing);
        else if (layer.narrow)
            multiply_narrow(rows, layer.n_in, layer.n_out, input(l, x), input_row(l, x), weights(layer), layer.weights().row,
                            bias(layer), out);
        else
            multiply<T, Start::bias, Finish::store>(
                {layer.n_in, input(l, x), input_row(l, x), 1, weights(layer), layer.weights().row, out, layer.row, bias(layer)},
                rows, outputs, packing);
    }

    // Computes the sums z of a thread's outputs, where they are split.
    void multiply_own_outputs(int64_t l, const Input<T> &x, Range rows, const Team &team, T *packing) const {
        const Layer &layer = network_.layers[l];
        if (!in_panels(l, team)) return multiply_layer(l, x, rows, share(layer.n_out, panel_columns<T>, team), packing);
        for_each_part<T>(own_panels_of<T>(l, layer.weights(), team), layer.n_in, [&](const BlockPart &panel) {
            const int64_t j = panel.columns.begin;
            multiply<T, Start::bias, Finish::store>({layer.n_in, input(l, x), input_row(l, x), 1, row_0(panel), panel.row,
                                                     buffers_[l].out + j, layer.row, bias(layer) + j},
                                                    rows, {0, panel.columns.size()});
        });
    }

    // Sums become outputs.
    void finish_layer(int64_t l, const Input<T> &x, Range rows, const Dropout &dropout) const {
        const LayerBuffers<T> &b = buffers_[l];
        if (b.alone) activate_alone(l, rows);
        else if (b.members) finish_members(l, rows, dropout);
        else if (b.residual) activate_residual(l, x, rows, dropout);
        else if (l < network_.n_layers - 1 || !has_logits_) activate(l, rows, dropout);
        // Dot products run over the padding, where an infinite input has left NaN.
        const Layer &layer = network_.layers[l];
        if (l == network_.n_layers - 2 && network_.last().narrow)
            clear_padding(buffers_[l].out + rows.begin * layer.row, rows.size(), layer.n_out, layer.row);
    }

    // After forward, returns the derivative of a layer's activation by its sums z for the given rows; the result points to the
    // first row of all. The activation is elementwise.
    const T *derivatives(int64_t l, Range rows) const {
        if (buffers_[l].derivative) return buffers_[l].derivative;
        const Layer &layer = network_.layers[l];
        const int64_t end = rows.end * layer.row;
        for (int64_t i = rows.begin * layer.row; i < end; i++) buffers_[l].delta[i] = 1;
        times_derivative(l, rows);
        return buffers_[l].delta;
    }

    // Returns the weights with one row per output of the layer, which stand `row` elements apart.
    const T *weights_by_output(int64_t l, int64_t &row) const {
        const Layer &layer = network_.layers[l];
        row = layer.narrow ? layer.weights().row : transposed_row(layer);
        return layer.narrow ? weights(layer) : buffers_[l].transposed;
    }
    // ---- Backward ----

    // Stores the delta of the layer before, so far the derivative by its outputs.
    void pass_back_delta(int64_t l, Range rows, Range inputs, T *packing, bool in_panels = false) const {
        input_gradient(l, rows, inputs, buffers_[l - 1].delta, network_.layers[l - 1].row, packing, in_panels);
    }

    // Passes the first layer's delta back through the input stage, up to the gradients of its parameters. in_panels: whether the
    // layer's weights are.
    void pass_back_to_stage(Range rows, const Dropout &dropout, T *packing, bool in_panels) const {
        const StageRun<T> own = stage();
        first_input_gradient(rows, own.delta(), own.delta_row(), packing, in_panels);
        if (stage_->out) {
            const ChangedInputs<T> changed = changed_inputs();
            changed.pass_back_to_outputs(rows, changed.factors(dropout), own.delta());
        }
        own.turn(rows);
    }

    // delta, the loss's derivative by a layer's outputs, becomes that by its sums z.
    void pass_activation_back(int64_t l, Range rows, T *packing) const {
        const LayerBuffers<T> &b = buffers_[l];
        if (b.alone) times_derivative(l, rows);
        else if (b.members) pass_members_back(l, rows);
        else if (b.residual) pass_residual_back(l, rows, packing);
        else if (network_.layers[l].normalization) pass_normalized_back(l, rows);
        else times_derivative(l, rows);
    }

    void times_derivative(int64_t l, Range rows) const {
        const Layer &layer = network_.layers[l];
        const ActivationKernels<T> &kernels = all_activations<T>[layer.activation];
        T *delta = buffers_[l].delta + rows.begin * layer.row;
        if (T *by_slope = buffers_[l].by_slope) multiply_by(by_slope + rows.begin * layer.row, delta, rows.size() * layer.row);
        if (const T *derivative = buffers_[l].derivative)
            multiply_by(delta, derivative + rows.begin * layer.row, rows.size() * layer.row);
        else if (!kernels.is_identity)
            kernels.times_derivative(delta, buffers_[l].out + rows.begin * layer.row, rows.size(), layer.n_out, layer.row);
    }

    // to[i][k] = <delta[i], weights[k]> for some k. in_panels: whether the weights are.
    void input_gradient(int64_t l, Range rows, Range inputs, T *to, int64_t to_row, T *packing, bool in_panels = false) const {
        const Layer &layer = network_.layers[l];
        Product<T> p = {layer.n_out, buffers_[l].delta, layer.row, 1, weights(layer), layer.weights().row, to, to_row};
        if (layer.is_separate) return pass_back_separate(layer, p, rows, inputs);
        if (packs_weights<T>(layer)) {
            p.b_is_transposed = true;
            if (in_panels) p.b = panels(layer), p.b_panel_rows = layer.n_in;
            return multiply_packed<T, Start::zero, Finish::store>(p, rows, inputs, packing);
        }
        p.b = weights_by_output(l, p.b_row);
        multiply<T, Start::zero, Finish::store>(p, rows, inputs, packing);
    }

    // The derivative by the first layer's inputs.
    void first_input_gradient(Range rows, T *to, int64_t to_row, T *packing, bool in_panels = false) const {
        input_gradient(0, rows, {0, network_.layers[0].n_in}, to, to_row, packing, in_panels);
        if (inputs_start_) add_connections_back(0, rows, to, to_row, packing);
    }

  private:
    // Whether a thread's share of the weights fits into the second-level cache, beside other data.
    static bool fits(const Layer &layer, const Team &team) {
        return layer.weights().size() * int64_t(sizeof(T)) / team.size <= fastnn::second_cache_bytes() / 2;
    }

    Layers(const Layers &other, const T *parameters) : Memory(other, parameters) {}

    void activate_alone(int64_t l, Range rows) const {
        const LayerBuffers<T> &b = buffers_[l];
        const Layer &layer = network_.layers[l];
        if (!b.alone->is_identity) b.alone->value(b.out + rows.begin * layer.row, rows.size(), layer.n_out, layer.row);
    }

    void activate(int64_t l, Range rows, const Dropout &dropout) const {
        const Layer &layer = network_.layers[l];
        const ActivatedRows<T> activated = buffers_[l].activated(layer, rows);
        if (layer.normalization && !layer.normalizes_outputs) normalization(l).forward(buffers_[l].out, rows);
        activation(l).activate(activated);
        if (layer.normalizes_outputs) normalize_outputs(l, rows, dropout);
        else if (dropout.key && layer.dropout > 0) activation(l).drop(l, rows.begin, dropout, activated);
    }

    // The same in a layer where residual connections begin or end. Where the sum is that of outputs, dropout comes before it.
    __attribute__((noinline)) void activate_residual(int64_t l, const Input<T> &x, Range rows, const Dropout &dropout) const {
        const Layer &layer = network_.layers[l];
        const bool ends = layer.residual_from >= 0, sums_outputs = ends && !layer.adds_to_inputs;
        if (layer.normalization && !layer.normalizes_outputs) normalization(l).forward(buffers_[l].out, rows);
        if (ends && !sums_outputs) connection(l).add(stream(layer.residual_from, x), stream_row(layer.residual_from, x), rows);
        if (l == network_.n_layers - 1 && has_logits_) return;
        const ActivatedRows<T> activated = buffers_[l].activated(layer, rows);
        activation(l).activate(activated);
        const bool drops_first = sums_outputs || !layer.normalizes_outputs;
        if (drops_first && dropout.key && layer.dropout > 0) activation(l).drop(l, rows.begin, dropout, activated);
        if (sums_outputs) connection(l).add(stream(layer.residual_from, x), stream_row(layer.residual_from, x), rows);
        clear_padding(activated.out, rows.size(), layer.n_out, layer.row);  // over which a projection to a narrow layer runs
        if (T *kept = buffers_[l].residual->stream)
            std::memcpy(kept + rows.begin * layer.row, activated.out, size_t(rows.size() * layer.row) * sizeof(T));
        if (layer.normalizes_outputs) normalize_outputs(l, rows, drops_first ? Dropout() : dropout);
    }

    // The sums in a layer where members have scales or weights of their own. Scaled sums are finished later.
    __attribute__((noinline)) void multiply_by_member(int64_t l, const Input<T> &x, Range rows, Range outputs, T *packing) const {
        const Layer &layer = network_.layers[l];
        T *const out = buffers_[l].out;
        if (layer.is_separate)
            return multiply_separate(layer, rows, input(l, x), input_row(l, x), weights(layer), bias(layer), out);
        multiply<T, Start::zero, Finish::store>(
            {layer.n_in, input(l, x), input_row(l, x), 1, weights(layer), layer.weights().row, out, layer.row}, rows, outputs,
            packing);
    }

    // Products become outputs, or the next layer's scaled inputs.
    __attribute__((noinline)) void finish_members(int64_t l, Range rows, const Dropout &dropout) const {
        const MemberScales<T> own = members(l);
        own.finish_sums(buffers_[l].out, rows);
        activate(l, rows, dropout);
        own.scale_outputs(buffers_[l].out, rows);
    }

    // delta becomes what it is in pass_activation_back, but by the products with the weights.
    __attribute__((noinline)) void pass_members_back(int64_t l, Range rows) const {
        const MemberScales<T> own = members(l);
        own.pass_outputs_back(buffers_[l].delta, rows);
        if (network_.layers[l].normalization) pass_normalized_back(l, rows);
        else times_derivative(l, rows);
        own.pass_sums_back(buffers_[l].delta, rows);
    }

    MemberScales<T> members(int64_t l) const {
        return MemberScales<T>(network_.layers[l], network_.layers[l + 1], parameters_, *buffers_[l].members);
    }

    // The derivatives of the activation, and by its parameters, are those before the normalization: they have no part in dropout.
    __attribute__((noinline)) void normalize_outputs(int64_t l, Range rows, const Dropout &dropout) const {
        const LayerNormalization<T> own = normalization(l);
        own.forward(buffers_[l].out, rows);
        T *mask = own.reset_mask(rows);
        if (dropout.key && network_.layers[l].dropout > 0)
            activation(l).drop(l, rows.begin, dropout,
                               {buffers_[l].out + rows.begin * network_.layers[l].row, mask, nullptr, rows.size()});
    }

    __attribute__((noinline)) void pass_normalized_back(int64_t l, Range rows) const {
        const bool of_outputs = network_.layers[l].normalizes_outputs;
        if (!of_outputs) times_derivative(l, rows);
        normalization(l).back(buffers_[l].delta, rows);
        if (of_outputs) times_derivative(l, rows);
    }

    // delta becomes what it is in pass_activation_back. Where the outputs are normalized, connections begin before that.
    __attribute__((noinline)) void pass_residual_back(int64_t l, Range rows, T *packing) const {
        const Layer &layer = network_.layers[l];
        T *const delta = buffers_[l].delta;
        if (layer.normalizes_outputs) normalization(l).back(delta, rows);
        add_connections_back(l + 1, rows, delta, layer.row, packing);
        if (layer.residual_from >= 0 && !layer.adds_to_inputs) connection(l).keep_delta(delta, rows);
        times_derivative(l, rows);
        if (layer.residual_from >= 0 && layer.adds_to_inputs) connection(l).keep_delta(delta, rows);
        if (layer.normalization && !layer.normalizes_outputs) normalization(l).back(delta, rows);
    }

    // Adds the derivatives that come back through the connections that begin behind the given number of layers.
    __attribute__((noinline)) void add_connections_back(int64_t from, Range rows, T *to, int64_t to_row, T *packing) const {
        for (int64_t l = from; l < network_.n_layers; l++)
            if (network_.layers[l].residual_from == from) connection(l).add_back(rows, to, to_row, packing);
    }

    // A connection ends in the layer.
    ResidualConnection<T> connection(int64_t l) const {
        return ResidualConnection<T>(network_, network_.layers[l], parameters_, buffers_[l].out, *buffers_[l].residual);
    }
};

}  // namespace
