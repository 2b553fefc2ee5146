// The training loop: epochs, batches, updates; one call runs until its work or its time slice is done.
#pragma once

#include <algorithm>
#include <cmath>

#include "average_schedule.h"
#include "lazy_updates.h"
#include "pass.h"
#include "run_account.h"
#include "slice_clock.h"
#include "thread_tuner.h"
#include "updates.h"

namespace {

template <class T> class TrainingLoop {
  public:
    // If the arena has no memory, the object only counts the bytes that it needs.
    TrainingLoop(Training &training, Arena &arena)
        : t_(training),
          rules_(UpdateRules::of<T>(training)),
          state_(training),
          panels_(training, may_own_panels(), arena),
          pass_(training.network, training.parameters, training.loss, {training.x, training.y, training.sample_weight},
                training.batch_size, training.max_threads, needs(), arena),
          updater_(training, rules_, state_, panels_, pass_.layers(), arena),
          rows_(training, rules_, state_, arena),
          touched_(training, rules_.skips_absent_features, arena),
          categories_(training, rules_.skips_absent_categories, arena),
          tuner_(training) {
        // In the workspace of others, nothing but the padding is read before it is written, and that stays zero.
        const bool keeps_state = rules_.defers_first_layer || rules_.skips_absent_features || rules_.skips_absent_categories;
        training.layout = keeps_state || training.x.sparse() ? 0 : arena.layout();
    }

    Status run() {
        status_ = Status::paused;
        clock_.start();
        tuner_.take_timings();
        while (status_ == Status::paused && !clock_.is_over()) run_region();
        tuner_.release_timings();
        t_.loss.label_smoothing = label_smoothing_;
        stamp_epochs(t_, clock_.lap(Clock::now()));
        return status_;
    }

  private:
    // The steps that pay for copying one of the arrays into panels and back, by measurement.
    static constexpr int64_t steps_worth_a_copy = 4;

    // Whether threads may own panels: the same for all slices of a run. A row of weights has one sum of penalties and one of squares.
    bool may_own_panels() const {
        return t_.max_threads > 1 && !t_.is_single_step && !rules_.penalizes && !rules_.clips_norm && !rules_.orthogonalizes;
    }

    Needs needs() const {
        Needs needs = {true, false};
        needs.first_layer = rules_.first_layer;
        const int64_t steps_left = (t_.n_epochs - t_.epoch) * (t_.last_batch() / t_.batch_size + 1);
        needs.rows_to_share = rows_to_share(t_.network, t_.batch_size, t_.max_threads);
        if (steps_left >= steps_worth_a_copy * t_.n_state_arrays()) needs.panels = panels_.parameters();
        return needs;
    }

    // Trains until the run, the slice or the region is over.
    void run_region() {
        pause_ = false;
        parallel(tuner_.begin_region(), [](const Team &team, void *self) { static_cast<TrainingLoop *>(self)->run(team); }, this);
        tuner_.end_region(Clock::now());
    }

    // Each thread keeps its own count of the run's position; they all count the same.
    struct Position {
        int64_t epoch, row, step, updates;
    };

    // A thread's own state in a region.
    struct Thread {
        const Team &team;
        const Owner owner;
        PassMemory<T> memory;
        DeferredRows<T> rows;
        TouchedFeatures<T> touched;
        TouchedCategories<T> categories;
        CoefficientSchedule<T> coefficients;
        Position at;
    };

    void run(const Team &team) {
        Thread self = {team,
                       updater_.join(team),
                       pass_.join(team),
                       rows_.of_thread(team),
                       touched_.of_thread(team),
                       categories_.of_thread(team),
                       CoefficientSchedule<T>(t_.optimizer),
                       {t_.epoch, t_.row, t_.step, t_.updates}};
        if (team.size > 1) {
            updater_.load_panels(self.owner);
            pass_.layers().transpose_weights(team);
            team.wait();
        }
        while (self.at.epoch < t_.n_epochs) {
            const Batch batch = begin_batch(self);
            if (t_.loss.signed_mean && batch.weight == 0) {
                self.rows.settle();
                updater_.store_panels(self.owner);
                team.wait();
                if (team.index == 0) give_up();
                return;
            }
            const double loss = run_batch(self, batch);
            if (!std::isfinite(loss) || infinite_penalty_) {
                team.wait();  // the others may still be reading the partial losses
                if (team.index == 0) status_ = go_back();
                return;
            }
            update(self, batch);
            const bool pause = pause_;
            if (pause || self.at.row + batch.size == t_.epoch_rows) self.rows.settle();
            team.wait();
            if (team.index == 0) finish_batch(batch, loss + updater_.penalty(), loss_weight(batch));
            advance(self.at, batch.size);
            if (pause) break;
        }
        updater_.store_panels(self.owner);
        team.wait();
        if (team.index == 0 && self.at.epoch == t_.n_epochs)
            status_ = infinite_penalty_ ? go_back() : finish_run(t_, state_, [&] { restore_rows(); });
    }

    // Draws the order and the dropout key, by one thread, since there is one stream of random numbers, and sets what depends on the
    // step: the label smoothing of the loss, and the batch's share in an average.
    Batch begin_batch(const Thread &self) {
        const bool shuffles = t_.shuffle && self.at.row == 0;
        if (self.team.index == 0) {
            if (shuffles) shuffle(t_.random, t_.order, t_.rows, t_.n_rows, t_.reshuffle);
            if (drops_) dropout_key_ = t_.random->next_uint64(t_.random->state);
            if (smooths_) t_.loss.label_smoothing = label_smoothing_ * factor(self.at, Scheduled::label_smoothing_factor);
            if (averages_) share_ = T(average_.next(self.at.row + t_.batch_size >= t_.epoch_rows));
            look_at_clock();
        }
        // With a given gradient, there is no pass in which the threads meet before the update.
        if (drops_ || shuffles || smooths_ || t_.gradient) self.team.wait();
        if (self.team.size == 1 && pass_.layers().keeps_transposed()) pass_.layers().transpose_weights(self.team);
        Batch batch = {t_.shuffle ? t_.order : t_.rows, self.at.row, std::min(t_.batch_size, t_.epoch_rows - self.at.row)};
        batch.checks_numbers = t_.checks_numbers && self.at.epoch == 0;
        pass_.weigh(batch, self.memory);
        return batch;
    }

    // Computes the batch's loss and deltas; the gradients of a batch in chunks stand in the updater's array then.
    double run_batch(Thread &self, const Batch &batch) {
        if (t_.gradient) return 0;
        if (rules_.skips_absent_categories) self.categories.begin_batch(batch.any_counts());
        const auto prepare = [&](const Entries<T> &entries) {
            if (!self.rows.replays()) return;
            self.rows.catch_up(entries);
            self.team.wait();
        };
        const auto collect = [&](const ChunkGradients<T> &gradients, int64_t, int64_t first) {
            if (self.touched.active()) self.touched.mark(self.memory.entries);
            if (is_in_chunks(batch)) updater_.accumulate(gradients, self.owner, self.categories, first > 0);
        };
        const double loss = pass_.run(self.memory, self.team, batch, drops_ ? dropout(self.at) : Dropout(), prepare, collect);
        return loss * t_.loss.value_factor;
    }

    Dropout dropout(const Position &at) const { return {&dropout_key_, 0, factor(at, Scheduled::dropout_factor)}; }

    // Returns the value of a factor that may follow a schedule.
    double factor(const Position &at, Scheduled setting) const {
        const int place = t_.optimizer.place_of(setting);
        return place < 0 ? 1 : rates_of(at)[1 + place];
    }

    // The learning rate of a step, and behind it the values of the scheduled settings.
    const double *rates_of(const Position &at) const { return t_.learning_rates + at.step * t_.learning_rate_stride; }

    // Whether the gradients stand in the updater's array when the pass is over.
    bool is_in_chunks(const Batch &batch) const { return t_.gradient || batch.size > t_.network.rows_at_once(); }

    // An epoch's first update takes the snapshot, when the loss is known to be finite.
    void update(Thread &self, const Batch &batch) {
        const ChunkGradients<T> &gradients = self.memory.gradients;
        const Coefficients<T> &c = self.coefficients(rates_of(self.at), self.at.updates, batch.weight);
        const bool keeps = self.at.row == 0 && t_.snapshot;
        updater_.update(is_in_chunks(batch) ? nullptr : &gradients, self.owner, c, self.touched, self.categories, keeps, share_);
        self.touched.clear();
        self.rows.update(gradients, c, loss_weight(batch), share_);
    }

    void restore_rows() const {
        if (t_.snapshot_updates >= 0) categories_.restore_rows(state_);
    }

    // Returns to the snapshot.
    Status go_back() {
        restore_rows();
        return roll_back(t_, state_);
    }

    // Before a batch that has no mean: the result of the last step is kept if it is finite.
    void give_up() { status_ = infinite_penalty_ || !state_.has_finite_parameters() ? go_back() : Status::weightless; }

    // ---- The account of the run, kept by the first thread ----

    // The weight of a batch in the epoch's loss.
    double loss_weight(const Batch &batch) const { return t_.loss_by_rows ? double(batch.size) : batch.weight; }

    // loss: with penalties, but without those of deferred rows.
    void finish_batch(const Batch &batch, double loss, double weight) {
        tuner_.count_step(batch.size);
        if (t_.row + batch.size == t_.epoch_rows) {
            const double deferred = rows_.take_penalty();
            if (t_.row == 0) loss += deferred / weight;
            else t_.loss_sum += deferred;
        }
        infinite_penalty_ = !enter_batch(t_, loss, weight, batch.size);
    }

    void advance(Position &at, int64_t rows) const {
        at.row += rows;
        at.step++;
        at.updates++;
        if (at.row < t_.epoch_rows) return;
        at.row = 0;
        at.epoch++;
    }

    void look_at_clock() {
        if (!clock_.count(std::min(t_.batch_size, t_.n_rows))) return;
        const Clock::time_point now = clock_.look();
        pause_ = clock_.is_over() || tuner_.region_over(now);
        stamp_epochs(t_, clock_.lap(now));
    }

    Training &t_;
    const UpdateRules rules_;
    const OptimizerState<T> state_;
    const Panels<T> panels_;
    const Pass<T> pass_;
    const Updater<T> updater_;
    const DeferredRows<T> rows_;
    const TouchedFeatures<T> touched_;
    const TouchedCategories<T> categories_;
    const bool drops_ = !t_.gradient && has_dropout(t_.network);
    const bool averages_ = t_.averaging.average;
    const double label_smoothing_ = t_.loss.label_smoothing;
    const bool smooths_ = label_smoothing_ != 0 && t_.optimizer.place_of(Scheduled::label_smoothing_factor) >= 0;
    bool pause_ = false;             // written before a batch's first meeting of the threads, read between that and its last
    bool infinite_penalty_ = false;  // written after a batch's last meeting, read after the next one's first
    T share_ = 0;                    // like pause_: of the parameters after the batch in their average
    uint64_t dropout_key_ = 0;       // like pause_

    // The first thread writes what follows in each batch: it shares no cache line with what all threads read.
    char apart_[block_bytes] = {};
    ThreadTuner tuner_;
    Status status_ = Status::paused;
    SliceClock clock_{operations_per_row(t_.network, t_.x, t_.n_rows), t_.seconds};
    AverageSchedule average_{t_.averaging};
};

}  // namespace
