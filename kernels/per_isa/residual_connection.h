// Residual connections: the outputs of a layer, or the inputs, are added to a later layer's, as they are or by a trained projection.
//
// Nothing here is inlined: the code that all networks run stays short.
#pragma once

#include <cstring>

#include "input_rows.h"
#include "kernel_tables.h"
#include "padding.h"
#include "products.h"

namespace {

// Rows like those of the layer's outputs.
template <class T> struct ResidualBuffers {
    T *stream;     // the outputs before their normalization, if connections begin there; null otherwise
    T *delta;      // the loss's derivative by the sum in which a connection ends; null otherwise, and without a backward pass
    T *projected;  // of a narrow layer; null without a projection
    bool copies_delta;
};

// The connection that ends in a layer.
template <class T> class ResidualConnection {
  public:
    ResidualConnection(const Network &network, const Layer &layer, const T *parameters, T *out, const ResidualBuffers<T> &buffers)
        : layer_(layer),
          n_from_(network.n_from(layer.residual_from)),
          block_(layer.block(BlockKind::projections)),
          projection_(block_ ? parameters + block_->offset : nullptr),
          out_(out),
          buffers_(buffers) {}

    // starts: whether connections begin in the layer. delta: the layer's. If the arena has no memory, it only counts the bytes, and
    // the result is null.
    __attribute__((noinline)) static ResidualBuffers<T> *take(const Layer &layer, bool starts, int64_t rows, bool backward,
                                                              T *delta, bool has_derivative, Arena &arena) {
        ResidualBuffers<T> *const taken = arena.take<ResidualBuffers<T>>(1);
        ResidualBuffers<T> b = {};
        if (starts && layer.normalizes_outputs) b.stream = arena.take<T>(rows * layer.row);
        if (layer.residual_from >= 0 && backward) {
            // Behind the sum, delta changes once more.
            b.copies_delta = (layer.normalization && !layer.normalizes_outputs) || (!layer.adds_to_inputs && has_derivative);
            b.delta = b.copies_delta ? arena.take<T>(rows * layer.row) : delta;
        }
        if (layer.narrow && layer.block(BlockKind::projections)) b.projected = arena.take<T>(rows * layer.row);
        if (taken) *taken = b;
        return taken;
    }

    // Adds the units where the connection begins, of which the first row is given.
    __attribute__((noinline)) void add(const T *from, int64_t from_row, Range rows) const {
        if (!block_) return add_rows(from, from_row, out_, layer_.row, rows);
        if (!layer_.narrow)
            return multiply<T, Start::previous, Finish::store>(
                {n_from_, from, from_row, 1, projection_, block_->row, out_, layer_.row}, rows, {0, layer_.n_out});
        constexpr T no_bias[max_columns] = {};
        multiply_narrow(rows, n_from_, layer_.n_out, from, from_row, projection_, block_->row, no_bias, buffers_.projected);
        add_rows(buffers_.projected, layer_.row, out_, layer_.row, rows);
    }

    void keep_delta(const T *delta, Range rows) const {
        const int64_t first = rows.begin * layer_.row;
        if (buffers_.copies_delta) std::memcpy(buffers_.delta + first, delta + first, size_t(rows.size() * layer_.row) * sizeof(T));
    }

    // Adds the derivative by the units where the connection begins.
    __attribute__((noinline)) void add_back(Range rows, T *to, int64_t to_row, T *packing) const {
        if (!block_) return add_rows(buffers_.delta, layer_.row, to, to_row, rows);
        Product<T> p = {layer_.n_out, buffers_.delta, layer_.row, 1, projection_, block_->row, to, to_row};
        if (layer_.narrow) return multiply<T, Start::previous, Finish::store>(p, rows, {0, n_from_});
        p.b_is_transposed = true;
        multiply_packed<T, Start::previous, Finish::store>(p, rows, {0, n_from_}, packing);
    }

  private:
    // to += from, without the padding.
    void add_rows(const T *from, int64_t from_row, T *to, int64_t to_row, Range rows) const {
        for (int64_t i = rows.begin; i < rows.end; i++) {
            const T *in = from + i * from_row;
            T *sum = to + i * to_row;
            for_each_vector<T>(layer_.n_out,
                               [=](int64_t j, auto access) { access.store(sum + j, access.load(sum + j) + access.load(in + j)); });
        }
    }

    const Layer &layer_;
    const int64_t n_from_;
    const Block *const block_;  // of the projection; null if the units are added as they are
    const T *const projection_;
    T *const out_;
    const ResidualBuffers<T> &buffers_;
};

}  // namespace
