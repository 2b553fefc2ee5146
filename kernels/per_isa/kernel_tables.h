// The kernels of this instruction set for each name of the registry, and the share of the work that each thread owns.
#pragma once

#include "api.h"
#include "product.h"
#include "registry.h"
#include "shared.h"
#include "threads.h"
#include "vec.h"

namespace fastnn::FASTNN_ISA_NAME {

// ---- activations.cpp ----

// The functions take rows of n values, `row` elements apart; the padding in between is zero before and after.
template <class T> struct ActivationKernels {
    void (*value)(T *z, int64_t rows, int64_t n, int64_t row);                                // in place
    void (*value_and_derivative)(T *z, T *derivative, int64_t rows, int64_t n, int64_t row);  // null if the derivative is a matrix
    void (*times_derivative)(T *delta, const T *a, int64_t rows, int64_t n, int64_t row);     // null if the derivative needs z
    // Activations with one slope s per unit have these two instead. by_slope may be null.
    void (*value_with_slopes)(T *z, const T *s, int64_t rows, int64_t n, int64_t row);
    void (*derivatives)(T *z, const T *s, T *by_input, T *by_slope, int64_t rows, int64_t n, int64_t row);
    bool is_identity, elementwise, from_output, has_slopes;  // traits of the struct

    // Whether the activation has parameters of this kind.
    FASTNN_MEMBER bool has(fastnn::BlockKind kind) const { return kind == fastnn::BlockKind::slopes && has_slopes; }
};

#define PLUS_ONE(...) +1
template <class T> struct Activations {
    ActivationKernels<T> of[0 FASTNN_ACTIVATIONS(PLUS_ONE) FASTNN_SLOPED_ACTIVATIONS(PLUS_ONE)];
};

// The functions take rows of n units, `row` elements apart, whose padding may contain anything before, and is 0 after. A row of
// units x is normalized to x' = (x - mean) * factor. Its outputs are gain * x' + shift, with a gain and a shift for each unit.
template <class T> struct NormalizationKernels {
    // In place. normalized receives x', and factors the factor of each row, unless they are null.
    void (*value)(T *x, const T *gains, const T *shifts, T *normalized, T *factors, int64_t rows, int64_t n, int64_t row);
    // delta, a derivative by the outputs, becomes that by x.
    void (*back)(T *delta, const T *gains, const T *normalized, const T *factors, int64_t rows, int64_t n, int64_t row);
    // delta, a derivative of x, becomes that of the outputs.
    void (*forward)(T *delta, const T *gains, const T *normalized, const T *factors, int64_t rows, int64_t n, int64_t row);
    bool has_gains, has_shifts;  // shifts are null, and 0, if there are none

    // Whether the normalization has parameters of this kind.
    FASTNN_MEMBER bool has(fastnn::BlockKind kind) const {
        return (kind == fastnn::BlockKind::gains && has_gains) || (kind == fastnn::BlockKind::shifts && has_shifts);
    }
};

template <class T> struct Normalizations {
    NormalizationKernels<T> of[1 FASTNN_NORMALIZATIONS(PLUS_ONE)];  // the first one is none
};

template <class T> struct Functions {
    void (*of[0 FASTNN_FUNCTIONS(PLUS_ONE)])(const T *x, T *y, int64_t n);  // y = f(x) for n elements; y may be x
};

// ---- losses.cpp ----

// Rows of n outputs and of targets, with the weight of each output in the mean, and the delta to set. Rows of z, scale and delta
// are `row` elements apart. The scale is 0 in the padding. Elements past a row's n may be read and, in delta, set to 0 if row > n.
// Only the losses of single elements take an order, or a scale that all rows share.
template <class T> struct LossRow {
    const T *z, *y, *scale;
    T *delta;  // that of a loss of single elements may be z itself
    int64_t rows, n, row;
    int64_t n_targets, target_row;
    const int64_t *order = nullptr;  // if not null, row i of z has the targets in row order[i] of y, which has no padding
    int64_t scale_row = row;         // 0 if all rows have the same scale

    // Goes on to the rows behind the first n.
    FASTNN_MEMBER void skip(int64_t n) {
        z += n * row;
        scale += n * scale_row;
        delta += n * row;
        if (order) order += n;
        else y += n * target_row;
    }
};

// Rows of n outputs and of targets, with the weight of each row in the mean, and the delta to set. The kernels for one network add up
// values in partial sums, one for each lane of a block. Here, the value of output j of row i is added to sum number
// ((first + i) * sum_by_row + j * sum_by_output) % block_lanes.
template <class T> struct LaneLossRows {
    const T *z, *y, *scale;
    T *delta;
    int64_t rows, n;
    int64_t first, sum_by_row, sum_by_output;
    T *sums;

    FASTNN_MEMBER T *sum(int64_t i, int64_t j) const {
        return sums + ((first + i) * sum_by_row + j * sum_by_output) % block_lanes<T> * lanes<T>;
    }
};
template <class T> using LaneLoss = void (*)(const LaneLossRows<T> &rows, T parameter);

template <class T> struct LossKernels {
    T (*compute)(const Loss &loss, const LossRow<T> &rows);
    bool takes_rows;
    LaneLoss<T> of_lanes, focal_of_lanes;  // null if the loss is computed for one network at a time
};

template <class T> using PredictionLoss = double (*)(const T *p, const T *y, int64_t n);

template <class T> struct Losses {
    LossKernels<T> of[0 FASTNN_LOSSES(PLUS_ONE)];
    // These take elements or rows like those of LossKernels.
    T (*given_gradient)(const Loss &loss, const LossRow<T> &rows);
    T (*custom)(const Loss &loss, const LossRow<T> &rows);
    T (*custom_rows)(const Loss &loss, const LossRow<T> &rows);
    // The loss of several heads; see evaluate_loss.h for the ratios and the memory.
    T (*heads)(const Loss &loss, const double *ratios, const LossRow<T> &rows, T *memory);
    PredictionLoss<T> of_predictions[0 FASTNN_PREDICTION_LOSSES(PLUS_ONE)];
};

// ---- optimizers.cpp ----

// The coefficients of one update, which are the same for every element. In a vector of elements of different networks, each lane
// has its own: Number is a vector then.
template <class T, class Number = T> struct Coefficients {
    Number learning_rate, beta_1, one_minus_beta_1, beta_2, one_minus_beta_2, root_scale, epsilon, decay_factor, l1, l2;
    Number gradient_learning_rate;  // of the gradient itself; learning_rate is that of its mean
    Number decay;                   // 1 - decay_factor, before it is rounded
    Number penalty_share;           // of penalties, which l1 and l2 contain

    // Returns the coefficients of a block of parameters with factors of its own.
    FASTNN_MEMBER Coefficients of(const Block &block) const {
        Coefficients c = *this;
        const T decay_share = T(block.learning_rate_factor * block.decay_factor);
        if (decay_share != 1) c.decay_factor = T(1) - decay_share * decay;
        c.learning_rate *= T(block.learning_rate_factor);
        c.gradient_learning_rate *= T(block.learning_rate_factor);
        c.epsilon *= T(block.epsilon_factor);
        if (block.l1 >= 0) c.l1 = penalty_share * T(block.l1);
        if (block.l2 >= 0) c.l2 = penalty_share * T(block.l2);
        c.l1 *= T(block.penalty_factor);
        c.l2 *= T(block.penalty_factor);
        return c;
    }
};

template <class T> struct OptimizerKernels {
    void (*update)(T *w, const T *g, T *m, T *v, int64_t count, const Coefficients<T> &coefficients);
    void (*update_lanes)(T *w, const T *g, T *m, T *v, int64_t count, const Coefficients<T, Vec<T>> &coefficients);
    void (*replay)(T *w, T *m, T *v, int64_t count, const Coefficients<T> *updates, int n, T clip_value, Vec<T> *penalties);
    int moments;
    bool is_plain_descent, keeps_velocity, corrects_moments, looks_ahead, is_noop_without_gradient, orthogonalizes;  // traits
};

template <class T> struct Optimizers {
    OptimizerKernels<T> of[0 FASTNN_OPTIMIZERS(PLUS_ONE)];
};
#undef PLUS_ONE

}  // namespace fastnn::FASTNN_ISA_NAME

