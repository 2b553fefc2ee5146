// Predictions of many rows.
#pragma once

#include <algorithm>

#include "layer_loops.h"

namespace {

constexpr int64_t prediction_rows = 128;  // a thread's strip

template <class T> class Predictor {
  public:
    Predictor(const Prediction &call, Arena &arena)
        : call_(call),
          strip_(call.n_rows < prediction_rows ? call.n_rows : prediction_rows),
          layers_(call.network, call.parameters, call.x, strip_ * call.n_threads, {false, false, false, rows_to_share()}, nullptr,
                  arena),
          packing_(call.network, strip_, false, call.n_threads, arena) {}

    void run() {
        parallel(call_.n_threads, [](const Team &team, void *self) { static_cast<const Predictor *>(self)->run(team); }, this);
    }

    void run_each(const PredictionOfEach &all) const {
        const int64_t last = call_.network.n_layers - 1;
        Rows x = call_.x;
        char *out = static_cast<char *>(call_.outputs[last]);
        for (int64_t i = 0; i < all.n_networks; i++, x.data += all.x_stride, out += all.output_stride) {
            const Layers<T> layers = layers_.with_parameters(all.parameters[i]);
            for (int64_t first = 0; first < call_.n_rows; first += strip_) {
                const Range rows = {0, std::min(strip_, call_.n_rows - first)};
                forward(layers, 0, layers.read(x, {nullptr, first, rows.end}, rows, Dropout()), rows, Dropout(),
                        packing_.of_thread(0));
                copy_out(layers.buffers(last).out, layers[last], rows, reinterpret_cast<T *>(out), first);
            }
        }
    }

  private:
    // Each thread would read all weights for some of a few rows: it reads some of the weights for all of them instead.
    int64_t rows_to_share() const { return call_.n_rows <= few_rows ? call_.n_rows : 0; }

    void run(const Team &team) const {
        if (team.size > 1 && rows_to_share() > 0 && !call_.x.sparse()) return run_together(team);
        // No thread waits for another: each has rows of its own, both of the data and of the buffers.
        const Range own = share(call_.n_rows, 1, team);
        for (int64_t first = own.begin; first < own.end; first += strip_) {
            const int64_t left = own.end - first, begin = team.index * strip_;
            const Range rows = {begin, begin + (left < strip_ ? left : strip_)};
            forward(layers_, 0, layers_.read(call_.x, {nullptr, first - begin, rows.end}, rows, Dropout()), rows, Dropout(),
                    packing_.of_thread(team.index));
            copy_outputs(rows, first - begin);
        }
    }

    void run_together(const Team &team) const {
        const Range rows = {0, call_.n_rows};
        const Range own = team.index == 0 ? rows : Range{0, 0};
        const Input<T> input = layers_.read(call_.x, {nullptr, 0, rows.end}, own, Dropout());
        forward_together<T>(layers_, call_.network.n_layers, input, rows, own, Dropout(), team, nullptr);
        if (team.index == 0) copy_outputs(rows, 0);
    }

    void copy_outputs(Range rows, int64_t first) const {
        for (int64_t l = 0; l < call_.network.n_layers; l++)
            if (call_.outputs[l])
                copy_out(layers_.buffers(l).out, call_.network.layers[l], rows, static_cast<T *>(call_.outputs[l]), first);
    }

    static void copy_out(const T *from, const Layer &layer, Range rows, T *to, int64_t first) {
        for (int64_t i = rows.begin; i < rows.end; i++)
            std::memcpy(to + (first + i) * layer.n_out, from + i * layer.row, size_t(layer.n_out) * sizeof(T));
    }

    const Prediction &call_;
    const int64_t strip_;
    const Layers<T> layers_;
    const Packing<T> packing_;
};

}  // namespace
