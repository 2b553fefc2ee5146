// The first layer's weights when inputs are sparse: a row of weights is brought up to date when a batch has its feature.
//
// The effect of an update on a row whose feature is not in the batch (moments decay, penalties pull) depends on that row alone.
// So the update can be made later, in the same order and with the same bits, when a batch has the feature and the row is in the
// cache: most updates of most rows then cost no memory traffic. The same holds for an average of the weights. All missing updates
// are made at the end of an epoch or of a time slice.
#pragma once

#include "gradients.h"
#include "optimizer_state.h"
#include "penalties.h"

namespace {

template <class T> class DeferredRows {
  public:
    // If the arena has no memory, the object only counts the bytes that it needs.
    DeferredRows(const Training &training, const UpdateRules &rules, const OptimizerState<T> &state, Arena &arena)
        : rules_(rules),
          state_(state),
          clip_value_(T(training.optimizer.clip_value)),
          layer_(training.network.layers[0]),
          active_(rules.defers_first_layer),
          averages_(training.averaging.average),
          replays_updates_(!training.optimizer.lazy && !rules.is_noop_without_gradient),
          replays_(active_ && (replays_updates_ || averages_)),
          made_(arena.take<int32_t>(replays_ ? layer_.n_in : 0)),
          penalties_(arena.take<double>(active_ && rules.penalizes ? layer_.n_in : 0)),
          updates_(arena.take<Coefficients<T>>(replays_ ? window * training.max_threads : 0)),
          loss_weights_(arena.take<double>(replays_ ? window * training.max_threads : 0)),
          shares_(arena.take<T>(replays_ && averages_ ? window * training.max_threads : 0)),
          row_(arena.take<T>(active_ ? layer_.weights().row * training.max_threads : 0)) {}

    // Returns a thread's own object, which shares all arrays over features with those of the other threads.
    DeferredRows of_thread(const Team &team) const {
        DeferredRows own = *this;
        own.own_ = own_rows<T>(layer_, layer_.weights(), team);
        if (replays_) {
            own.updates_ += window * team.index;
            own.loss_weights_ += window * team.index;
            if (averages_) own.shares_ += window * team.index;
        }
        if (active_) own.row_ += layer_.weights().row * team.index;
        return own;
    }

    bool replays() const { return replays_; }

    // Brings the rows up to date that the batch in hand will read: no other thread may read them meanwhile.
    __attribute__((noinline)) void catch_up(const Entries<T> &entries) {
        entries.for_each_column({0, layer_.n_in}, [&](int64_t k, const Entry<T> *, const Entry<T> *) { replay(k); });
    }

    // Makes the batch's own update of its features' rows. loss_weight: of the batch in the epoch's loss; share: of the parameters
    // in their average.
    void update(const ChunkGradients<T> &gradients, const Coefficients<T> &c, double loss_weight, T share) {
        if (active_) update_rows(gradients, c, loss_weight, share);
    }

    // Brings all of the thread's rows up to date.
    void settle() {
        if (replays_) replay_all();
    }

    // Returns what the rows' penalties add to the sum of the epoch's losses, and counts from zero again. For one thread.
    double take_penalty() const {
        double sum = 0;
        for (int64_t k = 0; active_ && rules_.penalizes && k < layer_.n_in; k++) {
            sum += penalties_[k];
            penalties_[k] = 0;
        }
        return sum;
    }

  private:
    static constexpr int window = 256;  // updates that are remembered

    __attribute__((noinline)) void update_rows(const ChunkGradients<T> &gradients, const Coefficients<T> &c, double loss_weight,
                                               T share) {
        const Coefficients<T> own = c.of(layer_.weights());
        const int64_t count = layer_.weights().row;
        gradients.for_each_feature(row_, [&](int64_t k) {
            if (rules_.penalizes)
                penalties_[k] += loss_weight * double(add_penalty(state_.parameters() + offset(k), row_, count, own.l1, own.l2));
            if (rules_.clips_value) clip_by_value(row_, count, clip_value_);
            state_.update(offset(k), row_, count, own);
            if (share != 0) state_.average(offset(k), count, share);
            if (replays_) made_[k]++;
        });
        if (!replays_) return;
        updates_[n_updates_] = own;
        if (averages_) shares_[n_updates_] = share;
        loss_weights_[n_updates_++] = loss_weight;
        if (n_updates_ == window) settle();
    }

    __attribute__((noinline)) void replay_all() {
        for (int64_t k = own_.begin; k < own_.end; k++) {
            replay(k);
            made_[k] = 0;
        }
        n_updates_ = 0;
    }

    // Makes the updates since the row's last, without a gradient from the data, and averages the row after each that says so.
    void replay(int64_t k) {
        if (!averages_) replay(k, made_[k], n_updates_);
        for (int s = made_[k]; averages_ && s < n_updates_; s++) {
            const int begin = s;
            while (s < n_updates_ - 1 && shares_[s] == 0) s++;
            if (replays_updates_) replay(k, begin, s + 1);
            if (shares_[s] != 0) state_.average(offset(k), layer_.weights().row, shares_[s]);
        }
        made_[k] = n_updates_;
    }

    // Makes the updates from `made` to `end`, without averages.
    void replay(int64_t k, int made, int end) {
        const int missed = end - made;
        if (missed == 0) return;
        Vec<T> penalties[window * block_vectors];
        std::fill_n(penalties, missed * block_vectors, Vec<T>{});
        state_.replay(offset(k), layer_.weights().row, updates_ + made, missed, rules_.penalizes ? penalties : nullptr);
        // The penalties are added one by one: a sum that depended on the number of missed updates would depend on the clock.
        for (int s = 0; rules_.penalizes && s < missed; s++)
            penalties_[k] += loss_weights_[made + s] * double(sum_block<T>(penalties + s * block_vectors));
    }

    int64_t offset(int64_t k) const { return layer_.weights().offset + k * layer_.weights().row; }

    const UpdateRules &rules_;
    const OptimizerState<T> &state_;
    const T clip_value_;
    const Layer &layer_;
    const bool active_, averages_, replays_updates_, replays_;
    int32_t *const made_;  // of the updates remembered, how many each row has seen
    double *const penalties_;
    Coefficients<T> *updates_;  // of a thread, like the rest
    double *loss_weights_;
    T *shares_;
    T *row_;
    int n_updates_ = 0;
    Range own_ = {0, 0};
};

}  // namespace