FASTNN_DECLARE_TABLE(Activations, activations)
FASTNN_DECLARE_TABLE(Normalizations, normalizations)
FASTNN_DECLARE_TABLE(Functions, functions)
FASTNN_DECLARE_TABLE(Losses, losses)
FASTNN_DECLARE_TABLE(Optimizers, optimizers)

namespace {

template <class T> constexpr auto &all_activations = activations<T>.of;
template <class T> constexpr auto &all_normalizations = normalizations<T>.of;
template <class T> constexpr auto &all_losses = losses<T>.of;
template <class T> constexpr auto &all_optimizers = optimizers<T>.of;

constexpr int64_t row_group = 16;  // rows in a group: threads share whole groups, and the loss has one partial sum per group
constexpr int max_columns = 4;     // of rows that stand side by side, without padding

inline int64_t round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

// Returns the range of 0 … n - 1 that a thread owns, in whole units.
inline Range share(int64_t n, int64_t unit, const Team &team) {
    if (team.size == 1) return {0, n};
    const int64_t units = (n + unit - 1) / unit, end = units * (team.index + 1) / team.size * unit;
    return {units * team.index / team.size * unit, end < n ? end : n};
}

// Returns the rows of a block that a thread owns.
template <class T> Range own_rows(const Layer &layer, const Block &block, const Team &team) {
    return share(block.rows, layer.narrow || block.kind == BlockKind::embedding_parameters ? 1 : lanes<T>, team);
}

template <class T> int64_t padded(int64_t n) { return round_up(n, block_lanes<T>); }

}  // namespace
