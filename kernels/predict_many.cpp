#include "predict_many.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "isa_kernels.h"
#include "memory.h"
#include "threads.h"

namespace fastnn {
namespace {

constexpr int64_t rows_per_call = 256;    // if a model has more rows, several threads may share them
constexpr int64_t turns_per_thread = 16;  // each takes some of the calls
constexpr int64_t most_together = 32;     // models in one call of a kernel
constexpr int64_t segment = 64;           // elements whose sums are computed together

// The models, or some rows of a model at a time. A thread that has computed some of them takes the next ones.
class Calls {
  public:
    explicit Calls(const ManyPredictions &all)
        : all_(all),
          kernels_(kernels_of(all.models[0]->type)),
          output_row_(all.models[0]->network.last().n_out * element_size(all.models[0]->type)),
          calls_per_model_((all.n_rows + rows_per_call - 1) / rows_per_call) {}

    int64_t count() const { return all_.n_models * calls_per_model_; }

    bool run() {
        workspace_bytes_ = most_workspace_bytes();
        calls_per_turn_ = std::max<int64_t>(1, count() / (turns_per_thread * all_.n_threads));
        workspaces_ = static_cast<char *>(allocate_zeros(workspace_bytes_ * all_.n_threads));
        if (!workspaces_) return false;
        parallel(all_.n_threads, [](const Team &team, void *self) { static_cast<Calls *>(self)->run(team); }, this);
        free_zeros(workspaces_);
        return true;
    }

  private:
    // Some rows of a model.
    struct Place {
        int64_t model, first_row, n_rows;
    };

    Place place(int64_t call) const {
        const int64_t first = call % calls_per_model_ * rows_per_call;
        return {call / calls_per_model_, first, std::min(rows_per_call, all_.n_rows - first)};
    }

    const Layer *layers(int64_t model) const { return all_.models[model]->network.layers; }

    Prediction prediction(const Place &p, void *const *outputs) const {
        const Model &model = *all_.models[p.model];
        Prediction call = {model.network, model.parameters, all_.x, p.n_rows, outputs, 1};
        if (all_.x.sparse()) call.x.row_starts += p.first_row;
        else call.x.data += p.model * all_.x_stride + p.first_row * all_.x.row_stride;
        return call;
    }

    int64_t most_workspace_bytes() const {
        const bool is_short = is_one_dense_row(all_.x, all_.n_rows, 1);
        int64_t most = 0;
        for (int64_t m = 0; m < all_.n_models; m++) {
            if (m > 0 && layers(m) == layers(m - 1)) continue;
            if (is_short) most = std::max(most, all_.models[m]->row_bytes);
            else  // fewer rows may need more: other kernels compute them
                for (const int64_t n : {std::min(rows_per_call, all_.n_rows), all_.n_rows % rows_per_call})
                    if (n > 0) most = std::max(most, kernels_.prediction_bytes(prediction({m, 0, n}, nullptr)));
        }
        return (most + 63) / 64 * 64;
    }

    void run(const Team &team) {
        char *const workspace = workspaces_ + workspace_bytes_ * team.index;
        Place last = {-1, 0, 0};
        for (int64_t next; (next = next_.fetch_add(calls_per_turn_, std::memory_order_relaxed)) < count();)
            for (const int64_t end = std::min(count(), next + calls_per_turn_); next < end;) {
                const Place p = place(next);
                // The next call with the same layers and rows takes the workspace as it is.
                if (last.model >= 0 && (layers(last.model) != layers(p.model) || last.n_rows != p.n_rows))
                    std::memset(workspace, 0, size_t(workspace_bytes_));
                last = p;
                next += predict(p, calls_per_model_ == 1 ? end - next : 1, workspace);
            }
    }

    // Computes up to n_models models from this one on, while they have the same layers. Returns their number.
    int64_t predict(const Place &p, int64_t n_models, void *workspace) const {
        const void *parameters[most_together];
        int64_t n = 0;
        for (; n < std::min(n_models, most_together) && layers(p.model + n) == layers(p.model); n++)
            parameters[n] = all_.models[p.model + n]->parameters;
        void *outputs[max_layers];
        const int64_t last = all_.models[p.model]->network.n_layers - 1;
        std::fill(outputs, outputs + last, nullptr);
        outputs[last] = static_cast<char *>(all_.out) + (p.model * all_.n_rows + p.first_row) * output_row_;
        kernels_.predict_each({prediction(p, outputs), parameters, n, all_.x_stride, all_.n_rows * output_row_}, workspace);
        return n;
    }

    const ManyPredictions &all_;
    const Kernels &kernels_;
    const int64_t output_row_;  // bytes
    const int64_t calls_per_model_;
    int64_t calls_per_turn_ = 1, workspace_bytes_ = 0;
    char *workspaces_ = nullptr;  // one per thread
    alignas(128) std::atomic<int64_t> next_{0};
};

// All threads compute one model after the other.
bool predict_in_turn(const ManyPredictions &all) {
    const int64_t last_row = all.models[0]->network.last().n_out * element_size(all.models[0]->type);
    for (int64_t m = 0; m < all.n_models; m++) {
        Rows x = all.x;
        x.data += m * all.x_stride;
        void *outputs[max_layers] = {};
        outputs[all.models[m]->network.n_layers - 1] = static_cast<char *>(all.out) + m * all.n_rows * last_row;
        if (!predict(*all.models[m], x, all.n_rows, outputs, all.n_threads)) return false;
    }
    return true;
}

}  // namespace

double choose_threads(ManyPredictions &all) {
    double work = 0;
    for (int64_t m = 0; m < all.n_models; m++) work += all.models[m]->work_per_row;
    work *= double(all.n_rows);
    if (!all.n_threads) all.n_threads = threads_for(work);
    return work;
}

bool predict_many(const ManyPredictions &all) {
    if (all.n_rows == 0) return true;
    Calls calls(all);
    return calls.count() < all.n_threads ? predict_in_turn(all) : calls.run();
}

template <class T> void spread_over_models(const T *values, int64_t n_models, int64_t size, double divisor, T *mean, T *deviation) {
    for (int64_t first = 0; first < size; first += segment) {
        const int64_t n = std::min(segment, size - first);
        double means[segment] = {}, squares[segment] = {};
        for (int64_t m = 0; m < n_models; m++)
            for (int64_t i = 0; i < n; i++) means[i] += double(values[m * size + first + i]);
        for (int64_t i = 0; i < n; i++) means[i] /= double(n_models);
        if (mean)
            for (int64_t i = 0; i < n; i++) mean[first + i] = T(means[i]);
        if (!deviation) continue;
        for (int64_t m = 0; m < n_models; m++)
            for (int64_t i = 0; i < n; i++) {
                const double distance = double(values[m * size + first + i]) - means[i];
                squares[i] += distance * distance;
            }
        for (int64_t i = 0; i < n; i++) deviation[first + i] = T(std::sqrt(squares[i] / divisor));
    }
}

template void spread_over_models(const float *, int64_t, int64_t, double, float *, float *);
template void spread_over_models(const double *, int64_t, int64_t, double, double *, double *);

}  // namespace fastnn
