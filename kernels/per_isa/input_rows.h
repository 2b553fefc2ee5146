// Copies rows of the caller's arrays, which may have any type and strides, into the workspace, one batch at a time.
#pragma once

#include <cmath>
#include <cstring>

#include "api.h"
#include "dense.h"

namespace {

using fastnn::Rows;
using fastnn::Type;

// The rows of the data that a batch holds: consecutive rows from `first` on, or the rows that `order` lists from there on. A row
// of weight 0 doesn't count, and may hold anything. The kernels never read it; they read a row of the batch that counts in its
// place. Everything computed from that is finite if the batch is, so that its product with the weight 0 is 0.
struct Batch {
    const int64_t *order;
    int64_t first, size;
    const double *weights = nullptr;  // of all rows of the data; null unless some of the batch's are 0
    int64_t stand_in = -1;            // the row that is read in their place
    double weight = double(size);     // the divisor of sums over the batch

    int64_t own_row(int64_t i) const { return order ? order[first + i] : first + i; }
    bool counts(int64_t i) const { return !weights || weights[own_row(i)] != 0; }
    bool any_counts() const { return !weights || stand_in >= 0; }
    int64_t row(int64_t i) const { return counts(i) ? own_row(i) : stand_in; }
    Batch chunk(int64_t begin, int64_t n) const { return {order, first + begin, n, weights, stand_in, weight}; }
};

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

// To NumPy, any byte except 0 is True.
struct Boolean {
    uint8_t byte;
    template <class T> explicit operator T() const { return T(byte != 0); }
};

// Calls use with a zero of the type.
template <class Use> auto with_element_type(Type type, Use use) {
    switch (type) {
        case Type::float32: return use(float());
        case Type::float64: return use(double());
        case Type::int8: return use(int8_t());
        case Type::uint8: return use(uint8_t());
        case Type::int16: return use(int16_t());
        case Type::uint16: return use(uint16_t());
        case Type::int32: return use(int32_t());
        case Type::uint32: return use(uint32_t());
        case Type::int64: return use(int64_t());
        case Type::uint64: return use(uint64_t());
        case Type::boolean: break;
    }
    return use(Boolean());
}

constexpr size_t short_row = 256;  // bytes

// A call of memcpy would take longer than the copy. This one copies 16 bytes at a time, and the last 16 may overlap those before;
// or twice 8.
inline void copy_short_row(void *to, const void *from, size_t bytes) {
    char *out = static_cast<char *>(to);
    const char *in = static_cast<const char *>(from);
    if (bytes >= 16) {
        for (size_t i = 0; i + 16 < bytes; i += 16) std::memcpy(out + i, in + i, 16);
        std::memcpy(out + bytes - 16, in + bytes - 16, 16);
    } else if (bytes >= 8) {
        std::memcpy(out, in, 8);
        std::memcpy(out + bytes - 8, in + bytes - 8, 8);
    } else {
        std::memcpy(out, in, 4);  // the smallest element
    }
}

// `next` is the place of the next row, which the hardware can't guess: with the prefetch, 784-128-10 takes 5 % less if shuffled.
inline void copy_long_row(void *to, const void *from, size_t bytes, const char *next) {
    for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch(next + i);
    std::memcpy(to, from, bytes);
}

template <class T, class From>
void read_rows(const Rows &rows, const Batch &batch, Range range, int64_t columns, T *out, int64_t out_row) {
    for (int64_t i = range.begin; i < range.end; i++) {
        const char *in = rows.data + batch.row(i) * rows.row_stride;
        T *to = out + i * out_row;
        if (rows.labels) {
            From label;
            std::memcpy(&label, in, sizeof label);
            std::memset(to, 0, size_t(columns) * sizeof(T));
            // Labels were checked before, but the caller's memory may have changed since.
            if (uint64_t(label) < uint64_t(columns)) to[uint64_t(label)] = 1;
        } else if (std::is_same_v<T, From> && rows.column_stride == int64_t(sizeof(T))) {
            const size_t bytes = size_t(columns) * sizeof(T);
            if (bytes <= short_row) copy_short_row(to, in, bytes);
            else copy_long_row(to, in, bytes, i + 1 < range.end ? rows.data + batch.row(i + 1) * rows.row_stride : in);
        } else {
            for (int64_t j = 0; j < columns; j++) {
                From value;
                std::memcpy(&value, in + j * rows.column_stride, sizeof value);
                to[j] = T(value);
            }
        }
    }
}

// Copies the batch's rows of a range to out, without its padding.
template <class T> void read_rows(const Rows &rows, const Batch &batch, Range range, int64_t columns, T *out, int64_t out_row) {
    with_element_type(rows.type, [&](auto zero) { read_rows<T, decltype(zero)>(rows, batch, range, columns, out, out_row); });
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

// Returns the index of the first number that is not finite, or -1. x - x is 0 for a finite x, otherwise NaN: a sum over each
// segment finds such a number, and a second pass its place.
template <class T> int64_t first_not_finite(const T *x, int64_t n) {
    constexpr int64_t segment = 64 * lanes<T>;
    for (int64_t i = 0; i < n; i += segment) {
        const int64_t count = n - i < segment ? n - i : segment;
        Vec<T> sum = {};
        for_each_vector<T>(count, [&](int64_t j, auto access) {
            const Vec<T> v = access.load(x + i + j);
            sum += v - v;
        });
        for (int q = 0; q < lanes<T>; q++)
            if (sum[q] != 0)
                for (int64_t j = i; j < i + count; j++)
                    if (!std::isfinite(x[j])) return j;
    }
    return -1;
}

// Hands out memory as aligned arrays. Without a base it only counts.
class Arena {
  public:
    explicit Arena(void *base) : base_(static_cast<char *>(base)) {}
    template <class T> T *take(int64_t count) {
        used_ = (used_ + block_bytes - 1) / block_bytes * block_bytes;
        T *array = base_ ? reinterpret_cast<T *>(base_ + used_) : nullptr;
        used_ += count * int64_t(sizeof(T));
        return array;
    }
    int64_t used() const { return used_ + block_bytes; }  // with a spare block: kernels may read the last row in whole blocks

  private:
    char *base_;
    int64_t used_ = 0;
};

}  // namespace
