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

int64_t whole_lines(int64_t bytes) { return (bytes + 63) / 64 * 64; }

// Copies a gradient to a matrix without padding for each block of parameters, in the order of the storage.
template <class T> void unpack(const Network &network, const T *storage, void *const *to) {
    for_each_block(network, [&](int64_t, const Layer &layer, const Block &block) {
        const T *from = storage + block.offset;
        T *out = static_cast<T *>(*to++);
        if (layer.is_transposed(block)) {
            for (int64_t j = 0; j < block.columns; j++)
                for (int64_t i = 0; i < block.rows; i++) *out++ = from[i * block.row + j];
            return;
        }
        for (int64_t i = 0; i < block.rows; i++)
            std::memcpy(out + i * block.columns, from + i * block.row, size_t(block.columns) * sizeof(T));
    });
}

void unpack(const Model &model, const void *storage, void *const *to) {
    if (model.type == Type::float32) unpack(model.network, static_cast<const float *>(storage), to);
    else unpack(model.network, static_cast<const double *>(storage), to);
}

// Copies matrices like those that `unpack` writes to the storage, whose padding stays as it is.
template <class T> void pack(const Network &network, T *storage, void *const *from) {
    for_each_block(network, [&](int64_t, const Layer &layer, const Block &block) {
        const bool transposed = layer.is_transposed(block);
        const T *in = static_cast<const T *>(*from++);
        for (int64_t i = 0; i < block.rows; i++)
            for (int64_t j = 0; j < block.columns; j++)
                storage[block.offset + i * block.row + j] = transposed ? in[j * block.rows + i] : in[i * block.columns + j];
    });
}

// Threads share rows, so that more threads than rows would have nothing to do. If a few rows are much work, threads share each
// row.
int useful_threads(int wanted, int64_t n_rows, double work) {
    const int64_t useful = n_rows <= few_rows ? std::max<int64_t>(n_rows, most_threads_for(work)) : n_rows;
    return int(std::min<int64_t>(wanted, std::max<int64_t>(useful, 1)));
}

// Returns a number for the kernel that computes a loss: that of registry.h, or a negative one for others.
int64_t number_of(const Loss &loss) { return loss.given ? -1 : loss.custom ? -2 : loss.custom_rows ? -3 : loss.kind; }

}  // namespace

bool KeptWorkspace::Layout::operator==(const Layout &other) const {
    return kernels == other.kernels && n_rows == other.n_rows && n_threads == other.n_threads && loss == other.loss &&
           n_targets == other.n_targets && bytes_with_heads == other.bytes_with_heads && jacobian == other.jacobian &&
           gradient == other.gradient && gradient_inside == other.gradient_inside && input_gradient == other.input_gradient &&
           from_logits == other.from_logits;
}

// The kept workspace, or a new one if another call has borrowed that, or if it would be large.
class Borrowed {
  public:
    // measure() returns the bytes of a workspace with this layout.
    template <class Measure> Borrowed(KeptWorkspace *kept, const KeptWorkspace::Layout *layout, Measure measure) {
        if (layout && kept && !kept->busy_.exchange(true, std::memory_order_acquire)) kept_ = kept;
        if (kept_ && kept_->layout_ == *layout) {
            start_ = kept_->memory_.start();
            return;
        }
        const int64_t bytes = measure();
        if (kept_ && bytes <= most_kept && make_room(bytes)) {
            kept_->layout_ = *layout;
            start_ = kept_->memory_.start();
            return;
        }
        start_ = own_ = allocate_zeros(bytes);
    }
    ~Borrowed() {
        free_zeros(own_);
        if (kept_) kept_->busy_.store(false, std::memory_order_release);
    }
    Borrowed(const Borrowed &) = delete;
    Borrowed &operator=(const Borrowed &) = delete;
    void *start() const { return start_; }

  private:
    static constexpr int64_t most_kept = 8 << 20;  // bytes

    bool make_room(int64_t bytes) {
        kept_->layout_ = {};
        return kept_->memory_.lay_out(bytes, 0);
    }

    KeptWorkspace *kept_ = nullptr;
    void *start_ = nullptr, *own_ = nullptr;
};

