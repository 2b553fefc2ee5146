// One thread or several: whichever has been faster lately. Results have the same bits either way, so that the choice can follow
// what is seen: a formula in the sizes errs by up to 1.6, and knows nothing of other processes.
#pragma once

#include <algorithm>
#include <chrono>

#include "api.h"

namespace {

using fastnn::Pace;
using fastnn::Training;
using Clock = std::chrono::steady_clock;

inline double seconds_between(Clock::time_point from, Clock::time_point to) {
    return std::chrono::duration<double>(to - from).count();
}

// A run goes in laps, each with one number of threads. The one that isn't preferred is tried now and then, for up to a tenth
// of the time: where it takes twice as long, a run takes 5 % longer. Several are first tried when a run is so long that the
// time in which sleeping threads wake, or wait for a CPU that another library's threads hold, is not much of it.
class Pacer {
  public:
    Pacer(const Training &training, bool serial)
        : training_(training), n_threads_(serial ? 1 : training.n_threads), max_threads_(serial ? 1 : training.max_threads) {}

    // Before the first lap. Who only counts the workspace leaves the pace alone.
    void take_pace() {
        Pace *const pace = training_.pace;
        if (!pace || __atomic_exchange_n(&pace->taken, true, __ATOMIC_ACQUIRE)) return;
        pace_ = pace;
        if (pace->batch_size == training_.batch_size) return;
        pace->batch_size = training_.batch_size;
        pace->one = pace->several = pace->since_trial = pace->awake = 0;
    }
    // After the last one.
    void release_pace() {
        if (pace_) __atomic_store_n(&pace_->taken, false, __ATOMIC_RELEASE);
        pace_ = nullptr;
    }

    // The number of threads of the lap that begins.
    int begin_lap() {
        if (!adapts()) return n_threads_;
        lap_start_ = timed_from_ = Clock::now();
        rows_ = 0;
        several_ = prefers_several();
        trial_ = pace_of(several_) > 0 && pace_->since_trial > interval();
        if (trial_) several_ = !several_;
        return several_ ? max_threads_ : 1;
    }

    // Threads that were asleep may share the caller's CPU for some ms: what they take then says nothing.
    void count_step(int64_t rows) {
        if (!adapts()) return;
        rows_ += rows;
        if (!several_ || pace_->awake > waking) return;
        const Clock::time_point now = Clock::now();
        if (pace_->awake + seconds_between(lap_start_, now) > waking) return;
        timed_from_ = now;
        rows_ = 0;
    }

    bool lap_over(Clock::time_point now) const {
        if (!adapts()) return false;
        const double seconds = seconds_between(lap_start_, now);
        return !trial_ ? seconds > lap : several_ ? pace_->awake + seconds > several_trial : seconds > one_trial;
    }

    // The mean over rows counts, not the best: beside a busy process most laps may be fast and a few of them endless. A trial
    // takes the place of what was known, which may be of another time.
    void end_lap(Clock::time_point now) {
        if (!adapts()) return;
        const double seconds = seconds_between(lap_start_, now);
        pace_->awake = several_ ? pace_->awake + seconds : 0;
        if (!trial_) pace_->since_trial += seconds;
        if (rows_ == 0) return;
        if (trial_) pace_->since_trial = 0;
        double &known = pace_of(several_);
        const double found = seconds_between(timed_from_, now) / double(rows_);
        const double weight = std::min(double(rows_) * known / window, 1.0);
        known = trial_ || known == 0 ? found : known + weight * (found - known);
    }

  private:
    // Seconds.
    static constexpr double lap = 4e-3, waking = 12e-3, one_trial = 1e-3, several_trial = waking + 2e-3;
    static constexpr double first_interval = 25e-3, one_interval = 25 * one_trial, several_interval = 10 * several_trial;
    static constexpr double window = 10e-3;  // what is remembered
    static constexpr double gain = 0.99;     // what several threads must save to be worth their cores

    bool adapts() const { return pace_ && max_threads_ > 1; }
    double &pace_of(bool several) const { return several ? pace_->several : pace_->one; }
    double interval() const { return !known() ? first_interval : several_ ? one_interval : several_interval; }
    bool known() const { return pace_->one > 0 && pace_->several > 0; }
    bool prefers_several() const { return known() && pace_->several < gain * pace_->one; }

    const Training &training_;
    Pace *pace_ = nullptr;
    const int n_threads_, max_threads_;
    bool several_ = false, trial_ = false;
    int64_t rows_ = 0;
    Clock::time_point lap_start_, timed_from_;
};

}  // namespace
