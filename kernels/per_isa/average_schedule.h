// The share by which each update moves an average of the parameters towards them.
#pragma once

#include "coefficients.h"

namespace {

// Whether the parameters after an update enter the average. epochs: the number of epochs before.
inline bool enters_average(const Averaging &a, int64_t epochs, bool ends_epoch) {
    return a.average && (!a.of_epochs || (ends_epoch && epochs >= a.start));
}

// The shares of successive updates. It remembers powers and its place: each thread has one of its own.
class AverageSchedule {
  public:
    explicit AverageSchedule(const Averaging &averaging)
        : averaging_(averaging),
          count_(averaging.average ? averaging.counts[0] : 0),
          epochs_(averaging.average ? averaging.counts[1] : 0),
          power_(averaging.decay) {}

    // Returns the share of the next update, which is 0 if it does not change the average. is_last: of an epoch.
    double next(bool is_last) { return averaging_.average ? next_share(is_last) : 0; }

  private:
    __attribute__((noinline)) double next_share(bool is_last) {
        const bool ends_epoch = is_last && averaging_.ends_epochs, enters = enters_average(averaging_, epochs_, ends_epoch);
        epochs_ += ends_epoch;
        return enters ? share(++count_) : 0;
    }

    // The first parameters replace an average of none.
    double share(int64_t count) {
        if (averaging_.of_epochs) return 1 / double(count);
        if (averaging_.corrects_bias) return (1 - averaging_.decay) / (1 - power_(count));
        return count == 1 ? 1 : 1 - averaging_.decay;
    }

    const Averaging &averaging_;
    int64_t count_, epochs_;
    Powers power_;
};

}  // namespace
