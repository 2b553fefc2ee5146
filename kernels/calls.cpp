#include "calls.h"

#include <algorithm>
#include <cstring>

#include "memory.h"
#include "isa_kernels.h"
#include "threads.h"

namespace fastnn {
namespace {

constexpr double work_per_thread = 5e5;  // floating-point operations that are worth one more thread

// Zeros at a multiple of 64 bytes. If they are few, they are on the stack, where they cost almost nothing.
class Workspace {
  public:
    explicit Workspace(int64_t bytes) : start_(bytes <= on_stack ? small_ : allocate_zeros(bytes)) {
        if (start_ == small_) std::memset(small_, 0, size_t(bytes));
    }
    ~Workspace() {
        if (start_ != small_) free_zeros(start_);
    }
    Workspace(const Workspace &) = delete;
    Workspace &operator=(const Workspace &) = delete;
    void *start() const { return start_; }

  private:
    static constexpr int64_t on_stack = 16384;
    alignas(64) char small_[on_stack];
    void *const start_;
};

// Threads share rows, so that more threads than rows would have nothing to do. If a few rows are much work, threads share each
// row.
int useful_threads(int wanted, int64_t n_rows, double work) {
    const int64_t useful = n_rows <= few_rows ? std::max<int64_t>(n_rows, threads_for(work)) : n_rows;
    return int(std::min<int64_t>(wanted, std::max<int64_t>(useful, 1)));
}

}  // namespace

int threads_for(double operations) {
    const double useful = operations / work_per_thread;
    const int available = max_threads();
    return useful < 2 ? 1 : useful > available ? available : int(useful);
}

// If threads are timed, a quarter of the work may be worth them. With sparse rows, every change of their number would bring all
// weights up to date, so that the number is fixed; the updates of all weights count as work there.
void choose_threads(Training &t, int wanted, double work, ThreadTimings *timings) {
    const bool adapts = !wanted && !t.x.sparse();
    t.n_threads = wanted ? wanted : threads_for(t.x.sparse() ? work + double(t.network.size) : work);
    // The workspace has room for max_threads, and another thread may lower max_threads() between the two calls.
    t.max_threads = adapts ? std::max(t.n_threads, threads_for(4 * work)) : t.n_threads;
    t.timings = adapts ? timings : nullptr;
}

Model model_of(const Network &network, void *parameters, Type type, double work_per_row) {
    const int64_t bytes = kernels_of(type).prediction_bytes({network, parameters, Rows(), 1, nullptr, 1});
    return {network, parameters, type, work_per_row, bytes};
}

bool predict(const Model &model, const Rows &x, int64_t n_rows, void *const *outputs, int n_threads) {
    const Kernels &k = kernels_of(model.type);
    const bool is_short = is_one_dense_row(x, n_rows, n_threads);
    if (!is_short) n_threads = useful_threads(n_threads, n_rows, 2 * double(model.network.size) * double(n_rows));
    const Prediction call = {model.network, model.parameters, x, n_rows, outputs, n_threads};
    const Workspace workspace(is_short ? model.row_bytes : k.prediction_bytes(call));
    if (workspace.start()) k.predict(call, workspace.start());
    return workspace.start();
}

bool linear(Linear &call, Type type) {
    call.n_threads = useful_threads(call.n_threads, call.n_rows, layer_work(call.n_rows, call.layer.n_in, call.layer.n_out));
    const Kernels &k = kernels_of(type);
    lay_out(&call.layer, 1, type == Type::float32 ? sizeof(float) : sizeof(double));
    const Workspace workspace(k.linear_bytes(call));
    if (workspace.start()) k.linear(call, workspace.start());
    return workspace.start();
}

}  // namespace fastnn
