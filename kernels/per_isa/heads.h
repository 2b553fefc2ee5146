// The weighted sum of the losses of several heads.
#pragma once

#include "evaluate_loss.h"

namespace {

// Copies n columns of rows, and sets their padding to 0.
template <class T> void copy_columns(const T *from, int64_t from_row, int64_t rows, int64_t n, T *to, int64_t to_row) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < to_row; j++) to[i * to_row + j] = j < n ? from[i * from_row + j] : T(0);
}

// ratio: see set_head_ratios.
template <class T> T head_loss(const Head &head, double ratio, const LossRow<T> &r, T *memory) {
    const HeadRows<T> own(head);
    const int64_t n = head.n_out;
    T *const z = memory, *const scale = z + r.rows * own.row, *const delta = scale + r.rows * own.row;
    T *const y = delta + r.rows * own.row;
    copy_columns(r.z + head.first, r.row, r.rows, n, z, own.row);
    const double factor = ratio * (head.weight / (head.loss.per_row ? 1.0 : double(own.n_targets)));
    for (int64_t i = 0; i < r.rows; i++)
        for (int64_t j = 0; j < own.row; j++) {
            scale[i * own.row + j] = j < n ? T(double(r.scale[i * r.row]) * factor) : T(0);
            delta[i * own.row + j] = 0;
        }
    const T *targets = r.y + head.first_target;
    if (!head.labels) copy_columns(targets, r.target_row, r.rows, own.n_targets, y, own.target_row);
    else
        for (int64_t i = 0; i < r.rows; i++)
            for (int64_t j = 0; j < own.target_row; j++)
                y[i * own.target_row + j] = targets[i * r.target_row] == T(j) ? T(1) : T(0);
    if (has_target_options(head.loss))
        for (int64_t i = 0; i < r.rows; i++)
            apply_target_options(head.loss, head.labels, double(r.scale[i * r.row]) * factor, y + i * own.target_row, own.n_targets,
                                 scale + i * own.row, n, 1);
    const T sum = loss_kernel<T>(head.loss)(head.loss, {z, y, scale, delta, r.rows, n, own.row, own.n_targets, own.target_row});
    for (int64_t i = 0; i < r.rows; i++) std::memcpy(r.delta + i * r.row + head.first, delta + i * own.row, size_t(n) * sizeof(T));
    return sum;
}

// Computes the weighted sum of the heads' losses, with the memory of head_elements for each row.
template <class T> T evaluate_heads(const Loss &loss, const double *ratios, const LossRow<T> &r, T *memory) {
    T sum = 0;
    for (int64_t h = 0; h < loss.n_heads; h++) sum += head_loss(loss.heads[h], ratios[h], r, memory);
    return sum;
}

}  // namespace
