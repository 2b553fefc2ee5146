// The updates of hidden matrices by Muon: an orthogonal matrix close to the mean of gradients, found by a Newton-Schulz iteration
// (Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024).
//
// All threads work on one matrix together, each on rows of its own. Each sum has one owner and one order.
#pragma once

#include <algorithm>
#include <cmath>

#include "block_parts.h"
#include "optimizer_state.h"
#include "penalties.h"
#include "products.h"

namespace {

// Whether Muon makes orthogonal updates of a block: the weights between hidden layers. Others get those of AdamW.
inline bool is_hidden_matrix(const Network &network, int64_t l, const Block &block) {
    return block.kind == BlockKind::weights && l > 0 && l < network.n_layers - 1;
}

template <class T> class OrthogonalUpdates {
  public:
    // If not in use, or if the arena has no memory, there are no arrays.
    OrthogonalUpdates(const Training &training, bool in_use, Arena &arena)
        : momentum_(T(training.optimizer.momentum)), one_minus_momentum_(T(1 - training.optimizer.momentum)) {
        int64_t short_side = 0, long_side = 0, rows = 0;
        for (int64_t l = 1; in_use && l < training.network.n_layers - 1; l++) {
            const Layer &layer = training.network.layers[l];
            short_side = std::max(short_side, std::min(layer.n_in, layer.n_out));
            long_side = std::max(long_side, std::max(layer.n_in, layer.n_out));
            rows = std::max(rows, layer.n_in);
        }
        const int64_t wide = short_side * row_of(long_side), square = short_side * row_of(short_side);
        x_ = arena.take<T>(wide);
        y_ = arena.take<T>(wide);
        transposed_ = arena.take<T>(long_side * row_of(short_side));
        gram_ = arena.take<T>(square);
        factor_ = arena.take<T>(square);
        direction_ = arena.take<T>(rows * row_of(long_side));
        squares_ = arena.take<T>(rows);
    }

    // Moves the momentum of a layer's weights towards the gradient, and the weights along the orthogonal matrix. All threads wait for
    // each other before. Calls finish(part) for each part of the weights, when it is updated.
    template <class Finish>
    void update(const OptimizerState<T> &state, const T *gradient, int64_t l, const Layer &layer, const Team &team,
                const Coefficients<T> &c, Finish finish) const {
        const Block &block = layer.weights();
        const Range own = own_rows<T>(layer, block, team);
        move_momentum(state, gradient, block, own);
        team.wait();
        const bool transposes = block.rows > block.columns;
        const T *direction = orthogonalize(block, transposes, team, own);
        const T rate = c.gradient_learning_rate * T(0.2 * std::sqrt(double(std::max(block.rows, block.columns))));
        const int64_t from_row = row_of(block.columns);
        for (int64_t i = own.begin; i < own.end; i++) {
            T *w = state.parameters() + block.offset + i * block.row;
            const T *from = direction + i * from_row;
            for_each_vector<T>(block.columns, [=](int64_t j, auto access) {
                access.store(w + j, fma(splat(-rate), access.load(from + j), access.load(w + j) * c.decay_factor));
            });
        }
        for_each_part<T>(own_rows_of<T>(l, layer, block, team), block.rows, finish);
        team.wait();  // the next layer has the same arrays
    }

  private:
    static constexpr int steps = 5;
    static constexpr int64_t block_rows = 2 * block_lanes<T>;             // of a symmetric matrix: whole vectors
    static constexpr T a = T(3.4445), b = T(-4.7750), third = T(2.0315);  // of the iteration
    static int64_t row_of(int64_t n) { return padded_row(n, sizeof(T)); }

    // m += (1 - momentum) (g - m), and direction = g + momentum (m - g), as Nesterov; and the sum of each row's squares.
    void move_momentum(const OptimizerState<T> &state, const T *gradient, const Block &block, Range own) const {
        T *const momentum = state.arrays(block.offset)[1];
        const int64_t row = row_of(block.columns);
        for (int64_t i = own.begin; i < own.end; i++) {
            const T *g = gradient + i * block.row;
            T *m = momentum + i * block.row, *to = direction_ + i * row;
            for_each_vector<T>(row, [this, g, m, to](int64_t j, auto access) {  // with the padding, which is zero
                const Vec<T> gj = access.load(g + j);
                const Vec<T> mj = fma(splat(momentum_), access.load(m + j), one_minus_momentum_ * gj);
                access.store(m + j, mj);
                access.store(to + j, fma(splat(momentum_), mj, one_minus_momentum_ * gj));
            });
            squares_[i] = sum_of_squares(to, row);
        }
    }

    // Returns a matrix like the block with the directions of the mean, whose singular values are about 1. It has the rows of
    // row_of(block.columns). of_mean: the rows of the mean that the thread owns.
    const T *orthogonalize(const Block &block, bool transposes, const Team &team, Range of_mean) const {
        const int64_t n = transposes ? block.columns : block.rows, m = transposes ? block.rows : block.columns;
        const int64_t row = row_of(m), square_row = row_of(n);
        const Range own = share(n, lanes<T>, team);
        T *x = x_, *y = y_;
        start(block, transposes, x, row, team, own, of_mean);
        for (int step = 0; step < steps; step++) {
            transpose(x, row, transposed_, square_row, own, m);
            team.wait();
            multiply_symmetric({m, x, row, 1, transposed_, square_row, gram_, square_row}, n, team, [](int64_t, int64_t) {});
            team.wait();
            multiply_symmetric(
                {n, gram_, square_row, 1, gram_, square_row, factor_, square_row}, n, team,
                [&](int64_t i, int64_t count) { combine(b, gram_ + i * square_row, third, factor_ + i * square_row, count); });
            team.wait();
            for (int64_t i = own.begin; i < own.end; i++) scale(a, x + i * row, y + i * row, m);
            multiply<T, Start::previous, Finish::store>({n, factor_, square_row, 1, x, row, y, row}, own, {0, m});
            std::swap(x, y);
        }
        if (!transposes) return x;  // of which a thread needs its own rows
        transpose(x, row, transposed_, square_row, own, m);
        team.wait();
        return transposed_;
    }

    // Computes a symmetric matrix of n rows: the blocks up to the diagonal, of which the others are copies. Both have the same bits,
    // because their sums have the same products in the same order. Calls finish(row, count) for the first elements of each row, before
    // they are copied. Each thread computes rows of its own, with about as many elements as the others.
    template <class Use> static void multiply_symmetric(const Product<T> &p, int64_t n, const Team &team, Use finish) {
        const auto first_of = [&](int thread) {  // before it stand n^2 / 2 * thread / team.size elements
            const int64_t row = int64_t(std::sqrt(double(thread) / team.size) * double(n));
            return thread == team.size ? n : row / lanes<T> * lanes<T>;
        };
        const int64_t end = first_of(team.index + 1);
        for (int64_t begin = first_of(team.index), next; begin < end; begin = next) {
            next = std::min(begin + block_rows, end);
            multiply<T, Start::zero, Finish::store>(p, {begin, next}, {0, next});
            for (int64_t i = begin; i < next; i++) finish(i, next);
            transpose(p.c, p.c_row, p.c, p.c_row, {begin, next}, begin);
        }
    }

    // Sets x to the mean, or its transpose, divided by its norm.
    void start(const Block &block, bool transposes, T *x, int64_t row, const Team &team, Range own, Range of_mean) const {
        const int64_t from_row = row_of(block.columns);
        double sum = sum_of_rows(block);
        if (!std::isfinite(sum)) {
            team.wait();
            shrink(block, of_mean);
            team.wait();
            sum = sum_of_rows(block);
        }
        const T factor = T(1 / std::max(std::sqrt(sum), 1e-7));
        if (!transposes) {
            for (int64_t i = own.begin; i < own.end; i++) scale(factor, direction_ + i * from_row, x + i * row, block.columns);
            return;
        }
        const Range from = share(block.rows, lanes<T>, team);
        for (int64_t i = from.begin; i < from.end; i++)
            scale(factor, direction_ + i * from_row, direction_ + i * from_row, block.columns);
        transpose(direction_, from_row, x, row, from, block.columns);
        team.wait();
    }

    double sum_of_rows(const Block &block) const {
        double sum = 0;
        for (int64_t i = 0; i < block.rows; i++) sum += double(squares_[i]);
        return sum;
    }

    // Multiplies the mean by a power of two that makes all squares finite, and squares its rows anew.
    __attribute__((noinline)) void shrink(const Block &block, Range own) const {
        const int64_t row = row_of(block.columns);
        for (int64_t i = own.begin; i < own.end; i++) {
            scale(shrinking<T>, direction_ + i * row, direction_ + i * row, row);
            squares_[i] = sum_of_squares(direction_ + i * row, row);
        }
    }

    static void scale(T by, const T *from, T *to, int64_t n) {
        for_each_vector<T>(n, [=](int64_t j, auto access) { access.store(to + j, by * access.load(from + j)); });
    }
    // to = by_other * other + by * to.
    static void combine(T by_other, const T *other, T by, T *to, int64_t n) {
        for_each_vector<T>(n, [=](int64_t j, auto access) {
            access.store(to + j, fma(splat(by_other), access.load(other + j), by * access.load(to + j)));
        });
    }

    const T momentum_, one_minus_momentum_;
    T *x_, *y_;                // the matrix, with as many rows as its shorter side, before and after a step
    T *transposed_, *gram_;    // x^T, and x x^T
    T *factor_;                // b x x^T + c (x x^T)^2
    T *direction_, *squares_;  // like the weights, and the sums of its rows' squares
};

}  // namespace
