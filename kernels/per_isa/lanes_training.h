// The training of many small networks of one shape, each in a lane of its own: all make the same step at the same time.
//
// A network's training may begin, go on or end in a lane, or alone in TinyTraining or TrainingLoop: all keep the same account of the
// run, and give the same bits.
#pragma once

#include <algorithm>
#include <optional>

#include "lanes_account.h"
#include "lanes_state.h"
#include "random.h"
#include "slice_clock.h"

namespace {

// Whether two trainings may run side by side. The learning rates, coefficients, random numbers, orders and parameters of each are
// its own.
inline bool same_settings(const Block &a, const Block &b) {
    return a.has_own_factors() == b.has_own_factors() && a.learning_rate_factor == b.learning_rate_factor &&
           a.penalty_factor == b.penalty_factor && a.decay_factor == b.decay_factor && a.epsilon_factor == b.epsilon_factor &&
           a.l1 == b.l1 && a.l2 == b.l2 && a.is_frozen == b.is_frozen;
}
inline bool same_blocks(const Layer &a, const Layer &b) {
    for (int64_t i = 0; i < a.n_blocks; i++)
        if (!same_settings(a.blocks[i], b.blocks[i])) return false;
    return true;
}
inline bool same_networks(const Network &a, const Network &b) {
    if (a.n_layers != b.n_layers) return false;
    for (int64_t l = 0; l < a.n_layers; l++) {
        const Layer &own = a.layers[l], &other = b.layers[l];
        if (own.n_in != other.n_in || own.n_out != other.n_out || own.activation != other.activation) return false;
        if (own.n_blocks != other.n_blocks || !same_blocks(own, other)) return false;
    }
    return true;
}
inline bool same_data(const Rows &a, const Rows &b) {
    return a.data == b.data && a.row_stride == b.row_stride && a.column_stride == b.column_stride && a.type == b.type &&
           a.labels == b.labels;
}
inline bool same_losses(const Loss &a, const Loss &b) {
    for (int64_t i = 0; i < a.n_parameters && i < b.n_parameters; i++)
        if (a.parameters[i] != b.parameters[i]) return false;
    return a.kind == b.kind && a.parameter == b.parameter && a.n_parameters == b.n_parameters && a.from_logits == b.from_logits &&
           a.per_row == b.per_row && a.factor == b.factor && a.value_factor == b.value_factor;
}
inline bool same_updates(const Optimizer &a, const Optimizer &b) {
    return a.kind == b.kind && a.clip_value == b.clip_value && a.has_penalty() == b.has_penalty();
}
inline bool same_lanes(const Training &a, const Training &b) {
    return same_networks(a.network, b.network) && same_losses(a.loss, b.loss) && same_updates(a.optimizer, b.optimizer) &&
           same_data(a.x, b.x) && same_data(a.y, b.y) && a.sample_weight == b.sample_weight && a.n_rows == b.n_rows &&
           a.batch_size == b.batch_size && a.epoch_rows == b.epoch_rows && a.n_state_arrays() == b.n_state_arrays() &&
           a.row == b.row && a.shuffle == b.shuffle && a.loss_by_rows == b.loss_by_rows;
}

template <class T> bool fits_lanes(const Training &t) {
    const bool orthogonalizes = all_optimizers<T>[t.optimizer.kind].orthogonalizes && t.network.n_layers > 2;
    return !t.gradient && !std::isfinite(t.optimizer.clip_norm) && !orthogonalizes && LanePass<T>::fits(t);
}

template <class T> class LaneTraining {
  public:
    // members: up to `lanes`. If the arena has no memory, the object only counts the bytes that it needs.
    LaneTraining(Training *const *members, int n, Arena &arena)
        : n_(n), first_(*members[0]), pass_(first_, arena), state_(first_, pass_, arena) {
        for (int q = 0; q < lanes<T>; q++) {  // lanes without a member repeat the first one
            members_[q] = members[q < n ? q : 0];
            schedules_[q].emplace(members_[q]->optimizer);
            averages_[q].emplace(members_[q]->averaging);
        }
    }

    // Trains until each member has made its epochs, or the time slice is over.
    void run(Status *status) {
        status_ = status;
        clock_.start();
        for (int q = 0; q < lanes<T>; q++) enter(q);
        open_account();
        while (n_active_ > 0 && !clock_.is_over()) {
            look_at_clock();
            step();
        }
        stamp();
        for (int i = 0; i < n_active_; i++) write_back(active_[i]);
    }

  private:
    void enter(int q) {
        state_.put(*members_[q], q);
        stop_learning(q);
        if (q >= n_) return;
        status_[q] = Status::paused;
        active_[n_active_++] = q;
        in_use_[q] = true;
        if (members_[q]->epoch < members_[q]->n_epochs) return;
        write_back(q);
        leave(q, finish_run(*members_[q], OptimizerState<T>(*members_[q])));
    }

    void write_back(int q) const {
        state_.get(*members_[q], q);
        if (has_snapshot_) state_.get_snapshot(*members_[q], q);
    }

    // The account has been settled, and is opened again afterwards.
    void leave(int q, Status status) {
        status_[q] = status;
        in_use_[q] = false;
        state_.clear(q);
        stop_learning(q);
        account_.close(q);
        int kept = 0;
        for (int i = 0; i < n_active_; i++)
            if (active_[i] != q) active_[kept++] = active_[i];
        n_active_ = kept;
    }

    template <class Use> void for_each_active(Use use) {
        for (int i = n_active_ - 1; i >= 0; i--) use(active_[i], *members_[active_[i]]);  // the lane in hand may leave
    }

    void step() {
        begin_batch();
        pass_.run(batch_, losses_);
        clear_unused_losses();
        if (!all_finite(losses_, lanes<T>)) end_not_finite();
        if (n_active_ == 0) return;
        if (account_.row() == 0) {
            state_.take_snapshot();
            account_.take_snapshot();
            has_snapshot_ = true;
        }
        set_coefficients();
        if (state_.penalizes()) std::fill_n(penalties_, lanes<T>, 0.0);
        state_.update(coefficients_, penalties_);
        for (int q = 0; q < lanes<T>; q++) losses_[q] += penalties_[q];
        clear_unused_losses();
        if (state_.averages()) average();
        finish_batch();
    }

    // A lane that is not in use computes on, and what it computes need not be finite.
    void clear_unused_losses() {
        for (int q = 0; q < lanes<T>; q++) losses_[q] = in_use_[q] ? losses_[q] : 0;
    }

    void end_not_finite() {
        settle_account();
        for_each_active([&](int q, Training &t) {
            if (!std::isfinite(losses_[q])) end(q, [&](const OptimizerState<T> &state) { return roll_back(t, state); });
        });
        open_account();
    }

    // Lanes that are not in use have no share.
    void average() {
        const bool is_last = account_.row() + batch_.size() == first_.epoch_rows;
        Vec<T> shares = {};
        double sum = 0;
        for_each_active([&](int q, Training &) {
            const double share = averages_[q]->next(is_last);
            shares[q] = T(share);
            sum += share;
        });
        if (sum > 0) state_.average(shares);
    }

    void begin_batch() {
        const int64_t row = account_.row(), size = std::min(first_.batch_size, first_.epoch_rows - row);
        if (row == 0 && first_.shuffle)
            for_each_active([&](int, Training &t) { shuffle(t.random, t.order, t.rows, t.n_rows, t.reshuffle); });
        if (size == batch_.size() && !first_.sample_weight) return batch_.move(row);
        batch_.same_rows = true;
        for (int q = 0; q < lanes<T>; q++) {
            batch_.same_rows &= order_of(*members_[q]) == order_of(first_);
            Batch &own = batch_.of_lane[q] = {order_of(*members_[q]), row, size};
            pass_.weigh(own);
            loss_weights_[q] = first_.loss_by_rows ? double(size) : own.weight;
        }
    }

    static const int64_t *order_of(const Training &t) { return t.shuffle ? t.order : t.rows; }

    void open_account() {
        account_.open([&](auto use) { for_each_active(use); });
    }
    void settle_account() {
        account_.settle([&](auto use) { for_each_active(use); });
    }

    void finish_batch() {
        const int64_t rows = batch_.size();
        const bool entered = !account_.ends_run(rows) && account_.enter_batch(losses_, loss_weights_, rows);
        if (!entered) finish_one_by_one();
        else if (state_.averages())
            for_each_active([&](int, Training &t) {
                if (batch_.first() == 0) keep_counts(t.averaging);
                count_average(t.averaging, account_.row() == 0);
            });
    }
    void finish_one_by_one() {
        settle_account();
        for_each_active([&](int q, Training &t) { finish_member(q, t); });
        open_account();
    }
    void finish_member(int q, Training &t) {
        const bool entered = enter_batch(t, losses_[q], loss_weights_[q], batch_.size());
        if (entered && t.epoch < t.n_epochs) return;
        if (entered) return end(q, [&](const OptimizerState<T> &state) { return finish_run(t, state); });
        end(q, [&](const OptimizerState<T> &state) { return end_not_entered(t, state, batch_.size()); });
    }

    template <class Finish> void end(int q, Finish finish) {
        write_back(q);
        const Status status = finish(OptimizerState<T>(*members_[q]));
        stamp();
        leave(q, status);
    }

    // ---- Coefficients ----

    // Sets those of a step. What is the same for all steps is set before the first one.
    void set_coefficients() {
        if (only_corrections_change_) return correct_learning_rates();
        only_corrections_change_ = true;
        for_each_active([&](int q, Training &t) {
            const double *const rates = t.learning_rates + (t.step + account_.steps()) * t.learning_rate_stride;
            set_coefficients(q, rates, t.updates + account_.steps(), batch_.of_lane[q].weight);
            only_corrections_change_ &= t.learning_rate_stride == 0 && !t.optimizer.penalty_per_weight && may_share_corrections(t);
        });
    }

    // Whether the corrections of moments are those of the first active member, or there are none. Those of an update that looks ahead
    // contain products of momenta, so that each lane computes its own.
    bool may_share_corrections(const Training &t) const {
        const OptimizerKernels<T> &kernels = all_optimizers<T>[first_.optimizer.kind];
        const Training &other = *members_[active_[0]];
        const Optimizer &a = t.optimizer, &b = other.optimizer;
        return !kernels.corrects_moments || (!kernels.looks_ahead && t.updates == other.updates && a.beta_1 == b.beta_1 &&
                                             a.beta_2 == b.beta_2 && a.epsilon_hat == b.epsilon_hat);
    }
    void correct_learning_rates() {
        if (!all_optimizers<T>[first_.optimizer.kind].corrects_moments) return;
        const int first = active_[0];
        const MomentCorrections own = schedules_[first]->corrections(members_[first]->updates + account_.steps());
        T corrected[size_t(lanes<T>)];
        for (int q = 0; q < lanes<T>; q++) corrected[q] = T(own.learning_rate(learning_rates_[q]));
        coefficients_.learning_rate = load(corrected);
        coefficients_.root_scale = splat(T(own.root_scale));
    }

    void stop_learning(int q) {
        static constexpr double zeros[1 + fastnn::max_scheduled] = {};
        set_coefficients(q, zeros, 0, 1);
    }
    void set_coefficients(int q, const double *learning_rate, int64_t updates, double batch_weight) {
        const Coefficients<T> own = (*schedules_[q])(learning_rate, updates, batch_weight);
        learning_rates_[q] = *learning_rate;
        T of_lane[n_coefficients];
        std::memcpy(of_lane, &own, sizeof own);
        char *const to = reinterpret_cast<char *>(&coefficients_) + size_t(q) * sizeof(T);
        for (size_t i = 0; i < n_coefficients; i++) std::memcpy(to + i * sizeof(Vec<T>), &of_lane[i], sizeof(T));
    }

    // ---- Time ----

    void look_at_clock() {
        if (!clock_.count(first_.batch_size * n_active_)) return;
        clock_.look();
        stamp();
    }

    // The active members share the time since the last call.
    void stamp() {
        if (n_active_ == 0) return;
        settle_account();
        const double seconds = clock_.lap(Clock::now()) / double(n_active_);
        for_each_active([&](int, Training &t) { stamp_epochs(t, seconds); });
    }

    static constexpr size_t n_coefficients = sizeof(Coefficients<T>) / sizeof(T);

    const int n_;
    const Training &first_;
    Training *members_[size_t(lanes<T>)];
    Status *status_ = nullptr;
    LanePass<T> pass_;
    const LaneState<T> state_;
    int active_[size_t(lanes<T>)], n_active_ = 0;  // the lanes in use: their members are still in training
    int64_t in_use_[size_t(lanes<T>)] = {};
    LaneBatch<T> batch_ = {};
    double losses_[size_t(lanes<T>)], penalties_[size_t(lanes<T>)] = {}, loss_weights_[size_t(lanes<T>)];
    std::optional<CoefficientSchedule<T>> schedules_[size_t(lanes<T>)];
    std::optional<AverageSchedule> averages_[size_t(lanes<T>)];
    Coefficients<T, Vec<T>> coefficients_ = {};
    double learning_rates_[size_t(lanes<T>)];  // before the corrections of moments
    // Whether all other coefficients are those of the last step, and all lanes have the same corrections.
    bool only_corrections_change_ = false;
    bool has_snapshot_ = false;  // one was taken since the members have entered
    LaneAccount<lanes<T>> account_;
    SliceClock clock_{operations_per_row(first_.network, first_.x, first_.n_rows), first_.seconds};
};

}  // namespace