namespace {

// A later shape takes the place of an earlier one.
constexpr uint64_t n_recent = 64;
ThreadTimings recent_timings[n_recent];

// Returns a hash (FNV-1a) of what decides the time of a step. Smaller parts of it, such as the loss, are left out: trainings that
// differ in these alone share their timings, and the trials of a run correct them.
uint64_t shape_of(const Training &t, Type type) {
    uint64_t hash = 14695981039346656037u;
    const auto add = [&](int64_t value) { hash = (hash ^ uint64_t(value)) * 1099511628211u; };
    add(int64_t(type));
    add(t.batch_size);
    add(t.optimizer.kind);
    add(t.network.stage ? t.network.stage->n_in : 0);
    add(t.network.n_members());
    add(t.network.layers[0].scales_members);
    for (int64_t l = 0; l < t.network.n_layers; l++) {
        add(t.network.layers[l].n_in);
        add(t.network.layers[l].n_out);
        add(t.network.layers[l].activation);
        add(t.network.layers[l].normalization);
        add(t.network.layers[l].scales_inputs);
        add(t.network.layers[l].is_parametric);
        add(t.network.layers[l].residual_from);
    }
    return hash;
}

}  // namespace

int most_threads_for(double operations) {
    const double useful = operations / work_per_thread;
    const int available = max_threads();
    return useful < 2 ? 1 : useful > available ? available : int(useful);
}

int threads_for(double operations) {
    const int n = most_threads_for(operations);
    return n > 1 && is_crowded() ? 1 : n;
}

// Of a few rows, a gradient by the parameters is hardly more than stores, half of which then travel to the caller's core: only the work
// of one row's way forward counts.
int threads_for_gradient(double work_per_row, int64_t n_rows, bool by_parameters) {
    if (by_parameters && n_rows < few_rows) return threads_for(work_per_row);
    return threads_for(3 * work_per_row * double(std::min(n_rows, chunk_rows)));
}

// If threads are timed, a quarter of the work may be worth them. With sparse rows, every change of their number would bring all
// weights up to date, so that the number is fixed; the updates of all weights count as work there.
void choose_threads(Training &t, Type type, int wanted, double work) {
    const bool adapts = !wanted && !t.x.sparse();
    t.n_threads = wanted ? wanted : most_threads_for(t.x.sparse() ? work + double(t.network.size) : work);
    // The workspace has room for max_threads, and another thread may lower max_threads() between the two calls.
    t.max_threads = adapts ? std::max(t.n_threads, most_threads_for(4 * work)) : t.n_threads;
    t.step_work = work;
    if (!adapts || t.max_threads == 1) {
        t.timings = nullptr;
        return;
    }
    t.shape = shape_of(t, type);
    t.timings = &recent_timings[t.shape % n_recent];
}

Model model_of(const Network &network, void *parameters, Type type, double work_per_row, KeptWorkspace *kept) {
    const int64_t bytes = kernels_of(type).prediction_bytes({network, parameters, Rows(), 1, nullptr, 1});
    return {network, parameters, type, work_per_row, bytes, kept, nullptr, nullptr};
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
    lay_out(&call.layer, 1, element_size(type));
    const Workspace workspace(k.linear_bytes(call));
    if (workspace.start()) k.linear(call, workspace.start());
    return workspace.start();
}

bool gradient(const Model &model, Gradient &call, void *const *parameters) {
    const Kernels &k = kernels_of(model.type);
    const int64_t size = model.network.size * element_size(model.type);
    call.network = model.network, call.parameters = model.parameters;
    // With `parameters`, the gradient stands before the workspace of the kernel.
    const int64_t before = parameters ? whole_lines(size) : 0;
    static char place;
    if (parameters) call.gradient = &place;  // there will be one
    const KeptWorkspace::Layout layout = {&k,
                                          call.n_rows,
                                          call.n_threads,
                                          number_of(call.loss),
                                          call.loss.columns(model.network.last().n_out),
                                          call.loss.heads ? k.gradient_bytes(call) : 0,
                                          false,
                                          call.gradient != nullptr,
                                          parameters != nullptr,
                                          call.input_gradient != nullptr,
                                          call.loss.from_logits};
    const Borrowed workspace(model.kept, call.x.sparse() ? nullptr : &layout, [&] { return before + k.gradient_bytes(call); });
    char *start = static_cast<char *>(workspace.start());
    if (!start) return false;
    if (parameters) call.gradient = start;
    if (call.n_rows > 0) k.gradient(call, start + before);
    else if (call.gradient) std::memset(call.gradient, 0, size_t(size));
    if (parameters) unpack(model, call.gradient, parameters);
    return true;
}

