// The input stage of a network in a pass: its workspace, and its way forward and back for some of a chunk's rows.
//
// Nothing here is inlined: the code that all networks run stays short.
#pragma once

#include <algorithm>

#include "embedding_kernels.h"
#include "input_rows.h"
#include "kernel_tables.h"

namespace {

// The workspace, which all threads share.
template <class T> struct StageBuffers {
    T *x;                       // rows of X, x_row apart
    T *delta;                   // the loss's derivative by the outputs, in rows like theirs; null without a backward pass
    EmbeddedColumns<T> turned;  // for the gradients of parameters; null without these
    int64_t x_row, out_row;
    T *out;  // outputs before their scales and dropout; null without these, where the first layer's inputs are the outputs
};

template <class T> class StageRun {
  public:
    StageRun(const InputStage &stage, const T *parameters, const StageBuffers<T> &buffers, T *out)
        : stage_(stage), parameters_(parameters), buffers_(buffers), out_(out) {}

    // rows: of the largest chunk. If the arena has no memory, it only counts the bytes, and the result is null.
    __attribute__((noinline)) static StageBuffers<T> *take(const InputStage &stage, int64_t rows, int64_t n_out, bool backward,
                                                           bool by_parameters, bool changes, Arena &arena) {
        StageBuffers<T> *const taken = arena.take<StageBuffers<T>>(1);
        StageBuffers<T> b = {};
        b.x_row = padded_row(stage.n_in, sizeof(T)), b.out_row = padded_row(n_out, sizeof(T));
        b.x = arena.take<T>(rows * b.x_row);
        if (changes) b.out = arena.take<T>(rows * b.out_row);
        if (backward) b.delta = arena.take<T>(rows * b.out_row);
        if (by_parameters) {
            b.turned.row = padded_row(round_up(rows, row_group), sizeof(T));
            b.turned.x = arena.take<T>(stage.n_in * b.turned.row), b.turned.delta = arena.take<T>(n_out * b.turned.row);
        }
        if (taken) *taken = b;
        return taken;
    }

    // Reads some of the chunk's rows, and sets the outputs.
    __attribute__((noinline)) void read(const Rows &x, const Batch &chunk, Range rows) const {
        read_rows<T>(x, chunk, rows, stage_.n_in, buffers_.x, buffers_.x_row);
        for_each(
            [&](const Embedding &e, const EmbeddingKernels<T> &kernels, const T *own) { kernels.forward(e, own, some(rows)); });
    }

    const T *out() const { return out_; }

    // The derivatives by the outputs, of which the first row is that of the chunk.
    T *delta() const { return buffers_.delta; }
    int64_t delta_row() const { return buffers_.out_row; }

    // After delta was set for some rows, makes these ready for the gradients of parameters.
    __attribute__((noinline)) void turn(Range rows) const {
        if (!buffers_.turned.x) return;
        for_each([&](const Embedding &e, const EmbeddingKernels<T> &kernels, const T *) {
            if (kernels.turn) kernels.turn(e, some(rows), buffers_.turned, rows.begin);
        });
    }

    // After delta was set for some rows, stores the derivatives by X.
    __attribute__((noinline)) void by_input(Range rows, T *to, int64_t to_row) const {
        back(some(rows), to + rows.begin * to_row, to_row);
    }

    // Turns n lines, the derivatives of some outputs of the network by the stage's outputs in one row, into those by X.
    __attribute__((noinline)) void pass_lines(int64_t row, int64_t n, const T *lines, int64_t line, T *to, int64_t to_row) const {
        back({n, buffers_.x + row * buffers_.x_row, 0, out_ + row * buffers_.out_row, 0, lines, line}, to, to_row);
    }

    // For a chunk without any row that counts.
    __attribute__((noinline)) void clear(Range rows, int64_t n_out) const {
        const EmbeddedColumns<T> &turned = buffers_.turned;
        const size_t bytes = size_t(round_up(rows.size(), row_group)) * sizeof(T);
        std::memset(out_ + rows.begin * buffers_.out_row, 0, size_t(rows.size() * buffers_.out_row) * sizeof(T));
        if (buffers_.delta)
            std::memset(buffers_.delta + rows.begin * buffers_.out_row, 0, size_t(rows.size() * buffers_.out_row) * sizeof(T));
        for (int64_t j = 0; turned.x && j < stage_.n_in; j++) std::memset(turned.x + j * turned.row + rows.begin, 0, bytes);
        for (int64_t j = 0; turned.x && j < n_out; j++) std::memset(turned.delta + j * turned.row + rows.begin, 0, bytes);
        std::memset(buffers_.x + rows.begin * buffers_.x_row, 0, size_t(rows.size() * buffers_.x_row) * sizeof(T));
    }

    // Stores the gradients of some rows of an embedding's parameters, or adds them, after all rows of a chunk were made ready.
    __attribute__((noinline)) void gradient(const Block &parameters, int64_t n_rows, Range own, bool add, T *to) const {
        const Embedding &e = embedding_of(parameters);
        const EmbeddedColumns<T> &turned = buffers_.turned;
        all_embeddings<T>[e.kind].gradient(e, parameters_ + e.parameters.offset, some({0, n_rows}),
                                           {n_rows, turned.x, turned.delta, turned.row}, own, add, to);
    }

    // Adds the gradients of the rows of a table that a chunk touches.
    __attribute__((noinline)) void add_rows(const Block &parameters, int64_t n_rows, Range own, TouchedRows &touched, T *to) const {
        const Embedding &e = embedding_of(parameters);
        all_embeddings<T>[e.kind].add_rows(e, some({0, n_rows}), own, touched, to);
    }

  private:
    const Embedding &embedding_of(const Block &parameters) const {
        return *std::find_if(stage_.embeddings, stage_.embeddings + stage_.n_embeddings,
                             [&](const Embedding &each) { return &each.parameters == &parameters; });
    }

    template <class Use> void for_each(Use use) const {
        for (int64_t e = 0; e < stage_.n_embeddings; e++) {
            const Embedding &own = stage_.embeddings[e];
            use(own, all_embeddings<T>[own.kind], parameters_ + own.parameters.offset);
        }
    }

    EmbeddedRows<T> some(Range rows) const {
        return {rows.size(),      buffers_.x + rows.begin * buffers_.x_row,
                buffers_.x_row,   out_ + rows.begin * buffers_.out_row,
                buffers_.out_row, buffers_.delta ? buffers_.delta + rows.begin * buffers_.out_row : nullptr,
                buffers_.out_row};
    }

    void back(const EmbeddedRows<T> &rows, T *to, int64_t to_row) const {
        for_each(
            [&](const Embedding &e, const EmbeddingKernels<T> &kernels, const T *own) { kernels.back(e, own, rows, to, to_row); });
    }

    const InputStage &stage_;
    const T *const parameters_;
    const StageBuffers<T> &buffers_;
    T *const out_;
};

}  // namespace
