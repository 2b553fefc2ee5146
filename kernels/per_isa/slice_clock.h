// The clock of a run: it tells when a time slice is over, and how long epochs took. Looking at it costs as much as a small batch, so
// that the loops look only after some work.
#pragma once

#include <chrono>
#include <cstdint>

namespace {

using Clock = std::chrono::steady_clock;

inline double seconds_between(Clock::time_point from, Clock::time_point to) {
    return std::chrono::duration<double>(to - from).count();
}

constexpr double clock_work = 4e6;  // floating-point operations between two looks at the clock

class SliceClock {
  public:
    SliceClock(double operations_per_row, double seconds) : operations_per_row_(operations_per_row), seconds_(seconds) {}

    void start() {
        start_ = lap_ = Clock::now();
        is_over_ = false;
    }

    // Counts the work of some rows. Returns whether it is time to look.
    bool count(int64_t rows) {
        work_ += operations_per_row_ * double(rows);
        if (work_ < clock_work) return false;
        work_ = 0;
        return true;
    }

    Clock::time_point look() {
        const Clock::time_point now = Clock::now();
        is_over_ = seconds_between(start_, now) > seconds_;
        return now;
    }
    bool is_over() const { return is_over_; }

    // Returns the seconds since the last call, or the start.
    double lap(Clock::time_point now) {
        const double seconds = seconds_between(lap_, now);
        lap_ = now;
        return seconds;
    }

  private:
    const double operations_per_row_, seconds_;
    double work_ = 0;
    bool is_over_ = false;
    Clock::time_point start_, lap_;
};

}  // namespace
