// One thread or several: whichever has been faster lately. Results have the same bits either way, so that the choice can follow
// what is seen: a formula in the sizes errs by up to 1.6, and knows nothing of other processes.
#pragma once

#include <algorithm>
#include <chrono>

#include "api.h"

namespace {

using fastnn::ThreadTimings;
using fastnn::Training;
using Clock = std::chrono::steady_clock;

inline double seconds_between(Clock::time_point from, Clock::time_point to) {
    return std::chrono::duration<double>(to - from).count();
}

// A run goes in laps, each with one number of threads. The one that isn't preferred is tried now and then, for up to a tenth
// of the time: where it takes twice as long, a run takes 5 % longer. Several are first tried when a run is so long that the
// time in which sleeping threads wake, or wait for a CPU that another library's threads hold, is not much of it.
class ThreadTuner {
  public:
    ThreadTuner(const Training &training, bool serial)
        : training_(training), n_threads_(serial ? 1 : training.n_threads), max_threads_(serial ? 1 : training.max_threads) {}

    // Before the first lap. Who only counts the workspace leaves the pace alone.
    void take_timings() {
        ThreadTimings *const timings = training_.timings;
        if (!timings || __atomic_exchange_n(&timings->taken, true, __ATOMIC_ACQUIRE)) return;
        timings_ = timings;
        if (timings->batch_size == training_.batch_size) return;
        timings->batch_size = training_.batch_size;
        timings->one = timings->several = timings->since_trial = timings->awake = 0;
    }
    // After the last one.
    void release_timings() {
        if (timings_) __atomic_store_n(&timings_->taken, false, __ATOMIC_RELEASE);
        timings_ = nullptr;
    }

    // The number of threads of the lap that begins.
    int begin_region() {
        if (!adapts()) return n_threads_;
        region_start_ = timed_from_ = Clock::now();
        rows_ = 0;
        several_ = prefers_several();
        trial_ = seconds_of(several_) > 0 && timings_->since_trial > interval();
        if (trial_) several_ = !several_;
        return several_ ? max_threads_ : 1;
    }

    // Threads that were asleep may share the caller's CPU for some ms: what they take then says nothing.
    void count_step(int64_t rows) {
        if (!adapts()) return;
        rows_ += rows;
        if (!several_ || timings_->awake > waking) return;
        const Clock::time_point now = Clock::now();
        if (timings_->awake + seconds_between(region_start_, now) > waking) return;
        timed_from_ = now;
        rows_ = 0;
    }

    bool region_over(Clock::time_point now) const {
        if (!adapts()) return false;
        const double seconds = seconds_between(region_start_, now);
        return !trial_ ? seconds > region : several_ ? timings_->awake + seconds > several_trial : seconds > one_trial;
    }

    // The mean over rows counts, not the best: beside a busy process most laps may be fast and a few of them endless. A trial
    // takes the place of what was known, which may be of another time.
    void end_region(Clock::time_point now) {
        if (!adapts()) return;
        const double seconds = seconds_between(region_start_, now);
        timings_->awake = several_ ? timings_->awake + seconds : 0;
        if (!trial_) timings_->since_trial += seconds;
        if (rows_ == 0) return;
        if (trial_) timings_->since_trial = 0;
        double &known = seconds_of(several_);
        const double found = seconds_between(timed_from_, now) / double(rows_);
        const double weight = std::min(double(rows_) * known / window, 1.0);
        known = trial_ || known == 0 ? found : known + weight * (found - known);
    }

  private:
    // Seconds.
    static constexpr double region = 4e-3, waking = 12e-3, one_trial = 1e-3, several_trial = waking + 2e-3;
    static constexpr double first_interval = 25e-3, one_interval = 25 * one_trial, several_interval = 10 * several_trial;
    static constexpr double window = 10e-3;  // what is remembered
    static constexpr double gain = 0.99;     // what several threads must save to be worth their cores

    bool adapts() const { return timings_ && max_threads_ > 1; }
    double &seconds_of(bool several) const { return several ? timings_->several : timings_->one; }
    double interval() const { return !known() ? first_interval : several_ ? one_interval : several_interval; }
    bool known() const { return timings_->one > 0 && timings_->several > 0; }
    bool prefers_several() const { return known() && timings_->several < gain * timings_->one; }

    const Training &training_;
    ThreadTimings *timings_ = nullptr;
    const int n_threads_, max_threads_;
    bool several_ = false, trial_ = false;
    int64_t rows_ = 0;
    Clock::time_point region_start_, timed_from_;
};

}  // namespace
