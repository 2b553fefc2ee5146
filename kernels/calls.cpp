#include "calls.h"

#include <cstdlib>
#include <cstring>

#include "table.h"
#include "threads.h"

namespace fastnn {
namespace {

constexpr double work_per_thread = 5e5;  // floating-point operations above which one thread more pays

const Kernels &kernels(Type type) { return type == Type::float32 ? *level()->float32 : *level()->float64; }

// Zeros at a multiple of 64 bytes: on the stack if they are few, where they cost next to nothing.
class Workspace {
  public:
    explicit Workspace(int64_t bytes) : allocated_(bytes > on_stack ? std::calloc(size_t(bytes) + 64, 1) : nullptr) {
        if (bytes <= on_stack) std::memset(small_, 0, size_t(bytes));
        else if (allocated_) start_ = reinterpret_cast<void *>((reinterpret_cast<uintptr_t>(allocated_) + 63) & ~uintptr_t(63));
    }
    ~Workspace() { std::free(allocated_); }
    Workspace(const Workspace &) = delete;
    Workspace &operator=(const Workspace &) = delete;
    void *start() const { return start_; }

  private:
    static constexpr int64_t on_stack = 16384;
    alignas(64) char small_[on_stack];
    void *allocated_, *start_ = allocated_ ? nullptr : small_;
};

}  // namespace

int threads_for(double operations) {
    const double most = operations / work_per_thread;
    const int available = max_threads();
    return most < 2 ? 1 : most > available ? available : int(most);
}

bool predict(const Prediction &call, Type type) {
    const Kernels &k = kernels(type);
    const Workspace workspace(k.prediction_bytes(call));
    if (workspace.start()) k.predict(call, workspace.start());
    return workspace.start();
}

bool linear(Linear &call, Type type) {
    const Kernels &k = kernels(type);
    lay_out(&call.layer, 1, type == Type::float32 ? sizeof(float) : sizeof(double));
    const Workspace workspace(k.linear_bytes(call));
    if (workspace.start()) k.linear(call, workspace.start());
    return workspace.start();
}

}  // namespace fastnn