int64_t places_in_vector(const Model &model, void *vector, void **places) {
    const int64_t size = element_size(model.type);
    int64_t n = 0;
    for_each_block(model.network, [&](int64_t, const Layer &, const Block &block) {
        if (places) *places++ = static_cast<char *>(vector) + n * size;
        n += block.rows * block.columns;
    });
    return n;
}

void get_parameters(const Model &model, void *vector) {
    void *places[max_layers * n_block_kinds];
    places_in_vector(model, vector, places);
    unpack(model, model.parameters, places);
}

void set_parameters(const Model &model, const void *vector) {
    void *places[max_layers * n_block_kinds];
    places_in_vector(model, const_cast<void *>(vector), places);  // which are only read
    if (model.type == Type::float32) pack(model.network, static_cast<float *>(model.parameters), places);
    else pack(model.network, static_cast<double *>(model.parameters), places);
}

int threads_for_jacobian(const Network &network, int64_t n_rows) {
    const int64_t n_in = network.layers[0].n_in, n_out = network.last().n_out;
    // Threads transpose the weights together, and then read all of them: by measurement, this takes as long as 10 derivatives of outputs.
    const int64_t n_lines = std::min(n_in, n_out) * n_rows - (n_out < n_in ? 10 : 0);
    double work = 0;
    for (int64_t l = 0; l < network.n_layers; l++) work += layer_work(1, network.layers[l].n_in, network.layers[l].n_out);
    return threads_for(work * double(n_lines));
}

namespace {

// The Jacobian of a network with residual connections or members: output by output, as the gradient by the inputs of the sum of this
// output.
bool jacobian_by_output(const Model &model, const Rows &x, int64_t n_rows, void *jacobian, int n_threads) {
    const int64_t size = element_size(model.type), n_in = model.network.n_in(), n_out = model.network.last().n_out;
    const Workspace workspace(whole_lines(n_out * size) + n_rows * n_in * size);
    char *const output = static_cast<char *>(workspace.start());
    if (!output) return false;
    char *const by_inputs = output + whole_lines(n_out * size);
    for (int64_t o = 0; o < n_out; o++) {
        std::memset(output, 0, size_t(n_out * size));
        if (model.type == Type::float32) reinterpret_cast<float *>(output)[o] = 1;
        else reinterpret_cast<double *>(output)[o] = 1;
        Gradient call = {};
        call.x = x, call.n_rows = n_rows, call.n_threads = n_threads;
        call.y = dense_rows(output, model.type, 0, size);  // the same row for all rows of x
        call.loss.given = true, call.loss.factor = call.loss.value_factor = 1;
        call.input_gradient = by_inputs;
        if (!gradient(model, call, nullptr)) return false;
        for (int64_t i = 0; i < n_rows; i++)
            std::memcpy(static_cast<char *>(jacobian) + (i * n_out + o) * n_in * size, by_inputs + i * n_in * size,
                        size_t(n_in * size));
    }
    return true;
}

}  // namespace

bool jacobian(const Model &model, const Rows &x, int64_t n_rows, void *jacobian, int n_threads) {
    if (n_rows == 0) return true;
    if (model.network.has_residual() || model.network.n_members() > 1)
        return jacobian_by_output(model, x, n_rows, jacobian, n_threads);
    const Kernels &k = kernels_of(model.type);
    const Jacobian call = {model.network, model.parameters, x, n_rows, jacobian, int(std::min<int64_t>(n_threads, n_rows))};
    const KeptWorkspace::Layout layout = {&k, n_rows, call.n_threads, 0, 0, 0, true, false, false, false, false};
    const Borrowed workspace(model.kept, x.sparse() ? nullptr : &layout, [&] { return k.jacobian_bytes(call); });
    if (workspace.start()) k.jacobian(call, workspace.start());
    return workspace.start();
}

}  // namespace fastnn
