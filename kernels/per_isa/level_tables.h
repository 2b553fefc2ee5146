// What this level has for each name of the registry, and which part of the work a thread owns.
#pragma once

#include "api.h"
#include "dense.h"
#include "losses.h"
#include "optimizers.h"
#include "threads.h"

namespace {

using namespace fastnn;

constexpr int64_t row_group = 16;  // threads share rows in groups of this many; the loss has a partial sum for each

template <class T>
constexpr LossKernel<T> loss_kernels[] = {
#define ROW(name, Struct) loss_kernel<T, Struct>(),
    FASTNN_LOSSES(ROW)
#undef ROW
};
// delta and value of rows of outputs; see elementwise_loss.
template <class T>
T evaluate_loss(const Loss &loss, const T *out, const T *y, const T *scale, T *delta, int64_t rows, int64_t n, int64_t row) {
    if (loss.custom) return custom_loss(loss.custom, out, y, scale, delta, rows * row);
    return loss_kernels<T>[loss.kind](out, y, scale, delta, rows, n, row, T(loss.parameter));
}
// A loss of whole rows, padding included, not of elements one by one.
template <class T> bool takes_rows(const Loss &loss) { return loss_kernels<T>[loss.kind] == cross_entropy_loss<T>; }

template <class T> using PredictionLoss = double (*)(const T *p, const T *y, int64_t n);
template <class T>
constexpr PredictionLoss<T> prediction_losses_of_level[] = {
#define ROW(name, Struct) sum_of_terms<T, Struct>,
    FASTNN_PREDICTION_LOSSES(ROW)
#undef ROW
};

template <class T>
constexpr ActivationKernels<T> activations_of_level[] = {
#define ROW(name, Struct) activation_kernels<T, Struct>(),
    FASTNN_ACTIVATIONS(ROW)
#undef ROW
};
template <class T>
constexpr UpdateKernel<T> updates_of_level[] = {
#define ROW(name, Struct) update<T, Struct>,
    FASTNN_OPTIMIZERS(ROW)
#undef ROW
};

template <class T>
constexpr ReplayKernel<T> replays_of_level[] = {
#define ROW(name, Struct) replay<T, Struct>,
    FASTNN_OPTIMIZERS(ROW)
#undef ROW
};

constexpr int32_t identity = 0;  // the first activation, which needs no work

inline int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

// The part of 0 … n - 1 that a thread owns, in whole units.
inline Range share(int64_t n, int64_t unit, const Team &team) {
    if (team.size == 1) return {0, n};
    const int64_t units = (n + unit - 1) / unit, end = units * (team.index + 1) / team.size * unit;
    return {units * team.index / team.size * unit, end < n ? end : n};
}

// The rows of a layer's stored weights that a thread owns.
template <class T> Range own_weights(const Layer &layer, const Team &team) {
    return share(layer.weights_rows(), layer.narrow ? 1 : lanes<T>, team);
}

template <class T> int64_t padded(int64_t n) { return round_up(n, block_lanes<T>); }

}  // namespace
