// A batch's pass through many small networks of one shape: forward, loss, and back to the gradients, strip by strip.
//
// Each sum has the order that it has for a single network: that of tiny_network.h, if its networks take that path, or that of pass.h.
#pragma once

#include "lanes_product.h"
#include "lanes_rows.h"
#include "loss_rows.h"
#include "padding.h"
#include "tiny_network.h"

namespace {

// Returns null if the loss is computed for one network at a time. Sets the parameter.
template <class T> LaneLoss<T> lane_loss_of(const Loss &loss, T &parameter) {
    if (loss.given || loss.custom || loss.custom_rows || loss.heads || loss.signed_mean || has_target_options(loss)) return nullptr;
    parameter = T(loss.n_parameters ? loss.parameters[0] : loss.parameter);
    const LossKernels<T> &kernels = all_losses<T>[loss.kind];
    return loss.n_parameters ? kernels.focal_of_lanes : kernels.of_lanes;
}

// Rows that pass through all layers, and back, before the next ones, so that their values and the parameters stay in the first cache.
constexpr int64_t lane_strip = 8;

// A layer of all networks. Parameters stand in the order of the storage, without padding, one vector each.
template <class T> struct LaneLayer {
    int64_t n_in, n_out;
    int64_t by_input, by_output;  // distances between the weights of neighbouring inputs, and of neighbouring outputs
    int64_t weights, biases;      // their places in the array of all parameters
    bool narrow, activates;
    const ActivationKernels<T> *activation;
    T *out, *derivative, *delta;  // of a strip; the derivative is null where the output determines it
    T *fours;                     // four partial sums for each bias, and for each weight of a narrow layer
};

template <class T> class LanePass {
  public:
    static bool fits(const Training &t) {
        T parameter;
        if (t.network.stage || t.x.sparse() || t.batch_size > chunk_rows || t.network.n_layers > tiny_layers) return false;
        if (!lane_loss_of<T>(t.loss, parameter)) return false;
        for (int64_t l = 0; l < t.network.n_layers; l++) {
            const Layer &layer = t.network.layers[l];
            const bool is_logits = l == t.network.n_layers - 1 && t.loss.from_logits;
            const int64_t most_inputs = layer.narrow ? lane_units : lane_inputs;
            if (!layer.is_plain() || layer.drops() || layer.n_in > most_inputs || layer.n_out > lane_units) return false;
            if (!is_logits && !all_activations<T>[layer.activation].elementwise) return false;
        }
        return (trains_tiny<T>(t) || gains(t.network)) && t.loss.columns(t.network.last().n_out) == t.network.last().n_out;
    }

    // If the arena has no memory, the object only counts the bytes that it needs.
    LanePass(const Training &t, Arena &arena)
        : network_(t.network),
          loss_(t.loss),
          sample_weight_(t.sample_weight),
          is_tiny_(trains_tiny<T>(t)),
          strip_(is_tiny_ ? block_lanes<T> : lane_strip),
          lane_loss_(lane_loss_of<T>(t.loss, parameter_)),
          rows_(t.x, t.network.layers[0].n_in, arena),
          targets_(t.y, t.network.last().n_out, arena),
          x_(take(rows_taken() * t.network.layers[0].n_in, arena)),
          y_(take(rows_taken() * t.network.last().n_out, arena)),
          scale_(take(rows_taken(), arena)),
          sums_(take(block_lanes<T>, arena)) {
        for (int64_t l = 0; l < network_.n_layers; l++) add_layer(l, arena);
        parameters_ = take(size_, arena);
        gradient_ = take(size_, arena);
    }

    bool is_tiny() const { return is_tiny_; }
    int64_t size() const { return size_; }  // parameters of a network
    T *parameters() const { return parameters_; }
    T *gradient() const { return gradient_; }
    const LaneLayer<T> &layer(int64_t l) const { return layers_[l]; }

    // Sets a batch's weights, unless all are 1.
    void weigh(Batch &batch) const {
        if (sample_weight_) ::weigh(batch, sample_weight_, false, [](int64_t) { return 1.0; });
    }

    // Computes the gradients, and sets the losses of all lanes.
    void run(const LaneBatch<T> &batch, double *losses) {
        for (int q = 0; q < lanes<T>; q++) losses[q] = 0;
        for (int64_t i = 0; i < batch.size(); i += strip_)
            run_strip(batch, {i, batch.size() - i < strip_ ? batch.size() : i + strip_}, losses);
        for (int q = 0; q < lanes<T>; q++) losses[q] *= loss_.value_factor;
        if (sample_weight_) clear_lanes_without_rows(batch, losses);
    }

  private:
    // A network that isn't tiny fills vectors by itself, unless its layers are narrower than they. By measurement, with 20 inputs and a
    // batch of 200, 16 lanes are 1.0 to 1.9 times as fast for 16 to 4 units; 8 lanes 0.9 to 1.5 times, and gain up to 12 units; 4 lanes 0.8
    // to 1.1 times.
    static bool gains(const Network &network) {
        constexpr int64_t most = lanes<T> == 16 ? lane_units : lanes<T> == 8 ? 12 : 0;
        for (int64_t l = 0; l + 1 < network.n_layers; l++)
            if (network.layers[l].n_out > most) return false;
        return most > 0;
    }

    // The batch of a tiny network is one strip. It has one more row, which is explained at repeat_row.
    int64_t rows_taken() const { return strip_ + is_tiny_; }

    static T *take(int64_t vectors, Arena &arena) { return arena.take<T>(vectors * lanes<T>); }

    void add_layer(int64_t l, Arena &arena) {
        const Layer &layer = network_.layers[l];
        const bool is_last = l == network_.n_layers - 1, narrow = layer.narrow;
        LaneLayer<T> &own = layers_[l];
        own.n_in = layer.n_in;
        own.n_out = layer.n_out;
        own.by_input = narrow ? 1 : layer.n_out;
        own.by_output = narrow ? layer.n_in : 1;
        own.weights = size_;
        own.biases = size_ + layer.n_in * layer.n_out;
        size_ = own.biases + layer.n_out;
        own.narrow = narrow;
        own.activation = &all_activations<T>[layer.activation];
        own.activates = !(is_last && loss_.from_logits) && !own.activation->is_identity;
        own.out = take(rows_taken() * layer.n_out, arena);
        own.delta = take(rows_taken() * layer.n_out, arena);
        own.derivative = own.activates && !own.activation->from_output ? take(rows_taken() * layer.n_out, arena) : nullptr;
        own.fours = take(4 * (layer.n_out + (narrow ? layer.n_in * layer.n_out : 0)), arena);
    }

    const T *input(int64_t l) const { return l ? layers_[l - 1].out : x_; }
    const T *parameter(int64_t number) const { return parameters_ + number * lanes<T>; }
    T *gradient(int64_t number) const { return gradient_ + number * lanes<T>; }

    void run_strip(const LaneBatch<T> &batch, Range strip, double *losses) {
        const int64_t rows = strip.size(), end = network_.n_layers - 1;
        const bool repeats = is_tiny_ && rows < block_lanes<T>;
        read(batch, strip);
        for (int64_t l = 0; l <= end; l++) forward(l, rows);
        compute_loss(strip, strip.end == batch.size(), losses);
        if (repeats) repeat_row(rows);
        if (layers_[end].activates) times_derivative(end, rows + repeats);
        for (int64_t l = end;; l--) {
            if (!is_tiny_) add_gradients(l, rows, strip.begin == 0, strip.end == batch.size());
            if (l == 0) break;
            backward(l, rows + repeats);
        }
        if (!is_tiny_) return;
        if (repeats) with_constant<int(block_lanes<T>) - 1>(rows, [&](auto n) { tiny_gradients<n(), true>(); });
        else tiny_gradients<int(block_lanes<T>), false>();
    }

    // Rows in the order of the data, all in one strip, stay from one batch to the next.
    void read(const LaneBatch<T> &batch, Range strip) {
        const bool is_whole = batch.same_rows && !batch.of_lane[0].order && !sample_weight_ && strip.size() == batch.size();
        if (is_whole && batch.first() == read_from_ && batch.size() == read_rows_) return;
        read_from_ = is_whole ? batch.first() : -1;
        read_rows_ = batch.size();
        rows_.read(batch, strip, x_);
        targets_.read(batch, strip, y_);
        if (!sample_weight_) {
            const Vec<T> scale = splat(T(mean_factor(double(batch.size()), network_, loss_)));
            for (int64_t i = 0; i < strip.size(); i++) store(scale_ + i * lanes<T>, scale);
            return;
        }
        for (int q = 0; q < lanes<T>; q++) {
            const Batch &own = batch.of_lane[q];
            const double factor = mean_factor(own.weight, network_, loss_);
            for (int64_t i = strip.begin; i < strip.end; i++)
                scale_[(i - strip.begin) * lanes<T> + q] = T(factor * sample_weight_[own.own_row(i)]);
        }
    }

    // ---- Forward ----

    void forward(int64_t l, int64_t rows) const {
        const LaneLayer<T> &layer = layers_[l];
        const T *x = input(l), *weights = parameter(layer.weights), *biases = parameter(layer.biases);
        const int64_t v = lanes<T>;
        if (layer.narrow && !is_tiny_)
            for (int64_t j = 0; j < layer.n_out; j++)
                with_constant<int(lane_units)>(layer.n_in, [&](auto n) {
                    lane_dots<T, n()>(rows, x, weights + j * layer.n_in * v, load(biases + j * v), layer.out + j * v,
                                      layer.n_out * v);
                });
        else
            multiply_lanes<T, Start::bias>({layer.n_in, x, layer.n_in * v, v, weights, layer.by_input * v, layer.by_output * v,
                                            layer.out, layer.n_out * v, biases},
                                           rows, layer.n_out);
        const int64_t count = rows * layer.n_out * v;
        if (layer.derivative) layer.activation->value_and_derivative(layer.out, layer.derivative, 1, count, count);
        else if (layer.activates) layer.activation->value(layer.out, 1, count, count);
    }

    // The partial sums of a loss are the lanes of a block: rows of the batch for a tiny network, else outputs of one or several rows.
    // They are added up at the end of each row group, and of the batch.
    void compute_loss(Range strip, bool ends_batch, double *losses) const {
        const LaneLayer<T> &last = layers_[network_.n_layers - 1];
        const bool by_rows = is_tiny_ || (last.narrow && takes_rows<T>(loss_));
        const int64_t n = last.n_out, first = strip.begin % row_group, rows = first + strip.size();
        const int64_t terms = by_rows ? rows : last.narrow ? rows * n : n;
        const int64_t n_sums = terms < block_lanes<T> ? terms : block_lanes<T>;
        if (first == 0) std::memset(sums_, 0, size_t(block_lanes<T> * lanes<T>) * sizeof(T));
        lane_loss_({last.out, y_, scale_, last.delta, strip.size(), n, first,
                    by_rows       ? 1
                    : last.narrow ? n
                                  : 0,
                    by_rows ? 0 : 1, sums_},
                   parameter_);
        if (rows < row_group && !ends_batch) return;
        fold_vectors(sums_, n_sums);
        for (int q = 0; q < lanes<T>; q++) losses[q] += double(sums_[q]);
    }

    // ---- Backward ----

    void times_derivative(int64_t l, int64_t rows) const {
        const LaneLayer<T> &layer = layers_[l];
        const int64_t count = rows * layer.n_out * lanes<T>;
        if (layer.derivative) multiply_by(layer.delta, layer.derivative, count);
        else layer.activation->times_derivative(layer.delta, layer.out, 1, count, count);
    }

    void backward(int64_t l, int64_t rows) const {
        const LaneLayer<T> &layer = layers_[l];
        const int64_t v = lanes<T>;
        multiply_lanes<T, Start::zero>({layer.n_out, layer.delta, layer.n_out * v, v, parameter(layer.weights), layer.by_output * v,
                                        layer.by_input * v, layers_[l - 1].delta, layer.n_in * v},
                                       rows, layer.n_in);
        if (layers_[l - 1].activates) times_derivative(l - 1, rows);
    }

    // Adds a strip's rows to the gradients of a layer; `first` and `last` say which strip of the batch it is.
    void add_gradients(int64_t l, int64_t rows, bool first, bool last) const {
        const LaneLayer<T> &layer = layers_[l];
        const T *x = input(l), *delta = layer.delta;
        const int64_t v = lanes<T>, x_row = layer.n_in * v, delta_row = layer.n_out * v;
        T *fours = layer.fours;
        const auto finish = [&](int64_t number) {
            if (last) store(gradient(number), sum_of_four<T>(fours));
            fours += 4 * v;
        };
        for (int64_t j = 0; j < layer.n_out; j++) {
            add_in_fours(fours, first, rows, [=](int64_t i, Vec<T> sum) { return sum + load(delta + i * delta_row + j * v); });
            finish(layer.biases + j);
        }
        if (layer.narrow) {
            for (int64_t j = 0; j < layer.n_out; j++)
                for (int64_t k = 0; k < layer.n_in; k++) {
                    add_in_fours(fours, first, rows, [=](int64_t i, Vec<T> sum) {
                        return fma(load(delta + i * delta_row + j * v), load(x + i * x_row + k * v), sum);
                    });
                    finish(layer.weights + j * layer.by_output + k);
                }
            return;
        }
        const LaneProduct<T> p = {rows, x, v, x_row, delta, delta_row, v, gradient(layer.weights), layer.n_out * v};
        if (first) multiply_lanes<T, Start::zero>(p, layer.n_in, layer.n_out);
        else multiply_lanes<T, Start::previous>(p, layer.n_in, layer.n_out);
    }

    // ---- Tiny networks: the gradients are sums over the lanes of a block, each of which holds a row ----

    // A block repeats the batch's last row, with the weight 0, in the lanes without a row. The deltas of such a row are 0 or -0, or NaN
    // if a derivative is not finite. One of them is enough, since 0 and NaN added once or several times are the same.
    void repeat_row(int64_t rows) const {
        repeat_row(x_, rows, network_.layers[0].n_in);
        for (int64_t l = 0; l < network_.n_layers; l++) {
            repeat_row(layers_[l].out, rows, layers_[l].n_out);
            if (layers_[l].derivative) repeat_row(layers_[l].derivative, rows, layers_[l].n_out);
        }
        const LaneLayer<T> &last = layers_[network_.n_layers - 1];
        std::memset(last.delta + rows * last.n_out * lanes<T>, 0, size_t(last.n_out * lanes<T>) * sizeof(T));
    }
    static void repeat_row(T *values, int64_t rows, int64_t n) {
        T *const to = values + rows * n * lanes<T>;
        std::memcpy(to, to - n * lanes<T>, size_t(n * lanes<T>) * sizeof(T));
    }

    template <int N, bool REPEATS> void tiny_gradients() const {
        for (int64_t l = 0; l < network_.n_layers; l++) tiny_gradients<N, REPEATS>(l);
    }
    template <int N, bool REPEATS> void tiny_gradients(int64_t l) const {
        const LaneLayer<T> &layer = layers_[l];
        const int64_t v = lanes<T>, x_row = layer.n_in * v, delta_row = layer.n_out * v;
        for (int64_t j = 0; j < layer.n_out; j++) {
            const T *delta = layer.delta + j * v;
            const auto delta_of = [=](int i) __attribute__((always_inline)) { return load(delta + i * delta_row); };
            Vec<T> sum = fold_terms<T, N>(delta_of);
            store(gradient(layer.biases + j), REPEATS ? sum + delta_of(N) : sum);
            for (int64_t k = 0; k < layer.n_in; k++) {
                const T *x = input(l) + k * v;
                const auto product = [=](int i) __attribute__((always_inline)) { return delta_of(i) * load(x + i * x_row); };
                sum = fold_terms<T, N>(product);
                store(gradient(layer.weights + k * layer.by_input + j * layer.by_output), REPEATS ? sum + product(N) : sum);
            }
        }
    }

    // The gradients of a batch without any row that counts are 0.
    void clear_lanes_without_rows(const LaneBatch<T> &batch, double *losses) const {
        for (int q = 0; q < lanes<T>; q++) {
            if (batch.of_lane[q].any_counts()) continue;
            losses[q] = 0;
            for (int64_t i = 0; i < size_; i++) gradient_[i * lanes<T> + q] = 0;
        }
    }

    const Network &network_;
    const Loss &loss_;
    const double *const sample_weight_;
    const bool is_tiny_;
    const int64_t strip_;  // rows
    T parameter_;          // of the loss
    const LaneLoss<T> lane_loss_;
    const LaneRows<T> rows_, targets_;
    T *const x_, *const y_, *const scale_, *const sums_;
    LaneLayer<T> layers_[size_t(tiny_layers)];
    int64_t size_ = 0;
    T *parameters_, *gradient_;
    int64_t read_from_ = -1, read_rows_ = -1;  // the batch that is in x_, y_ and scale_
};

}  // namespace
