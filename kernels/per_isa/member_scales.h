// Scales of a shared ensemble's members around the weights of a hidden layer: z = ((x * r) @ W) * s + b, where each member has vectors
// r, s and b of its own.
//
// The outputs of a layer are scaled where they stand, so that products and gradients of weights read the next layer's inputs there.
// Nothing here is inlined: the code that all networks run stays short.
#pragma once

#include "kernel_tables.h"
#include "padding.h"

namespace {

// Rows like those of the layer's outputs.
template <class T> struct MemberBuffers {
    T *unscaled;  // outputs before the scales of the next layer, later the loss's derivative by these scales; null without them
    T *sums;      // x @ W, later the loss's derivative by the scales of the outputs; null without gradients of parameters
    T *by_bias;   // the loss's derivative by z; null without gradients of parameters
};

template <class T> class MemberScales {
  public:
    // next: the layer behind.
    MemberScales(const Layer &layer, const Layer &next, const T *parameters, const MemberBuffers<T> &buffers)
        : layer_(layer),
          outputs_(parameters + layer.block(BlockKind::output_scales)->offset),
          biases_(parameters + layer.biases().offset),
          next_(next.scales_members ? parameters + next.block(BlockKind::scales)->offset : nullptr),
          buffers_(buffers) {}

    // If the arena has no memory, it only counts the bytes, and the result is null.
    static MemberBuffers<T> *take(const Layer &layer, const Layer &next, int64_t rows, bool weight_gradient, Arena &arena) {
        MemberBuffers<T> *const taken = arena.take<MemberBuffers<T>>(1);
        MemberBuffers<T> b = {};
        if (next.scales_members) b.unscaled = arena.take<T>(rows * layer.row);
        if (weight_gradient) b.sums = arena.take<T>(rows * layer.row), b.by_bias = arena.take<T>(rows * layer.row);
        if (taken) *taken = b;
        return taken;
    }

    // Products x @ W become sums z.
    __attribute__((noinline)) void finish_sums(T *out, Range rows) const {
        keep(buffers_.sums, out, rows);
        for_each_row(rows, [&](int64_t first, int64_t of_member) {
            T *const z = out + first;
            const T *const scales = outputs_ + of_member, *const biases = biases_ + of_member;
            for_each_vector<T>(layer_.row, [=](int64_t j, auto access) {
                access.store(z + j, access.load(z + j) * access.load(scales + j) + access.load(biases + j));
            });
        });
    }

    // Outputs become the next layer's scaled inputs.
    __attribute__((noinline)) void scale_outputs(T *out, Range rows) const {
        if (!next_) return;
        keep(buffers_.unscaled, out, rows);
        scale(next_, out, rows);
    }

    // The loss's derivative by the next layer's scaled inputs becomes that by the outputs. Sets the contributions to the gradient of
    // these scales.
    __attribute__((noinline)) void pass_outputs_back(T *delta, Range rows) const {
        if (!next_) return;
        const int64_t first = rows.begin * layer_.row;
        multiply_by(buffers_.unscaled + first, delta + first, rows.size() * layer_.row);
        clear_padding(buffers_.unscaled + first, rows.size(), layer_.n_out, layer_.row);
        scale(next_, delta, rows);
    }

    // The derivative by z becomes that by the products x @ W. Sets the contributions to the gradients of biases and scales.
    __attribute__((noinline)) void pass_sums_back(T *delta, Range rows) const {
        keep(buffers_.by_bias, delta, rows);
        const int64_t first = rows.begin * layer_.row;
        if (buffers_.sums) multiply_by(buffers_.sums + first, delta + first, rows.size() * layer_.row);
        scale(outputs_, delta, rows);
    }

  private:
    void keep(T *to, const T *values, Range rows) const {
        const int64_t first = rows.begin * layer_.row;
        if (to) std::memcpy(to + first, values + first, size_t(rows.size() * layer_.row) * sizeof(T));
    }

    void scale(const T *scales, T *values, Range rows) const {
        for_each_row(rows, [&](int64_t first, int64_t of_member) { multiply_by(values + first, scales + of_member, layer_.row); });
    }

    // Calls use(place of the row, place of its member's vector) for each row. The vectors are rows like those of the outputs.
    template <class Use> void for_each_row(Range rows, Use use) const {
        int64_t member = rows.begin % layer_.n_members;
        for (int64_t i = rows.begin; i < rows.end; i++) {
            use(i * layer_.row, member * layer_.row);
            if (++member == layer_.n_members) member = 0;
        }
    }

    const Layer &layer_;
    const T *const outputs_, *const biases_;
    const T *const next_;  // the scales of the next layer's inputs; null without them
    const MemberBuffers<T> &buffers_;
};

}  // namespace
