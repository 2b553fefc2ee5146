// One thread or several: whichever has been faster lately. Results have the same bits either way, so that the choice can follow
// what is seen: a formula in the sizes errs by up to 1.6, and knows nothing of other processes.
#pragma once

#include <algorithm>
#include <chrono>

#include "api.h"

namespace {

using Clock = std::chrono::steady_clock;

inline double seconds_between(Clock::time_point from, Clock::time_point to) { return std::chrono::duration<double>(to - from).count(); }

// A run goes in laps, each with one number of threads. The one that isn't preferred is tried for a short lap now and then, which
// costs at most a twenty-fifth of the time where it is half as fast.
class Pacer {
  public:
    Pacer(Training &training, bool serial)
        : pace_(training.pace), n_threads_(serial ? 1 : training.n_threads), most_threads_(serial ? 1 : training.most_threads) {
        if (pace_ && pace_->batch_size != training.batch_size) *pace_ = {training.batch_size, 0, 0, 0};
    }

    // The number of threads of the lap that begins.
    int begin_lap() {
        lap_start_ = timed_from_ = Clock::now();
        steps_ = rows_ = 0;
        if (!adapts()) return n_threads_;
        several_ = prefers_several();
        probing_ = pace_->since_probe > (known() ? probe_interval : first_probe);
        if (probing_) several_ = !several_;
        return several_ ? most_threads_ : 1;
    }

    // The first step of a trial may have to wake threads: its time says nothing of the others.
    void count_step(int64_t rows) {
        if (!adapts()) return;
        if (probing_ && steps_++ == 0) timed_from_ = Clock::now();
        else rows_ += rows;
    }

    bool lap_over(Clock::time_point now) const {
        return adapts() && seconds_between(lap_start_, now) > (probing_ ? probe_seconds : lap_seconds);
    }

    // The mean over rows counts, not the best: beside a busy process most laps may be fast and a few of them endless.
    void end_lap(Clock::time_point now) {
        if (!adapts()) return;
        pace_->since_probe = probing_ ? 0 : pace_->since_probe + seconds_between(lap_start_, now);
        if (rows_ == 0) return;
        double &known = several_ ? pace_->several : pace_->one;
        const double found = seconds_between(timed_from_, now) / double(rows_);
        const double weight = std::clamp(double(rows_) * known / window, probing_ ? probe_weight : 0, 1.0);
        known = known == 0 ? found : known + weight * (found - known);
    }

  private:
    static constexpr double lap_seconds = 4e-3, probe_seconds = 1e-3, probe_interval = 25e-3, first_probe = 1e-3;
    static constexpr double window = 10e-3;  // seconds that are remembered
    static constexpr double probe_weight = 0.2;
    static constexpr double gain = 0.99;     // what several threads must save to be worth their cores

    bool adapts() const { return pace_ && most_threads_ > 1; }
    bool known() const { return pace_->one > 0 && pace_->several > 0; }
    bool prefers_several() const { return known() ? pace_->several < gain * pace_->one : n_threads_ > 1; }

    Pace *const pace_;
    const int n_threads_, most_threads_;
    bool several_ = false, probing_ = false;
    int64_t steps_ = 0, rows_ = 0;
    Clock::time_point lap_start_, timed_from_;
};

}  // namespace
