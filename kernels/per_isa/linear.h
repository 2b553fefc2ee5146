// One dense layer on the caller's arrays: activation(x @ w + b) as a function for NumPy code.
#pragma once

#include "predictor.h"

namespace {

template <class T> class LinearRun {
  public:
    LinearRun(const Linear &call, Arena &arena)
        : call_(call),
          layer_(call.layer),
          whole_vectors_(layer_.n_out % lanes<T> == 0),
          strip_(std::min(call.n_rows, prediction_rows)),
          weights_in_place_(!layer_.narrow && has_plain_rows<T>(call.w) &&
                            ((whole_vectors_ && readable_in_place<T>(call.w)) || call.n_rows < copied_from)),
          x_in_place_(!layer_.narrow && (readable_in_place<T>(call.x) || readable_in_place<T>(transposed(call.x)))),
          out_in_place_(layer_.narrow || whole_vectors_),
          x_row_(padded_row(layer_.n_in, sizeof(T))),
          out_row_(out_in_place_ ? layer_.n_out : layer_.row),
          read_from_(weights_in_place_ ? layer_.n_out / lanes<T> * lanes<T> : 0),
          weights_row_(weights_in_place_ ? lanes<T> : layer_.weights().row),
          weights_(weights_in_place_ && whole_vectors_ ? nullptr : arena.take<T>(layer_.weights().rows * weights_row_)),
          bias_(arena.take<T>(padded<T>(layer_.n_out))),
          x_(arena.take<T>(x_in_place_ ? 0 : call.n_threads * strip_ * x_row_)),
          out_(arena.take<T>(out_in_place_ ? 0 : call.n_threads * strip_ * out_row_)) {}

    void run() {
        if (weights_) read_weights();
        if (call_.b.data) read_rows<T>(call_.b, {nullptr, 0, 1}, {0, 1}, layer_.n_out, bias_, 0);
        parallel(call_.n_threads, [](const Team &team, void *self) { static_cast<LinearRun *>(self)->run(team); }, this);
    }

  private:
    // With fewer rows, a copy of weights whose rows share a set of the cache, or are not whole vectors, takes longer than it
    // saves.
    static constexpr int64_t copied_from = 32;

    static Rows transposed(Rows matrix) {
        std::swap(matrix.row_stride, matrix.column_stride);
        return matrix;
    }

    // Copies all weights, or the remainder of each row after its last whole vector.
    void read_weights() {
        Rows w = layer_.narrow ? transposed(call_.w) : call_.w;
        w.data += read_from_ * w.column_stride;
        const int64_t rows = layer_.weights().rows, columns = layer_.narrow ? layer_.n_in : layer_.n_out - read_from_;
        read_rows<T>(w, {nullptr, 0, rows}, {0, rows}, columns, weights_, weights_row_);
    }

    // Rows of the data, with the thread's buffers for those that can't be read or written in place.
    struct Strip {
        int64_t first, n;
        T *buffer, *to;
    };

    Strip strip(int64_t first, int64_t n, int thread) const {
        return {first, n, x_in_place_ ? nullptr : x_ + thread * strip_ * x_row_,
                out_in_place_ ? result(first) : out_ + thread * strip_ * out_row_};
    }

    T *result(int64_t row) const { return static_cast<T *>(call_.out) + row * layer_.n_out; }

    void run(const Team &team) const {
        if (team.size > 1 && call_.n_rows <= few_rows && !layer_.narrow) return run_together(team);
        const Range own = share(call_.n_rows, 1, team);
        for (int64_t first = own.begin; first < own.end; first += strip_) {
            const Strip p = strip(first, std::min(strip_, own.end - first), team.index);
            read(p);
            multiply_strip(p, {0, layer_.n_out});
            finish(p);
        }
    }

    // All threads compute the same rows together: each owns some of the outputs.
    void run_together(const Team &team) const {
        const Strip p = strip(0, call_.n_rows, 0);
        if (team.index == 0) read(p);
        team.wait();
        multiply_strip(p, share(layer_.n_out, lanes<T>, team));
        team.wait();
        if (team.index == 0) finish(p);
    }

    void read(const Strip &p) const {
        if (!x_in_place_) read_rows<T>(call_.x, {nullptr, p.first, p.n}, {0, p.n}, layer_.n_in, p.buffer, x_row_);
    }

    void multiply_strip(const Strip &p, Range outputs) const {
        const T *in = x_in_place_ ? reinterpret_cast<const T *>(call_.x.data + p.first * call_.x.row_stride) : p.buffer;
        const int64_t in_row = x_in_place_ ? call_.x.row_stride / int64_t(sizeof(T)) : x_row_;
        const int64_t in_column = x_in_place_ ? call_.x.column_stride / int64_t(sizeof(T)) : 1;
        const Range rows = {0, p.n};
        if (layer_.narrow) return multiply_narrow(rows, layer_.n_in, layer_.n_out, in, in_row, weights_, weights_row_, bias_, p.to);
        const auto multiply_columns = [&](const T *weights, int64_t weights_row, int64_t first, Range columns) {
            multiply<T, Start::bias, Finish::store>(
                {layer_.n_in, in, in_row, in_column, weights, weights_row, p.to + first, out_row_, bias_ + first}, rows, columns);
        };
        const Range in_place = {outputs.begin, std::min(outputs.end, read_from_)};
        const Range copied = {std::max(outputs.begin, read_from_) - read_from_, outputs.end - read_from_};
        if (in_place.size() > 0)
            multiply_columns(reinterpret_cast<const T *>(call_.w.data), call_.w.row_stride / int64_t(sizeof(T)), 0, in_place);
        if (copied.size() > 0) multiply_columns(weights_, weights_row_, read_from_, copied);
    }

    void finish(const Strip &p) const {
        const ActivationKernels<T> &kernels = all_activations<T>[layer_.activation];
        if (!kernels.is_identity) kernels.value(p.to, p.n, layer_.n_out, out_row_);
        if (out_in_place_) return;
        for (int64_t i = 0; i < p.n; i++) std::memcpy(result(p.first + i), p.to + i * out_row_, size_t(layer_.n_out) * sizeof(T));
    }

    const Linear &call_;
    const Layer &layer_;
    const bool whole_vectors_;  // whether rows of the result are whole vectors
    const int64_t strip_;       // rows
    const bool weights_in_place_, x_in_place_, out_in_place_;
    const int64_t x_row_, out_row_;
    const int64_t read_from_, weights_row_;  // columns of weights from `read_from_` on are copied to a buffer
    T *const weights_, *const bias_, *const x_, *const out_;
};

}  // namespace
