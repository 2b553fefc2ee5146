// The changes of inputs before the first layer, dropout and a trained scale of each feature, and the way back through them.
//
// Nothing here is inlined: the code that all networks run stays short.
#pragma once

#include "kernel_tables.h"
#include "padding.h"
#include "pass_inputs.h"
#include "random.h"
#include "sparse.h"

namespace {

// Rows like those of the copied inputs.
template <class T> struct InputBuffers {
    T *dropped = nullptr;   // inputs after dropout, before their scales; null without gradients of scales
    T *by_scale = nullptr;  // the loss's derivative by the scales, for each row; for sparse chunks one row with the sums; or null
};

template <class T> class ChangedInputs {
  public:
    ChangedInputs(const Layer &first, const T *parameters, int64_t row, const InputBuffers<T> &buffers)
        : layer_(first),
          scales_(first.scales_inputs ? parameters + first.block(BlockKind::scales)->offset : nullptr),
          member_row_(first.n_members > 1 ? first.block(BlockKind::scales)->row : 0),
          row_(row),
          buffers_(buffers) {}

    // rows: of the largest chunk. If the arena has no memory, it only counts the bytes.
    static InputBuffers<T> take(int64_t rows, int64_t row, bool sparse, Arena &arena) {
        if (sparse) return {nullptr, arena.take<T>(row)};
        T *const dropped = arena.take<T>(rows * row);
        return {dropped, arena.take<T>(rows * row)};
    }

    InputFactors<T> factors(const Dropout &dropout) const {
        const bool drops = dropout.key && layer_.input_dropout > 0;
        return {scales_, drops ? dropout.key : nullptr, layer_.input_dropout * dropout.factor, dropout.first_row};
    }

    // Copies the chunk's dense rows of a range to x, and changes them there.
    __attribute__((noinline)) void read(const Rows &rows, const Batch &chunk, Range range, const InputFactors<T> &factors,
                                        T *x) const {
        read_rows<T>(rows, chunk, range, layer_.n_in, dropped(x), row_);
        change(range, factors, x);
    }

    // The same for the outputs of an input stage, in rows like those of x, which stay as they are.
    __attribute__((noinline)) void read_outputs(const T *outputs, Range range, const InputFactors<T> &factors, T *x) const {
        const int64_t first = range.begin * row_;
        std::memcpy(dropped(x) + first, outputs + first, size_t(range.size() * row_) * sizeof(T));
        change(range, factors, x);
    }

    // to[k] = from[k] * scale of feature k, for row i of the chunk.
    void scale_row(int64_t i, const T *from, T *to) const {
        const T *scales = member_row_ ? scales_ + i % layer_.n_members * member_row_ : scales_;
        for_each_vector<T>(layer_.n_in,
                           [=](int64_t k, auto access) { access.store(to + k, access.load(from + k) * access.load(scales + k)); });
    }

    // The derivative by each of the rows' scaled inputs becomes that by the scale.
    __attribute__((noinline)) void finish_by_scale(Range rows) const {
        const int64_t first = rows.begin * row_;
        clear_padding(buffers_.by_scale + first, rows.size(), layer_.n_in, row_);
        multiply_by(buffers_.by_scale + first, buffers_.dropped + first, rows.size() * row_);
    }

    // The derivatives by some rows' changed inputs become those by the outputs of the input stage. Where the gradient of the scales is
    // needed, sets its contributions.
    __attribute__((noinline)) void pass_back_to_outputs(Range rows, const InputFactors<T> &factors, T *delta) const {
        const int64_t first = rows.begin * row_;
        if (buffers_.by_scale) {
            std::memcpy(buffers_.by_scale + first, delta + first, size_t(rows.size() * row_) * sizeof(T));
            finish_by_scale(rows);
        }
        for (int64_t i = rows.begin; scales_ && i < rows.end; i++) scale_row(i, delta + i * row_, delta + i * row_);
        drop(rows, factors, delta);
    }

    // Sets the sums of a sparse chunk's derivatives by the scales of the features that a thread owns, with the bits that dense rows
    // have: each derivative by an input is one sum over the units, and each sum over rows has four parts. The entries' values are
    // those after dropout; afterwards, they are scaled.
    __attribute__((noinline)) void finish_sparse(Entries<T> &entries, Range own, const T *delta, const T *weights) const {
        const int64_t end = own.end == layer_.n_in ? row_ : own.end;  // with the padding
        std::memset(buffers_.by_scale + own.begin, 0, size_t(end - own.begin) * sizeof(T));
        entries.for_each_column(own, [&](int64_t k, const Entry<T> *first, const Entry<T> *end) {
            buffers_.by_scale[k] = sum_by_scale(first, end, delta, weights + k * (layer_.narrow ? 1 : layer_.weights().row));
        });
        entries.change_values([&](int64_t, int64_t k, T value) { return value * scales_[k]; });
    }

  private:
    T *dropped(T *x) const { return buffers_.dropped ? buffers_.dropped : x; }

    void drop(Range rows, const InputFactors<T> &factors, T *values) const {
        if (!factors.key) return;
        const Mask<T> mask(*factors.key, input_layer, factors.probability);
        for (int64_t i = rows.begin; i < rows.end; i++)
            drop_units(mask, (factors.first_row + i) * layer_.n_in, layer_.n_in, values + i * row_);
    }

    void change(Range rows, const InputFactors<T> &factors, T *x) const {
        drop(rows, factors, dropped(x));
        for (int64_t i = rows.begin; scales_ && i < rows.end; i++) scale_row(i, dropped(x) + i * row_, x + i * row_);
    }

    T sum_by_scale(const Entry<T> *first, const Entry<T> *end, const T *delta, const T *weights) const {
        const int64_t by_output = layer_.narrow ? layer_.weights().row : 1;
        T sums[4] = {};
        for (const Entry<T> *e = first; e < end; e += lanes<T>) {
            const int64_t count = end - e < lanes<T> ? end - e : lanes<T>;
            Vec<T> by_input = {};
            for (int64_t j = 0; j < layer_.n_out; j++) {
                Vec<T> deltas = {};
                for (int64_t q = 0; q < count; q++) deltas[q] = delta[e[q].row * layer_.row + j];
                by_input = fma(deltas, splat(weights[j * by_output]), by_input);
            }
            for (int64_t q = 0; q < count; q++) sums[e[q].row % 4] += by_input[q] * e[q].value;
        }
        return (sums[0] + sums[1]) + (sums[2] + sums[3]);
    }

    const Layer &layer_;
    const T *const scales_;
    const int64_t member_row_;  // elements from one member's scales to the next; 0 without members
    const int64_t row_;
    const InputBuffers<T> &buffers_;
};

}  // namespace
