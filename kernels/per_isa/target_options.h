// Options of the targets: which of them are observed, and what each counts in the mean.
#pragma once

#include "element_types.h"
#include "input_rows.h"

namespace {

inline bool has_target_options(const Loss &loss) {
    return loss.output_weights || loss.ignores_missing || loss.pos_weight || loss.label_smoothing != 0;
}

// Whether a sum of weights has a reciprocal that does not overflow.
inline bool has_mean(double weight, const Loss &loss) { return weight != 0 && (loss.signed_mean || !(weight < 1e-290)); }

inline double weight_of_column(const Loss &loss, int64_t j) { return loss.output_weights ? loss.output_weights[j] : 1; }

// The weight of each row of the data in the divisor of a mean over rows, for a sample weight of 1. A row of elements counts as
// the mean of its targets' weights, with 0 for those that are not observed.
class RowWeights {
  public:
    RowWeights(const Loss &loss, const Rows &y, int64_t n_out)
        : loss_(loss), y_(y), n_targets_(loss.columns(n_out)), if_observed_(mean_weight([](int64_t) { return true; })) {}

    // The weights of the rows in the mean of a head.
    RowWeights(const Head &head, const Rows &y) : RowWeights(head.loss, targets_of(head, y), head.n_out) {}

    bool all_one() const { return !has_target_options(loss_) || (loss_.whole_rows && !y_.labels && !loss_.ignores_missing); }

    double operator()(int64_t row) const {
        if (y_.labels) return of_label(row);
        if (!loss_.ignores_missing) return loss_.whole_rows ? 1 : if_observed_;
        if (!loss_.whole_rows && loss_.output_weights) return mean_weight([&](int64_t j) { return !is_nan(row, j); });
        const int64_t observed = n_observed(row);
        return loss_.whole_rows ? double(observed == n_targets_) : double(observed) / double(n_targets_);
    }

  private:
    static Rows targets_of(const Head &head, Rows y) {
        y.data += head.first_target * y.column_stride;
        y.labels = head.labels;
        return y;
    }

    template <class Observed> double mean_weight(Observed observed) const {
        double sum = 0;
        for (int64_t j = 0; j < n_targets_; j++)
            if (observed(j)) sum += weight_of_column(loss_, j);
        return sum / double(n_targets_);
    }

    double of_label(int64_t row) const {
        const double label = with_element_type(y_.type, [&](auto value) {
            std::memcpy(&value, y_.data + row * y_.row_stride, sizeof value);
            return double(value);
        });
        return label >= 0 && label < double(n_targets_) ? weight_of_column(loss_, int64_t(label)) : 0;
    }

    bool is_nan(int64_t row, int64_t j) const {
        const char *at = y_.data + row * y_.row_stride + j * y_.column_stride;
        return y_.type == Type::float32 ? is_nan<float>(at) : y_.type == Type::float64 && is_nan<double>(at);
    }

    int64_t n_observed(int64_t row) const {
        const char *at = y_.data + row * y_.row_stride;
        return y_.type == Type::float32 ? n_observed<float>(at) : y_.type == Type::float64 ? n_observed<double>(at) : n_targets_;
    }
    template <class From> int64_t n_observed(const char *at) const {
        int64_t n = 0;
        for (int64_t j = 0; j < n_targets_; j++) n += !is_nan<From>(at + j * y_.column_stride);
        return n;
    }

    template <class From> static bool is_nan(const char *at) {
        From value;
        std::memcpy(&value, at, sizeof value);
        return std::isnan(value);
    }

    const Loss &loss_;
    const Rows y_;
    const int64_t n_targets_;
    const double if_observed_;
};

// The weights of batches: those of their samples, times those of their targets.
class BatchWeights {
  public:
    BatchWeights(const Loss &loss, const Rows &y, const double *sample_weight, int64_t n_out)
        : signed_mean_(loss.signed_mean), sample_weight_(sample_weight), of_targets_(loss, y, n_out) {}

    // Sets a batch's weights, unless all are 1.
    void weigh(Batch &batch) const {
        if (sample_weight_ || !of_targets_.all_one()) weigh_rows(batch);
    }

  private:
    __attribute__((noinline)) void weigh_rows(Batch &batch) const {
        if (of_targets_.all_one()) ::weigh(batch, sample_weight_, signed_mean_, [](int64_t) { return 1.0; });
        else ::weigh(batch, sample_weight_, signed_mean_, of_targets_);
    }

    const bool signed_mean_;
    const double *const sample_weight_;
    const RowWeights of_targets_;
};

// Returns a target of one of n classes, smoothed.
inline double smoothed(const Loss &loss, double y, int64_t n) {
    return loss.label_smoothing == 0 ? y : (1 - loss.label_smoothing) * y + loss.label_smoothing / double(n);
}

// The same as below for one element of column j.
template <class T> void apply_target_options(const Loss &loss, double weight, int64_t j, T &y, T &scale) {
    if (loss.ignores_missing && std::isnan(y)) {
        y = scale = 0;
        return;
    }
    double target = smoothed(loss, double(y), 2), share = weight * weight_of_column(loss, j);
    if (loss.pos_weight) {
        // w y l(1) + (1 - y) l(0), where l(y) is linear, is sum * l(w y / sum).
        const double positive = loss.pos_weight[j] * target, sum = positive + (1 - target);
        share *= sum;
        target = sum > 0 ? positive / sum : target;
    }
    y = T(target);
    scale = T(share);
}

// Applies the options to one row of targets, whose sample has the given weight in the mean, and sets the weight of each of its
// elements, like `scale` in losses.h. A target that is not observed becomes 0, of weight 0. Elements of y and scale are `step`
// apart.
template <class T>
void apply_target_options(const Loss &loss, bool labels, double weight, T *y, int64_t n_targets, T *scale, int64_t n_out,
                          int64_t step) {
    if (!loss.whole_rows && !loss.pos_weight && loss.label_smoothing == 0) {
        for (int64_t j = 0; j < n_targets; j++) {
            const bool missing = loss.ignores_missing && std::isnan(y[j * step]);
            scale[j * step] = missing ? T(0) : T(weight * weight_of_column(loss, j));
            y[j * step] = missing ? T(0) : y[j * step];
        }
        return;
    }
    if (!loss.whole_rows) {
        for (int64_t j = 0; j < n_targets; j++) apply_target_options(loss, weight, j, y[j * step], scale[j * step]);
        return;
    }
    bool missing = false, empty = labels;
    for (int64_t j = 0; j < n_targets; j++) {
        missing = missing || std::isnan(y[j * step]);
        empty = empty && y[j * step] == 0;
    }
    missing = loss.ignores_missing && (missing || empty);
    for (int64_t j = 0; j < n_targets; j++)
        y[j * step] = missing ? 0 : T(weight_of_column(loss, j) * smoothed(loss, double(y[j * step]), n_targets));
    for (int64_t j = 0; j < n_out; j++) scale[j * step] = missing ? 0 : T(weight);
}

}  // namespace
