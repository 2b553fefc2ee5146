// The account of runs that make their steps at the same time: what run_account.h does for each, for all at once. What is the same for
// all is counted once; losses stand side by side. The members' own accounts are behind until they are settled.
//
// The order is that of enter_batch there: the check of the sums, then the sums, the counts, and the end of the epoch.
#pragma once

#include <algorithm>

#include "run_account.h"

namespace {

// Before a member leaves, the accounts are settled, and the others go on with open(). for_each_member(use) calls use(lane, member) for
// all members in training.
template <int N> class LaneAccount {
  public:
    // Goes on from the members' own accounts, which are at the same row.
    template <class ForEach> void open(ForEach for_each_member) {
        epochs_left_ = INT64_MAX;
        for_each_member([&](int q, const Training &t) {
            row_ = t.row;
            epoch_rows_ = t.epoch_rows;
            epochs_left_ = std::min(epochs_left_, t.n_epochs - t.epoch);
            loss_sums_[q] = t.loss_sum;
            weight_sums_[q] = t.weight_sum;
            epoch_losses_[q] = t.epoch_loss + t.epoch;
        });
    }

    // Enters what has happened since the last call into the members' own accounts.
    template <class ForEach> void settle(ForEach for_each_member) {
        if (steps_ == 0 && steps_of_snapshot_ < 0) return;
        for_each_member([&](int q, Training &t) {
            t.row = row_;
            t.epoch += epochs_;
            t.step += steps_;
            if (steps_of_snapshot_ >= 0) t.snapshot_updates = t.updates + steps_of_snapshot_;
            t.updates += steps_;
            t.loss_sum = loss_sums_[q];
            t.weight_sum = weight_sums_[q];
            if (steps_ > 0) t.batch_loss = batch_losses_[q];
        });
        epochs_ = steps_ = 0;
        steps_of_snapshot_ = -1;
    }

    // The lane has no member any more. Its losses must be 0 from now on.
    void close(int q) {
        loss_sums_[q] = weight_sums_[q] = 0;
        epoch_losses_[q] = nullptr;
    }

    int64_t row() const { return row_; }
    int64_t steps() const { return steps_; }  // that are not settled

    // The parameters before the next update are kept as those of the epoch's beginning.
    void take_snapshot() { steps_of_snapshot_ = steps_; }

    // Whether a batch of `rows` rows is the last one in the run of any member.
    bool ends_run(int64_t rows) const { return epochs_left_ == 1 && row_ + rows == epoch_rows_; }

    // As enter_batch in run_account.h, for a batch that ends no run. Returns false, and counts nothing, if a sum of any lane is not
    // finite.
    bool enter_batch(const double *losses, const double *weights, int64_t rows) {
        if (!all_finite(losses, N) || !all_finite(loss_sums_, N)) return false;
        for (int q = 0; q < N; q++) {
            batch_losses_[q] = losses[q];
            loss_sums_[q] += losses[q] * weights[q];
            weight_sums_[q] += weights[q];
        }
        row_ += rows;
        steps_++;
        if (row_ == epoch_rows_) end_epoch();
        return true;
    }

  private:
    void end_epoch() {
        for (int q = 0; q < N; q++)
            if (epoch_losses_[q]) *epoch_losses_[q]++ = mean_loss(loss_sums_[q], weight_sums_[q]);
        for (int q = 0; q < N; q++) loss_sums_[q] = weight_sums_[q] = 0;
        row_ = 0;
        epochs_++;
        epochs_left_--;
    }

    int64_t row_ = 0, epoch_rows_ = 0;
    int64_t epochs_left_ = 0;                                  // of the member that ends first
    int64_t epochs_ = 0, steps_ = 0, steps_of_snapshot_ = -1;  // since the members' accounts were settled
    alignas(block_bytes) double loss_sums_[size_t(N)] = {}, weight_sums_[size_t(N)] = {}, batch_losses_[size_t(N)] = {};
    double *epoch_losses_[size_t(N)] = {};  // the places of the epochs in progress; null in a lane without a member in training
};

}  // namespace
