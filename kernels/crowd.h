// Whether other processes crowd the CPUs.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>

namespace fastnn {

// Where other processes take the CPUs, each meeting of the threads may cost a time slice of the system, some ms, in a call of some us.
// A region whose caller waits for most of the time tells so, and calls that choose their threads then use one for a while.
class Crowd {
  public:
    using Clock = std::chrono::steady_clock;

    // To be called after a region that woke no worker, by the thread that has the pool. waited: for how long the caller yielded.
    void learn(Clock::time_point start, Clock::duration waited) {
        const Clock::time_point now = Clock::now();
        if (2 * waited <= now - start) {
            rest_ = least_rest;
            return;
        }
        if (waited < least_wait) return;
        until_.store((now + rest_).time_since_epoch().count(), std::memory_order_relaxed);
        rest_ = std::min(2 * rest_, most_rest);
    }

    void forget() { until_.store(0, std::memory_order_relaxed); }

    bool is_there() const {
        const Clock::rep until = until_.load(std::memory_order_relaxed);
        return until && Clock::now().time_since_epoch().count() < until;
    }

  private:
    static constexpr Clock::duration least_wait = std::chrono::microseconds(200);
    // A trial takes two regions, of which the first wakes the workers: some 20 ms in all.
    static constexpr Clock::duration least_rest = std::chrono::milliseconds(50), most_rest = std::chrono::seconds(2);

    std::atomic<Clock::rep> until_{0};
    Clock::duration rest_ = least_rest;  // of the next crowd; belongs to the thread that has the pool
};

}  // namespace fastnn
