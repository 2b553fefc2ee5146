// The loss of a chunk: the targets of its rows, the weight of each element in the batch's mean, and partial sums.
//
// Like Layers, LossRows is fixed for a whole run, and shared by its threads: each works on row groups of its own.
#pragma once

#include <limits>

#include "evaluate_loss.h"
#include "target_options.h"

namespace {

// Returns the factor of each weight in the mean: 0 if the reciprocal of the sum of weights would overflow. A given gradient is
// not a mean.
inline double mean_factor(double weight, const Network &network, const Loss &loss) {
    if (loss.given) return 1;
    if (!has_mean(weight, loss)) return 0;
    return loss.factor / (weight * (loss.per_row ? 1.0 : double(loss.columns(network.last().n_out))));
}

// The rows of the workspace whose elements already have weights, all equal to `factor`.
struct Scaled {
    double factor = 0;
    Range rows = {0, 0};
};

// The targets of a chunk: rows that stand `row` elements apart, or those that `order` lists.
template <class T> struct Targets {
    const T *rows;
    int64_t row;
    const int64_t *order = nullptr;
    const T *scale = nullptr;  // that all of a thread's rows share; null if each has its own
};

template <class T> class LossRows {
  public:
    // rows: of the largest chunk, in whole row groups.
    LossRows(const Network &network, const Loss &loss, const Rows &y, int64_t rows, Arena &arena)
        : last_(network.last()),
          loss_(loss),
          kernel_(loss_kernel<T>(loss)),
          data_(y),
          has_options_(has_target_options(loss)),
          reads_elements_(!has_options_ && !takes_rows<T>(loss) && !loss.custom && !y.labels && has_plain_rows<T>(y) &&
                          last_.row % block_lanes<T> == 0),
          n_targets_(loss.columns(last_.n_out)),
          target_row_(n_targets_ == last_.n_out ? last_.row : loss_row<T>(n_targets_)),
          head_elements_(head_elements<T>(loss)),
          y_(arena.take<T>(rows * target_row_)),
          scale_(arena.take<T>(rows * last_.row)),
          partial_(arena.take<T>(rows / row_group)),
          heads_(arena.take<T>(rows * head_elements_)) {}

    // Reads the targets of the chunk's rows, and sets the weight of each element in the batch's mean. Returns the chunk's targets.
    Targets<T> read(double factor, const double *sample_weight, const Batch &chunk, Range rows, Scaled &scaled) const {
        if (reads_elements_ && !sample_weight) {
            set_scale(factor, nullptr, chunk, {rows.begin, std::min(rows.end, rows.begin + 1)}, scaled);
            return in_place(chunk, scale_ + rows.begin * last_.row);
        }
        if (!has_options_) set_scale(factor, sample_weight, chunk, rows, scaled);
        const T *targets = read_targets(chunk, rows);
        if (has_options_) apply_options(factor, sample_weight, chunk, rows);
        return {targets, target_row_};
    }

    // Computes the partial sums of the rows' groups, and delta, the derivative with respect to the outputs. head_ratios: see
    // evaluate_loss.h.
    void compute(const T *out, const Targets<T> &targets, const double *head_ratios, T *delta, Range rows) const {
        const int64_t at = rows.begin * last_.row;
        LossRow<T> group = {out + at,    targets.rows, scale_ + at, delta + at, row_group,
                            last_.n_out, last_.row,    n_targets_,  targets.row};
        if (targets.order) group.order = targets.order + rows.begin;
        else group.y += rows.begin * targets.row;
        if (targets.scale) group.scale = targets.scale, group.scale_row = 0;
        for (int64_t i = rows.begin; i < rows.end; i += row_group, group.skip(row_group)) {
            if (rows.end - i < row_group) group.rows = rows.end - i;
            partial_[i / row_group] =
                loss_.heads ? losses<T>.heads(loss_, head_ratios, group, heads_ + i * head_elements_) : kernel_(loss_, group);
        }
    }

    // Whether the targets of some rows are finite numbers, or labels.
    bool has_finite(const Targets<T> &targets, Range rows) const {
        if (data_.labels) return true;
        if (!targets.order) return rows_finite(targets.rows + rows.begin * targets.row, targets.row, rows.size(), n_targets_);
        bool finite = true;
        for (int64_t i = rows.begin; i < rows.end; i++)
            finite = all_finite(targets.rows + targets.order[i] * targets.row, n_targets_) && finite;
        return finite;
    }

    // Makes the loss of the chunk NaN. first: a row of the thread's, the first of a group.
    void spoil(int64_t first) const { partial_[first / row_group] = std::numeric_limits<T>::quiet_NaN(); }

    // Sets the loss of rows that don't count to 0.
    void clear(Range rows) const {
        for (int64_t i = rows.begin; i < rows.end; i += row_group) partial_[i / row_group] = 0;
    }

    // Returns the loss of a chunk of n_rows rows.
    double sum(int64_t n_rows) const {
        double sum = 0;
        for (int64_t i = 0; i * row_group < n_rows; i++) sum += double(partial_[i]);
        return sum;
    }

  private:
    // Returns the targets where they stand. Without sample weights, all rows count.
    Targets<T> in_place(const Batch &chunk, const T *scale) const {
        const int64_t row = data_.row_stride / int64_t(sizeof(T));
        const T *first = reinterpret_cast<const T *>(data_.data);
        if (chunk.order) return {first, row, chunk.order + chunk.first, scale};
        return {first + chunk.first * row, row, nullptr, scale};
    }

    // Returns the chunk's targets where they stand if the kernels can read them there; otherwise copies the given range of them.
    const T *read_targets(const Batch &chunk, Range rows) const {
        const Rows &y = data_;
        const bool flat = target_row_ == n_targets_ && y.row_stride == target_row_ * int64_t(sizeof(T));
        const bool reads_padding = takes_rows<T>(loss_) && !loss_.custom_rows;
        if (!chunk.order && !chunk.weights && flat && !has_options_ && !reads_padding && !y.labels && has_plain_rows<T>(y))
            return reinterpret_cast<const T *>(y.data + chunk.first * y.row_stride);
        read_rows<T>(y, chunk, rows, n_targets_, y_, target_row_);
        return y_;
    }

    static double weight_of(double factor, const double *sample_weight, const Batch &chunk, int64_t i) {
        return sample_weight ? factor * sample_weight[chunk.own_row(i)] : factor;
    }

    // Sets the weight of each element: factor, times the row's sample weight; 0 in the padding.
    void set_scale(double factor, const double *sample_weight, const Batch &chunk, Range rows, Scaled &scaled) const {
        if (sample_weight || factor != scaled.factor || rows.begin != scaled.rows.begin || rows.end != scaled.rows.end)
            write_scale(factor, sample_weight, chunk, rows, scaled);
    }

    __attribute__((noinline)) void write_scale(double factor, const double *sample_weight, const Batch &chunk, Range rows,
                                               Scaled &scaled) const {
        scaled = {factor, rows};
        for (int64_t i = rows.begin; i < rows.end; i++) {
            const T weight = T(weight_of(factor, sample_weight, chunk, i));
            for (int64_t j = 0; j < last_.n_out; j++) scale_[i * last_.row + j] = weight;
        }
    }

    __attribute__((noinline)) void apply_options(double factor, const double *sample_weight, const Batch &chunk, Range rows) const {
        for (int64_t i = rows.begin; i < rows.end; i++)
            apply_target_options(loss_, data_.labels, weight_of(factor, sample_weight, chunk, i), y_ + i * target_row_, n_targets_,
                                 scale_ + i * last_.row, last_.n_out, 1);
    }

    const Layer &last_;
    const Loss &loss_;
    const LossKernel<T> kernel_;
    const Rows &data_;  // the targets of the caller
    const bool has_options_;
    const bool reads_elements_;  // the loss can read its targets where they stand
    const int64_t n_targets_, target_row_, head_elements_;
    T *const y_, *const scale_, *const partial_, *const heads_;
};

}  // namespace
