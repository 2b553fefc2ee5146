// The training of many networks at once: each thread trains one network after the other.
#pragma once

#include "isa_kernels.h"

namespace fastnn {

// A training among others, with a workspace of its own.
struct Member {
    const Kernels *kernels;
    Training *training;
    void *workspace;
    Status status;  // out
};

// Trains n members, each by one thread, until each has finished its epochs or the time is over. A member whose turn did not come
// is paused. No two members may share parameters, moments or a source of random numbers. A member has the bits of being trained
// alone.
void train_many(Member *members, int64_t n, int n_threads, double seconds);

}  // namespace fastnn
