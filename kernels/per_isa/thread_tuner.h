// The choice between one thread and several, by recent measurements. Results have the same bits either way, so that any choice is
// correct. A formula of the sizes would err by a factor of up to 1.6, and would not notice other processes.
#pragma once

#include <algorithm>

#include "api.h"
#include "slice_clock.h"

namespace {

using fastnn::ThreadTimings;
using fastnn::Training;
// A run is a sequence of regions, each with a fixed number of threads. The number that isn't preferred is tried now and then: as
// rarely as keeps the loss by trials below a fiftieth of the time. Threads that were asleep need time to wake, or wait for a CPU
// that another library's threads hold; so short runs begin with one thread, and only long runs of long steps with several.
class ThreadTuner {
  public:
    explicit ThreadTuner(const Training &training)
        : training_(training),
          n_threads_(training.n_threads),
          max_threads_(training.max_threads),
          is_clear_(training.step_work >= clear_step &&
                    training.step_work * rows_left() >= clear_run * double(training.batch_size)) {}

    // To be called before the first region. Counting the workspace must not take the timings.
    void take_timings() {
        ThreadTimings *const timings = training_.timings;
        if (!timings || __atomic_exchange_n(&timings->taken, true, __ATOMIC_ACQUIRE)) return;
        timings_ = timings;
        if (timings->shape == training_.shape) return;
        timings->shape = training_.shape;
        timings->one = timings->several = timings->since_trial = timings->trial_loss = timings->awake = 0;
    }
    // To be called after the last region.
    void release_timings() {
        if (timings_) __atomic_store_n(&timings_->taken, false, __ATOMIC_RELEASE);
        timings_ = nullptr;
    }

    // Returns the number of threads of the region that begins.
    int begin_region() {
        if (!adapts()) return n_threads_;
        region_start_ = timed_from_ = Clock::now();
        rows_ = timed_rows_ = 0;
        several_ = prefers_several();
        trial_ = trial_is_due();
        if (trial_) several_ = !several_;
        return several_ ? max_threads_ : 1;
    }

    // Threads that were asleep may share the caller's CPU for some ms: times of that phase don't count.
    void count_step(int64_t rows) {
        if (!adapts()) return;
        rows_ += rows;
        timed_rows_ += rows;
        if (!several_ || timings_->awake > waking) return;
        const Clock::time_point now = Clock::now();
        if (timings_->awake + seconds_between(region_start_, now) > waking) return;
        timed_from_ = now;
        timed_rows_ = 0;
    }

    bool region_over(Clock::time_point now) const {
        if (!adapts()) return false;
        const double seconds = seconds_between(region_start_, now);
        if (!trial_) return seconds > (several_ ? several_region : one_region);
        return several_ ? timings_->awake + seconds > several_trial : seconds > one_trial;
    }

    // The mean over rows counts, not the minimum: beside a busy process, most regions may be fast and a few of them endless. A
    // trial replaces the known time, which may be out of date.
    void end_region(Clock::time_point now) {
        if (!adapts()) return;
        const double seconds = seconds_between(region_start_, now);
        timings_->awake = several_ ? timings_->awake + seconds : 0;
        if (!trial_) timings_->since_trial += seconds;
        if (timed_rows_ == 0) return;
        if (trial_) {
            timings_->since_trial = 0;
            timings_->trial_loss = seconds - double(rows_) * seconds_of(!several_);
        }
        double &known = seconds_of(several_);
        const double found = seconds_between(timed_from_, now) / double(timed_rows_);
        const double weight = std::min(double(timed_rows_) * known / window, 1.0);
        known = trial_ || known == 0 ? found : known + weight * (found - known);
    }

  private:
    // Floating-point operations: of a step for which several threads are the first choice, in a run that gives them time to wake.
    static constexpr double clear_step = 1e6, clear_run = 1e9;
    // All in seconds.
    static constexpr double one_region = 4e-3;
    static constexpr double several_region = 50e-3;  // longer, since a team copies weights into panels, and back
    static constexpr double waking = 12e-3, one_trial = 1e-3, several_trial = waking + 2e-3;
    static constexpr double first_interval = 25e-3;
    static constexpr double window = 10e-3;   // the time that means cover
    static constexpr double gain = 0.99;      // several threads must take less than this part of the time to be worth their cores
    static constexpr double rarity = 50;      // the time between two trials, as a multiple of what the last one cost
    static constexpr double least_left = 10;  // what must follow a trial of several threads, in such trials

    bool adapts() const { return timings_ && max_threads_ > 1; }
    double &seconds_of(bool several) const { return several ? timings_->several : timings_->one; }
    bool known() const { return timings_->one > 0 && timings_->several > 0; }

    bool prefers_several() const {
        if (known()) return timings_->several < gain * timings_->one;
        return timings_->several > 0 || is_clear_;
    }

    bool trial_is_due() const {
        const double pace = seconds_of(several_);
        if (pace == 0) return false;
        // A single step may be one of many.
        const bool is_step = training_.n_epochs == 1 && training_.n_rows == training_.batch_size;
        // As much is expected to follow as has passed, in this run or in others of the shape.
        const double expected = std::max(timings_->since_trial, rows_left() * pace);
        if (!several_ && !is_step && expected < least_left * several_trial) return false;
        // One thread is expected to take twice as long as several.
        const double step = pace * double(training_.batch_size);
        const double loss = known() ? timings_->trial_loss : several_ ? std::max(one_trial / 2, step) : 0;
        return timings_->since_trial > std::max(first_interval, rarity * loss);
    }

    double rows_left() const {
        return double(training_.n_epochs - training_.epoch) * double(training_.epoch_rows) - double(training_.row);
    }

    const Training &training_;
    ThreadTimings *timings_ = nullptr;
    const int n_threads_, max_threads_;
    const bool is_clear_;
    bool several_ = false, trial_ = false;
    int64_t rows_ = 0, timed_rows_ = 0;  // of the region; of the part that is timed
    Clock::time_point region_start_, timed_from_;
};

}  // namespace
