// Periodic embeddings of numeric columns: of a column x, the cosines, and perhaps the sines, of 2 pi w x + b for several trained
// frequencies w, and a trained linear map of these (Gorishniy, Rubachev and Babenko 2022, arXiv:2203.05556).
//
// The lanes of a vector are rows of X, so that neither the width of vectors nor the place of a row changes a bit. Sums over rows are
// partial sums, one for each lane of a block.
//
// Each column has a row of parameters: its frequencies, perhaps as many phases, the weights of the linear map (one row for each
// cosine, then for each sine), and its biases.
#pragma once

#include "elementary_special.h"
#include "embedding_kernels.h"

namespace {

template <class T, class E> constexpr EmbeddingKernels<T> periodic_kernels();

// The values of one number for a block of rows.
template <class T> struct Lanes {
    Vec<T> v[block_vectors];
};

// PBLD (Holzmüller, Grinsztajn and Steinwart 2024, arXiv:2407.04491): cosines with phases, and the column itself as the last output.
struct Pbld {
    template <class T> static constexpr EmbeddingKernels<T> kernels() { return periodic_kernels<T, Pbld>(); }
    static constexpr bool has_phases = true, has_sines = false, rectifies = false, keeps_column = true;
};

// PLR (Gorishniy et al. 2022): cosines and sines, and a ReLU of the linear map.
struct Plr {
    template <class T> static constexpr EmbeddingKernels<T> kernels() { return periodic_kernels<T, Plr>(); }
    static constexpr bool has_phases = false, has_sines = true, rectifies = true, keeps_column = false;
};

template <class T, class E> class Periodic {
  public:
    Periodic(const Embedding &e, const T *parameters, int64_t column)
        : n_frequencies_(e.n_frequencies),
          n_linear_(e.columns[column].width - E::keeps_column),
          row_(parameters + column * e.parameters.row) {}

    static void forward(const Embedding &e, const T *parameters, const EmbeddedRows<T> &rows) {
        for (int64_t c = 0; c < e.n_columns; c++) {
            const Periodic own(e, parameters, c);
            for (int64_t i = 0; i < rows.n_rows; i += block) {
                const int64_t n = rows.n_rows - i < block ? rows.n_rows - i : block;
                own.forward(n, rows.x + i * rows.x_row + e.columns[c].of_x, rows.x_row,
                            rows.out + i * rows.out_row + e.columns[c].place, rows.out_row);
            }
        }
    }

    static void back(const Embedding &e, const T *parameters, const EmbeddedRows<T> &rows, T *to, int64_t to_row) {
        Lanes<T> deltas[max_wave_outputs];
        for (int64_t c = 0; c < e.n_columns; c++) {
            const Periodic own(e, parameters, c);
            for (int64_t i = 0; i < rows.n_rows; i += block) {
                const int64_t n = rows.n_rows - i < block ? rows.n_rows - i : block;
                alignas(block_bytes) T x[block], by_x[block];
                gather(rows.x + i * rows.x_row + e.columns[c].of_x, rows.x_row, n, x);
                gather_deltas(e, rows, c, i, n, reinterpret_cast<T *>(deltas), block);
                own.back(x, deltas, by_x);
                for (int64_t q = 0; q < n; q++) to[(i + q) * to_row + e.columns[c].of_x] = by_x[q];
            }
        }
    }

    static void turn(const Embedding &e, const EmbeddedRows<T> &rows, const EmbeddedColumns<T> &columns, int64_t first) {
        for (int64_t c = 0; c < e.n_columns; c++)
            for (int64_t i = 0; i < rows.n_rows; i += block) {
                const int64_t n = rows.n_rows - i < block ? rows.n_rows - i : block;
                gather(rows.x + i * rows.x_row + e.columns[c].of_x, rows.x_row, n,
                       columns.x + e.columns[c].of_x * columns.row + first + i);
                gather_deltas(e, rows, c, i, n, columns.delta + e.columns[c].place * columns.row + first + i, columns.row);
            }
    }

    static void gradient(const Embedding &e, const T *parameters, const EmbeddedRows<T> &, const EmbeddedColumns<T> &columns,
                         Range own, bool add, T *to) {
        const Block &block_of = e.parameters;
        for (int64_t c = own.begin; c < own.end; c++) {
            T *row = to + c * block_of.row;
            if (!add) std::memset(row, 0, size_t(block_of.row) * sizeof(T));
            Periodic(e, parameters, c)
                .add_gradient(columns, columns.x + e.columns[c].of_x * columns.row,
                              columns.delta + e.columns[c].place * columns.row, row);
        }
    }

  private:
    static constexpr int64_t block = block_lanes<T>;
    static constexpr T two_pi = T(6.283185307179586);

    // Copies n values, `step` elements apart, and zeros up to a whole block.
    static void gather(const T *from, int64_t step, int64_t n, T *to) {
        for (int64_t q = 0; q < block; q++) to[q] = q < n ? from[q * step] : T(0);
    }

    // Copies the derivatives by a column's outputs for n rows: by the sums, where a ReLU follows these.
    static void gather_deltas(const Embedding &e, const EmbeddedRows<T> &rows, int64_t c, int64_t i, int64_t n, T *to,
                              int64_t to_row) {
        const T *out = rows.out + i * rows.out_row + e.columns[c].place;
        for (int64_t o = 0; o < e.columns[c].width; o++) {
            T *own = to + o * to_row;
            gather(rows.delta + i * rows.delta_row + e.columns[c].place + o, rows.delta_row, n, own);
            if constexpr (E::rectifies)
                for (int64_t q = 0; q < n; q++) own[q] = out[q * rows.out_row + o] > T(0) ? own[q] : T(0);
        }
    }

    // Places in the row of parameters.
    int64_t phase(int64_t k) const { return n_frequencies_ + k; }
    int64_t weights(int64_t k) const { return (1 + E::has_phases) * n_frequencies_ + k * n_linear_; }
    int64_t weights_of_sines(int64_t k) const { return weights(n_frequencies_ + k); }
    int64_t biases() const { return weights((1 + E::has_sines) * n_frequencies_); }

    // Sets the sines and cosines for frequency k.
    FASTNN_INLINE void sincos_of(Vec<T> x, T factor, T phase, Vec<T> &s, Vec<T> &c) {
        sincos(E::has_phases ? fma(x, splat(factor), splat(phase)) : x * splat(factor), s, c);
    }
    T factor(int64_t k) const { return two_pi * row_[k]; }
    T phase_of(int64_t k) const { return E::has_phases ? row_[phase(k)] : T(0); }

    void forward(int64_t n, const T *from, int64_t from_row, T *to, int64_t to_row) const {
        alignas(block_bytes) T x[block];
        Lanes<T> sums[max_wave_outputs];
        gather(from, from_row, n, x);
        for (int64_t o = 0; o < n_linear_; o++)
            for (int v = 0; v < block_vectors; v++) sums[o].v[v] = splat(row_[biases() + o]);
        for (int64_t k = 0; k < n_frequencies_; k++) {
            Lanes<T> s, c;
            for (int v = 0; v < block_vectors; v++) sincos_of(load(x + v * lanes<T>), factor(k), phase_of(k), s.v[v], c.v[v]);
            const T *of_cosine = row_ + weights(k), *of_sine = row_ + weights_of_sines(k);
            for (int64_t o = 0; o < n_linear_; o++)
                for (int v = 0; v < block_vectors; v++) {
                    sums[o].v[v] = fma(c.v[v], splat(of_cosine[o]), sums[o].v[v]);
                    if constexpr (E::has_sines) sums[o].v[v] = fma(s.v[v], splat(of_sine[o]), sums[o].v[v]);
                }
        }
        for (int64_t o = 0; o < n_linear_; o++) {
            alignas(block_bytes) T values[block];
            for (int v = 0; v < block_vectors; v++)
                store(values + v * lanes<T>, E::rectifies ? max(Vec<T>{}, sums[o].v[v]) : sums[o].v[v]);
            for (int64_t q = 0; q < n; q++) to[q * to_row + o] = values[q];
        }
        if constexpr (E::keeps_column)
            for (int64_t q = 0; q < n; q++) to[q * to_row + n_linear_] = x[q];
    }

    // The derivative by the angle 2 pi w x + b of frequency k.
    FASTNN_INLINE Vec<T> by_angle(Vec<T> s, Vec<T> c, Vec<T> by_cosine, Vec<T> by_sine) {
        const Vec<T> change = -s * by_cosine;
        if constexpr (E::has_sines) return fma(c, by_sine, change);
        else return change;
    }

    void back(const T *x, const Lanes<T> *deltas, T *to) const {
        Lanes<T> sums = {};
        if constexpr (E::keeps_column) sums = deltas[n_linear_];
        for (int64_t k = 0; k < n_frequencies_; k++)
            for (int v = 0; v < block_vectors; v++) {
                Vec<T> s, c, by_cosine = {}, by_sine = {};
                sincos_of(load(x + v * lanes<T>), factor(k), phase_of(k), s, c);
                for (int64_t o = 0; o < n_linear_; o++) {
                    by_cosine = fma(deltas[o].v[v], splat(row_[weights(k) + o]), by_cosine);
                    if constexpr (E::has_sines) by_sine = fma(deltas[o].v[v], splat(row_[weights_of_sines(k) + o]), by_sine);
                }
                sums.v[v] = fma(by_angle(s, c, by_cosine, by_sine), splat(factor(k)), sums.v[v]);
            }
        for (int v = 0; v < block_vectors; v++) store(to + v * lanes<T>, sums.v[v]);
    }

    // Adds the gradients of a column's parameters to a row. x: the column's values; deltas: rows of derivatives by its sums.
    void add_gradient(const EmbeddedColumns<T> &columns, const T *x, const T *deltas, T *to) const {
        Lanes<T> of_cosine[max_wave_outputs], of_sine[E::has_sines ? max_wave_outputs : 1];
        for (int64_t k = 0; k < n_frequencies_; k++) {
            Lanes<T> of_frequency = {}, of_phase = {};
            std::memset(of_cosine, 0, size_t(n_linear_) * sizeof *of_cosine);
            if constexpr (E::has_sines) std::memset(of_sine, 0, size_t(n_linear_) * sizeof *of_sine);
            for (int64_t i = 0; i < columns.n_rows; i += block)
                for (int v = 0; v < block_vectors; v++) {
                    const int64_t at = i + v * lanes<T>;
                    Vec<T> s, c, by_cosine = {}, by_sine = {};
                    const Vec<T> own = load(x + at);
                    sincos_of(own, factor(k), phase_of(k), s, c);
                    for (int64_t o = 0; o < n_linear_; o++) {
                        const Vec<T> delta = load(deltas + o * columns.row + at);
                        by_cosine = fma(delta, splat(row_[weights(k) + o]), by_cosine);
                        of_cosine[o].v[v] = fma(delta, c, of_cosine[o].v[v]);
                        if constexpr (E::has_sines) {
                            by_sine = fma(delta, splat(row_[weights_of_sines(k) + o]), by_sine);
                            of_sine[o].v[v] = fma(delta, s, of_sine[o].v[v]);
                        }
                    }
                    const Vec<T> by = by_angle(s, c, by_cosine, by_sine);
                    of_frequency.v[v] = fma(by, own, of_frequency.v[v]);
                    if constexpr (E::has_phases) of_phase.v[v] += by;
                }
            to[k] += two_pi * sum_block<T>(of_frequency.v);
            if constexpr (E::has_phases) to[phase(k)] += sum_block<T>(of_phase.v);
            for (int64_t o = 0; o < n_linear_; o++) {
                to[weights(k) + o] += sum_block<T>(of_cosine[o].v);
                if constexpr (E::has_sines) to[weights_of_sines(k) + o] += sum_block<T>(of_sine[o].v);
            }
        }
        for (int64_t o = 0; o < n_linear_; o++) {
            Lanes<T> sums = {};
            for (int64_t i = 0; i < columns.n_rows; i += block)
                for (int v = 0; v < block_vectors; v++) sums.v[v] += load(deltas + o * columns.row + i + v * lanes<T>);
            to[biases() + o] += sum_block<T>(sums.v);
        }
    }

    const int64_t n_frequencies_, n_linear_;
    const T *const row_;  // the column's parameters
};

template <class T, class E> constexpr EmbeddingKernels<T> periodic_kernels() {
    return {Periodic<T, E>::forward, Periodic<T, E>::back, Periodic<T, E>::turn, Periodic<T, E>::gradient};
}

}  // namespace
