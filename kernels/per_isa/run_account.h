// The account of a run: losses, the position in the run, its times and its end. The loops that train a network keep it by these
// functions. lanes_account.h keeps those of many runs at once.
#pragma once

#include <algorithm>
#include <cmath>

#include "average_schedule.h"
#include "optimizer_state.h"
#include "random.h"

namespace {

inline double operations_per_row(const Network &network, const Rows &x, int64_t n_rows) {
    double sum = 0;
    for (int64_t l = 0; l < network.n_layers; l++) {
        const bool sparse = l == 0 && x.sparse();
        const double n_in = sparse ? double(x.row_starts[n_rows]) / double(n_rows) : double(network.layers[l].n_in);
        sum += n_in * double(network.layers[l].n_out) * (l ? 6 : 4);
    }
    return sum * double(network.n_members());
}

// Counts an update in the average. is_last: of an epoch.
inline __attribute__((noinline)) void count_average(const Averaging &a, bool is_last) {
    const bool ends_epoch = is_last && a.ends_epochs;
    a.counts[0] += enters_average(a, a.counts[1], ends_epoch);
    a.counts[1] += ends_epoch;
}

// Keeps the counts of an average that belong to the snapshot, or takes them back.
inline __attribute__((noinline)) void keep_counts(Averaging &a) { std::copy_n(a.counts, 2, a.snapshot_counts); }
inline __attribute__((noinline)) void restore_counts(Averaging &a) { std::copy_n(a.snapshot_counts, 2, a.counts); }

inline double mean_loss(double loss_sum, double weight_sum) { return weight_sum > 0 ? loss_sum / weight_sum : 0; }

// Enters a batch of `rows` rows, whose update has been made; loss: with penalties; weight: of the batch in the epoch's loss. Returns
// false, and counts nothing, if a sum is not finite.
inline bool enter_batch(Training &t, double loss, double weight, int64_t rows) {
    const bool averages = t.averaging.average;
    if (t.row == 0) {
        t.snapshot_updates = t.updates;
        if (averages) keep_counts(t.averaging);
    }
    if (!std::isfinite(loss) || !std::isfinite(t.loss_sum)) return false;
    t.batch_loss = loss;
    t.loss_sum += loss * weight;
    t.weight_sum += weight;
    t.row += rows;
    t.step++;
    t.updates++;
    if (averages) count_average(t.averaging, t.row == t.epoch_rows);
    if (t.row < t.epoch_rows) return true;
    t.epoch_loss[t.epoch++] = mean_loss(t.loss_sum, t.weight_sum);
    t.row = 0;
    t.loss_sum = t.weight_sum = 0;
    return true;
}

// The time since the last call belongs to the epochs that have ended since, in equal parts.
inline void stamp_epochs(Training &t, double seconds) {
    t.elapsed += seconds;
    const int64_t ended = t.epoch - t.epochs_stamped;
    if (ended == 0) return;
    for (; t.epochs_stamped < t.epoch; t.epochs_stamped++) t.epoch_seconds[t.epochs_stamped] = t.elapsed / double(ended);
    t.elapsed = 0;
}

template <class T> Status roll_back(Training &t, const OptimizerState<T> &state) {
    if (t.snapshot_updates >= 0 && t.snapshot) {
        state.restore_snapshot();
        t.updates = t.snapshot_updates;
        if (t.averaging.average) restore_counts(t.averaging);
    }
    return Status::diverged;
}

// Ends the run after its last batch: no later loss will tell whether the last updates were finite. before(): what precedes a return to
// the snapshot.
template <class T, class Before> Status finish_run(Training &t, const OptimizerState<T> &state, Before before) {
    if (state.has_finite_parameters()) return Status::finished;
    t.epoch--;
    before();
    return roll_back(t, state);
}
template <class T> Status finish_run(Training &t, const OptimizerState<T> &state) {
    return finish_run(t, state, [] {});
}

// Ends the run after a batch of `rows` rows that could not be entered. TrainingLoop finds this out in the next batch, for which it has
// drawn the order; so the order is drawn here, too.
template <class T> Status end_not_entered(Training &t, const OptimizerState<T> &state, int64_t rows) {
    const bool draws = t.shuffle && t.row + rows == t.epoch_rows && t.epoch + 1 < t.n_epochs;
    if (draws) shuffle(t.random, t.order, t.rows, t.n_rows, t.reshuffle);
    return roll_back(t, state);
}

}  // namespace
