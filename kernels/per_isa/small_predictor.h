// Predictions of many rows by small networks. A row of few units would fill only a part of a vector, so that the lanes of a vector
// are rows here.
//
// Each sum has the order that it has for a row alone: that of dense.h, or of narrow_layer.h.
#pragma once

#include <algorithm>
#include <cstring>

#include "input_rows.h"
#include "kernel_tables.h"
#include "lanes_product.h"

namespace {

// Rows of wider layers fill most of a vector, and gain less than their way into lanes and back costs (8-8-3 in float64: 1.3 times as
// long), as do more outputs (8-8-8 in float32: 1.2 to 1.5 times).
template <class T> constexpr int small_units = block_lanes<T> / 2;
constexpr int64_t strip_vectors = 8;  // vectors of rows that pass through all layers before the next ones

template <class T> class SmallPredictor {
  public:
    static bool fits(const Prediction &call) {
        if (call.n_rows < lanes<T> || call.x.sparse() || call.network.stage || !call.network.last().narrow) return false;
        for (int64_t l = 0; l < call.network.n_layers; l++) {
            const Layer &layer = call.network.layers[l];
            if (!layer.is_plain() || layer.n_in > small_units<T> || layer.n_out > small_units<T>) return false;
            if (!all_activations<T>[layer.activation].elementwise) return false;
            if (call.outputs && l < call.network.n_layers - 1 && call.outputs[l]) return false;
        }
        return true;
    }

    SmallPredictor(const Prediction &call, Arena &arena)
        : call_(call), buffer_(widest(call.network) * strip), memory_(arena.take<T>(buffers * buffer_ * call.n_threads)) {}

    void run() {
        parallel(call_.n_threads, [](const Team &team, void *self) { static_cast<const SmallPredictor *>(self)->run(team); }, this);
    }

    void run_each(const PredictionOfEach &all) const {
        Model model = own_model();
        char *out = reinterpret_cast<char *>(model.out);
        for (int64_t i = 0; i < all.n_networks; i++, model.x.data += all.x_stride, out += all.output_stride) {
            model.parameters = static_cast<const T *>(all.parameters[i]);
            model.out = reinterpret_cast<T *>(out);
            predict(model, {0, call_.n_rows}, memory_);
        }
    }

  private:
    static constexpr int64_t strip = strip_vectors * lanes<T>;  // rows
    static constexpr int64_t buffers = 3;

    struct Model {
        const T *parameters;
        Rows x;
        T *out;
    };

    static int64_t widest(const Network &network) {
        int64_t units = network.layers[0].n_in;
        for (int64_t l = 0; l < network.n_layers; l++) units = std::max(units, network.layers[l].n_out);
        return units;
    }

    Model own_model() const {
        return {static_cast<const T *>(call_.parameters), call_.x, static_cast<T *>(call_.outputs[call_.network.n_layers - 1])};
    }

    void run(const Team &team) const {
        predict(own_model(), share(call_.n_rows, lanes<T>, team), memory_ + buffers * buffer_ * team.index);
    }

    void predict(const Model &model, Range rows, T *memory) const {
        for (int64_t first = rows.begin; first < rows.end; first += strip)
            predict_strip(model, first, std::min(strip, rows.end - first), memory);
    }

    void predict_strip(const Model &model, int64_t first, int64_t n_rows, T *memory) const {
        const Network &network = call_.network;
        const int64_t n_vectors = (n_rows + lanes<T> - 1) / lanes<T>;
        T *in = memory, *out = memory + buffer_;
        read(model.x, first, n_rows, in, memory + 2 * buffer_);
        for (int64_t l = 0; l < network.n_layers; l++) {
            const Layer &layer = network.layers[l];
            const ActivationKernels<T> &activation = all_activations<T>[layer.activation];
            multiply(layer, model.parameters, n_vectors, in, out);
            const int64_t count = n_vectors * layer.n_out * lanes<T>;
            if (!activation.is_identity) activation.value(out, 1, count, count);
            T *const next = in;
            in = out, out = next;
        }
        write(in, n_rows, model.out + first * network.last().n_out);
    }

    // The units of a vector of rows stand one after the other.
    void read(const Rows &x, int64_t first, int64_t n_rows, T *to, T *converted) const {
        const int64_t n_in = call_.network.layers[0].n_in;
        const bool in_place = has_plain_rows<T>(x);
        if (!in_place) read_rows<T>(x, {nullptr, first, n_rows}, {0, n_rows}, n_in, converted, n_in);
        for (int64_t i = 0; i < n_rows; i++) {
            const T *row = in_place ? reinterpret_cast<const T *>(x.data + (first + i) * x.row_stride) : converted + i * n_in;
            T *const lane = to + i / lanes<T> * n_in * lanes<T> + i % lanes<T>;
            for (int64_t k = 0; k < n_in; k++) lane[k * lanes<T>] = row[k];
        }
    }

    void write(const T *from, int64_t n_rows, T *to) const {
        const int64_t n_out = call_.network.last().n_out;
        if (n_out == 1) {
            std::memcpy(to, from, size_t(n_rows) * sizeof(T));
            return;
        }
        for (int64_t i = 0; i < n_rows; i++) {
            const T *const lane = from + i / lanes<T> * n_out * lanes<T> + i % lanes<T>;
            for (int64_t j = 0; j < n_out; j++) to[i * n_out + j] = lane[j * lanes<T>];
        }
    }

    static void multiply(const Layer &layer, const T *parameters, int64_t n_vectors, const T *in, T *out) {
        const T *weights = parameters + layer.weights().offset, *biases = parameters + layer.biases().offset;
        with_constant<small_units<T>>(layer.n_in, [&](auto n) {
            for (int64_t v = 0; v < n_vectors; v++, in += n() * lanes<T>, out += layer.n_out * lanes<T>) {
                if (layer.narrow) narrow_outputs<n()>(layer, weights, biases, in, out);
                else outputs<n()>(layer, weights, biases, in, out);
            }
        });
    }

    template <int N> static void outputs(const Layer &layer, const T *weights, const T *biases, const T *in, T *out) {
        Vec<T> x[N];
#pragma GCC unroll 8
        for (int k = 0; k < N; k++) x[k] = load(in + k * lanes<T>);
        for (int64_t j = 0; j < layer.n_out; j++) {
            Vec<T> sum = splat(biases[j]);
#pragma GCC unroll 8
            for (int k = 0; k < N; k++) sum = fma(x[k], splat(weights[k * layer.weights().row + j]), sum);
            store(out + j * lanes<T>, sum);
        }
    }

    template <int N> static void narrow_outputs(const Layer &layer, const T *weights, const T *biases, const T *in, T *out) {
        for (int64_t j = 0; j < layer.n_out; j++) {
            const T *w = weights + j * layer.weights().row;
            store(out + j * lanes<T>, dot<T, N>([=](int k) __attribute__((always_inline)) { return load(in + k * lanes<T>); },
                                                [=](int k) __attribute__((always_inline)) { return splat(w[k]); }) +
                                          splat(biases[j]));
        }
    }

    const Prediction &call_;
    const int64_t buffer_;  // elements
    T *const memory_;       // of all threads
};

}  // namespace
