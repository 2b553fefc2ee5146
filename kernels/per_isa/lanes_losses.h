// Losses of many networks at once, each in a lane of its own.
#pragma once

#include "kernel_tables.h"
#include "lanes_product.h"
#include "target_options.h"

namespace {

// Rows of n outputs and of targets, with the weight of each row in the mean, and the delta to set. The kernels for one network add up
// values in partial sums, one for each lane of a block. Here, the value of output j of row i is added to sum number
// ((first + i) * sum_by_row + j * sum_by_output) % block_lanes.
template <class T> struct LaneLossRows {
    const T *z, *y, *scale;
    T *delta;
    int64_t rows, n;
    int64_t first, sum_by_row, sum_by_output;
    T *sums;

    T *sum(int64_t i, int64_t j) const { return sums + ((first + i) * sum_by_row + j * sum_by_output) % block_lanes<T> * lanes<T>; }
};

template <class T, template <class> class L> void lane_elements(const LaneLossRows<T> &r, T parameter) {
    const Vec<T> p = splat(parameter);
    for (int64_t i = 0; i < r.rows; i++) {
        const Vec<T> scale = load(r.scale + i * lanes<T>);
        for (int64_t j = 0; j < r.n; j++) {
            const int64_t at = (i * r.n + j) * lanes<T>;
            const Vec<T> z = load(r.z + at), y = load(r.y + at);
            T *sum = r.sum(i, j);
            store(sum, fma(scale, counted<T>(scale, L<T>::value(z, y, p)), load(sum)));
            store(r.delta + at, scale * counted<T>(scale, L<T>::gradient(z, y, p)));
        }
    }
}

// Sums over a row have the order of sums over the lanes of a block: the exponentials are at least 0, so that none is -0.
template <class T> void lane_cross_entropy(const LaneLossRows<T> &r, T epsilon) {
    alignas(block_bytes) T e[16 * lanes<T>], terms[16 * lanes<T>];
    for (int64_t i = 0; i < r.rows; i++) {
        const T *z = r.z + i * r.n * lanes<T>, *y = r.y + i * r.n * lanes<T>;
        T *delta = r.delta + i * r.n * lanes<T>;
        const Vec<T> weight = load(r.scale + i * lanes<T>);
        Vec<T> top = load(z), target = load(y);
        for (int64_t j = 1; j < r.n; j++) {
            top = max(load(z + j * lanes<T>), top);
            target += load(y + j * lanes<T>);
        }
        for (int64_t j = 0; j < r.n; j++) {
            const Vec<T> ej = exp(load(z + j * lanes<T>) - top);
            store(e + j * lanes<T>, ej);
            T *term = terms + j % block_lanes<T> * lanes<T>;
            store(term, j < block_lanes<T> ? ej : load(term) + ej);
        }
        const Vec<T> sum = fold_vectors(terms, r.n < block_lanes<T> ? r.n : block_lanes<T>);
        const Vec<T> log_sum = log(sum) + top, factor = weight * target / sum;
        for (int64_t j = 0; j < r.n; j++) {
            const Vec<T> value = cut_log_loss<T>(log_sum - load(z + j * lanes<T>), splat(epsilon));
            const Vec<T> wy = weight * load(y + j * lanes<T>);
            T *to = r.sum(i, j);
            store(to, fma(wy, counted<T>(weight, value), load(to)));
            store(delta + j * lanes<T>, counted<T>(weight, fma(load(e + j * lanes<T>), factor, -wy)));
        }
    }
}

template <class T> using LaneLoss = void (*)(const LaneLossRows<T> &rows, T parameter);

template <class T, template <class> class L> constexpr LaneLoss<T> lane_loss() {
    if constexpr (std::is_same_v<L<T>, CrossEntropy<T>>) return lane_cross_entropy<T>;
    else if constexpr (L<T>::takes_rows) return nullptr;
    else return lane_elements<T, L>;
}

// Null for losses that are computed for one network at a time.
template <class T>
constexpr LaneLoss<T> all_lane_losses[] = {
#define ROW(name, Struct) lane_loss<T, Struct>(),
    FASTNN_LOSSES(ROW)
#undef ROW
};

// Returns null if the loss is computed for one network at a time. Sets the parameter.
template <class T> LaneLoss<T> lane_loss_of(const Loss &loss, T &parameter) {
    if (loss.given || loss.custom || loss.custom_rows || loss.heads || loss.signed_mean || has_target_options(loss)) return nullptr;
    parameter = T(loss.n_parameters ? loss.parameters[0] : loss.parameter);
    const LaneLoss<T> compute = all_lane_losses<T>[loss.kind];
    if (!loss.n_parameters) return compute;
    return compute == lane_elements<T, BinaryCrossEntropy> ? lane_elements<T, BinaryFocal> : nullptr;
}

}  // namespace
