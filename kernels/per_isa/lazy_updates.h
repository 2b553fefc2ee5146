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
        : updater_(updater),
          layer_(training.network.layers[0]),
          active_(updater.defers()),
          replays_(active_ && !training.optimizer.lazy && !updater.is_noop_without_gradient()),
          made_(arena.take<int32_t>(replays_ ? layer_.n_in : 0)),
          penalties_(arena.take<double>(active_ && updater.penalized() ? layer_.n_in : 0)),
          updates_(arena.take<Coefficients<T>>(replays_ ? window * training.max_threads : 0)),
          loss_weights_(arena.take<double>(replays_ ? window * training.max_threads : 0)),
          row_(arena.take<T>(active_ ? layer_.weights().row * training.max_threads : 0)) {}

    // Makes this copy the thread's.
    void join(const Team &team) {
        own_ = own_rows<T>(layer_, layer_.weights(), team);
        if (replays_) {
            updates_ += window * team.index;
            loss_weights_ += window * team.index;
        }
        if (active_) row_ += layer_.weights().row * team.index;
    }

    bool replays() const { return replays_; }

    // The rows that the batch in hand will read: no other thread may read them meanwhile.
    void catch_up(const Step<T> &step) {
        step.for_each_feature(nullptr, [&](int64_t k) { replay(k); });
    }

    // The batch's own update of its features' rows. loss_weight: of the batch in the epoch's loss.
    void update(const Step<T> &step, const Coefficients<T> &c, double loss_weight) {
        if (!active_) return;
        const Coefficients<T> own = c.of(layer_.weights());
        step.for_each_feature(row_, [&](int64_t k) {
            const double penalty = updater_.update_row(offset(k), row_, layer_.weights().row, own);
            if (updater_.penalized()) penalties_[k] += loss_weight * penalty;
            if (replays_) made_[k]++;
        });
        if (!replays_) return;
        updates_[n_updates_] = own;
        loss_weights_[n_updates_++] = loss_weight;
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
    static constexpr int window = 256;  // updates that are remembered

    // The updates since the row's last, without a gradient from the data.
    void replay(int64_t k) {
        const int made = made_[k], missed = n_updates_ - made;
        if (missed == 0) return;
        Vec<T> penalties[window * block_vectors];
        std::fill_n(penalties, missed * block_vectors, Vec<T>{});
        updater_.replay_row(offset(k), layer_.weights().row, updates_ + made, missed, penalties);
        made_[k] = n_updates_;
        // One after the other: sums that depended on how many are made at a time would depend on the clock.
        for (int s = 0; updater_.penalized() && s < missed; s++)
            penalties_[k] += loss_weights_[made + s] * double(sum_block<T>(penalties + s * block_vectors));
    }

    int64_t offset(int64_t k) const { return layer_.weights().offset + k * layer_.weights().row; }

    const Updater<T> &updater_;
    const Layer &layer_;
    const bool active_, replays_;
    int32_t *const made_;  // of the updates remembered, those that each row has seen
    double *const penalties_;
    Coefficients<T> *updates_;  // of a thread, as the rest
    double *loss_weights_;
    T *row_;
    int n_updates_ = 0;
    Range own_ = {0, 0};
};

}  // namespace
