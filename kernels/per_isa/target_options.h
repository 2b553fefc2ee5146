// Options of the targets: which of them are observed, and what each counts in the mean.
#pragma once

#include "input_rows.h"
#include "kernel_tables.h"

namespace {

// Returns whether the loss takes a row's targets together: it is observed as a whole.
template <class T> bool takes_rows(const Loss &loss) { return all_losses<T>[loss.kind].takes_rows; }

inline bool has_target_options(const Loss &loss) { return loss.output_weights || loss.ignores_missing; }

inline double output_weight(const Loss &loss, int64_t j) { return loss.output_weights ? loss.output_weights[j] : 1; }

// The weight of each row of the data in the divisor of a mean over rows, for a sample weight of 1. A row of elements counts as
// the mean of its outputs' weights, with 0 for those that are not observed.
template <class T> class RowWeights {
  public:
    RowWeights(const Loss &loss, const Rows &y, int64_t n_out)
        : loss_(loss), y_(y), n_out_(n_out), takes_rows_(takes_rows<T>(loss)), of_whole_row_(mean_weight([](int64_t) { return true; })) {}

    bool all_one() const { return !has_target_options(loss_) || (takes_rows_ && !y_.labels && !loss_.ignores_missing); }

    double operator()(int64_t row) const {
        if (y_.labels) return of_label(row);
        if (!loss_.ignores_missing) return takes_rows_ ? 1 : of_whole_row_;
        if (!takes_rows_) return mean_weight([&](int64_t j) { return !is_nan(row, j); });
        for (int64_t j = 0; j < n_out_; j++)
            if (is_nan(row, j)) return 0;
        return 1;
    }

  private:
    template <class Observed> double mean_weight(Observed observed) const {
        double sum = 0;
        for (int64_t j = 0; j < n_out_; j++)
            if (observed(j)) sum += output_weight(loss_, j);
        return sum / double(n_out_);
    }

    double of_label(int64_t row) const {
        const uint64_t label = with_element_type(y_.type, [&](auto value) {
            std::memcpy(&value, y_.data + row * y_.row_stride, sizeof value);
            return uint64_t(value);
        });
        return label < uint64_t(n_out_) ? output_weight(loss_, int64_t(label)) : 0;
    }

    bool is_nan(int64_t row, int64_t j) const {
        const char *at = y_.data + row * y_.row_stride + j * y_.column_stride;
        return y_.type == Type::float32 ? is_nan<float>(at) : y_.type == Type::float64 && is_nan<double>(at);
    }

    template <class From> static bool is_nan(const char *at) {
        From value;
        std::memcpy(&value, at, sizeof value);
        return std::isnan(value);
    }

    const Loss &loss_;
    const Rows &y_;
    const int64_t n_out_;
    const bool takes_rows_;
    const double of_whole_row_;
};

// Applies the options to one row of targets, `step` elements apart, whose sample has the given weight in the mean. Sets the weight
// of each element, like `scale` in losses.h. A target that is not observed becomes 0, of weight 0.
template <class T> void apply_target_options(const Loss &loss, bool labels, double weight, T *y, T *scale, int64_t n_out, int64_t step) {
    bool row_is_missing = false;
    if (takes_rows<T>(loss)) {
        // Then the outputs' weights are those of the classes, and multiply the targets.
        T sum = 0;
        for (int64_t j = 0; j < n_out; j++) sum += y[j * step];
        row_is_missing = loss.ignores_missing && (std::isnan(sum) || (labels && sum == 0));
        for (int64_t j = 0; j < n_out; j++) {
            y[j * step] = row_is_missing ? 0 : T(output_weight(loss, j) * y[j * step]);
            scale[j * step] = row_is_missing ? 0 : T(weight);
        }
        return;
    }
    for (int64_t j = 0; j < n_out; j++) {
        const bool missing = loss.ignores_missing && std::isnan(y[j * step]);
        if (missing) y[j * step] = 0;
        scale[j * step] = missing ? 0 : T(weight * output_weight(loss, j));
    }
}

}  // namespace
