// The normalization of a layer in a pass: its workspace, and its way forward and back for some of a chunk's rows.
//
// Nothing here is inlined: the code that all networks run stays short.
#pragma once

#include <algorithm>

#include "input_rows.h"
#include "kernel_tables.h"
#include "padding.h"

namespace {

// All but the factors, of which each row has one, are rows like those of the layer's outputs.
template <class T> struct NormalizationBuffers {
    T *by_gain;   // the normalized units, later the loss's derivative by the unit's gain; null without a backward pass
    T *factors;   // of rows; null without a backward pass
    T *by_shift;  // the loss's derivative by the unit's shift; null without gradients of parameters
    T *mask;      // of dropout, if the normalization is that of outputs; null without both
};

template <class T> class LayerNormalization {
  public:
    LayerNormalization(const Layer &layer, const T *parameters, const NormalizationBuffers<T> &buffers)
        : layer_(layer),
          kernels_(all_normalizations<T>[layer.normalization]),
          gains_(of(BlockKind::gains, parameters)),
          shifts_(of(BlockKind::shifts, parameters)),
          buffers_(buffers) {}

    // rows: of the largest chunk. If the arena has no memory, it only counts the bytes, and the result is null.
    __attribute__((noinline)) static NormalizationBuffers<T> *take(const Layer &layer, int64_t rows, bool backward,
                                                                   bool by_parameters, Arena &arena) {
        NormalizationBuffers<T> *const taken = arena.take<NormalizationBuffers<T>>(1);
        NormalizationBuffers<T> b = {};
        if (backward) b.by_gain = arena.take<T>(rows * layer.row), b.factors = arena.take<T>(rows);
        if (by_parameters) b.by_shift = arena.take<T>(rows * layer.row);
        if (backward && layer.normalizes_outputs && layer.dropout > 0) b.mask = arena.take<T>(rows * layer.row);
        if (taken) *taken = b;
        return taken;
    }

    // The arguments point to the first row of all.
    __attribute__((noinline)) void forward(T *units, Range rows) const {
        const int64_t first = rows.begin * layer_.row;
        kernels_.value(units + first, gains_, shifts_, buffers_.by_gain ? buffers_.by_gain + first : nullptr,
                       buffers_.factors ? buffers_.factors + rows.begin : nullptr, rows.size(), layer_.n_out, layer_.row);
    }

    // Returns the first of the given rows of the mask, which drops nothing yet, or null if there is none.
    T *reset_mask(Range rows) const {
        if (!buffers_.mask) return nullptr;
        T *const first = buffers_.mask + rows.begin * layer_.row;
        std::fill(first, first + rows.size() * layer_.row, T(1));
        return first;
    }

    // delta, the loss's derivative by the outputs, becomes that by the inputs. The contributions to gains and shifts are set.
    __attribute__((noinline)) void back(T *delta, Range rows) const {
        const int64_t first = rows.begin * layer_.row, count = rows.size() * layer_.row;
        delta += first;
        if (buffers_.mask) multiply_by(delta, buffers_.mask + first, count);
        if (buffers_.by_shift) std::memcpy(buffers_.by_shift + first, delta, size_t(count) * sizeof(T));
        kernels_.back(delta, gains_, buffers_.by_gain + first, buffers_.factors + rows.begin, rows.size(), layer_.n_out,
                      layer_.row);
        if (buffers_.by_shift) multiply_by(buffers_.by_gain + first, buffers_.by_shift + first, count);
    }

    // After forward, a line, the derivative by the outputs in one row, becomes that by the inputs, or, with `forward`, a derivative
    // of the inputs becomes that of the outputs.
    void pass_line(T *line, int64_t row, bool forward) const {
        (forward ? kernels_.forward : kernels_.back)(line, gains_, buffers_.by_gain + row * layer_.row, buffers_.factors + row, 1,
                                                     layer_.n_out, layer_.row);
    }

  private:
    const T *of(BlockKind kind, const T *parameters) const {
        const Block *block = layer_.block(kind);
        return block ? parameters + block->offset : nullptr;
    }

    const Layer &layer_;
    const NormalizationKernels<T> &kernels_;
    const T *const gains_, *const shifts_;
    const NormalizationBuffers<T> &buffers_;
};

}  // namespace
