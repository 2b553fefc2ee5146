// The loss of some rows: built in, custom, or of several heads.
#pragma once

#include "kernel_tables.h"
#include "target_options.h"

namespace {

// Returns whether a loss computes whole rows, with padding, rather than single elements.
template <class T> bool takes_rows(const Loss &loss) {
    return loss.custom_rows || loss.heads || (!loss.custom && all_losses<T>[loss.kind].takes_rows);
}

// Computes the loss and delta of some rows, like elementwise_loss.
template <class T> T evaluate_loss(const Loss &loss, const LossRow<T> &r) {
    if (loss.given) return elementwise_loss<T, GivenGradient>(r.z, r.y, r.scale, r.delta, r.rows, r.n, r.row, T(0));
    if (loss.custom) return custom_loss(loss.custom, r.z, r.y, r.scale, r.delta, r.rows * r.row);
    if (loss.custom_rows) return custom_row_loss(loss, r);
    return all_losses<T>[loss.kind].compute(loss, r);
}

// Returns the distance between rows of n outputs or targets in the workspace.
template <class T> int64_t loss_row(int64_t n) { return n <= max_columns ? n : padded<T>(n); }

// The arrays in which a head finds its rows as if they were all that there is: outputs, weights, deltas and targets.
template <class T> struct HeadRows {
    explicit HeadRows(const Head &head)
        : n_targets(head.labels ? head.n_out : head.loss.columns(head.n_out)),
          row(loss_row<T>(head.n_out)),
          target_row(loss_row<T>(n_targets)) {}
    int64_t size() const { return 3 * row + target_row; }

    const int64_t n_targets, row, target_row;
};

// Returns the elements that heads need for each row.
template <class T> int64_t head_elements(const Loss &loss) {
    int64_t size = 0;
    for (int64_t h = 0; h < loss.n_heads; h++) {
        const int64_t head = HeadRows<T>(loss.heads[h]).size();
        if (head > size) size = head;
    }
    return padded<T>(size);
}

// Copies n columns of rows, and sets their padding to 0.
template <class T> void copy_columns(const T *from, int64_t from_row, int64_t rows, int64_t n, T *to, int64_t to_row) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < to_row; j++) to[i * to_row + j] = j < n ? from[i * from_row + j] : T(0);
}

// Sets the ratios of a batch's weight to its weights in the means of the heads. Heads without options have 1.
inline void set_head_ratios(const Loss &loss, const Rows &y, const double *sample_weight, const Batch &batch, double *ratios) {
    for (int64_t h = 0; h < loss.n_heads; h++) {
        const RowWeights of_rows(loss.heads[h], y);
        ratios[h] = 1;
        if (of_rows.all_one()) continue;
        Batch own = batch;
        weigh(own, sample_weight, loss.signed_mean, of_rows);
        ratios[h] = has_mean(own.weight, loss) ? batch.weight / own.weight : 0;
    }
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
    const T sum = evaluate_loss<T>(head.loss, {z, y, scale, delta, r.rows, n, own.row, own.n_targets, own.target_row});
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
