// What needs no optimizer: predictions, losses and gradients of many rows, in chunks that stay in the cache.
#pragma once

#include "step.h"

namespace {

constexpr int64_t prediction_rows = 128;  // a thread's rows at a time

// In batches: rows that go through all layers, and back, before the next ones: what one layer writes, the next one finds in
// the first cache. Weights that have no place in the second one would have to come from further away each time.
template <class T> int64_t cached_rows(const Network &network) {
    constexpr int64_t second_cache = 512 * 1024;
    return network.size * int64_t(sizeof(T)) <= second_cache ? 2 * row_group : chunk_rows;
}

// A batch forward and, where gradients are wanted, back. All threads return the loss, 0 for a batch without weight.
// prepare() is called for each chunk whose rows have been read, collect(n_rows, first) after it, when its deltas stand.
template <class T, class Prepare, class Collect>
double run_batch(Step<T> &step, const Team &team, const Network &network, const Loss &loss, const Rows &x, const Rows &y,
                 const double *sample_weight, const Batch &batch, bool backward, Prepare prepare, Collect collect) {
    const double factor = mean_factor(batch.weight, network, loss);
    const int64_t at_a_time = cached_rows<T>(network);
    double value = 0;
    for (int64_t first = 0; first < batch.size; first += chunk_rows) {
        const int64_t left = batch.size - first;
        const Batch chunk = batch.part(first, left < chunk_rows ? left : chunk_rows);
        const Range rows = share(chunk.size, row_group, team);
        if (batch.any_counts()) {
            step.read_x(x, chunk, rows);
            step.read_y(y, chunk, rows);
            step.set_scale(factor, sample_weight, chunk, rows);
            prepare();
            for (int64_t i = rows.begin; i < rows.end; i += at_a_time) {
                const Range part = {i, rows.end - i < at_a_time ? rows.end : i + at_a_time};
                step.forward(part, first);
                step.loss(part);
                if (backward) step.backward(part);
            }
        } else {
            step.pass_over(x, chunk, rows);
        }
        team.wait();
        value += step.partial_losses(chunk.size);
        collect(chunk.size, first);
        if (left > chunk_rows) team.wait();
    }
    return value * loss.value_factor;
}

template <class T> class Predictor {
  public:
    Predictor(const Prediction &call, Arena &arena)
        : call_(call),
          piece_(call.n_rows < prediction_rows ? call.n_rows : prediction_rows),
          step_(call.network, call.parameters, call.x, piece_ * call.n_threads, call.n_threads, {false, false}, nullptr, arena) {}

    void run() {
        parallel(call_.n_threads, [](const Team &team, void *self) { static_cast<Predictor *>(self)->run(team); }, this);
    }

  private:
    void run(const Team &team) {
        Step<T> step = step_;
        if (team.size > 1 && call_.n_rows <= few_rows && !call_.x.sparse()) return run_together(step, team);
        // No thread waits for another: each has rows of its own, both of the data and of the buffers.
        const Range own = share(call_.n_rows, 1, team);
        for (int64_t first = own.begin; first < own.end; first += piece_) {
            const int64_t left = own.end - first, begin = team.index * piece_;
            const Range rows = {begin, begin + (left < piece_ ? left : piece_)};
            step.read_x(call_.x, {nullptr, first - begin, rows.end}, rows);
            step.forward(rows, 0);
            copy_outputs(step, rows, first - begin);
        }
    }

    void run_together(Step<T> &step, const Team &team) {
        const Range rows = {0, call_.n_rows};
        step.read_x(call_.x, {nullptr, 0, rows.end}, team.index == 0 ? rows : Range{0, 0});
        step.forward_together(team, rows);
        if (team.index == 0) copy_outputs(step, rows, 0);
    }

    void copy_outputs(const Step<T> &step, Range rows, int64_t first) const {
        for (int64_t l = 0; l < call_.network.n_layers; l++)
            if (call_.outputs[l])
                copy_out(step.output(l), call_.network.layers[l], rows, static_cast<T *>(call_.outputs[l]), first);
    }

    static void copy_out(const T *from, const Layer &layer, Range rows, T *to, int64_t first) {
        for (int64_t i = rows.begin; i < rows.end; i++)
            std::memcpy(to + (first + i) * layer.n_out, from + i * layer.row, size_t(layer.n_out) * sizeof(T));
    }

    const Prediction &call_;
    const int64_t piece_;
    const Step<T> step_;
};

template <class T> class GradientRun {
  public:
    GradientRun(Gradient &call, Arena &arena)
        : call_(call),
          needs_{call.gradient != nullptr, call.input_gradient != nullptr},
          step_(call.network, call.parameters, call.x, call.n_rows < chunk_rows ? call.n_rows : chunk_rows, call.n_threads, needs_,
                &call.loss, arena),
          inputs_(needs_.input_gradient ? arena.take<T>(chunk_rows * padded<T>(n_in())) : nullptr) {}

    void run() {
        parallel(call_.n_threads, [](const Team &team, void *self) { static_cast<GradientRun *>(self)->run(team); }, this);
    }

  private:
    int64_t n_in() const { return call_.network.layers[0].n_in; }

    void run(const Team &team) {
        Step<T> step = step_;
        step.join(team);
        if (needs_.any()) step.transpose_weights(team);
        team.wait();
        Batch batch = {nullptr, 0, call_.n_rows};
        if (call_.sample_weight) weigh(batch, call_.sample_weight, call_.loss.signed_mean);
        const double value = run_batch(
            step, team, call_.network, call_.loss, call_.x, call_.y, call_.sample_weight, batch, needs_.any(), [] {},
            [&](int64_t n_rows, int64_t first) {
                if (needs_.weight_gradient) accumulate_gradient(step, team, n_rows, first > 0);
                if (needs_.input_gradient) accumulate_inputs(step, share(n_rows, row_group, team), first);
            });
        if (team.index == 0) call_.value = value;
    }

    void accumulate_gradient(const Step<T> &step, const Team &team, int64_t n_rows, bool add) {
        T *gradient = static_cast<T *>(call_.gradient);
        for_each_block(call_.network, [&](int64_t l, const Layer &layer, const Block &block) {
            const Range rows = own_rows<T>(layer, block, team);
            if (rows.size() > 0) step.compute_gradient(l, block.kind, rows, n_rows, add, gradient + block.offset);
        });
    }

    void accumulate_inputs(const Step<T> &step, Range rows, int64_t first) {
        const int64_t row = padded<T>(n_in());
        step.input_gradient(0, rows, inputs_, row);
        for (int64_t i = rows.begin; i < rows.end; i++)
            std::memcpy(static_cast<T *>(call_.input_gradient) + (first + i) * n_in(), inputs_ + i * row,
                        size_t(n_in()) * sizeof(T));
    }

    Gradient &call_;
    const Needs needs_;
    const Step<T> step_;
    T *const inputs_;
};

}  // namespace
