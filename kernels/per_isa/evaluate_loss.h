// The loss of some rows, and the memory that several heads need for it.
#pragma once

#include "kernel_tables.h"
#include "target_options.h"

namespace {

// Returns whether a loss computes whole rows, with padding, rather than single elements.
template <class T> bool takes_rows(const Loss &loss) {
    return loss.custom_rows || loss.heads || (!loss.custom && all_losses<T>[loss.kind].takes_rows);
}

template <class T> using LossKernel = T (*)(const Loss &loss, const LossRow<T> &rows);

// Returns the kernel that computes the loss and delta of some rows, like elementwise_loss. The heads of a loss are no such kernel.
template <class T> LossKernel<T> loss_kernel(const Loss &loss) {
    return loss.given         ? losses<T>.given_gradient
           : loss.custom      ? losses<T>.custom
           : loss.custom_rows ? losses<T>.custom_rows
                              : all_losses<T>[loss.kind].compute;
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

// Sets the ratios of a batch's weight to its weights in the means of the heads. Heads without options have 1.
inline __attribute__((noinline)) void set_head_ratios(const Loss &loss, const Rows &y, const double *sample_weight,
                                                      const Batch &batch, double *ratios) {
    for (int64_t h = 0; h < loss.n_heads; h++) {
        const RowWeights of_rows(loss.heads[h], y);
        ratios[h] = 1;
        if (of_rows.all_one()) continue;
        Batch own = batch;
        weigh(own, sample_weight, loss.signed_mean, of_rows);
        ratios[h] = has_mean(own.weight, loss) ? batch.weight / own.weight : 0;
    }
}

}  // namespace
