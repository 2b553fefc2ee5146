// The loss of a chunk: the targets of its rows, the weight of each element in the batch's mean, and partial sums.
//
// Like Layers, LossRows is fixed for a whole run, and shared by its threads: each works on row groups of its own.
#pragma once

#include "input_rows.h"
#include "kernel_tables.h"

namespace {

// Returns the factor of each weight in the mean: 0 if the reciprocal of the sum of weights would overflow. A given gradient is
// not a mean.
inline double mean_factor(double weight, const Network &network, const Loss &loss) {
    if (loss.given) return 1;
    if (weight == 0 || (!loss.signed_mean && weight < 1e-290)) return 0;
    return loss.factor / (weight * (loss.per_row ? 1.0 : double(network.last().n_out)));
}

// The rows of the workspace whose elements already have weights, all equal to `factor`.
struct Scaled {
    double factor = 0;
    Range rows = {0, 0};
};

template <class T> class LossRows {
  public:
    // rows: of the largest chunk, in whole row groups.
    LossRows(const Network &network, const Loss &loss, int64_t rows, Arena &arena)
        : last_(network.last()),
          loss_(loss),
          y_(arena.take<T>(rows * last_.row)),
          scale_(arena.take<T>(rows * last_.row)),
          partial_(arena.take<T>(rows / row_group)) {}

    // Returns the chunk's targets where they stand if the kernels can read them there; otherwise copies the given range of them.
    const T *read_targets(const Rows &y, const Batch &chunk, Range rows) const {
        const bool flat = last_.row == last_.n_out && y.row_stride == last_.row * int64_t(sizeof(T));
        if (!chunk.order && !chunk.weights && flat && !all_losses<T>[loss_.kind].takes_rows && !y.labels && has_plain_rows<T>(y))
            return reinterpret_cast<const T *>(y.data + chunk.first * y.row_stride);
        read_rows<T>(y, chunk, rows, last_.n_out, y_, last_.row);
        return y_;
    }

    // Sets the weight of each element in the batch's mean: factor, times the row's sample weight; 0 in the padding.
    void set_scale(double factor, const double *sample_weight, const Batch &chunk, Range rows, Scaled &scaled) const {
        if (!sample_weight && factor == scaled.factor && rows.begin == scaled.rows.begin && rows.end == scaled.rows.end) return;
        scaled = {factor, rows};
        for (int64_t i = rows.begin; i < rows.end; i++) {
            const T weight = T(sample_weight ? factor * sample_weight[chunk.own_row(i)] : factor);
            for (int64_t j = 0; j < last_.n_out; j++) scale_[i * last_.row + j] = weight;
        }
    }

    // Computes the partial sums of the rows' groups, and delta, the derivative by the outputs.
    void compute(const T *out, const T *targets, T *delta, Range rows) const {
        for (int64_t i = rows.begin; i < rows.end; i += row_group) {
            const int64_t count = rows.end - i < row_group ? rows.end - i : row_group, at = i * last_.row;
            partial_[i / row_group] =
                evaluate_loss<T>(loss_, out + at, targets + at, scale_ + at, delta + at, count, last_.n_out, last_.row);
        }
    }

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
    const Layer &last_;
    const Loss &loss_;
    T *const y_, *const scale_, *const partial_;
};

}  // namespace
