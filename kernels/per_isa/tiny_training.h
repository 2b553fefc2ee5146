// The training of a tiny network whose parameters are all updated alike (trains_tiny). What TrainingLoop does for each batch would
// take longer than the batch: here, one thread makes the steps, and the parameters and moments stand in rows until the run or its time
// slice is over.
//
// The account of a run is that of TrainingLoop. The bits are those of LaneTraining, which trains many such networks at once.
#pragma once

#include <algorithm>
#include <cmath>

#include "penalties.h"
#include "random.h"
#include "run_account.h"
#include "slice_clock.h"
#include "tiny_network.h"

namespace {

template <class T> class TinyTraining {
  public:
    TinyTraining(Training &training, Arena &arena)
        : t_(training),
          rules_(UpdateRules::of<T>(training)),
          storages_(training),
          batch_weights_(training.loss, training.y, training.sample_weight, training.network.last().n_out),
          pass_(training.network, training.loss),
          state_(training, {rows_[0], rows_[1], rows_[2], rows_[3]}, snapshot_, pass_.size()),
          coefficients_(training.optimizer),
          average_(training.averaging) {
        if (rules_.penalizes) pass_.mark_weights(weight_marks_);
        training.layout = arena.layout();
    }

    Status run() {
        clock_.start();
        const auto storages = arrays_of<T>(t_);
        for (int i = 0; i < t_.n_state_arrays(); i++) pass_.pack(storages[size_t(i)], rows_[i]);
        Status status = Status::paused;
        while (status == Status::paused && t_.epoch < t_.n_epochs && !clock_.is_over()) status = step();
        t_.loss.label_smoothing = label_smoothing_;
        write_back();
        status = finish(status);
        stamp_epochs(t_, clock_.lap(Clock::now()));
        return status;
    }

  private:
    Status step() {
        begin_batch();
        if (t_.loss.signed_mean && batch_.weight == 0) return Status::weightless;
        const double loss = pass_.run(rows_[0], t_.x, t_.y, t_.sample_weight, batch_);
        if (!std::isfinite(loss)) return Status::diverged;
        const Coefficients<T> &c = coefficients_(rates(), t_.updates, batch_.weight);
        pass_.compute_gradient(gradient_);
        const double penalty = prepares_ ? prepare_gradient(c) : 0;
        if (t_.row == 0 && t_.snapshot) {
            state_.take_snapshot(0, pass_.size());
            has_snapshot_ = true;
        }
        state_.update(0, gradient_, pass_.size(), c);
        if (averages_) average();
        is_infinite_ = !enter_batch(t_, loss + penalty, t_.loss_by_rows ? double(batch_.size) : batch_.weight, batch_.size);
        return is_infinite_ ? Status::diverged : Status::paused;
    }

    void begin_batch() {
        if (t_.shuffle && t_.row == 0) shuffle(t_.random, t_.order, t_.rows, t_.n_rows, t_.reshuffle);
        if (smooths_) t_.loss.label_smoothing = label_smoothing_ * rates()[1 + smoothing_place_];
        if (clock_.count(std::min(t_.batch_size, t_.n_rows))) stamp_epochs(t_, clock_.lap(clock_.look()));
        const int64_t size = std::min(t_.batch_size, t_.epoch_rows - t_.row);
        const int64_t *const order = t_.shuffle ? t_.order : t_.rows;
        if (!order && batch_.first == t_.row && batch_.size == size) return;
        batch_ = {order, t_.row, size};
        batch_weights_.weigh(batch_);
    }

    // The learning rate of the step, and behind it the values of the scheduled settings.
    const double *rates() const { return t_.learning_rates + t_.step * t_.learning_rate_stride; }

    // Adds the penalties of the weights, and returns their value; clips.
    __attribute__((noinline)) double prepare_gradient(const Coefficients<T> &c) {
        double penalty = 0;
        const int64_t size = pass_.size();
        if (rules_.penalizes) {
            TinyRow<T> weights;
            for (int64_t i = 0; i < size; i += lanes<T>)
                store(weights + i, load(weight_marks_ + i) == Vec<T>{} ? Vec<T>{} : load(rows_[0] + i));
            penalty = double(add_penalty<T>(weights, gradient_, size, c.l1, c.l2));
        }
        if (rules_.clips_value) clip_by_value<T>(gradient_, size, T(t_.optimizer.clip_value));
        if (rules_.clips_norm) clip_norm(t_.optimizer.clip_norm);
        return penalty;
    }
    void clip_norm(double bound) {
        const int64_t size = pass_.size();
        const double squares = double(sum_of_squares<T>(gradient_, size));
        const auto shrunk = [&] { return double(sum_of_shrunk_squares<T>(gradient_, size)); };
        NormClipping<T>::of(bound, squares, shrunk).apply(gradient_, size);
    }

    __attribute__((noinline)) void average() {
        const T share = T(average_.next(t_.row + batch_.size == t_.epoch_rows));
        if (share != 0) state_.average(0, pass_.size(), share);
    }

    void write_back() const {
        const auto storages = arrays_of<T>(t_);
        for (int i = 0; i < t_.n_state_arrays(); i++) {
            pass_.unpack(rows_[i], storages[size_t(i)]);
            if (has_snapshot_) pass_.unpack(snapshot_ + i * pass_.size(), static_cast<T *>(t_.snapshot) + i * t_.network.size);
        }
    }

    // Returns the status of the run, given that of its last step.
    Status finish(Status status) const {
        if (is_infinite_) return end_not_entered(t_, storages_, batch_.size);
        if (status == Status::diverged) return roll_back(t_, storages_);
        if (status == Status::weightless) return storages_.has_finite_parameters() ? status : roll_back(t_, storages_);
        return t_.epoch == t_.n_epochs ? finish_run(t_, storages_) : status;
    }

    Training &t_;
    const UpdateRules rules_;
    const OptimizerState<T> storages_;
    const BatchWeights batch_weights_;
    TinyPass<T> pass_;
    // Without values at first, like the memory of the pass. Those of the snapshot stand side by side.
    TinyRow<T> rows_[state_arrays], gradient_, weight_marks_;
    alignas(block_bytes) T snapshot_[state_arrays * tiny_parameters];
    const OptimizerState<T> state_;  // of the rows
    CoefficientSchedule<T> coefficients_;
    AverageSchedule average_;
    Batch batch_ = {nullptr, 0, 0};
    const bool prepares_ = rules_.penalizes || rules_.clips_value || rules_.clips_norm;
    const bool averages_ = t_.averaging.average;
    const double label_smoothing_ = t_.loss.label_smoothing;
    const int smoothing_place_ = t_.optimizer.place_of(Scheduled::label_smoothing_factor);
    const bool smooths_ = label_smoothing_ != 0 && smoothing_place_ >= 0;
    bool has_snapshot_ = false;
    bool is_infinite_ = false;  // the sum of losses is not finite
    SliceClock clock_{operations_per_row(t_.network, t_.x, t_.n_rows), t_.seconds};
};

}  // namespace
