// A run's parameters and moments: the updates that change them, and the snapshot that restores them.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "blend.h"
#include "cache_size.h"
#include "coefficients.h"
#include "input_rows.h"

namespace {

constexpr size_t updated_arrays = 3;  // parameters and at most two moments
constexpr size_t state_arrays = 4;    // these, and an average of the parameters

// Returns the arrays of a training: parameters, moments, and the average, as many as n_state_arrays() says.
template <class T> std::array<T *, state_arrays> arrays_of(const Training &t) {
    std::array<T *, state_arrays> arrays = {static_cast<T *>(t.parameters)};
    for (size_t i = 0; i < size_t(t.optimizer.moments); i++) arrays[1 + i] = static_cast<T *>(t.moments[i]);
    if (t.averaging.average) arrays[1 + size_t(t.optimizer.moments)] = static_cast<T *>(t.averaging.average);
    return arrays;
}

template <class T> class OptimizerState {
  public:
    explicit OptimizerState(const Training &training) : OptimizerState(training, arrays_of<T>(training)) {}

    // The given arrays stand in place of arrays_of(training).
    OptimizerState(const Training &training, const std::array<T *, state_arrays> &arrays)
        : OptimizerState(training, arrays, static_cast<T *>(training.snapshot), training.network.size) {}

    // Arrays and a snapshot of another size than that of the storage.
    OptimizerState(const Training &training, const std::array<T *, state_arrays> &arrays, T *snapshot, int64_t size)
        : kernels_(all_optimizers<T>[training.optimizer.kind]),
          size_(size),
          clip_value_(T(training.optimizer.clip_value)),
          n_arrays_(training.n_state_arrays()),
          arrays_(arrays),
          moments_{training.optimizer.moments > 0 ? arrays[1] : nullptr, training.optimizer.moments > 1 ? arrays[2] : nullptr},
          average_(training.averaging.average ? arrays[size_t(n_arrays_) - 1] : nullptr),
          snapshot_(snapshot),
          streams_(n_arrays_ * size_ * int64_t(sizeof(T)) > fastnn::second_cache_bytes()) {}

    T *parameters() const { return arrays_[0]; }

    // Returns parameters and moments from element `offset` of the storage on; a moment that the optimizer lacks is null.
    std::array<T *, updated_arrays> arrays(int64_t offset) const {
        return {parameters() + offset, moment(0, offset), moment(1, offset)};
    }

    // Updates `count` parameters, from element `offset` of the storage on.
    void update(int64_t offset, const T *gradient, int64_t count, const Coefficients<T> &c) const {
        kernels_.update(parameters() + offset, gradient, moment(0, offset), moment(1, offset), count, c);
    }

    // Makes n updates of `count` parameters with the gradient of penalties alone. Their values are added to `penalties`, one block
    // of partial sums per update; it is null without penalties.
    void replay(int64_t offset, int64_t count, const Coefficients<T> *updates, int n, Vec<T> *penalties) const {
        kernels_.replay(parameters() + offset, moment(0, offset), moment(1, offset), count, updates, n, clip_value_, penalties);
    }

    // Moves the average of `count` parameters towards them by this share of the distance. Not inlined: steps without an average are
    // then as short as they can be.
    __attribute__((noinline)) void average(int64_t offset, int64_t count, T share) const {
        blend(average_ + offset, parameters() + offset, count, share);
    }

    void take_snapshot(int64_t offset, int64_t count) const { take_snapshot(offset, count, offset); }

    // The copies stand at another place of the snapshot.
    void take_snapshot(int64_t offset, int64_t count, int64_t place) const {
        for (int i = 0; i < n_arrays_; i++) {
            T *const to = snapshot_ + i * size_ + place;
            const T *const from = arrays_[size_t(i)] + offset;
            if (streams_) stream(to, from, count);
            else std::memcpy(to, from, size_t(count) * sizeof(T));
        }
    }
    void restore_snapshot(int64_t offset, int64_t count, int64_t place) const {
        for (int i = 0; i < n_arrays_; i++)
            std::memcpy(arrays_[size_t(i)] + offset, snapshot_ + i * size_ + place, size_t(count) * sizeof(T));
    }

    void restore_snapshot() const {
        for (int i = 0; i < n_arrays_; i++) std::memcpy(arrays_[size_t(i)], snapshot_ + i * size_, size_t(size_) * sizeof(T));
    }

    bool has_finite_parameters() const { return first_not_finite(parameters(), size_) < 0; }

  private:
    T *moment(int i, int64_t offset) const { return moments_[i] ? moments_[i] + offset : nullptr; }

    const OptimizerKernels<T> &kernels_;
    const int64_t size_;
    const T clip_value_;
    const int n_arrays_;
    const std::array<T *, state_arrays> arrays_;
    T *const moments_[2];
    T *const average_;
    T *const snapshot_;
    const bool streams_;  // copies that are too large for the cache pass it: they are read only after a divergence
};

// The conditions that decide how a run's updates are made: the same for all its batches.
struct UpdateRules {
    bool penalizes, clips_value, clips_norm;
    bool is_noop_without_gradient;  // an update without a gradient from the data changes nothing
    bool defers_first_layer;        // DeferredRows update the first layer's weights
    bool skips_absent_features;     // TouchedFeatures says which of the first layer's weights are updated
    bool descends_in_product;       // the product that computes a gradient makes the update, without a gradient array
    bool updates_all_alike;         // no parameters have coefficients of their own, apart from those of penalties
    int64_t first_layer;            // no gradient needs a layer before
    bool orthogonalizes;            // the updates of hidden matrices are orthogonal
    bool skips_absent_categories;   // TouchedCategories says which rows of tables are updated

