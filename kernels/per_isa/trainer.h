// The training loop: epochs, batches, updates; one call runs until its work or its slice of time is done.
#pragma once

#include <algorithm>
#include <cmath>

#include "lazy_updates.h"
#include "evaluate.h"
#include "thread_tuner.h"
#include "tiny_network.h"
#include "updates.h"

namespace {

constexpr double clock_work = 4e6;  // floating-point operations between two looks at the clock

inline double operations_per_row(const Network &network, const Rows &x, int64_t n_rows) {
    double sum = 0;
    for (int64_t l = 0; l < network.n_layers; l++) {
        const bool sparse = l == 0 && x.sparse();
        const double n_in = sparse ? double(x.row_starts[n_rows]) / double(n_rows) : double(network.layers[l].n_in);
        sum += n_in * double(network.layers[l].n_out) * (l ? 6 : 4);
    }
    return sum;
}

template <class T> class Trainer {
  public:
    Trainer(Training &training, Arena &arena)
        : t_(training),
          network_(training.network),
          step_(training.network, training.parameters, training.x, std::min(training.batch_size, chunk_rows), training.max_threads,
                {true, false}, &training.loss, arena),
          updater_(training, arena),
          rows_(training, updater_, arena),
          touched_(training, updater_.leaves_untouched(), arena),
          tiny_(TinyStep<T>::fits(network_, training.loss, training.x, training.batch_size)),
          tiny_step_(network_, training.loss, static_cast<const T *>(training.parameters)),
          pacer_(training, tiny_) {}

    Status run() {
        status_ = Status::paused;
        slice_start_ = clock_start_ = Clock::now();
        pacer_.take_pace();
        for (slice_over_ = false; status_ == Status::paused && !slice_over_;) run_lap();
        pacer_.release_pace();
        stamp_epochs(Clock::now());
        return status_;
    }

  private:
    // Until the run, the slice or the lap is over.
    void run_lap() {
        pause_ = false;
        parallel(pacer_.begin_lap(), [](const Team &team, void *self) { static_cast<Trainer *>(self)->run(team); }, this);
        pacer_.end_lap(Clock::now());
    }

    // Each thread keeps its own count of where the run stands; they all count the same.
    struct Position {
        int64_t epoch, row, step, updates;
    };

    void run(const Team &team) {
        Step<T> step = step_;
        DeferredRows<T> rows = rows_;
        TouchedFeatures<T> touched = touched_;
        step.join(team);
        rows.join(team);
        touched.join(team);
        Position at = {t_.epoch, t_.row, t_.step, t_.updates};
        CoefficientsOf<T> coefficients(t_.optimizer);
        if (team.size > 1) {
            step.transpose_weights(team);
            team.wait();
        }
        while (at.epoch < t_.n_epochs) {
            const Batch batch = begin_batch(step, team, at);
            if (t_.loss.signed_mean && batch.weight == 0) {
                rows.settle();
                team.wait();
                if (team.index == 0) give_up();
                return;
            }
            const double loss = compute_loss(step, rows, touched, team, batch);
            if (!std::isfinite(loss) || infinite_penalty_) {
                team.wait();  // the others may still be reading the partial losses
                if (team.index == 0) roll_back();
                return;
            }
            const Coefficients<T> c = coefficients(t_.rates[at.step * t_.rate_stride], at.updates, batch.weight);
            update(step, team, c, touched, batch.size, at.row == 0);
            touched.clear();
            rows.update(step, c, loss_weight(batch));
            const bool pause = pause_;
            if (pause || at.row + batch.size == t_.n_rows) rows.settle();
            team.wait();
            if (team.index == 0) finish_batch(batch, loss + updater_.penalty(), loss_weight(batch));
            advance(at, batch.size);
            if (pause) break;
        }
        if (team.index == 0 && at.epoch == t_.n_epochs) finish();
    }

    // What must be drawn from the one stream of random numbers is drawn by one thread.
    Batch begin_batch(Step<T> &step, const Team &team, const Position &at) {
        const bool drops = has_dropout();
        if (team.index == 0) {
            if (t_.shuffle && at.row == 0) shuffle(t_.random, t_.order, t_.n_rows, t_.reshuffle);
            if (drops) dropout_key_ = t_.random->next_uint64(t_.random->state);
            look_at_clock();
        }
        if (drops || (t_.shuffle && at.row == 0)) team.wait();
        if (drops) step.drop_with(dropout_key_);
        if (team.size == 1 && !tiny_) step.transpose_weights(team);
        Batch batch = {t_.shuffle ? t_.order : nullptr, at.row, std::min(t_.batch_size, t_.n_rows - at.row)};
        if (t_.sample_weight) weigh(batch, t_.sample_weight, t_.loss.signed_mean);
        return batch;
    }

    // The batch's loss; of a batch in chunks, the gradients stand in the updater's array then.
    double compute_loss(Step<T> &step, DeferredRows<T> &rows, TouchedFeatures<T> &touched, const Team &team, const Batch &batch) {
        if (tiny_) return tiny_step_.run(t_.x, t_.y, t_.sample_weight, batch);
        const auto prepare = [&] {
            if (!rows.replays()) return;
            rows.catch_up(step);
            team.wait();
        };
        const auto collect = [&](int64_t n_rows, int64_t first) {
            touched.mark(step);
            if (batch.size > chunk_rows) updater_.collect(step, team, n_rows, first > 0);
        };
        return run_batch(step, team, network_, t_.loss, t_.x, t_.y, t_.sample_weight, batch, true, prepare, collect);
    }

    // The snapshot is of an epoch's beginning, once its first loss is known to be finite.
    void update(Step<T> &step, const Team &team, const Coefficients<T> &c, const TouchedFeatures<T> &touched, int64_t batch_size,
                bool begins_epoch) {
        if (tiny_) update_tiny(step, team, c, touched, begins_epoch);
        else updater_.update(step, team, c, touched, batch_size > chunk_rows ? 0 : batch_size, begins_epoch);
    }

    void update_tiny(Step<T> &step, const Team &team, const Coefficients<T> &c, const TouchedFeatures<T> &touched,
                     bool begins_epoch) {
        if (updater_.descends() && updater_.takes_one_sweep()) {
            if (begins_epoch) updater_.take_snapshot(0, network_.size);
            tiny_step_.descend(static_cast<T *>(t_.parameters), c.rate);
            return;
        }
        tiny_step_.compute_gradients(updater_.gradient());
        if (updater_.takes_one_sweep()) updater_.update_all(c, begins_epoch);
        else updater_.update(step, team, c, touched, 0, begins_epoch);
    }

    void roll_back() {
        status_ = Status::diverged;
        if (t_.snapshot_updates < 0) return;
        updater_.restore_snapshot();
        t_.updates = t_.snapshot_updates;
    }

    // Before a batch that has no mean: what the last step left is kept if it is finite.
    void give_up() {
        if (infinite_penalty_ || !updater_.parameters_finite()) roll_back();
        else status_ = Status::weightless;
    }

    // No later loss will tell whether the last updates were finite.
    void finish() {
        status_ = Status::finished;
        const bool lost = !updater_.parameters_finite();
        if (lost) t_.epoch--;
        if (lost || infinite_penalty_) roll_back();
    }

    // ---- The account of the run, kept by the first thread ----

    // Of a batch in the epoch's loss.
    double loss_weight(const Batch &batch) const { return t_.loss_by_rows ? double(batch.size) : batch.weight; }

    // loss: with penalties, but those of deferred rows.
    void finish_batch(const Batch &batch, double loss, double weight) {
        pacer_.count_step(batch.size);
        if (t_.row + batch.size == t_.n_rows) {
            const double deferred = rows_.take_penalty();
            if (t_.row == 0) loss += deferred / weight;
            else t_.loss_sum += deferred;
        }
        if (t_.row == 0) t_.snapshot_updates = t_.updates;
        infinite_penalty_ = !std::isfinite(loss) || !std::isfinite(t_.loss_sum);
        if (infinite_penalty_) return;
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
        slice_over_ = seconds_between(slice_start_, now) > t_.seconds;
        pause_ = slice_over_ || pacer_.lap_over(now);
        stamp_epochs(now);
    }

    // The time since the last look belongs to the epochs that have ended since, in equal parts.
    void stamp_epochs(Clock::time_point now) {
        t_.elapsed += seconds_between(clock_start_, now);
        clock_start_ = now;
        const int64_t ended = t_.epoch - t_.epochs_stamped;
        if (ended == 0) return;
        for (; t_.epochs_stamped < t_.epoch; t_.epochs_stamped++) t_.epoch_seconds[t_.epochs_stamped] = t_.elapsed / double(ended);
        t_.elapsed = 0;
    }

    bool has_dropout() const {
        for (int64_t l = 0; l < network_.n_layers; l++)
            if (network_.layers[l].dropout > 0) return true;
        return false;
    }

    Training &t_;
    const Network &network_;
    const Step<T> step_;
    Updater<T> updater_;
    const DeferredRows<T> rows_;
    const TouchedFeatures<T> touched_;
    const bool tiny_;
    TinyStep<T> tiny_step_;
    const double operations_per_row_ = operations_per_row(network_, t_.x, t_.n_rows);
    double work_ = 0;
    uint64_t dropout_key_ = 0;
    Pacer pacer_;
    bool slice_over_ = false;
    bool pause_ = false;             // written before a batch's first meeting of the threads, read between that and its last
    bool infinite_penalty_ = false;  // written after a batch's last meeting, read after the next one's first
    Status status_ = Status::paused;
    Clock::time_point slice_start_, clock_start_;
};

}  // namespace
