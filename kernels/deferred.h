// The first layer's weights when inputs are sparse: a row of weights is brought up to date when a batch has its feature.
//
// What an update does to a row whose feature is not in the batch (moments decay, penalties pull) depends on that row alone. So
// it can be made later, in the same order and with the same bits, when the row is in the cache for its feature's sake: most
// updates of most rows then cost no memory traffic. All are made up for at the end of an epoch or of a slice of time.
#pragma once

#include "updates.h"

namespace {

template <class T> class DeferredRows {
  public:
    // Without memory behind the arena, only what it counts is of use.
    DeferredRows(const Training &training, const Updater<T> &updater, Arena &arena)
        : updater_(updater), layer_(training.network.layers[0]), active_(updater.defers()),
          replays_(active_ && !training.optimizer.lazy && !updater.rests()),
          made_(arena.take<int32_t>(replays_ ? layer_.n_in : 0)),
          penalties_(arena.take<double>(active_ && updater.penalized() ? layer_.n_in : 0)),
          updates_(arena.take<Update>(replays_ ? window * training.most_threads : 0)),
          row_(arena.take<T>(active_ ? layer_.weights_row * training.most_threads : 0)) {}

    // Makes this copy the thread's.
    void join(const Team &team) {
        own_ = own_weights<T>(layer_, team);
        updates_ += window * team.index;
        row_ += layer_.weights_row * team.index;
    }

    bool replays() const { return replays_; }

    // The rows that the batch in hand will read: no other thread may read them meanwhile.
    void catch_up(const Step<T> &step) {
        step.for_each_feature([&](int64_t k) { replay(k); });
    }

    // The batch's own update of its features' rows. loss_weight: of the batch in the epoch's loss.
    void update(const Step<T> &step, const Coefficients<T> &c, double loss_weight) {
        if (!active_) return;
        const Update update = {c, loss_weight};
        step.for_each_feature(row_, [&](int64_t k) {
            apply(k, update);
            if (replays_) made_[k]++;
        });
        if (!replays_) return;
        updates_[n_updates_++] = update;
        if (n_updates_ == window) settle();
    }

    // All rows of the thread's are up to date afterwards.
    void settle() {
        if (!replays_) return;
        for (int64_t k = own_.begin; k < own_.end; k++) {
            replay(k);
            made_[k] = 0;
        }
        n_updates_ = 0;
    }

    // What the rows' penalties add to the sum of the epoch's losses; counted from zero again. By one thread.
    double take_penalty() const {
        double sum = 0;
        for (int64_t k = 0; active_ && updater_.penalized() && k < layer_.n_in; k++) {
            sum += penalties_[k];
            penalties_[k] = 0;
        }
        return sum;
    }

  private:
    struct Update {
        Coefficients<T> coefficients;
        double loss_weight;
    };
    static constexpr int window = 256;  // updates that are remembered

    // The updates since the row's last, without a gradient from the data.
    void replay(int64_t k) {
        for (; made_[k] < n_updates_; made_[k]++) {
            std::memset(row_, 0, size_t(layer_.weights_row) * sizeof(T));
            apply(k, updates_[made_[k]]);
        }
    }

    // One update of a row, whose gradient from the data stands in row_.
    void apply(int64_t k, const Update &update) {
        const double penalty = updater_.update_row(layer_.weights + k * layer_.weights_row, row_, layer_.weights_row, update.coefficients);
        if (updater_.penalized()) penalties_[k] += update.loss_weight * penalty;
    }

    const Updater<T> &updater_;
    const Layer &layer_;
    const bool active_, replays_;
    int32_t *const made_;      // of the updates remembered, those that each row has seen
    double *const penalties_;
    Update *updates_;          // of a thread, as the rest
    T *row_;
    int n_updates_ = 0;
    Range own_ = {0, 0};
};

}  // namespace
