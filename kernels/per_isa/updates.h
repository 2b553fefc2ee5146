// What becomes of a batch's gradients: penalties, clipping, and the optimizer's step, or the product that does it all.
#pragma once

#include <algorithm>
#include <cmath>

#include "touched.h"

namespace {

constexpr int64_t piece_rows = 64;  // rows of weights whose gradient is used while it is in the cache

// base to a whole power, by squaring: the same on every machine.
inline double power(double base, int64_t exponent) {
    double result = 1;
    for (; exponent; exponent >>= 1, base *= base)
        if (exponent & 1) result *= base;
    return result;
}

// Successive powers of a base, one multiplication each. What comes out depends on the exponent alone, not on those asked for
// before: each begins at the last multiple of `page`, whose power is found by squaring.
class Powers {
  public:
    explicit Powers(double base) : base_(base) {}
    double operator()(int64_t exponent) {
        const int64_t start = exponent / page * page;
        if (exponent == start || exponent != exponent_ + 1) {
            exponent_ = start;
            value_ = power(base_, start);
        }
        for (; exponent_ < exponent; exponent_++) value_ *= base_;
        return value_;
    }

  private:
    static constexpr int64_t page = 64;
    double base_, value_ = 1;
    int64_t exponent_ = 0;
};

// The momentum of NAdam's update t, beta_1 (1 - 0.96^(t decay) / 2) (Dozat 2016; PyTorch's form).
class MomentumSchedule {
  public:
    MomentumSchedule(double beta_1, double decay) : beta_1_(beta_1), base_(std::pow(0.96, decay)), power_(base_) {}

    double operator()(int64_t t) { return beta_1_ * (1 - 0.5 * power_(t)); }

    // The product of the first t. It is below beta_1^t, and 0 where 1 - beta_1^t rounds to 1.
    double product(int64_t t) {
        if (double(t) * std::log(beta_1_) < -40) return 0;
        if (t < counted_) product_ = 1, base_power_ = 1, counted_ = 0;
        for (; counted_ < t; counted_++) product_ *= beta_1_ * (1 - 0.5 * (base_power_ *= base_));
        return product_;
    }

