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

template <class T> bool keeps_velocity(const Optimizer &o) {
    return updates_of_level<T>[o.kind] == update<T, Momentum> || updates_of_level<T>[o.kind] == update<T, Nesterov>;
}

// The coefficients of each update, which come in their order.
template <class T> class CoefficientsOf {
  public:
    explicit CoefficientsOf(const Optimizer &optimizer) : o_(optimizer), power_1_(o_.decay_1), power_2_(o_.decay_2) {}
    // batch_weight: the sum of the batch's sample weights, not 0 where penalties are divided by it.
    Coefficients<T> operator()(double rate, int64_t updates, double batch_weight = 1) {
        const double share = o_.penalty_per_weight ? 1 / batch_weight : 1;
        Coefficients<T> c = {T(rate),           T(o_.decay_1),
                             T(1 - o_.decay_1), T(o_.decay_2),
                             T(1 - o_.decay_2), T(1),
                             T(o_.epsilon),     T(1 - rate * o_.weight_decay),
                             T(o_.l1 * share),  T(o_.l2 * share)};
        if (keeps_velocity<T>(o_)) {
            c.rest_1 = o_.rate_in_velocity ? T(rate) : T(1);
            c.rate = o_.rate_in_velocity ? T(1) : T(rate);
        }
        if (o_.moments == 2) {  // the moments started at zero: Adam, section 3; the form with epsilon hat is at its end
            const double root = std::sqrt(1 - power_2_(updates + 1));
            c.rate = T(rate * (o_.epsilon_hat ? root : 1) / (1 - power_1_(updates + 1)));
            c.root_scale = T(o_.epsilon_hat ? 1 : 1 / root);
        }
        return c;
    }

  private:
    const Optimizer &o_;
    Powers power_1_, power_2_;
};

