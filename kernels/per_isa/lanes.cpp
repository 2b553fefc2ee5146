// The kernels for many small networks at once, of one instruction set: the build compiles this file once per instruction set.
#include "isa_kernels.h"
#include "lanes_training.h"

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

template <class T> constexpr LaneKernels lane_kernels = {lanes<T>, fits_lanes<T>, same_lanes, lanes_bytes<T>, train_lanes<T>};

}  // namespace

#define JOIN(a, b) a##b
#define TABLE(prefix, isa) JOIN(prefix, isa)

namespace fastnn {
extern const LaneKernels TABLE(float32_lanes_, FASTNN_ISA_NAME), TABLE(float64_lanes_, FASTNN_ISA_NAME);
const LaneKernels TABLE(float32_lanes_, FASTNN_ISA_NAME) = lane_kernels<float>;
const LaneKernels TABLE(float64_lanes_, FASTNN_ISA_NAME) = lane_kernels<double>;
}  // namespace fastnn
