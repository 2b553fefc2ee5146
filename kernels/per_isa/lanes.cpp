// The training of many small networks at once.
#include "lanes_training.h"
#include "runs.h"

namespace {

template <class T> int64_t lanes_bytes(const Training &training) {
    Arena arena(nullptr);
    Training *member = const_cast<Training *>(&training);
    LaneTraining<T> counted(&member, 1, arena);
    return arena.used();
}

template <class T> void train_lanes(Training *const *members, Status *status, int n, void *workspace) {
    Arena arena(workspace);
    LaneTraining<T>(members, n, arena).run(status);
}

template <class T> constexpr LaneKernels own_lane_kernels() {
    return {lanes<T>, fits_lanes<T>, same_lanes, lanes_bytes<T>, train_lanes<T>};
}

}  // namespace

FASTNN_DEFINE_TABLE(LaneTable, lane_kernels, own_lane_kernels)
