// Predictions, losses and gradients of many rows: all passes without an optimizer.
#pragma once

#include <algorithm>

#include "pass.h"

namespace {

constexpr int64_t prediction_rows = 128;  // a thread's strip

template <class T> class Predictor {
  public:
    Predictor(const Prediction &call, Arena &arena)
        : call_(call),
          strip_(call.n_rows < prediction_rows ? call.n_rows : prediction_rows),
          layers_(call.network, call.parameters, call.x, strip_ * call.n_threads, {false, false}, nullptr, arena),
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
                layers.forward(layers.read(x, {nullptr, first, rows.end}, rows), rows, Dropout(), packing_.of_thread(0));
                copy_out(layers.buffers(last).out, layers[last], rows, reinterpret_cast<T *>(out), first);
            }
        }
    }

  private:
    void run(const Team &team) const {
        if (team.size > 1 && call_.n_rows <= few_rows && !call_.x.sparse()) return run_together(team);
        // No thread waits for another: each has rows of its own, both of the data and of the buffers.
        const Range own = share(call_.n_rows, 1, team);
        for (int64_t first = own.begin; first < own.end; first += strip_) {
            const int64_t left = own.end - first, begin = team.index * strip_;
            const Range rows = {begin, begin + (left < strip_ ? left : strip_)};
            layers_.forward(layers_.read(call_.x, {nullptr, first - begin, rows.end}, rows), rows, Dropout(),
                            packing_.of_thread(team.index));
            copy_outputs(rows, first - begin);
        }
    }

    void run_together(const Team &team) const {
        const Range rows = {0, call_.n_rows};
        const Input<T> input = layers_.read(call_.x, {nullptr, 0, rows.end}, team.index == 0 ? rows : Range{0, 0});
        layers_.forward_together(input, rows, team);
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

template <class T> class GradientRun {
  public:
    GradientRun(Gradient &call, Arena &arena)
        : call_(call),
          pass_(call.network, call.parameters, call.loss, {call.x, call.y, call.sample_weight}, call.n_rows, call.n_threads,
                {call.gradient != nullptr, call.input_gradient != nullptr}, arena),
          inputs_(call.input_gradient ? arena.take<T>(std::min(call.n_rows, chunk_rows) * padded<T>(n_in())) : nullptr) {}

    void run() {
        parallel(call_.n_threads, [](const Team &team, void *self) { static_cast<GradientRun *>(self)->run(team); }, this);
    }

  private:
    int64_t n_in() const { return call_.network.layers[0].n_in; }

    void run(const Team &team) {
        PassMemory<T> memory = pass_.join(team);
        if (pass_.layers().needs().any()) pass_.layers().transpose_weights(team);
        team.wait();
        Batch batch = {call_.order, call_.first, call_.n_rows};
        pass_.weigh(batch);
        const auto collect = [&](const ChunkGradients<T> &gradients, int64_t n_rows, int64_t first) {
            if (call_.gradient) accumulate(gradients, team, first > 0);
            if (call_.input_gradient) copy_input_gradient(gradients, share(n_rows, row_group, team), first);
        };
        const BatchResult<T> result = pass_.run(memory, team, batch, call_.dropout_key, [](const Entries<T> &) {}, collect);
        if (team.index == 0) call_.value = result.loss, call_.weight = batch.weight;
    }

    void accumulate(const ChunkGradients<T> &gradients, const Team &team, bool add) const {
        T *storage = static_cast<T *>(call_.gradient);
        for_each_block(call_.network, [&](int64_t l, const Layer &layer, const Block &block) {
            const BlockRows own = {l, block, own_rows<T>(layer, block, team)};
            if (own.rows.size() == 0) return;
            if (add) gradients.add(own, storage + block.offset);
            else gradients.compute(own, storage + block.offset);
        });
    }

    void copy_input_gradient(const ChunkGradients<T> &gradients, Range rows, int64_t first) const {
        const int64_t row = padded<T>(n_in());
        gradients.by_input(rows, inputs_, row);
        for (int64_t i = rows.begin; i < rows.end; i++)
            std::memcpy(static_cast<T *>(call_.input_gradient) + (first + i) * n_in(), inputs_ + i * row,
                        size_t(n_in()) * sizeof(T));
    }

    Gradient &call_;
    const Pass<T> pass_;
    T *const inputs_;
};

}  // namespace
