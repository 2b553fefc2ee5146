#include "stepper.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "memory.h"
#include "isa_kernels.h"
#include "threads.h"

namespace fastnn {
namespace {

// Dense rows for a step: a copy if they share memory with the parameters, which the step changes as it reads them.
class StepRows {
  public:
    StepRows(const Training &t, Type type, const Rows &given, int64_t n_rows, int64_t n_columns) : rows(given) {
        if (!given.data || given.sparse()) return;
        const int64_t size = element_size(given.type), row = (n_rows - 1) * given.row_stride,
                      column = (n_columns - 1) * given.column_stride;
        const auto data = reinterpret_cast<intptr_t>(given.data), storage = reinterpret_cast<intptr_t>(t.parameters);
        const int64_t first = std::min<int64_t>(row, 0) + std::min<int64_t>(column, 0);
        const int64_t end = std::max<int64_t>(row, 0) + std::max<int64_t>(column, 0) + size;
        if (data + first >= storage + t.network.size * element_size(type) || storage >= data + end) return;
        copy_ = static_cast<char *>(allocate_zeros(n_rows * n_columns * size));
        has_memory = copy_;
        if (!has_memory) return;
        for (int64_t i = 0; i < n_rows; i++)
            for (int64_t j = 0; j < n_columns; j++)
                std::memcpy(copy_ + (i * n_columns + j) * size, given.data + i * given.row_stride + j * given.column_stride,
                            size_t(size));
        rows.data = copy_;
        rows.row_stride = n_columns * size, rows.column_stride = size;
    }
    ~StepRows() { free_zeros(copy_); }
    StepRows(const StepRows &) = delete;
    StepRows &operator=(const StepRows &) = delete;

    Rows rows;
    bool has_memory = true;

  private:
    char *copy_ = nullptr;
};

}  // namespace

bool Stepper::lay_out(const Rows &x, int64_t n_rows) {
    const Kernels &k = kernels_of(type);
    Training &t = training;
    const int64_t size = t.network.size * element_size(type) * t.n_state_arrays();
    if (restores_ && !snapshot.grow(size)) return false;
    t.snapshot = restores_ ? snapshot.start() : nullptr;
    const Source source = t.gradient ? Source::gradient : t.loss.given ? Source::output_gradient : Source::loss;
    if (!x.sparse() && n_rows == rows_ && t.max_threads == threads_ && source == source_) return true;
    rows_ = -1;
    const int64_t bytes = k.training_bytes(t);
    if (!workspace.lay_out(bytes, t.layout)) return false;
    if (!x.sparse()) rows_ = n_rows, threads_ = t.max_threads, source_ = source;
    return true;
}

StepStatus Stepper::run(const Rows &x, const Rows &y, const double *sample_weight, int64_t n_rows) {
    Training &t = training;
    double epoch_loss, epoch_seconds;
    const StepRows inputs(t, type, x, n_rows, t.network.n_in());
    const StepRows targets(t, type, y, n_rows, y.labels ? 1 : t.loss.columns(t.network.last().n_out));
    if (!inputs.has_memory || !targets.has_memory) return StepStatus::no_memory;
    t.x = inputs.rows, t.y = targets.rows, t.sample_weight = sample_weight;
    t.n_rows = t.batch_size = t.epoch_rows = n_rows;
    t.n_epochs = 1;
    t.is_single_step = true;
    t.epoch = t.row = t.step = t.epochs_stamped = 0;
    t.loss_sum = t.weight_sum = t.elapsed = 0;
    t.snapshot_updates = -1;
    t.learning_rates = learning_rates;
    t.learning_rate_stride = 0;
    t.epoch_loss = &epoch_loss, t.epoch_seconds = &epoch_seconds;
    t.seconds = std::numeric_limits<double>::infinity();
    choose_threads(t, type, n_threads, work_per_row * double(n_rows));
    if (!lay_out(x, n_rows)) return StepStatus::no_memory;
    Status status = Status::paused;
    while (status == Status::paused) status = kernels_of(type).train(t, workspace.start());  // a region may end before the step
    if (status == Status::diverged) forget();
    return status == Status::finished   ? StepStatus::done
           : status == Status::diverged ? StepStatus::diverged
                                        : StepStatus::weightless;
}

StepStatus Stepper::step(const Rows &x, const Rows &y, const double *sample_weight, int64_t n_rows) {
    return run(x, y, sample_weight, n_rows);
}

StepStatus Stepper::step_gradient(const Rows &x, const Rows &gradient, int64_t n_rows) {
    const Loss own = training.loss;
    training.loss = given_gradient();
    const StepStatus status = run(x, gradient, nullptr, n_rows);
    training.loss = own;
    return status;
}

// Stores the gradient of a batch in accumulated.batch(), and the total weight of its rows. Dropout draws the key of a batch.
StepStatus Stepper::compute_gradient(const Loss &loss, const Rows &x, const Rows &y, const double *sample_weight, int64_t n_rows,
                                     double *weight) {
    if (!accumulated.reserve(training.network.size, type)) return StepStatus::no_memory;
    uint64_t key = 0;
    Gradient call = {};
    call.loss = loss;
    call.loss.label_smoothing *= label_smoothing_factor;
    call.x = x, call.y = y, call.sample_weight = sample_weight;
    call.n_rows = n_rows;
    call.gradient = accumulated.batch();
    call.n_threads = n_threads ? n_threads : threads_for_gradient(work_per_row / 3, n_rows, true);
    if (has_dropout(training.network)) {
        key = training.random->next_uint64(training.random->state);
        call.dropout_key = &key;
        call.dropout_factor = dropout_factor;
    }
    if (!gradient(*model, call, nullptr)) return StepStatus::no_memory;
    training.batch_loss = call.value;
    *weight = call.weight;
    return std::isfinite(call.value) ? StepStatus::done : StepStatus::diverged;
}

StepStatus Stepper::accumulate(const Rows &x, const Rows &y, const double *sample_weight, int64_t n_rows) {
    double weight;
    const StepStatus status = compute_gradient(training.loss, x, y, sample_weight, n_rows, &weight);
    if (status == StepStatus::done) accumulated.add_mean(weight);
    return status;
}

StepStatus Stepper::accumulate_gradient(const Rows &x, const Rows &gradient, int64_t n_rows) {
    double weight;
    const StepStatus status = compute_gradient(given_gradient(), x, gradient, nullptr, n_rows, &weight);
    if (status == StepStatus::done) accumulated.add_given();
    return status;
}

StepStatus Stepper::apply() {
    if (accumulated.is_empty()) return StepStatus::nothing_accumulated;
    const StepStatus status = apply_gradient(accumulated.sum());
    if (status != StepStatus::no_memory) accumulated.discard();
    return status;
}

StepStatus Stepper::apply_gradient(void *gradient, bool ends_epoch, bool restores) {
    training.gradient = gradient;
    restores_ = restores;
    training.averaging.ends_epochs = ends_epoch;
    const StepStatus status = step_gradient(Rows(), Rows(), 1);  // without targets, which the loss would read for its options
    training.gradient = nullptr;
    restores_ = true;
    training.averaging.ends_epochs = false;
    return status;
}

}  // namespace fastnn