template <class T> class Updater {
  public:
    Updater(const Training &training, Arena &arena)
        : o_(training.optimizer),
          network_(training.network),
          parameters_(static_cast<T *>(training.parameters)),
          moments_{static_cast<T *>(training.moments[0]), static_cast<T *>(training.moments[1])},
          snapshot_(static_cast<T *>(training.snapshot)),
          sparse_(training.x.sparse()),
          defers_(sparse_ && !network_.layers[0].narrow && !clips_norm() && training.batch_size <= chunk_rows),
          gradient_(with_room_before(arena.take<T>(network_.size - skipped()), skipped())),
          partial_(arena.take<T>(2 * storage_rows())),
          fused_(o_.kind == 0 && plain()) {}

    T *gradient() const { return gradient_; }

    // Of a batch in several chunks: the gradients become this one's, or more by it.
    void collect(const Step<T> &step, const Team &team, int64_t n_rows, bool add) {
        for_each_piece(team, [&](const Piece &piece) { step.find_gradient(piece.layer, piece.rows, n_rows, add, gradient_); });
    }

    // n_rows: of the batch whose gradients are still to be found, 0 where they stand. All threads together; the parameters'
    // state before is kept as a snapshot if asked for.
    void update(Step<T> &step, const Team &team, const Coefficients<T> &c, const TouchedFeatures<T> &touched, int64_t n_rows,
                bool keep) {
        for_each_piece(team, [&](const Piece &piece) {
            if (keep) take_snapshot(piece.offset, piece.count);
            if (defers_ && piece.layer == 0 && !piece.is_bias()) return;
            if (fused_ && n_rows) {
                step.template gradient<Start::zero, Finish::descend>(piece.layer, piece.rows, n_rows, parameters_, c.rate);
            } else {
                if (n_rows) step.find_gradient(piece.layer, piece.rows, n_rows, false, gradient_);
                prepare_gradient(piece, c, touched);
                if (!clips_norm()) apply(piece, c, touched);
            }
            if (!clips_norm() && team.size > 1) step.transpose_weights(piece.layer, piece.rows);
        });
        if (!clips_norm()) return;
        team.wait();
        const T factor = clip_factor();
        for_each_piece(team, [&](const Piece &piece) {
            if (factor < 1) scale_by(gradient_ + piece.offset, piece.count, factor);
            apply(piece, c, touched);
            if (team.size > 1) step.transpose_weights(piece.layer, piece.rows);
        });
    }

    // The same for gradients that stand and need no preparation, by one thread: in one sweep.
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
        replays_of_level<T>[o_.kind](parameters_ + offset, moment(0), moment(1), count, updates, n, T(o_.clip_value),
                                     penalized() ? penalties : nullptr);
    }

    bool descends() const { return fused_; }
    bool penalized() const { return o_.l1 > 0 || o_.l2 > 0; }
    bool plain() const { return !penalized() && !std::isfinite(o_.clip_value) && !clips_norm(); }
    // Whether the first layer's weights are left to DeferredRows.
    bool defers() const { return defers_; }
    // Whether TouchedFeatures say which of the first layer's weights are updated.
    bool leaves_untouched() const { return o_.lazy && sparse_ && !defers_ && !rests(); }
    // Whether an update without a gradient changes nothing.
    bool rests() const { return !penalized() && (o_.moments == 0 || updates_of_level<T>[o_.kind] == ::update<T, AdaGrad>); }

    // What the penalties added to the last batch's loss, those of deferred rows left out.
    double penalty() const {
        double sum = 0;
        for (int64_t i = defers_ ? network_.layers[0].n_in : 0; penalized() && i < storage_rows(); i++) sum += double(partial_[i]);
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
    // A part of the parameters that has one owner: rows of a layer's weights, or its bias.
    struct Piece {
        int64_t layer;
        Range rows;             // of the weights' storage; of a bias, 0 … 0
        int64_t offset, count;  // elements of the storage
        int64_t number;         // of its first row among all rows of storage
        bool is_bias() const { return rows.size() == 0; }
    };

    template <class Body> void for_each_piece(const Team &team, Body body) {
        int64_t number = 0;
        for (int64_t l = 0; l < network_.n_layers; l++) {
            const Layer &layer = network_.layers[l];
            const Range own = own_weights<T>(layer, team);
            const int64_t most = fused_ ? own.size() : piece_rows;
            for (int64_t k = own.begin; k < own.end; k += most) {
                const Range rows = {k, std::min(k + most, own.end)};
                body(Piece{l, rows, layer.weights + k * layer.weights_row, rows.size() * layer.weights_row, number + k});
            }
            number += layer.weights_rows();
            if (team.index == team.size - 1) body(Piece{l, {0, 0}, layer.bias, padded<T>(layer.n_out), number});
            number++;
        }
    }

    int64_t storage_rows() const {
        int64_t sum = 0;
        for (int64_t l = 0; l < network_.n_layers; l++) sum += network_.layers[l].weights_rows() + 1;
        return sum;
    }

    // Penalties, clipping by value, and a row's share in the norm: sums over a row have one owner.
    void prepare_gradient(const Piece &piece, const Coefficients<T> &c, const TouchedFeatures<T> &touched) {
        T *gradient = gradient_ + piece.offset;
        const int64_t row = network_.layers[piece.layer].weights_row;
        if (penalized() && !piece.is_bias())
            for (int64_t i = 0; i < piece.rows.size(); i++) {
                const T *w = parameters_ + piece.offset + i * row;
                if (touched.active() && piece.layer == 0) w = touched.touched_weights(piece.rows.begin + i, w);
                partial_[piece.number + i] = add_penalty(w, gradient + i * row, row, c.l1, c.l2);
            }
        if (std::isfinite(o_.clip_value)) clip_by_value(gradient, piece.count, T(o_.clip_value));
        if (clips_norm()) {
            T *squares = partial_ + storage_rows() + piece.number;
            if (piece.is_bias()) squares[0] = sum_of_squares(gradient, piece.count);
            for (int64_t i = 0; i < piece.rows.size(); i++) squares[i] = sum_of_squares(gradient + i * row, row);
        }
    }

    T clip_factor() const {
        double sum = 0;
        for (int64_t i = 0; i < storage_rows(); i++) sum += double(partial_[storage_rows() + i]);
        return T(o_.clip_norm / (std::sqrt(sum) + 1e-6));
    }

    void apply(const Piece &piece, const Coefficients<T> &c, const TouchedFeatures<T> &touched) const {
        if (!touched.active() || piece.layer > 0 || piece.is_bias()) {
            apply(piece.offset, gradient_ + piece.offset, piece.count, c);
            return;
        }
        const int64_t row = network_.layers[0].weights_row;
        for (int64_t i = 0; i < piece.rows.size(); i++) {
            const int64_t at = piece.offset + i * row;
            const auto moment = [=](int m) { return moments_[m] ? moments_[m] + at : nullptr; };
            touched.update_row(piece.rows.begin + i, {parameters_ + at, moment(0), moment(1)},
                               [&] { apply(at, gradient_ + at, row, c); });
        }
    }

    void apply(int64_t offset, const T *gradient, int64_t count, const Coefficients<T> &c) const {
        const auto moment = [=](int i) { return moments_[i] ? moments_[i] + offset : nullptr; };
        updates_of_level<T>[o_.kind](parameters_ + offset, gradient, moment(0), moment(1), count, c);
    }

    // An array whose first elements are not there, and never asked for.
    static T *with_room_before(T *rest, int64_t missing) { return rest ? rest - missing : nullptr; }

    bool clips_norm() const { return std::isfinite(o_.clip_norm); }
    // Elements of the storage, from its first, that need no gradient.
    int64_t skipped() const { return defers_ ? network_.layers[0].bias : 0; }

    const Optimizer &o_;
    const Network &network_;
    T *const parameters_;
    T *const moments_[2];
    T *const snapshot_;
    const bool sparse_;
    const bool defers_;
    T *const gradient_;  // like the storage; what is skipped is not there
    T *const partial_;   // storage_rows() penalties, then as many sums of squares
    const bool fused_;   // the product updates the weights, without a gradient array
};

}  // namespace
