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
          strip_(strip_rows(call)),
          layers_(call.network, call.parameters, call.x, call.network.passed_rows(strip_) * call.n_threads, needs(), nullptr,
                  arena),
          packing_(call.network, call.network.passed_rows(strip_), false, call.n_threads, arena),
          member_rows_(arena.take<int64_t>(has_members() ? call.network.passed_rows(strip_) * call.n_threads : 0)) {}

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
                if (has_members()) {
                    predict_members(layers, x, rows, first, 0, reinterpret_cast<T *>(out));
                    continue;
                }
                forward(layers, 0, layers.read(x, {nullptr, first, rows.end}, rows, Dropout()), rows, Dropout(),
                        packing_.of_thread(0));
                copy_out(layers.buffers(last).out, layers[last], rows, reinterpret_cast<T *>(out), first);
            }
        }
    }

  private:
    bool has_members() const { return call_.network.n_members() > 1; }

    // Returns the rows of X in a thread's strip.
    static int64_t strip_rows(const Prediction &call) {
        const int64_t n_members = call.network.n_members();  // a division takes as long as a small layer
        return std::min(call.n_rows, n_members == 1 ? prediction_rows : std::max<int64_t>(1, prediction_rows / n_members));
    }

    // Each thread would read all weights for some of a few rows: it reads some of the weights for all of them instead. For the rows of
    // a strip, that pays if the weights exceed the cache.
    Needs needs() const {
        Needs needs = {false, false};
        const bool exceeds = call_.network.size * int64_t(sizeof(T)) > second_cache_bytes();
        if (call_.n_rows <= (exceeds ? prediction_rows : few_rows) && !has_members()) needs.rows_to_share = call_.n_rows;
        return needs;
    }

    void run(const Team &team) const {
        if (team.size > 1 && layers_.needs().rows_to_share > 0 && !call_.x.sparse()) return run_together(team);
        // No thread waits for another: each has rows of its own, both of the data and of the buffers.
        const Range own = share(call_.n_rows, 1, team);
        for (int64_t first = own.begin; first < own.end; first += strip_) {
            const int64_t left = own.end - first, begin = team.index * strip_;
            const Range rows = {begin, begin + (left < strip_ ? left : strip_)};
            if (has_members()) {
                T *const out = static_cast<T *>(call_.outputs[call_.network.n_layers - 1]);
                predict_members(layers_, call_.x, rows, first - begin, team.index, out);
                continue;
            }
            forward(layers_, 0, layers_.read(call_.x, {nullptr, first - begin, rows.end}, rows, Dropout()), rows, Dropout(),
                    packing_.of_thread(team.index));
            copy_outputs(rows, first - begin);
        }
    }

    void run_together(const Team &team) const {
        const Range rows = {0, call_.n_rows};
        const Range own = rows.end > few_rows ? share(rows.end, few_rows, team) : team.index == 0 ? rows : Range{0, 0};
        const Input<T> input = layers_.read(call_.x, {nullptr, 0, rows.end}, own, Dropout());
        forward_together<T>(layers_, call_.network.n_layers, input, rows, own, Dropout(), team, packing_.of_thread(team.index));
        copy_outputs(own, 0);
    }

    // The outputs of a shared ensemble are the means of its members'; those of hidden layers have a row for each member. rows: of X, at
    // their place in the workspace, where row i is first + i of X.
    __attribute__((noinline)) void predict_members(const Layers<T> &layers, const Rows &x, Range rows, int64_t first, int thread,
                                                   T *out) const {
        const Network &network = call_.network;
        const Layer &last = network.last();
        const Range passed = {network.passed_rows(rows.begin), network.passed_rows(rows.end)};
        repeat_rows({nullptr, first, rows.end}, network.n_members(), passed.begin, passed.size(), member_rows_ + passed.begin);
        forward(layers, 0, layers.read(x, {member_rows_, 0, passed.end}, passed, Dropout()), passed, Dropout(),
                packing_.of_thread(thread));
        for (int64_t l = 0; l < network.n_layers - 1; l++)
            if (call_.outputs[l])
                copy_out(layers.unscaled_outputs(l), network.layers[l], passed, static_cast<T *>(call_.outputs[l]),
                         network.passed_rows(first));
        add_members(network.n_members(), rows, layers.last_buffers().out, last.row, last.n_out, T(network.n_members()), first, out);
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
    int64_t *const member_rows_;  // of the strips of all threads; null unless the network is a shared ensemble
};

}  // namespace
