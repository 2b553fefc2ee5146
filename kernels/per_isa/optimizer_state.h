// A run's parameters and moments: the updates that change them, and the snapshot that restores them.
#pragma once

#include <array>
#include <cmath>
#include <cstring>

#include "coefficients.h"
#include "input_rows.h"

namespace {

constexpr size_t state_arrays = 3;  // parameters and at most two moments

template <class T> class OptimizerState {
  public:
    explicit OptimizerState(const Training &training)
        : OptimizerState(training, {static_cast<T *>(training.parameters), static_cast<T *>(training.moments[0]),
                                    static_cast<T *>(training.moments[1])}) {}

    // The parameters and moments stand in the given arrays.
    OptimizerState(const Training &training, const std::array<T *, state_arrays> &arrays)
        : kernels_(all_optimizers<T>[training.optimizer.kind]),
          size_(training.network.size),
          clip_value_(T(training.optimizer.clip_value)),
          moments_in_use_(training.optimizer.moments),
          parameters_(arrays[0]),
          moments_{arrays[1], arrays[2]},
          snapshot_(static_cast<T *>(training.snapshot)) {}

    T *parameters() const { return parameters_; }

    // Returns the arrays from element `offset` of the storage on; a moment that the optimizer lacks is null.
    std::array<T *, state_arrays> arrays(int64_t offset) const {
        return {parameters_ + offset, moment(0, offset), moment(1, offset)};
    }

    // Updates `count` parameters, from element `offset` of the storage on.
    void update(int64_t offset, const T *gradient, int64_t count, const Coefficients<T> &c) const {
        kernels_.update(parameters_ + offset, gradient, moment(0, offset), moment(1, offset), count, c);
    }

    // Makes n updates of `count` parameters with the gradient of penalties alone. Their values are added to `penalties`, one block
    // of partial sums per update; it is null without penalties.
    void replay(int64_t offset, int64_t count, const Coefficients<T> *updates, int n, Vec<T> *penalties) const {
        kernels_.replay(parameters_ + offset, moment(0, offset), moment(1, offset), count, updates, n, clip_value_, penalties);
    }

    void take_snapshot(int64_t offset, int64_t count) const {
        const size_t bytes = size_t(count) * sizeof(T);
        std::memcpy(snapshot_ + offset, parameters_ + offset, bytes);
        for (int i = 0; i < moments_in_use_; i++) std::memcpy(snapshot_ + (i + 1) * size_ + offset, moments_[i] + offset, bytes);
    }

    void restore_snapshot() const {
        const size_t bytes = size_t(size_) * sizeof(T);
        std::memcpy(parameters_, snapshot_, bytes);
        for (int i = 0; i < moments_in_use_; i++) std::memcpy(moments_[i], snapshot_ + (i + 1) * size_, bytes);
    }

    bool has_finite_parameters() const { return first_not_finite(parameters_, size_) < 0; }

  private:
    T *moment(int i, int64_t offset) const { return moments_[i] ? moments_[i] + offset : nullptr; }

    const OptimizerKernels<T> &kernels_;
    const int64_t size_;
    const T clip_value_;
    const int moments_in_use_;
    T *const parameters_;
    T *const moments_[2];
    T *const snapshot_;
};

// The conditions that decide how a run's updates are made: the same for all its batches.
struct UpdateRules {
    bool penalizes, clips_value, clips_norm;
    bool is_noop_without_gradient;  // an update without a gradient from the data changes nothing
    bool defers_first_layer;        // DeferredRows update the first layer's weights
    bool skips_absent_features;     // TouchedFeatures says which of the first layer's weights are updated
    bool descends_in_product;       // the product that computes a gradient makes the update, without a gradient array
    bool updates_all_alike;         // gradients need no preparation, and all parameters have the same coefficients

    template <class T> static UpdateRules of(const Training &training) {
        const Optimizer &o = training.optimizer;
        const OptimizerKernels<T> &kernels = all_optimizers<T>[o.kind];
        const bool sparse = training.x.sparse();
        UpdateRules r = {};
        r.penalizes = o.l1 > 0 || o.l2 > 0;
        r.clips_value = std::isfinite(o.clip_value);
        r.clips_norm = std::isfinite(o.clip_norm);
        const bool uses_gradients_alone = !r.penalizes && !r.clips_value && !r.clips_norm;
        r.is_noop_without_gradient = !r.penalizes && kernels.is_noop_without_gradient;
        r.defers_first_layer = sparse && !training.network.layers[0].narrow && !r.clips_norm && training.batch_size <= chunk_rows;
        r.skips_absent_features = o.lazy && sparse && !r.defers_first_layer && !r.is_noop_without_gradient;
        r.descends_in_product = kernels.is_plain_descent && uses_gradients_alone && !training.network.stage;
        r.updates_all_alike = uses_gradients_alone;
        for_each_block(training.network, [&](int64_t, const Layer &, const Block &block) {
            r.updates_all_alike &= block.learning_rate_factor == 1 && block.decay_factor == 1;
        });
        return r;
    }
};

}  // namespace
