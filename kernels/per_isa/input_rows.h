// The rows of a batch in the caller's arrays, and the memory of a run.
#pragma once

#include <cmath>
#include <cstring>

#include "api.h"
#include "product.h"

namespace fastnn::FASTNN_ISA_NAME {

// The rows of the data that a batch holds: consecutive rows from `first` on, or the rows that `order` lists from there on. A row
// of weight 0 doesn't count, and may hold anything. The kernels never read it; they read a row of the batch that counts in its
// place. Everything computed from that is finite if the batch is, so that its product with the weight 0 is 0.
struct Batch {
    const int64_t *order;
    int64_t first, size;
    const double *weights = nullptr;  // of all rows of the data; null unless some of the batch's are 0
    int64_t stand_in = -1;            // the row that is read in their place
    double weight = double(size);     // the divisor of sums over the batch
    bool checks_numbers = false;      // inputs and targets that are not finite make the loss NaN

    FASTNN_MEMBER int64_t own_row(int64_t i) const { return order ? order[first + i] : first + i; }
    FASTNN_MEMBER bool counts(int64_t i) const { return !weights || weights[own_row(i)] != 0; }
    FASTNN_MEMBER bool any_counts() const { return !weights || stand_in >= 0; }
    FASTNN_MEMBER int64_t row(int64_t i) const { return counts(i) ? own_row(i) : stand_in; }
    FASTNN_MEMBER Batch chunk(int64_t begin, int64_t n) const {
        return {order, first + begin, n, weights, stand_in, weight, checks_numbers};
    }
};

// The factors of a chunk's inputs: a trained scale of each feature, and the mask of dropout.
template <class T> struct InputFactors {
    const T *scales = nullptr;      // null: all are 1
    const uint64_t *key = nullptr;  // of the batch's masks; null: drops nothing
    double probability = 0;         // of dropping an input
    int64_t first_row = 0;          // of the chunk in the batch

    FASTNN_MEMBER bool any() const { return scales || key; }
};

// The kernels of inputs.cpp.
template <class T> struct Inputs {
    void (*read_rows)(const Rows &rows, const Batch &batch, Range range, int64_t columns, T *out, int64_t out_row);
    // Sets out[i] = bias + (x[i] * factors) weights for a range of sparse rows.
    void (*multiply_sparse)(const Rows &x, const Batch &chunk, const InputFactors<T> &factors, Range rows, const Layer &layer,
                            const T *weights, const T *bias, T *out);
};

}  // namespace fastnn::FASTNN_ISA_NAME

FASTNN_DECLARE_TABLE(Inputs, inputs)

namespace {

// The sum of weights that cancel, except for rounding, counts as 0.
constexpr double cancelled = 0x1p-50;

// Sets a batch's weights: those of its samples, which are 1 if sample_weight is null, times row_weight(row). With signed_mean, the
// divisor is their sum; otherwise it is the sum of their magnitudes.
template <class RowWeight> void weigh(Batch &batch, const double *sample_weight, bool signed_mean, RowWeight row_weight) {
    double sum = 0, magnitudes = 0;
    bool all_count = true;
    for (int64_t i = 0; i < batch.size; i++) {
        const int64_t row = batch.own_row(i);
        const double of_sample = sample_weight ? sample_weight[row] : 1;
        const double weight = of_sample == 0 ? 0 : of_sample * row_weight(row);
        sum += weight;
        magnitudes += std::fabs(weight);
        all_count &= of_sample != 0;
    }
    batch.weight = !signed_mean ? magnitudes : std::fabs(sum) <= cancelled * magnitudes ? 0 : sum;
    if (all_count) return;
    batch.weights = sample_weight;
    for (int64_t i = 0; i < batch.size && batch.stand_in < 0; i++)
        if (batch.counts(i)) batch.stand_in = batch.own_row(i);
}

// Copies the batch's rows of a range to out, without its padding.
template <class T> void read_rows(const Rows &rows, const Batch &batch, Range range, int64_t columns, T *out, int64_t out_row) {
    inputs<T>.read_rows(rows, batch, range, columns, out, out_row);
}

template <class T> constexpr Type type_of = sizeof(T) == 4 ? Type::float32 : Type::float64;

// Returns whether elements are of type T, aligned, and side by side in each row.
template <class T> bool has_plain_rows(const Rows &rows) {
    return rows.type == type_of<T> && rows.column_stride == int64_t(sizeof(T)) && rows.row_stride % int64_t(sizeof(T)) == 0 &&
           uintptr_t(rows.data) % sizeof(T) == 0;
}

// Returns whether a product can read the rows where they stand: they are plain, and their stride is not a multiple of 1 KiB, at
// which they would all fall on the same few sets of the cache.
template <class T> bool readable_in_place(const Rows &rows) {
    return has_plain_rows<T>(rows) && rows.row_stride % fastnn::set_stride != 0;
}

// Whether all numbers are finite. x - x is 0 for a finite x, otherwise NaN.
template <class T> bool all_finite(const T *x, int64_t n) {
    Vec<T> sums[4] = {};
    const auto add = [&](int64_t i, int chain, auto access) {
        const Vec<T> some = access.load(x + i);
        sums[chain] += some - some;
    };
    int64_t i = 0;
    for (; i + 4 * lanes<T> <= n; i += 4 * lanes<T>)
#pragma GCC unroll 4
        for (int chain = 0; chain < 4; chain++) add(i + chain * lanes<T>, chain, Whole<T>{});
    for_each_vector<T>(n - i, [&](int64_t j, auto access) { add(i + j, 0, access); });
    const Vec<T> sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    bool finite = true;
    for (int q = 0; q < lanes<T>; q++) finite = finite && sum[q] == 0;
    return finite;
}

// Returns the index of the first number that is not finite, or -1.
template <class T> int64_t first_not_finite(const T *x, int64_t n) {
    constexpr int64_t segment = 4096 / int64_t(sizeof(T));
    for (int64_t i = 0; i < n; i += segment) {
        const int64_t end = n - i < segment ? n : i + segment;
        if (all_finite(x + i, end - i)) continue;
        for (int64_t j = i; j < end; j++)
            if (!std::isfinite(x[j])) return j;
    }
    return -1;
}

// Whether the first n numbers of each row are finite. The rows stand `row` elements apart.
template <class T> bool rows_finite(const T *x, int64_t row, int64_t n_rows, int64_t n) {
    if (row == n) return all_finite(x, n_rows * n);
    bool finite = true;
    for (int64_t i = 0; i < n_rows; i++) finite = all_finite(x + i * row, n) && finite;
    return finite;
}

// Hands out memory as aligned arrays. Without a base it only counts.
class Arena {
  public:
    explicit Arena(void *base) : base_(static_cast<char *>(base)) {}
    template <class T> T *take(int64_t count) {
        used_ = (used_ + block_bytes - 1) / block_bytes * block_bytes;
        T *array = base_ ? reinterpret_cast<T *>(base_ + used_) : nullptr;
        const int64_t bytes = count * int64_t(sizeof(T));
        used_ += bytes;
        layout_ = (layout_ ^ uint64_t(bytes)) * 0x9e3779b97f4a7c15;
        return array;
    }
    int64_t used() const { return used_ + block_bytes; }  // with a spare block: kernels may read the last row in whole blocks
    // Returns a number that is the same for the same arrays. Others have another one, but for chances of 1 in 2^64.
    uint64_t layout() const { return layout_; }

  private:
    char *base_;
    uint64_t layout_ = 1;
    int64_t used_ = 0;
};

}  // namespace
