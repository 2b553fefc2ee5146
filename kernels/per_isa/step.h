// One batch through a network: forward, loss, and back to the gradients, for the rows and parameters that a thread owns.
#pragma once

#include "kernel_tables.h"
#include "random.h"
#include "sparse.h"

namespace {

// The workspace of a layer: rows of the chunk in hand.
template <class T> struct Buffers {
    T *out;         // outputs; of the last layer, logits where the loss contains the activation
    T *delta;       // the loss's derivative by the layer's sums z
    T *derivative;  // the activation's derivative, where the output alone doesn't tell it
    T *by_slope;    // the output's derivative by the unit's derivative, where there is one, then the loss's
    T *transposed;  // weights, n_out rows of n_in, for the input gradient
};

// What each weight is multiplied with in the mean: 0 where the reciprocal of their sum would overflow.
inline double mean_factor(double weight, const Network &network, const Loss &loss) {
    if (weight == 0 || (!loss.signed_mean && weight < 1e-290)) return 0;
    return loss.factor / (weight * (loss.per_row ? 1.0 : double(network.last().n_out)));
}

struct Needs {
    bool weight_gradient, input_gradient;
    bool any() const { return weight_gradient || input_gradient; }
};

template <class T> class Step {
  public:
    // rows: of the largest chunk. Without memory behind the arena, only what it counts is of use.
    Step(const Network &network, const void *parameters, const Rows &x, int64_t rows, int n_threads, Needs needs, const Loss *loss,
         Arena &arena)
        : network_(network),
          parameters_(static_cast<const T *>(parameters)),
          loss_(loss),
          needs_(needs),
          entries_(needs.weight_gradient && x.sparse() ? x.max_entries : 0, n_threads, arena) {
        if (loss) rows = round_up(rows, row_group);
        const int64_t n_layers = network.n_layers;
        layers_ = arena.take<Buffers<T>>(n_layers);
        x_row_ = padded_row(network.layers[0].n_in, sizeof(T));
        x_ = arena.take<T>(x.sparse() ? 0 : rows * x_row_);
        const bool backward = needs.any();
        for (int64_t l = 0; l < n_layers; l++) {
            const Layer &layer = network.layers[l];
            Buffers<T> b = {};
            b.out = arena.take<T>(rows * layer.row);
            if (loss && (backward || l == n_layers - 1)) b.delta = arena.take<T>(rows * layer.row);
            if (backward && keeps_derivative(layer) && l < n_layers - (loss->from_logits ? 1 : 0))
                b.derivative = arena.take<T>(rows * layer.row);
            if (needs.weight_gradient && all_activations<T>[layer.activation].has_slopes)
                b.by_slope = arena.take<T>(rows * layer.row);
            if (backward && !layer.narrow && (l > 0 || needs.input_gradient))
                b.transposed = arena.take<T>(layer.n_out * transposed_row(layer));
            if (layers_) layers_[l] = b;
        }
        if (loss) {
            y_ = arena.take<T>(rows * network.last().row);
            scale_ = arena.take<T>(rows * network.last().row);
            partial_ = arena.take<T>(rows / row_group);
        }
    }

    void transpose_weights(const Team &team) {
        for (int64_t l = 0; l < network_.n_layers; l++) transpose_weights(l, share(network_.layers[l].n_in, lanes<T>, team));
    }

    void transpose_weights(int64_t l, Range rows) {
        const Layer &layer = network_.layers[l];
        if (layers_[l].transposed)
            transpose(weights(layer), layer.weights().row, layers_[l].transposed, transposed_row(layer), rows, layer.n_out);
    }

    // The features whose weights a thread owns: rows of the first layer's storage, or all where it is stored by outputs.
    Range own_features(const Team &team) const {
        const Layer &first = network_.layers[0];
        return first.narrow ? Range{0, first.n_in} : own_rows<T>(first, first.weights(), team);
    }

    // Makes this copy the thread's.
    void join(const Team &team) { entries_.own(team.index, own_features(team)); }

    // Rows of the chunk's X where they can be read, gathered first where they can't be read in place.
    void read_x(const Rows &x, const Batch &chunk, Range rows) {
        sparse_ = x.sparse() ? &x : nullptr;
        if (sparse_) {
            chunk_ = chunk;
            if (needs_.weight_gradient) entries_.gather(x, chunk);
        } else if (!chunk.order && !chunk.weights && !network_.layers[0].narrow && readable_in_place<T>(x)) {
            in_ = reinterpret_cast<const T *>(x.data + chunk.first * x.row_stride);
            in_row_ = x.row_stride / int64_t(sizeof(T));
        } else {
            read_rows<T>(x, chunk, rows, network_.layers[0].n_in, x_, x_row_);
            in_ = x_;
            in_row_ = x_row_;
        }
    }

    void read_y(const Rows &y, const Batch &chunk, Range rows) {
        const Layer &last = network_.last();
        const bool flat = last.row == last.n_out && y.row_stride == last.row * int64_t(sizeof(T));
        if (!chunk.order && !chunk.weights && flat && !all_losses<T>[loss_->kind].takes_rows && !y.labels && has_plain_rows<T>(y)) {
            target_ = reinterpret_cast<const T *>(y.data + chunk.first * y.row_stride);
        } else {
            read_rows<T>(y, chunk, rows, last.n_out, y_, last.row);
            target_ = y_;
        }
    }

    // The weight of each element in the batch's mean: factor, times the row's sample weight; 0 in the padding.
    void set_scale(double factor, const double *sample_weight, const Batch &chunk, Range rows) {
        const Layer &last = network_.last();
        if (!sample_weight && factor == factor_ && rows.begin == scaled_.begin && rows.end == scaled_.end) return;
        factor_ = factor;
        scaled_ = rows;
        for (int64_t i = rows.begin; i < rows.end; i++) {
            const T weight = T(sample_weight ? factor * sample_weight[chunk.own_row(i)] : factor);
            for (int64_t j = 0; j < last.n_out; j++) scale_[i * last.row + j] = weight;
        }
    }

    // In the place of all this for a batch of which no row counts: no loss, and no gradients, whatever the parameters are.
    void pass_over(const Rows &x, const Batch &chunk, Range rows) {
        sparse_ = x.sparse() ? &x : nullptr;
        if (sparse_ && needs_.weight_gradient) entries_.gather(x, chunk);
        in_ = x_;
        in_row_ = x_row_;
        for (int64_t l = 0; l < network_.n_layers; l++) {
            const int64_t row = network_.layers[l].row, first = rows.begin * row;
            const size_t bytes = size_t(rows.size() * row) * sizeof(T);
            std::memset(layers_[l].out + first, 0, bytes);
            if (layers_[l].delta) std::memset(layers_[l].delta + first, 0, bytes);
            if (layers_[l].by_slope) std::memset(layers_[l].by_slope + first, 0, bytes);
        }
        for (int64_t i = rows.begin; i < rows.end; i += row_group) partial_[i / row_group] = 0;
    }

    // From now on, forward drops units with masks that follow from the key.
    void drop_with(uint64_t key) {
        dropout_key_ = key;
        dropping_ = true;
    }

    // Through all layers, for the thread's rows of the chunk, which begins at row `first` of the batch.
    void forward(Range rows, int64_t first) {
        first_row_ = first;
        for (int64_t l = 0; l < network_.n_layers; l++) {
            multiply_layer(l, rows, {0, network_.layers[l].n_out});
            finish_layer(l, rows);
        }
    }

    // The same by all threads together, for rows that are not sparse: each has outputs of its own of every layer.
    void forward_together(const Team &team, Range rows) {
        for (int64_t l = 0; l < network_.n_layers; l++) {
            const Layer &layer = network_.layers[l];
            team.wait();
            if (!layer.narrow) multiply_layer(l, rows, share(layer.n_out, lanes<T>, team));
            else if (team.index == 0) multiply_layer(l, rows, {0, layer.n_out});
            team.wait();
            if (team.index == 0) finish_layer(l, rows);
        }
    }

    // Fills the groups' partial losses and, where gradients are wanted, delta of the last layer, by its sums z.
    void loss(Range rows) {
        const Layer &last = network_.last();
        const Buffers<T> &b = layers_[network_.n_layers - 1];
        for (int64_t i = rows.begin; i < rows.end; i += row_group) {
            const int64_t count = rows.end - i < row_group ? rows.end - i : row_group, at = i * last.row;
            partial_[i / row_group] =
                evaluate_loss<T>(*loss_, b.out + at, target_ + at, scale_ + at, b.delta + at, count, last.n_out, last.row);
        }
        if (needs_.any() && !loss_->from_logits) times_derivative(network_.n_layers - 1, rows);
    }

    double partial_losses(int64_t n_rows) const {
        double sum = 0;
        for (int64_t i = 0; i * row_group < n_rows; i++) sum += double(partial_[i]);
        return sum;
    }

    void backward(Range rows) {
        for (int64_t l = network_.n_layers - 1; l > 0; l--) {
            input_gradient(l, rows, layers_[l - 1].delta, network_.layers[l - 1].row);
            times_derivative(l - 1, rows);
        }
    }

    // to[i][k] = <delta[i], weights[k]>.
    void input_gradient(int64_t l, Range rows, T *to, int64_t to_row) const {
        const Layer &layer = network_.layers[l];
        const T *rows_of_outputs = layer.narrow ? weights(layer) : layers_[l].transposed;
        multiply<T, Start::zero, Finish::store>({layer.n_out, layers_[l].delta, layer.row, 1, rows_of_outputs,
                                                 layer.narrow ? layer.weights().row : transposed_row(layer), to, to_row},
                                                rows, {0, layer.n_in});
    }

    // gradient, laid out as the weights, becomes the chunk's or more by it, for the given rows of the weights' storage; or the
    // weights themselves descend.
    template <Start START, Finish FINISH>
    void weight_gradient(int64_t l, Range weights_rows, int64_t n_rows, T *gradient, T rate = 0) const {
        const Layer &layer = network_.layers[l];
        const T *delta = layers_[l].delta;
        if (l == 0 && sparse_) sparse_weight_gradient<T, START, FINISH>(entries_, layer, delta, weights_rows, gradient, rate);
        else if (layer.narrow)
            multiply_narrow_gradient<T, START, FINISH>(weights_rows, n_rows, layer.n_in, layer.n_out, delta, input(l), input_row(l),
                                                       gradient, layer.weights().row, rate);
        else
            multiply<T, START, FINISH>(
                {n_rows, input(l), 1, input_row(l), delta, layer.row, gradient, layer.weights().row, nullptr, rate}, weights_rows,
                {0, layer.n_out});
    }

    // What each row contributes to the gradients of parameters of which each unit has one.
    const T *unit_shares(int64_t l, BlockKind kind) const {
        return kind == BlockKind::biases ? layers_[l].delta : layers_[l].by_slope;
    }

    // The sum over rows of such contributions.
    template <Start START, Finish FINISH>
    void unit_gradient(int64_t l, const T *shares, int64_t n_rows, T *gradient, T rate = 0) const {
        const Layer &layer = network_.layers[l];
        if (layer.narrow) sum_columns_narrow<T, START, FINISH>(shares, n_rows, layer.n_out, gradient, rate);
        else sum_columns<T, START, FINISH>(shares, layer.row, n_rows, layer.n_out, gradient, rate);
    }

    // Of the given rows of one of a layer's blocks, whose first row is, or has its gradient, at `to`.
    template <Start START, Finish FINISH>
    void block_gradient(int64_t l, BlockKind kind, Range rows, int64_t n_rows, T *to, T rate = 0) const {
        switch (kind) {
            case BlockKind::weights: return weight_gradient<START, FINISH>(l, rows, n_rows, to, rate);
            case BlockKind::biases:
            case BlockKind::slopes: return unit_gradient<START, FINISH>(l, unit_shares(l, kind), n_rows, to, rate);
        }
    }

    // The gradient alone: the chunk's, or with `add` more by it.
    void compute_gradient(int64_t l, BlockKind kind, Range rows, int64_t n_rows, bool add, T *to) const {
        if (add) block_gradient<Start::previous, Finish::store>(l, kind, rows, n_rows, to);
        else block_gradient<Start::zero, Finish::store>(l, kind, rows, n_rows, to);
    }

    const T *output(int64_t l) const { return layers_[l].out; }

    // use(feature) for each feature of the thread's that the chunk has; the gradient of its row of weights stands in `row`, if
    // there is one.
    template <class Use> void for_each_feature(T *row, Use use) const {
        const Layer &layer = network_.layers[0];
        entries_.for_each_column({0, layer.n_in}, [&](int64_t k, const Entry<T> *first, const Entry<T> *end) {
            if (row) sparse_gradient_row(first, end, layers_[0].delta, layer.row, layer.n_out, false, row);
            use(k);
        });
    }

  private:
    static bool keeps_derivative(const Layer &layer) {
        return layer.dropout > 0 || layer.custom || !all_activations<T>[layer.activation].from_output;
    }

    static int64_t transposed_row(const Layer &layer) { return padded<T>(layer.n_in) + block_lanes<T>; }
    const T *weights(const Layer &layer) const { return parameters_ + layer.weights().offset; }
    const T *bias(const Layer &layer) const { return parameters_ + layer.biases().offset; }
    const T *input(int64_t l) const { return l ? layers_[l - 1].out : in_; }
    int64_t input_row(int64_t l) const { return l ? network_.layers[l - 1].row : in_row_; }

    // The sums z in some of a layer's outputs: in all, if it is narrow or its inputs are sparse.
    void multiply_layer(int64_t l, Range rows, Range outputs) const {
        const Layer &layer = network_.layers[l];
        T *out = layers_[l].out;
        if (l == 0 && sparse_) multiply_sparse(*sparse_, chunk_, rows, layer, weights(layer), bias(layer), out);
        else if (layer.narrow)
            multiply_narrow(rows, layer.n_in, layer.n_out, input(l), input_row(l), weights(layer), layer.weights().row, bias(layer),
                            out);
        else
            multiply<T, Start::bias, Finish::store>(
                {layer.n_in, input(l), input_row(l), 1, weights(layer), layer.weights().row, out, layer.row, bias(layer)}, rows,
                outputs);
    }

    void finish_layer(int64_t l, Range rows) {
        if (l < network_.n_layers - 1 || !loss_ || !loss_->from_logits) activate(l, rows);
        // Dot products run over the padding, where an infinite input has left NaN.
        const Layer &layer = network_.layers[l];
        if (l == network_.n_layers - 2 && network_.last().narrow)
            clear_padding(layers_[l].out + rows.begin * layer.row, rows.size(), layer.n_out, layer.row);
    }

    void activate(int64_t l, Range rows) {
        const Layer &layer = network_.layers[l];
        const ActivationKernels<T> &kernels = all_activations<T>[layer.activation];
        T *out = layers_[l].out + rows.begin * layer.row, *derivative = layers_[l].derivative, *by_slope = layers_[l].by_slope;
        if (derivative) derivative += rows.begin * layer.row;
        if (by_slope) by_slope += rows.begin * layer.row;
        if (layer.custom) activate_custom(layer, out, derivative, rows.size());
        else if (kernels.has_slopes) activate_with_slopes(layer, out, derivative, by_slope, rows.size());
        else if (derivative) kernels.value_and_derivative(out, derivative, rows.size(), layer.n_out, layer.row);
        else if (!kernels.is_identity) kernels.value(out, rows.size(), layer.n_out, layer.row);
        if (dropping_ && layer.dropout > 0) drop(l, rows, out, derivative, by_slope);
    }

    // Apart, as is the next: what most networks have is short enough to be inlined then.
    __attribute__((noinline)) void drop(int64_t l, Range rows, T *out, T *derivative, T *by_slope) const {
        const Layer &layer = network_.layers[l];
        const T scale = T(1 / (1 - layer.dropout));
        for (int64_t i = 0; i < rows.size(); i++) {
            const int64_t first = (first_row_ + rows.begin + i) * layer.n_out;
            for (T *values : {out, derivative, by_slope})
                if (values) drop_units(values + i * layer.row, layer.n_out, dropout_key_, l, first, layer.dropout, scale);
        }
    }

    __attribute__((noinline)) void activate_with_slopes(const Layer &layer, T *out, T *derivative, T *by_slope,
                                                        int64_t rows) const {
        const ActivationKernels<T> &kernels = all_activations<T>[layer.activation];
        const T *slopes = parameters_ + layer.block(BlockKind::slopes)->offset;
        if (derivative) kernels.derivatives(out, slopes, derivative, by_slope, rows, layer.n_out, layer.row);
        else kernels.value_with_slopes(out, slopes, rows, layer.n_out, layer.row);
    }

    // Unlike ours it may not be finite in the padding.
    static void activate_custom(const Layer &layer, T *out, T *derivative, int64_t rows) {
        layer.custom(out, out, derivative, rows * layer.row);
        clear_padding(out, rows, layer.n_out, layer.row);
        if (derivative) clear_padding(derivative, rows, layer.n_out, layer.row);
    }

    void times_derivative(int64_t l, Range rows) {
        const Layer &layer = network_.layers[l];
        const ActivationKernels<T> &kernels = all_activations<T>[layer.activation];
        T *delta = layers_[l].delta + rows.begin * layer.row;
        if (T *by_slope = layers_[l].by_slope) multiply_by(by_slope + rows.begin * layer.row, delta, rows.size() * layer.row);
        if (const T *derivative = layers_[l].derivative)
            multiply_by(delta, derivative + rows.begin * layer.row, rows.size() * layer.row);
        else if (!kernels.is_identity)
            kernels.times_derivative(delta, layers_[l].out + rows.begin * layer.row, rows.size(), layer.n_out, layer.row);
    }

    const Network &network_;
    const T *parameters_;
    const Loss *loss_;
    Needs needs_;
    Buffers<T> *layers_;
    Entries<T> entries_;
    const Rows *sparse_ = nullptr;
    Batch chunk_ = {nullptr, 0, 0};
    T *x_, *y_ = nullptr, *scale_ = nullptr, *partial_ = nullptr;
    int64_t x_row_, in_row_ = 0;
    double factor_ = 0;
    Range scaled_ = {0, 0};  // the rows whose scale is factor_
    const T *in_ = nullptr, *target_ = nullptr;
    uint64_t dropout_key_ = 0;
    int64_t first_row_ = 0;
    bool dropping_ = false;
};

}  // namespace