    template <class T> static UpdateRules of(const Training &training) {
        const Optimizer &o = training.optimizer;
        const OptimizerKernels<T> &kernels = all_optimizers<T>[o.kind];
        const bool sparse = training.x.sparse();
        UpdateRules r = {};
        r.penalizes = o.has_penalty();
        r.updates_all_alike = true;
        bool has_settings = false;
        for_each_block(training.network, [&](int64_t, const Layer &, const Block &block) {
            r.updates_all_alike &= !block.has_own_factors();
            has_settings |= block.has_settings;
        });
        if (has_settings) r.read_settings(training);
        const bool trains_inputs = !training.network.layers[0].weights().is_frozen;
        r.clips_value = std::isfinite(o.clip_value);
        r.clips_norm = std::isfinite(o.clip_norm);
        const bool uses_gradients_alone = !r.penalizes && !r.clips_value && !r.clips_norm;
        r.is_noop_without_gradient = !r.penalizes && kernels.is_noop_without_gradient;
        r.defers_first_layer =
            sparse && trains_inputs && !training.network.layers[0].narrow && !r.clips_norm && training.batch_size <= chunk_rows;
        r.skips_absent_features = o.lazy && sparse && trains_inputs && !r.defers_first_layer && !r.is_noop_without_gradient;
        r.descends_in_product = kernels.is_plain_descent && uses_gradients_alone && !training.network.stage;
        r.orthogonalizes = kernels.orthogonalizes && training.network.n_layers > 2;
        r.skips_absent_categories = training.network.stage && !training.gradient && (o.lazy || kernels.is_noop_without_gradient);
        return r;
    }

  private:
    void read_settings(const Training &training) {
        const bool by_default = training.optimizer.has_penalty();
        penalizes = false;
        first_layer = training.network.n_layers;
        for_each_block(training.network, [&](int64_t l, const Layer &, const Block &block) {
            if (block.is_frozen) return;
            const bool follows_outputs = block.kind == BlockKind::scales && l > 0;  // their gradient needs the layer before
            first_layer = std::min(first_layer, follows_outputs ? l - 1 : l);
            const bool inherits = block.l1 < 0 || block.l2 < 0, own = block.l1 > 0 || block.l2 > 0;
            penalizes |= block.penalty_factor > 0 && (own || (inherits && by_default));
        });
    }
};

}  // namespace