  private:
    double beta_1_, base_;
    Powers power_;
    int64_t counted_ = 0;
    double base_power_ = 1, product_ = 1;
};

// The coefficients of each update, which come in their order.
template <class T> class CoefficientsOf {
  public:
    explicit CoefficientsOf(const Optimizer &optimizer)
        : o_(optimizer),
          kernels_(all_optimizers<T>[o_.kind]),
          power_1_(o_.beta_1),
          power_2_(o_.beta_2),
          momentum_(o_.beta_1, o_.decay) {}
    // batch_weight: the sum of the batch's sample weights, not 0 where penalties are divided by it.
    Coefficients<T> operator()(double rate, int64_t updates, double batch_weight = 1) {
        const double share = o_.penalty_per_weight ? 1 / batch_weight : 1;
        Coefficients<T> c = {T(rate),       T(o_.beta_1),           T(1 - o_.beta_1), T(o_.beta_2),     T(1 - o_.beta_2), T(1),
                             T(o_.epsilon), T(1 - rate * o_.decay), T(o_.l1 * share), T(o_.l2 * share), T(rate)};
        if (kernels_.keeps_velocity) {
            c.one_minus_beta_1 = o_.rate_in_velocity ? T(rate) : T(1);
            c.rate = o_.rate_in_velocity ? T(1) : T(rate);
        }
        if (kernels_.corrects_moments) {  // Adam, section 3; the form with epsilon hat is at its end
            const double root = std::sqrt(1 - power_2_(updates + 1));
            const double numerator = rate * (o_.epsilon_hat ? root : 1);
            c.rate = T(numerator / (1 - power_1_(updates + 1)));
            c.root_scale = T(o_.epsilon_hat ? 1 : 1 / root);
            if (kernels_.looks_ahead) {
                const double now = momentum_(updates + 1), next = momentum_(updates + 2), product = momentum_.product(updates + 1);
                c.gradient_rate = T(numerator * (1 - now) / (1 - product));
                c.rate = T(numerator * next / (1 - product * next));
            }
        }
        return c;
    }

  private:
    const Optimizer &o_;
    const OptimizerKernels<T> &kernels_;
    Powers power_1_, power_2_;
    MomentumSchedule momentum_;
};

template <class T> class Updater {
  public:
    Updater(const Training &training, Arena &arena)
        : o_(training.optimizer),
          kernels_(all_optimizers<T>[o_.kind]),
          network_(training.network),
          parameters_(static_cast<T *>(training.parameters)),
          moments_{static_cast<T *>(training.moments[0]), static_cast<T *>(training.moments[1])},
          snapshot_(static_cast<T *>(training.snapshot)),
          sparse_(training.x.sparse()),
          defers_(sparse_ && !network_.layers[0].narrow && !clips_norm() && training.batch_size <= chunk_rows),
          gradient_(arena.take<T>(network_.size - skipped())),
          partial_(arena.take<T>(2 * storage_rows())),
          fused_(kernels_.is_plain_descent && plain()),
          one_sweep_(plain() && has_uniform_factors()) {}

    // Of all parameters, laid out like the storage, where the first layer's weights are not deferred.
    T *gradient() const { return gradient_; }

    // Of a batch in several chunks: the gradients become this one's, or more by it.
    void collect(const Step<T> &step, const Team &team, int64_t n_rows, bool add) {
        for_each_piece(team, [&](const Piece &piece) {
            step.compute_gradient(piece.layer, piece.block.kind, piece.rows, n_rows, add, gradient_of(piece.block));
        });
    }

    // n_rows: of the batch whose gradients are still to be found, 0 where they stand. All threads together; the parameters'
    // state before is kept as a snapshot if asked for.
    void update(Step<T> &step, const Team &team, const Coefficients<T> &c, const TouchedFeatures<T> &touched, int64_t n_rows,
                bool keep) {
        for_each_piece(team, [&](const Piece &piece) {
            const Block &block = piece.block;
            if (keep) take_snapshot(piece.offset(), piece.count());
            if (is_deferred(piece)) return;
            Coefficients<T> scaled;
            const Coefficients<T> &own = block.has_own_factors() ? scaled = c.of(block) : c;
            if (fused_ && n_rows) {
                step.template block_gradient<Start::zero, Finish::descend>(piece.layer, block.kind, piece.rows, n_rows,
                                                                           parameters_ + block.offset, own.rate);
            } else {
                if (n_rows) step.compute_gradient(piece.layer, block.kind, piece.rows, n_rows, false, gradient_of(block));
                prepare_gradient(piece, own, touched);
                if (!clips_norm()) apply(piece, own, touched);
            }
            if (!clips_norm()) transpose_after_update(step, team, piece);
        });
        if (!clips_norm()) return;
        team.wait();
        const T factor = clip_factor();
        for_each_piece(team, [&](const Piece &piece) {
            if (factor < 1) scale_by(gradient_of(piece), piece.count(), factor);
            apply(piece, c.of(piece.block), touched);
            transpose_after_update(step, team, piece);
        });
    }

    // The same for gradients that stand, where they need no preparation and all parameters are updated alike: by one thread, in
    // one sweep.
    void update_all(const Coefficients<T> &c, bool keep) {
        if (keep) take_snapshot(0, network_.size);
        apply(0, gradient_, network_.size, c);
    }

    // One row of weights, by a gradient without penalties; returns what these add to the loss.
    T update_row(int64_t offset, T *gradient, int64_t count, const Coefficients<T> &c) const {
        const T penalty = penalized() ? add_penalty(parameters_ + offset, gradient, count, c.l1, c.l2) : T(0);
        if (std::isfinite(o_.clip_value)) clip_by_value(gradient, count, T(o_.clip_value));
        apply(offset, gradient, count, c);
        return penalty;
    }

    // Several of them without a gradient; what penalties add to the loss is added to `penalties`, a block for each.
    void replay_row(int64_t offset, int64_t count, const Coefficients<T> *updates, int n, Vec<T> *penalties) const {
        const auto moment = [=](int i) { return moments_[i] ? moments_[i] + offset : nullptr; };
        kernels_.replay(parameters_ + offset, moment(0), moment(1), count, updates, n, T(o_.clip_value),
                        penalized() ? penalties : nullptr);
    }

    bool descends() const { return fused_; }
    bool penalized() const { return o_.l1 > 0 || o_.l2 > 0; }
    bool takes_one_sweep() const { return one_sweep_; }
    bool plain() const { return !penalized() && !std::isfinite(o_.clip_value) && !clips_norm(); }
    // Whether the first layer's weights are left to DeferredRows.
    bool defers() const { return defers_; }
    // Whether TouchedFeatures say which of the first layer's weights are updated.
    bool leaves_untouched() const { return o_.lazy && sparse_ && !defers_ && !is_noop_without_gradient(); }
    // Whether an update without a gradient changes nothing.
    bool is_noop_without_gradient() const { return !penalized() && kernels_.is_noop_without_gradient; }

    // What the penalties added to the last batch's loss, those of deferred rows left out.
    double penalty() const {
        double sum = 0;
        for (int64_t i = defers_ ? network_.layers[0].weights().rows : 0; penalized() && i < storage_rows(); i++)
            sum += double(partial_[i]);
        return sum;
    }

    void take_snapshot(int64_t offset, int64_t count) {
        const size_t bytes = size_t(count) * sizeof(T);
        std::memcpy(snapshot_ + offset, parameters_ + offset, bytes);
        for (int i = 0; i < o_.moments; i++) std::memcpy(snapshot_ + (i + 1) * network_.size + offset, moments_[i] + offset, bytes);
    }

    bool parameters_finite() const { return first_not_finite(parameters_, network_.size) < 0; }

    void restore_snapshot() {
        const size_t bytes = size_t(network_.size) * sizeof(T);
        std::memcpy(parameters_, snapshot_, bytes);
        for (int i = 0; i < o_.moments; i++) std::memcpy(moments_[i], snapshot_ + (i + 1) * network_.size, bytes);
    }

  private:
    // A part of the parameters that has one owner: rows of one of a layer's blocks.
    struct Piece {
        int64_t layer;
        const Block &block;
        Range rows;
        int64_t number;  // of its first row among all rows of storage

        int64_t offset() const { return block.offset + rows.begin * block.row; }
        int64_t count() const { return rows.size() * block.row; }
        bool is_of_inputs() const { return layer == 0 && block.kind == BlockKind::weights; }
    };

    template <class Body> void for_each_piece(const Team &team, Body body) {
        int64_t number = 0;
        for_each_block(network_, [&](int64_t l, const Layer &layer, const Block &block) {
            const Range own = own_rows<T>(layer, block, team);
            const int64_t most = fused_ ? own.size() : piece_rows;
            for (int64_t k = own.begin; k < own.end; k += most) body(Piece{l, block, {k, std::min(k + most, own.end)}, number + k});
            number += block.rows;
        });
    }

    int64_t storage_rows() const {
        int64_t sum = 0;
        for_each_block(network_, [&](int64_t, const Layer &, const Block &block) { sum += block.rows; });
        return sum;
    }

    bool has_uniform_factors() const {
        bool uniform = true;
        for_each_block(network_, [&](int64_t, const Layer &, const Block &block) {
            uniform &= block.rate_factor == 1 && block.decay_factor == 1;
        });
        return uniform;
    }

    // Left to DeferredRows.
    bool is_deferred(const Piece &piece) const { return defers_ && piece.is_of_inputs(); }

    // Where the gradients of a block, or of a piece of it, stand: of none that is deferred.
    T *gradient_of(const Block &block) const { return gradient_ + (block.offset - skipped()); }
    T *gradient_of(const Piece &piece) const { return gradient_ + (piece.offset() - skipped()); }

    static void transpose_after_update(Step<T> &step, const Team &team, const Piece &piece) {
        if (team.size > 1 && piece.block.kind == BlockKind::weights) step.transpose_weights(piece.layer, piece.rows);
    }

    // Penalties, clipping by value, and a row's share in the norm: sums over a row have one owner.
    void prepare_gradient(const Piece &piece, const Coefficients<T> &c, const TouchedFeatures<T> &touched) {
        T *gradient = gradient_of(piece);
        const int64_t row = piece.block.row;
        if (penalized() && piece.block.penalty_factor > 0)
            for (int64_t i = 0; i < piece.rows.size(); i++) {
                const T *w = parameters_ + piece.offset() + i * row;
                if (touched.active() && piece.is_of_inputs()) w = touched.touched_weights(piece.rows.begin + i, w);
                partial_[piece.number + i] = add_penalty(w, gradient + i * row, row, c.l1, c.l2);
            }
        if (std::isfinite(o_.clip_value)) clip_by_value(gradient, piece.count(), T(o_.clip_value));
        if (clips_norm()) {
            T *squares = partial_ + storage_rows() + piece.number;
            for (int64_t i = 0; i < piece.rows.size(); i++) squares[i] = sum_of_squares(gradient + i * row, row);
        }
    }

    T clip_factor() const {
        double sum = 0;
        for (int64_t i = 0; i < storage_rows(); i++) sum += double(partial_[storage_rows() + i]);
        return T(o_.clip_norm / (std::sqrt(sum) + 1e-6));
    }

    void apply(const Piece &piece, const Coefficients<T> &c, const TouchedFeatures<T> &touched) const {
        const T *gradient = gradient_of(piece);
        if (!touched.active() || !piece.is_of_inputs()) {
            apply(piece.offset(), gradient, piece.count(), c);
            return;
        }
        const int64_t row = piece.block.row;
        for (int64_t i = 0; i < piece.rows.size(); i++) {
            const int64_t at = piece.offset() + i * row;
            const auto moment = [=](int m) { return moments_[m] ? moments_[m] + at : nullptr; };
            touched.update_row(piece.rows.begin + i, {parameters_ + at, moment(0), moment(1)},
                               [&] { apply(at, gradient + i * row, row, c); });
        }
    }

    void apply(int64_t offset, const T *gradient, int64_t count, const Coefficients<T> &c) const {
        const auto moment = [=](int i) { return moments_[i] ? moments_[i] + offset : nullptr; };
        kernels_.update(parameters_ + offset, gradient, moment(0), moment(1), count, c);
    }

    bool clips_norm() const { return std::isfinite(o_.clip_norm); }
    // Elements of the storage, from its first, that need no gradient.
    int64_t skipped() const { return defers_ ? network_.layers[0].weights().end() : 0; }

    const Optimizer &o_;
    const OptimizerKernels<T> &kernels_;
    const Network &network_;
    T *const parameters_;
    T *const moments_[2];
    T *const snapshot_;
    const bool sparse_;
    const bool defers_;
    T *const gradient_;  // like the storage from element skipped() on
    T *const partial_;   // storage_rows() penalties, then as many sums of squares
    const bool fused_;   // the product updates the weights, without a gradient array
    const bool one_sweep_;
};

}  // namespace
