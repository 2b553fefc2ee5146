// Tiny networks: up to 8 units per layer, and batches that fit into a block. One block holds a unit's values for the whole batch,
// so that padding wastes no lanes and nothing is called per row. XOR takes half the time of the general pass.
#pragma once

#include "loss_rows.h"
#include "padding.h"

namespace {

constexpr int64_t tiny_units = 8, tiny_layers = 4;

template <class T> class TinyPass {
  public:
    static bool fits(const Network &network, const Loss &loss, const Rows &x, int64_t batch_size) {
        if (network.stage || x.sparse() || batch_size > block || network.n_layers > tiny_layers || takes_rows<T>(loss))
            return false;
        for (int64_t l = 0; l < network.n_layers; l++) {
            const Layer &layer = network.layers[l];
            const bool by_rows = !all_activations<T>[layer.activation].elementwise;
            if (layer.n_blocks > 2 || layer.is_separate) return false;  // more than plain weights and biases
            if (layer.input_dropout > 0 || layer.residual_from >= 0) return false;
            if (layer.n_in > tiny_units || layer.n_out > tiny_units || layer.dropout > 0 || layer.custom || by_rows) return false;
        }
        return true;
    }

    TinyPass(const Network &network, const Loss &loss, const T *parameters)
        : network_(network), loss_(loss), loss_kernel_(loss_kernel<T>(loss)), parameters_(parameters) {}

    // Returns the batch's loss. compute_gradients and descend are for the batch of the last run.
    double run(const Rows &x, const Rows &y, const double *sample_weight, const Batch &batch) {
        if (!batch.any_counts()) return pass_over();
        const Layer &last = network_.last();
        if (batch.order || batch.first != read_from_ || batch.size != read_rows_) {
            read(x, batch, network_.layers[0].n_in, in_);
            read(y, batch, last.n_out, target_);
            set_scale(y, sample_weight, batch);
            read_from_ = batch.first;
            read_rows_ = batch.size;
        }
        for (int64_t l = 0; l < network_.n_layers; l++) forward(l);
        const int64_t end = network_.n_layers - 1;
        const double value =
            double(loss_kernel_(loss_, {out_[end], target_, scale_, delta_[end], last.n_out, block, block, block, block}));
        if (!loss_.from_logits) times_derivative(end);
        for (int64_t l = end; l > 0; l--) backward(l);
        return value * loss_.value_factor;
    }

    // Stores the gradients in an array like the parameters, without its padding.
    void compute_gradients(T *gradient) const {
        for_each_gradient([=](int64_t offset, T value) { gradient[offset] = value; });
    }

    // Makes a step of plain gradient descent. An array of gradients would be written by elements and then read by vectors, which
    // stalls the CPU.
    void descend(T *parameters, T learning_rate) const {
        for_each_gradient([=](int64_t offset, T value) {
            parameters[offset] = fma(splat(-learning_rate), splat(value), splat(parameters[offset]))[0];
        });
    }

  private:
    static constexpr int64_t block = block_lanes<T>;
    using Units = T[tiny_units * block];  // one block per unit

    // For a batch without rows that count: its loss and gradients are 0.
    double pass_over() {
        std::memset(in_, 0, sizeof in_);
        std::memset(out_, 0, sizeof out_);
        std::memset(delta_, 0, sizeof delta_);
        read_rows_ = -1;
        return 0;
    }

    void read(const Rows &rows, const Batch &batch, int64_t columns, T *to) {
        T row[tiny_units];
        for (int64_t i = 0; i < batch.size; i++) {
            read_rows<T>(rows, batch, {i, i + 1}, columns, row, 0);
            for (int64_t j = 0; j < columns; j++) to[j * block + i] = row[j];
        }
        // Lanes without a row repeat the last row: their results are finite if the batch's are.
        for (int64_t i = batch.size; i < block; i++)
            for (int64_t j = 0; j < columns; j++) to[j * block + i] = row[j];
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

    // These return the distances between the weights of neighbouring inputs, and of neighbouring outputs.
    static int64_t by_input(const Layer &layer) { return layer.narrow ? 1 : layer.weights().row; }
    static int64_t by_output(const Layer &layer) { return layer.narrow ? layer.weights().row : 1; }
    const T *input(int64_t l) const { return l ? out_[l - 1] : in_; }

    // to = start + the sum over k of weights[k * step] * units[k].
    static void combine(T start, const T *weights, int64_t step, const T *units, int64_t n, T *to) {
        Vec<T> sums[block_vectors];
        for (int v = 0; v < block_vectors; v++) sums[v] = splat(start);
        for (int64_t k = 0; k < n; k++)
            for (int v = 0; v < block_vectors; v++)
                sums[v] = fma(splat(weights[k * step]), load(units + k * block + v * lanes<T>), sums[v]);
        for (int v = 0; v < block_vectors; v++) store(to + v * lanes<T>, sums[v]);
    }

    void forward(int64_t l) {
        const Layer &layer = network_.layers[l];
        const ActivationKernels<T> &kernels = all_activations<T>[layer.activation];
        for (int64_t j = 0; j < layer.n_out; j++)
            combine(parameters_[layer.biases().offset + j], parameters_ + layer.weights().offset + j * by_output(layer),
                    by_input(layer), input(l), layer.n_in, out_[l] + j * block);
        if (l == network_.n_layers - 1 && loss_.from_logits) return;
        if (!kernels.from_output) kernels.value_and_derivative(out_[l], derivative_[l], layer.n_out, block, block);
        else if (!kernels.is_identity) kernels.value(out_[l], layer.n_out, block, block);
    }

    void times_derivative(int64_t l) {
        const Layer &layer = network_.layers[l];
        const ActivationKernels<T> &kernels = all_activations<T>[layer.activation];
        if (!kernels.from_output) multiply_by(delta_[l], derivative_[l], layer.n_out * block);
        else if (!kernels.is_identity) kernels.times_derivative(delta_[l], out_[l], layer.n_out, block, block);
    }

    void backward(int64_t l) {
        const Layer &layer = network_.layers[l];
        for (int64_t k = 0; k < layer.n_in; k++)
            combine(0, parameters_ + layer.weights().offset + k * by_input(layer), by_output(layer), delta_[l], layer.n_out,
                    delta_[l - 1] + k * block);
        times_derivative(l - 1);
    }

    // Sums blocks over the batch, as many at a time as a vector has lanes, and calls use(offset, sum) for each.
    template <class Use> struct Sums {
        explicit Sums(Use use) : use(use) {}
        Use use;
        Vec<T> pending[size_t(lanes<T>)];
        int64_t offsets[size_t(lanes<T>)];
        int count = 0;

        void add(const Vec<T> *products, int64_t offset) {
            pending[count] = fold_block<T>(products);
            offsets[count] = offset;
            if (++count == lanes<T>) flush();
        }
        void flush() {
            for (int q = count; q < lanes<T>; q++) pending[q] = Vec<T>{};
            const Vec<T> sums = sum_rows<T>(pending);
            for (int q = 0; q < count; q++) use(offsets[q], sums[q]);
            count = 0;
        }
    };

    template <class Use> void for_each_gradient(Use use) const {
        Sums<Use> sums(use);
        for (int64_t l = 0; l < network_.n_layers; l++) add_gradients(l, sums);
        sums.flush();
    }

    template <class Sums> void add_gradients(int64_t l, Sums &sums) const {
        const Layer &layer = network_.layers[l];
        for (int64_t j = 0; j < layer.n_out; j++) {
            Vec<T> delta[block_vectors], products[block_vectors];
            for (int v = 0; v < block_vectors; v++) delta[v] = load(delta_[l] + j * block + v * lanes<T>);
            sums.add(delta, layer.biases().offset + j);
            for (int64_t k = 0; k < layer.n_in; k++) {
                for (int v = 0; v < block_vectors; v++) products[v] = delta[v] * load(input(l) + k * block + v * lanes<T>);
                sums.add(products, layer.weights().offset + k * by_input(layer) + j * by_output(layer));
            }
        }
    }

    const Network &network_;
    const Loss &loss_;
    const LossKernel<T> loss_kernel_;
    const T *parameters_;
    // They are aligned: blocks that lie across two cache lines would cost a quarter of XOR's step. They have no values at first, since
    // every training would have to clear them, however large its network is.
    alignas(block_bytes) Units in_;
    alignas(block_bytes) Units target_;
    alignas(block_bytes) Units scale_;
    alignas(block_bytes) Units out_[tiny_layers];
    alignas(block_bytes) Units delta_[tiny_layers];
    alignas(block_bytes) Units derivative_[tiny_layers];
    int64_t read_from_ = -1, read_rows_ = -1;  // the batch that is in in_, target_ and scale_
};

}  // namespace
