// The kernels of this instruction set for each name of the registry, and the share of the work that each thread owns.
#pragma once

#include "api.h"
#include "cross_entropy.h"
#include "dense.h"
#include "losses.h"
#include "narrow_layer.h"
#include "optimizers.h"
#include "prediction_losses.h"
#include "row_losses.h"
#include "threads.h"

namespace {

using namespace fastnn;

constexpr int64_t row_group = 16;  // rows in a group: threads share whole groups, and the loss has one partial sum per group

template <class T> struct LossKernels {
    T (*compute)(const Loss &loss, const LossRow<T> &rows);
    bool takes_rows;
};

template <class T, template <class> class L> T compute_elements(const Loss &loss, const LossRow<T> &r) {
    if constexpr (L<T>::may_be_focal)
        if (loss.n_parameters)
            return elementwise_loss<T, BinaryFocal>(r.z, r.y, r.scale, r.delta, r.rows, r.n, r.row, T(loss.parameters[0]));
    return elementwise_loss<T, L>(r.z, r.y, r.scale, r.delta, r.rows, r.n, r.row, T(loss.parameter));
}

template <class T, template <class> class L> constexpr LossKernels<T> loss_kernels() {
    if constexpr (L<T>::takes_rows) return {L<T>::compute, true};
    else return {compute_elements<T, L>, false};
}

template <class T>
constexpr LossKernels<T> all_losses[] = {
#define ROW(name, Struct) loss_kernels<T, Struct>(),
    FASTNN_LOSSES(ROW)
#undef ROW
};

template <class T> using PredictionLoss = double (*)(const T *p, const T *y, int64_t n);
template <class T>
constexpr PredictionLoss<T> all_prediction_losses[] = {
#define ROW(name, Struct) sum_of_terms<T, Struct>,
    FASTNN_PREDICTION_LOSSES(ROW)
#undef ROW
};

template <class T>
constexpr ActivationKernels<T> all_activations[] = {
#define ROW(name, Struct) activation_kernels<T, Struct>(),
    FASTNN_ACTIVATIONS(ROW) FASTNN_PARAMETRIC_ACTIVATIONS(ROW)
#undef ROW
};

template <class T>
constexpr OptimizerKernels<T> all_optimizers[] = {
#define ROW(name, Struct) optimizer_kernels<T, Struct>(),
    FASTNN_OPTIMIZERS(ROW)
#undef ROW
};

inline int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

// Returns the range of 0 … n - 1 that a thread owns, in whole units.
inline Range share(int64_t n, int64_t unit, const Team &team) {
    if (team.size == 1) return {0, n};
    const int64_t units = (n + unit - 1) / unit, end = units * (team.index + 1) / team.size * unit;
    return {units * team.index / team.size * unit, end < n ? end : n};
}

// Returns the rows of a block that a thread owns.
template <class T> Range own_rows(const Layer &layer, const Block &block, const Team &team) {
    return share(block.rows, layer.narrow ? 1 : lanes<T>, team);
}

// Some rows of one of a layer's blocks of parameters.
struct BlockRows {
    int64_t layer;
    const Block &block;
    Range rows;
};

template <class T> int64_t padded(int64_t n) { return round_up(n, block_lanes<T>); }

}  // namespace
