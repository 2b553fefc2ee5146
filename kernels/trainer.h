// The training loop: epochs, batches, updates; one call runs until its work or its slice of time is done.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>

#include "evaluate.h"
#include "tiny.h"

namespace {

constexpr double clock_work = 4e6;       // floating-point operations between two looks at the clock
constexpr int64_t piece_rows = 64;       // rows of weights whose gradient is used while it is in the cache

// base to a whole power, by squaring: the same on every machine.
inline double power(double base, int64_t exponent) {
    double result = 1;
    for (; exponent; exponent >>= 1, base *= base)
        if (exponent & 1) result *= base;
    return result;
}

template <class T> Coefficients<T> coefficients_of(const Optimizer &o, double rate, int64_t updates) {
    Coefficients<T> c = {T(rate),          T(o.decay_1), T(1 - o.decay_1), T(o.decay_2),
                         T(1 - o.decay_2), T(1),         T(o.epsilon),     T(1 - rate * o.weight_decay)};
    if (o.moments == 2) {  // the moments started at zero: Adam, section 3
        c.rate = T(rate / (1 - power(o.decay_1, updates + 1)));
        c.root_scale = T(1 / std::sqrt(1 - power(o.decay_2, updates + 1)));
    }
    return c;
}

inline double operations_per_row(const Network &network) {
    double sum = 0;
    for (int64_t l = 0; l < network.n_layers; l++)
        sum += double(network.layers[l].n_in) * double(network.layers[l].n_out) * (l ? 6 : 4);
    return sum;
}

template <class T> class Trainer {
  public:
    Trainer(Training &training, Arena &arena)
        : t_(training), o_(training.optimizer), network_(training.network), parameters_(static_cast<T *>(training.parameters)),
          step_(training.network, training.parameters, std::min(training.batch_size, chunk_rows), {true, false}, &training.loss, arena),
          gradient_(arena.take<T>(network_.size)), partial_(arena.take<T>(2 * storage_rows())),
          fused_(o_.kind == 0 && !penalized() && !clips()), tiny_(TinyStep<T>::fits(network_, training.loss, training.batch_size)),
          tiny_step_(network_, training.loss, parameters_) {}

    Status run() {
        pause_ = false;
        status_ = Status::paused;
        slice_start_ = clock_start_ = Clock::now();
        parallel(tiny_ ? 1 : t_.n_threads, [](const Team &team, void *self) { static_cast<Trainer *>(self)->run(team); }, this);
        stamp_epochs(Clock::now());
        return status_;
    }

  private:
    using Clock = std::chrono::steady_clock;

    // Each thread keeps its own count of where the run stands; they all count the same.
    struct Position {
        int64_t epoch, row, step, updates;
    };

    void run(const Team &team) {
        Step<T> step = step_;
        Position at = {t_.epoch, t_.row, t_.step, t_.updates};
        if (team.size > 1) {
            step.transpose_weights(team);
            team.wait();
        }
        while (at.epoch < t_.n_epochs) {
            const Batch batch = begin_batch(step, team, at);
            const bool whole = batch.size <= chunk_rows && !tiny_;
            const double loss = tiny_ ? tiny_step_.run(t_.x, t_.y, t_.sample_weight, batch, gradient_) : run_batch(step, team, network_, t_.loss, t_.x, t_.y, t_.sample_weight, batch, true,
                                          [&](int64_t n_rows, int64_t first) {
                                              if (!whole) for_each_piece(team, [&](const Piece &piece) {
                                                  find_gradient(step, piece, n_rows, first > 0);
                                              });
                                          });
            if (!std::isfinite(loss) || infinite_penalty_) {
                team.wait();  // the others may still be reading the partial losses
                if (team.index == 0) roll_back();
                return;
            }
            update(step, team, at, whole ? batch.size : 0);
            const bool pause = pause_;
            team.wait();
            if (team.index == 0) finish_batch(batch, loss);
            advance(at, batch.size);
            if (pause) break;
        }
        if (team.index == 0 && at.epoch == t_.n_epochs) finish();
    }

    // No later loss will tell whether the last updates were finite.
    void finish() {
        status_ = Status::finished;
        const bool lost = first_not_finite(parameters_, network_.size) >= 0;
        if (lost) t_.epoch--;
        if (lost || infinite_penalty_) roll_back();
    }

    // What must be drawn from the one stream of random numbers is drawn by one thread.
    Batch begin_batch(Step<T> &step, const Team &team, const Position &at) {
        const bool drops = has_dropout();
        if (team.index == 0) {
            if (t_.shuffle && at.row == 0) shuffle(t_.random, t_.order, t_.n_rows);
            if (drops) dropout_key_ = t_.random->next_uint64(t_.random->state);
            look_at_clock();
        }
        if (drops || (t_.shuffle && at.row == 0)) team.wait();
        if (drops) step.drop_with(dropout_key_);
        if (team.size == 1 && !tiny_) step.transpose_weights(team);
        return {t_.shuffle ? t_.order : nullptr, at.row, std::min(t_.batch_size, t_.n_rows - at.row)};
    }

    // ---- Parameters, in pieces that have one owner ----

    struct Piece {
        int64_t layer;
        Range rows;            // of the weights' storage; of a bias, 0 … 0
        int64_t offset, count; // elements of the storage
        int64_t number;        // of its first row among all rows of storage
        bool is_bias() const { return rows.size() == 0; }
    };

    template <class Body> void for_each_piece(const Team &team, Body body) {
        int64_t number = 0;
        for (int64_t l = 0; l < network_.n_layers; l++) {
            const Layer &layer = network_.layers[l];
            const Range own = share(layer.weights_rows(), layer.narrow ? 1 : lanes<T>, team);
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

    void find_gradient(const Step<T> &step, const Piece &piece, int64_t n_rows, bool add) {
        if (add) step.template gradient<Start::previous, Finish::store>(piece.layer, piece.rows, n_rows, gradient_);
        else step.template gradient<Start::zero, Finish::store>(piece.layer, piece.rows, n_rows, gradient_);
    }

    // n_rows: of the batch whose gradients are still to be found, 0 where they stand.
    void update(Step<T> &step, const Team &team, const Position &at, int64_t n_rows) {
        const Coefficients<T> c = coefficients_of<T>(o_, t_.rates[at.step * t_.rate_stride], at.updates);
        if (tiny_ && !penalized() && !clips()) {
            const Piece all = {0, {0, 0}, 0, network_.size, 0};
            if (at.row == 0) take_snapshot(all);
            return apply(all, c);
        }
        const bool clips_norm = std::isfinite(o_.clip_norm);
        for_each_piece(team, [&](const Piece &piece) {
            if (at.row == 0) take_snapshot(piece);
            if (fused_ && n_rows) {
                step.template gradient<Start::zero, Finish::descend>(piece.layer, piece.rows, n_rows, parameters_, c.rate);
            } else {
                if (n_rows) find_gradient(step, piece, n_rows, false);
                prepare_gradient(piece);
                if (!clips_norm) apply(piece, c);
            }
            if (!clips_norm && team.size > 1 && !piece.is_bias()) step.transpose_weights(piece.layer, piece.rows);
        });
        if (clips_norm) {
            team.wait();
            const T factor = clip_factor();
            for_each_piece(team, [&](const Piece &piece) {
                if (factor < 1) scale_by(gradient_ + piece.offset, piece.count, factor);
                apply(piece, c);
                if (team.size > 1 && !piece.is_bias()) step.transpose_weights(piece.layer, piece.rows);
            });
        }
    }

    // Penalties, clipping by value, and a row's share in the norm: sums over a row have one owner.
    void prepare_gradient(const Piece &piece) {
        T *gradient = gradient_ + piece.offset;
        const int64_t row = network_.layers[piece.layer].weights_row;
        if (penalized() && !piece.is_bias())
            for (int64_t i = 0; i < piece.rows.size(); i++)
                partial_[piece.number + i] = add_penalty(parameters_ + piece.offset + i * row, gradient + i * row, row, T(o_.l1), T(o_.l2));
        if (std::isfinite(o_.clip_value)) clip_by_value(gradient, piece.count, T(o_.clip_value));
        if (std::isfinite(o_.clip_norm)) {
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

    void apply(const Piece &piece, const Coefficients<T> &c) {
        updates_of_level<T>[o_.kind](parameters_ + piece.offset, gradient_ + piece.offset, moment(0, piece.offset),
                                     moment(1, piece.offset), piece.count, c);
    }

    T *moment(int i, int64_t offset) const { return t_.moments[i] ? static_cast<T *>(t_.moments[i]) + offset : nullptr; }
    T *snapshot(int i, int64_t offset) const { return static_cast<T *>(t_.snapshot) + i * network_.size + offset; }

    // Before the first update of an epoch, when its first loss was finite.
    void take_snapshot(const Piece &piece) {
        const size_t bytes = size_t(piece.count) * sizeof(T);
        std::memcpy(snapshot(0, piece.offset), parameters_ + piece.offset, bytes);
        for (int i = 0; i < o_.moments; i++) std::memcpy(snapshot(i + 1, piece.offset), moment(i, piece.offset), bytes);
    }

    void roll_back() {
        status_ = Status::diverged;
        if (t_.snapshot_updates < 0) return;
        const size_t bytes = size_t(network_.size) * sizeof(T);
        std::memcpy(parameters_, snapshot(0, 0), bytes);
        for (int i = 0; i < o_.moments; i++) std::memcpy(moment(i, 0), snapshot(i + 1, 0), bytes);
        t_.updates = t_.snapshot_updates;
    }

    // ---- The account of the run, kept by the first thread ----

    void finish_batch(const Batch &batch, double loss) {
        for (int64_t i = 0; penalized() && i < storage_rows(); i++) loss += double(partial_[i]);
        const double weight = total_weight(t_.sample_weight, batch);
        infinite_penalty_ = !std::isfinite(loss);
        if (infinite_penalty_) return;
        if (t_.row == 0) t_.snapshot_updates = t_.updates;
        t_.batch_loss = loss;
        t_.loss_sum += loss * weight;
        t_.weight_sum += weight;
        t_.row += batch.size;
        t_.step++;
        t_.updates++;
        if (t_.row < t_.n_rows) return;
        t_.epoch_loss[t_.epoch++] = t_.weight_sum > 0 ? t_.loss_sum / t_.weight_sum : 0;
        t_.row = 0;
        t_.loss_sum = t_.weight_sum = 0;
    }

    void advance(Position &at, int64_t rows) const {
        at.row += rows;
        at.step++;
        at.updates++;
        if (at.row < t_.n_rows) return;
        at.row = 0;
        at.epoch++;
    }

    void look_at_clock() {
        work_ += operations_per_row_ * double(std::min(t_.batch_size, t_.n_rows));
        if (work_ < clock_work) return;
        work_ = 0;
        const Clock::time_point now = Clock::now();
        if (now - slice_start_ > std::chrono::duration<double>(t_.seconds)) pause_ = true;
        stamp_epochs(now);
    }

    // The time since the last look belongs to the epochs that have ended since, in equal parts.
    void stamp_epochs(Clock::time_point now) {
        t_.elapsed += std::chrono::duration<double>(now - clock_start_).count();
        clock_start_ = now;
        const int64_t ended = t_.epoch - t_.epochs_stamped;
        if (ended == 0) return;
        for (; t_.epochs_stamped < t_.epoch; t_.epochs_stamped++) t_.epoch_seconds[t_.epochs_stamped] = t_.elapsed / double(ended);
        t_.elapsed = 0;
    }

    bool penalized() const { return o_.l1 > 0 || o_.l2 > 0; }
    bool clips() const { return std::isfinite(o_.clip_value) || std::isfinite(o_.clip_norm); }
    bool has_dropout() const {
        for (int64_t l = 0; l < network_.n_layers; l++)
            if (network_.layers[l].dropout > 0) return true;
        return false;
    }

    Training &t_;
    const Optimizer &o_;
    const Network &network_;
    T *const parameters_;
    const Step<T> step_;
    T *const gradient_;
    T *const partial_;      // storage_rows() penalties, then as many sums of squares
    const bool fused_;      // updates happen in the product, without a gradient array
    const bool tiny_;
    TinyStep<T> tiny_step_;
    const double operations_per_row_ = operations_per_row(network_);
    double work_ = 0;
    uint64_t dropout_key_ = 0;
    bool pause_ = false;    // written before a batch's first meeting of the threads, read between that and its last
    bool infinite_penalty_ = false;  // written after a batch's last meeting, read after the next one's first
    Status status_ = Status::paused;
    Clock::time_point slice_start_, clock_start_;
};

}  // namespace
