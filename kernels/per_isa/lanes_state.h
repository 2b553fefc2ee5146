// The parameters and moments of many networks at once: how they come into lanes and back, and their updates.
#pragma once

#include "lanes_pass.h"
#include "optimizer_state.h"
#include "penalties.h"

namespace {

// The arrays of a group: parameters, moments, averages, and the snapshot of all. Their elements are the vectors of LaneLayer.
template <class T> class LaneState {
  public:
    LaneState(const Training &t, const LanePass<T> &pass, Arena &arena)
        : network_(t.network),
          pass_(pass),
          rules_(UpdateRules::of<T>(t)),
          kernels_(all_optimizers<T>[t.optimizer.kind]),
          clip_value_(T(t.optimizer.clip_value)),
          n_arrays_(t.n_state_arrays()),
          n_moments_(t.optimizer.moments),
          count_(pass.size() * lanes<T>),
          snapshot_(arena.take<T>(n_arrays_ * count_)),
          sums_(arena.take<T>(block_bytes / int64_t(sizeof(T)) * lanes<T>)) {
        arrays_[0] = pass.parameters();
        for (int i = 1; i < n_arrays_; i++) arrays_[i] = arena.take<T>(count_);
    }

    // ---- From the storages of a network into a lane, and back ----

    void put(const Training &t, int q) const {
        for (int i = 0; i < n_arrays_; i++) {
            const T *storage = arrays_of<T>(t)[size_t(i)];
            for_each_element([=](int64_t number, int64_t offset) { arrays_[i][number * lanes<T> + q] = storage[offset]; });
        }
    }
    void get(const Training &t, int q) const {
        for (int i = 0; i < n_arrays_; i++) {
            T *storage = arrays_of<T>(t)[size_t(i)];
            for_each_element([=](int64_t number, int64_t offset) { storage[offset] = arrays_[i][number * lanes<T> + q]; });
        }
    }
    void get_snapshot(const Training &t, int q) const {
        for (int i = 0; i < n_arrays_; i++) {
            T *storage = static_cast<T *>(t.snapshot) + i * network_.size;
            const T *from = snapshot_ + i * count_;
            for_each_element([=](int64_t number, int64_t offset) { storage[offset] = from[number * lanes<T> + q]; });
        }
    }
    // A lane that is not in use anymore computes with zeros.
    void clear(int q) const {
        for (int i = 0; i < n_arrays_; i++)
            for (int64_t number = 0; number < pass_.size(); number++) arrays_[i][number * lanes<T> + q] = 0;
    }

    void take_snapshot() const {
        for (int i = 0; i < n_arrays_; i++) std::memcpy(snapshot_ + i * count_, arrays_[i], size_t(count_) * sizeof(T));
    }

    // ---- Updates ----

    bool penalizes() const { return rules_.penalizes; }
    bool averages() const { return n_arrays_ > 1 + n_moments_; }

    // Moves the averages towards the parameters by these shares of the distance, one per lane. Those of a lane without a share stay.
    void average(Vec<T> shares) const {
        T *const averages = arrays_[n_arrays_ - 1];
        for (int64_t i = 0; i < count_; i += lanes<T>) {
            const Vec<T> a = load(averages + i);
            store(averages + i, shares == Vec<T>{} ? a : fma(shares, load(arrays_[0] + i) - a, a));
        }
    }

    // Makes the optimizer's step with the gradients of the pass. Adds the penalties to `penalties` of all lanes.
    void update(const Coefficients<T, Vec<T>> &c, double *penalties) const {
        if (rules_.clips_value || rules_.penalizes) prepare_gradients(c, penalties);
        if (rules_.updates_all_alike) update(0, pass_.size(), c);
        else
            for_each_block([&](int64_t number, const Block &block) {
                if (!block.is_frozen) update(number, block.rows * block.columns, block.has_own_factors() ? c.of(block) : c);
            });
    }

  private:
    template <class Visit> void for_each_block(Visit visit) const {
        int64_t number = 0;
        ::for_each_block(network_, [&](int64_t, const Layer &, const Block &block) {
            visit(number, block);
            number += block.rows * block.columns;
        });
    }
    // Calls visit(number of the vector, offset in a storage) for all parameters.
    template <class Visit> void for_each_element(Visit visit) const {
        for_each_block([&](int64_t number, const Block &block) {
            for (int64_t i = 0; i < block.rows; i++)
                for (int64_t j = 0; j < block.columns; j++) visit(number + i * block.columns + j, block.offset + i * block.row + j);
        });
    }

    T *moment(int i, int64_t at) const { return i <= n_moments_ ? arrays_[i] + at : nullptr; }

    void update(int64_t number, int64_t n, const Coefficients<T, Vec<T>> &c) const {
        const int64_t at = number * lanes<T>;
        // sum_columns_narrow, too, makes a step of plain descent with two roundings.
        const LaneLayer<T> &last = pass_.layer(network_.n_layers - 1);
        const int64_t unfused = rules_.descends_in_product && last.narrow && !pass_.is_tiny() ? last.biases : pass_.size();
        const int64_t fused = unfused - number < n ? unfused - number : n;
        if (fused > 0)
            kernels_.update_lanes(arrays_[0] + at, pass_.gradient() + at, moment(1, at), moment(2, at), fused * lanes<T>, c);
        for (int64_t i = fused > 0 ? fused : 0; i < n; i++) {
            T *const w = arrays_[0] + (number + i) * lanes<T>;
            store(w, load(w) - c.learning_rate * load(pass_.gradient() + (number + i) * lanes<T>));
        }
    }

    void prepare_gradients(const Coefficients<T, Vec<T>> &c, double *penalties) const {
        if (rules_.penalizes && pass_.is_tiny()) add_tiny_penalties(c, penalties);
        else if (rules_.penalizes)
            for_each_block([&](int64_t number, const Block &block) {
                if (!(block.penalty_factor > 0) || block.is_frozen) return;
                const Coefficients<T, Vec<T>> own = block.has_own_factors() ? c.of(block) : c;
                for (int64_t i = 0; i < block.rows; i++) add_penalties(number + i * block.columns, block.columns, own, penalties);
            });
        if (rules_.clips_value) clip_by_value(pass_.gradient(), count_, clip_value_);
    }

    // For a row of a storage. The partial sums of the penalties are those of the lanes of a block.
    void add_penalties(int64_t number, int64_t n, const Coefficients<T, Vec<T>> &c, double *penalties) const {
        clear_sums(n);
        for (int64_t j = 0; j < n; j++) add_penalty(number + j, j, c);
        add_sums(n, penalties);
    }

    // For the row of a tiny network, in which each unit's bias comes before its weights.
    void add_tiny_penalties(const Coefficients<T, Vec<T>> &c, double *penalties) const {
        clear_sums(pass_.size());
        int64_t place = 0;
        for (int64_t l = 0; l < network_.n_layers; l++) {
            const LaneLayer<T> &layer = pass_.layer(l);
            for (int64_t j = 0; j < layer.n_out; j++, place++)
                for (int64_t k = 0; k < layer.n_in; k++)
                    add_penalty(layer.weights + j * layer.by_output + k * layer.by_input, ++place, c);
        }
        add_sums(pass_.size(), penalties);
    }

    static int64_t n_sums(int64_t n) { return n < block_lanes<T> ? n : block_lanes<T>; }
    void clear_sums(int64_t n) const { std::memset(sums_, 0, size_t(n_sums(n) * lanes<T>) * sizeof(T)); }
    // For weight `number`, whose penalty is term `term` of a sum.
    void add_penalty(int64_t number, int64_t term, const Coefficients<T, Vec<T>> &c) const {
        T *const sum = sums_ + term % block_lanes<T> * lanes<T>, *const g = pass_.gradient() + number * lanes<T>;
        const Vec<T> w = load(pass_.parameters() + number * lanes<T>);
        store(g, load(g) + penalty_derivative<T>(w, c.l1, c.l2));
        store(sum, load(sum) + penalty_value<T>(w, c.l1, c.l2));
    }
    void add_sums(int64_t n, double *penalties) const {
        fold_vectors(sums_, n_sums(n));
        for (int q = 0; q < lanes<T>; q++) penalties[q] += double(sums_[q]);
    }

    const Network &network_;
    const LanePass<T> &pass_;
    const UpdateRules rules_;
    const OptimizerKernels<T> &kernels_;
    const T clip_value_;
    const int n_arrays_, n_moments_;
    const int64_t count_;  // elements of an array
    T *arrays_[state_arrays];
    T *const snapshot_, *const sums_;
};

}  // namespace
