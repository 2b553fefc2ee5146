// Tiny networks: up to 8 units per layer, and batches that fit into a block. One block holds a unit's values for the whole batch,
// so that padding wastes no lanes and nothing is called per row. The parameters stand side by side in one row: the sums over the batch
// come out as whole vectors of gradients, which the update reads as they are.
#pragma once

#include <algorithm>

#include "loss_rows.h"
#include "optimizer_state.h"
#include "padding.h"
#include "sparse_rows.h"

namespace {

constexpr int tiny_units = 8;
constexpr int64_t tiny_layers = 4, tiny_parameters = tiny_layers * tiny_units * (tiny_units + 1);

// A row of the parameters of a tiny network, or of numbers like them.
template <class T> struct alignas(block_bytes) TinyRow {
    T values[tiny_parameters];
    operator T *() { return values; }
    operator const T *() const { return values; }
};

template <class T> class TinyPass {
  public:
    static bool fits(const Network &network, const Loss &loss, int64_t batch_size) {
        if (network.stage || batch_size > block || network.n_layers > tiny_layers || takes_rows<T>(loss)) return false;
        for (int64_t l = 0; l < network.n_layers; l++) {
            const Layer &layer = network.layers[l];
            if (!layer.is_plain() || layer.drops() || layer.n_in > tiny_units || layer.n_out > tiny_units) return false;
            if (!all_activations<T>[layer.activation].elementwise) return false;
        }
        return true;
    }

    TinyPass(const Network &network, const Loss &loss) : network_(network), loss_(loss), loss_kernel_(loss_kernel<T>(loss)) {
        int64_t place = 0;
        for (int64_t l = 0; l < network.n_layers; l++) {
            const Layer &layer = network.layers[l];
            const ActivationKernels<T> &activation = all_activations<T>[layer.activation];
            const bool gives_logits = l == network.n_layers - 1 && loss.from_logits;
            layers_[l] = {layer.n_in, layer.n_out, place, gives_logits || activation.is_identity ? nullptr : &activation};
            place += layer.n_out * (layer.n_in + 1);
        }
        size_ = padded<T>(place);
        for (; place < size_; place++) store(products_ + place * lanes<T>, Vec<T>{});
    }

    int64_t size() const { return size_; }  // of the parameters' row, in whole blocks

    // Copies an array like the storage to a row, and back. Each unit's bias comes before its weights.
    void pack(const T *storage, T *row) const {
        for_each_parameter([=](int64_t place, int64_t offset) { row[place] = storage[offset]; });
        const LayerOfRow &last = layers_[network_.n_layers - 1];
        for (int64_t i = last.place + last.size(); i < size_; i++) row[i] = 0;
    }
    void unpack(const T *row, T *storage) const {
        for_each_parameter([=](int64_t place, int64_t offset) { storage[offset] = row[place]; });
    }

    // Returns the batch's loss. compute_gradient is for the batch of the last run.
    double run(const T *parameters, const Rows &x, const Rows &y, const double *sample_weight, const Batch &batch) {
        if (!batch.any_counts()) return pass_over();
        const int64_t end = network_.n_layers - 1;
        if (batch.order || batch.first != read_from_ || batch.size != read_rows_ || loss_.label_smoothing != read_smoothing_)
            read(x, y, sample_weight, batch);
        for (int64_t l = 0; l <= end; l++) forward(parameters, l);
        const int64_t n_out = layers_[end].n_out;
        const double value =
            double(loss_kernel_(loss_, {out_[end], target_, scale_, delta_[end], n_out, block, block, block, block}));
        times_derivative(end);
        for (int64_t l = end; l > 0; l--) backward(parameters, l);
        return value * loss_.value_factor;
    }

    // Sets the weights of a row to 1, and the rest to 0.
    void mark_weights(T *row) const {
        for (int64_t i = 0; i < size_; i++) row[i] = 0;
        for (int64_t l = 0; l < network_.n_layers; l++)
            for (int64_t i = 0; i < layers_[l].size(); i++) row[layers_[l].place + i] = T(i % (layers_[l].n_in + 1) > 0);
    }

    // Sets a row of gradients.
    void compute_gradient(T *gradient) {
        T *to = products_;
        for (int64_t l = 0; l < network_.n_layers; l++) {
            const LayerOfRow &layer = layers_[l];
            with_constant<tiny_units>(layer.n_in, [&](auto n) { to = multiply<n()>(input(l), layer.n_out, delta_[l], to); });
        }
        for (int64_t i = 0; i < size_; i += lanes<T>) {
            Vec<T> terms[size_t(lanes<T>)];
            for (int64_t q = 0; q < lanes<T>; q++) terms[q] = load(products_ + (i + q) * lanes<T>);
            store(gradient + i, sum_rows<T>(terms));
        }
    }

  private:
    static constexpr int64_t block = block_lanes<T>;
    using Units = T[tiny_units * block];  // one block per unit

    struct LayerOfRow {
        int64_t n_in, n_out;
        int64_t place;                           // of its parameters in the row
        const ActivationKernels<T> *activation;  // null for the identity, and where the loss takes logits
        int64_t size() const { return n_out * (n_in + 1); }
    };

    // Calls use(place in the row, offset in the storage).
    template <class Use> void for_each_parameter(Use use) const {
        for (int64_t l = 0; l < network_.n_layers; l++) {
            const Layer &layer = network_.layers[l];
            const int64_t by_output = layer.narrow ? layer.weights().row : 1, by_input = layer.narrow ? 1 : layer.weights().row;
            int64_t place = layers_[l].place;
            for (int64_t j = 0; j < layer.n_out; j++) {
                use(place++, layer.biases().offset + j);
                for (int64_t k = 0; k < layer.n_in; k++) use(place++, layer.weights().offset + j * by_output + k * by_input);
            }
        }
    }

    // For a batch without rows that count: its loss and gradients are 0.
    double pass_over() {
        std::memset(in_, 0, sizeof in_);
        std::memset(out_, 0, sizeof out_);
        std::memset(delta_, 0, sizeof delta_);
        read_rows_ = -1;
        return 0;
    }

    // ---- The batch ----

    void read(const Rows &x, const Rows &y, const double *sample_weight, const Batch &batch) {
        read_rows(x, batch, network_.layers[0].n_in, in_);
        read_rows(y, batch, network_.last().n_out, target_);
        set_scale(y, sample_weight, batch);
        read_from_ = batch.first;
        read_rows_ = batch.size;
        read_smoothing_ = loss_.label_smoothing;
    }

    static void read_rows(const Rows &rows, const Batch &batch, int64_t columns, T *to) {
        T row[tiny_units];
        for (int64_t i = 0; i < batch.size; i++) {
            if (rows.sparse()) read_sparse_row(rows, batch.row(i), columns, row);
            else ::read_rows<T>(rows, batch, {i, i + 1}, columns, row, 0);
            for (int64_t j = 0; j < columns; j++) to[j * block + i] = row[j];
        }
        // Lanes without a row repeat the last row: their results are finite if the batch's are.
        for (int64_t i = batch.size; i < block; i++)
            for (int64_t j = 0; j < columns; j++) to[j * block + i] = row[j];
    }

    __attribute__((noinline)) static void read_sparse_row(const Rows &rows, int64_t row, int64_t columns, T *to) {
        std::fill(to, to + columns, T(0));
        for_each_entry<T>(rows, row, columns, [=](int64_t k, T value) { to[k] += value; });
    }

    void set_scale(const Rows &y, const double *sample_weight, const Batch &batch) {
        const double factor = mean_factor(batch.weight, network_, loss_);
        const int64_t n_out = network_.last().n_out;
        for (int64_t i = 0; i < block; i++) {
            const double weight = i >= batch.size ? 0 : sample_weight ? factor * sample_weight[batch.own_row(i)] : factor;
            if (has_target_options(loss_))
                apply_target_options(loss_, y.labels, weight, target_ + i, n_out, scale_ + i, n_out, block);
            else
                for (int64_t j = 0; j < n_out; j++) scale_[j * block + i] = T(weight);
        }
    }

    // ---- Forward and backward ----

    const T *input(int64_t l) const { return l ? out_[l - 1] : in_; }

    // The blocks of N units.
    template <int N> struct Blocks {
        Vec<T> of[N][block_vectors];
        FASTNN_MEMBER explicit Blocks(const T *units) {
#pragma GCC unroll 8
            for (int k = 0; k < N; k++)
                for (int v = 0; v < block_vectors; v++) of[k][v] = load(units + k * block + v * lanes<T>);
        }
        // to = start + the sum over k of weights[k * step] * unit k.
        FASTNN_MEMBER void combine(T start, const T *weights, int64_t step, T *to) const {
            Vec<T> sums[block_vectors];
            for (int v = 0; v < block_vectors; v++) sums[v] = splat(start);
#pragma GCC unroll 8
            for (int k = 0; k < N; k++)
                for (int v = 0; v < block_vectors; v++) sums[v] = fma(splat(weights[k * step]), of[k][v], sums[v]);
            for (int v = 0; v < block_vectors; v++) store(to + v * lanes<T>, sums[v]);
        }
    };

    void forward(const T *parameters, int64_t l) {
        const LayerOfRow &layer = layers_[l];
        with_constant<tiny_units>(layer.n_in, [&](auto n) {
            const Blocks<n()> units(input(l));
            const T *of_unit = parameters + layer.place;
            for (int64_t j = 0; j < layer.n_out; j++, of_unit += n() + 1)
                units.combine(of_unit[0], of_unit + 1, 1, out_[l] + j * block);
        });
        if (!layer.activation) return;
        if (layer.activation->from_output) layer.activation->value(out_[l], layer.n_out, block, block);
        else layer.activation->value_and_derivative(out_[l], derivative_[l], layer.n_out, block, block);
    }

    void times_derivative(int64_t l) {
        const LayerOfRow &layer = layers_[l];
        if (!layer.activation) return;
        if (layer.activation->from_output) layer.activation->times_derivative(delta_[l], out_[l], layer.n_out, block, block);
        else multiply_by(delta_[l], derivative_[l], layer.n_out * block);
    }

    void backward(const T *parameters, int64_t l) {
        const LayerOfRow &layer = layers_[l];
        with_constant<tiny_units>(layer.n_out, [&](auto n) {
            const Blocks<n()> deltas(delta_[l]);
            for (int64_t k = 0; k < layer.n_in; k++)
                deltas.combine(0, parameters + layer.place + 1 + k, layer.n_in + 1, delta_[l - 1] + k * block);
        });
        times_derivative(l - 1);
    }

    // Sets the terms of the gradients of a layer with N inputs, one vector for each parameter. Returns the place behind them.
    template <int N> static T *multiply(const T *x, int64_t n_out, const T *delta, T *to) {
        const Blocks<N> inputs(x);
        for (int64_t j = 0; j < n_out; j++) {
            const Blocks<1> own(delta + j * block);
            store(to, fold_block<T>(own.of[0]));
            to += lanes<T>;
#pragma GCC unroll 8
            for (int k = 0; k < N; k++, to += lanes<T>) {
                Vec<T> products[block_vectors];
                for (int v = 0; v < block_vectors; v++) products[v] = own.of[0][v] * inputs.of[k][v];
                store(to, fold_block<T>(products));
            }
        }
        return to;
    }

    const Network &network_;
    const Loss &loss_;
    const LossKernel<T> loss_kernel_;
    LayerOfRow layers_[tiny_layers];
    int64_t size_;
    // They are aligned: blocks that lie across two cache lines would cost a quarter of XOR's step. They have no values at first, since
    // every training would have to clear them, however large its network is.
    alignas(block_bytes) Units in_;
    alignas(block_bytes) Units target_;
    alignas(block_bytes) Units scale_;
    alignas(block_bytes) Units out_[tiny_layers];
    alignas(block_bytes) Units delta_[tiny_layers];
    alignas(block_bytes) Units derivative_[tiny_layers];
    alignas(block_bytes) T products_[tiny_parameters * lanes<T>];  // of deltas and inputs, one vector for each parameter
    int64_t read_from_ = -1, read_rows_ = -1;                      // the batch that is in in_, target_ and scale_
    double read_smoothing_ = 0;                                    // of its targets
};

// Whether TinyTraining makes the updates of a training.
template <class T> bool trains_tiny(const Training &t) {
    if (t.gradient || !TinyPass<T>::fits(t.network, t.loss, t.batch_size)) return false;
    for (int64_t l = 0; l < t.network.n_layers; l++)
        if (t.network.layers[l].weights().penalty_factor != 1 || t.network.layers[l].biases().penalty_factor != 0) return false;
    const UpdateRules rules = UpdateRules::of<T>(t);
    const bool skips_features = t.x.sparse() && t.optimizer.lazy && !rules.is_noop_without_gradient;
    return rules.updates_all_alike && !rules.orthogonalizes && !skips_features;
}

}  // namespace
