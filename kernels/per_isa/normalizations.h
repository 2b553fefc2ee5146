// Normalizations of a layer's units over each row, with a trained gain per unit, and perhaps a shift. The rows of a hidden layer are
// whole blocks of lanes. Sums over a row are partial sums, one for each lane of a block, so that all widths of vectors give the
// same bits.
#pragma once

#include "kernel_tables.h"
#include "padding.h"
#include "vec.h"

namespace {

// Added to variances and mean squares, as PyTorch does by default.
constexpr double normalization_epsilon = 1e-5;

// Returns the mean over a row of term(j), a vector for the elements from j on.
template <class T, class Term> FASTNN_INLINE T mean_of_row(int64_t n, Term term) {
    Vec<T> sums[block_vectors] = {};
    int64_t j = 0;
    for (int v = 0; j + lanes<T> <= n; j += lanes<T>, v = (v + 1) % block_vectors) sums[v] += term(j);
    if (j < n) sums[j / lanes<T> % block_vectors] += keep_lanes<T>(term(j), n - j, T(0));
    return sum_block<T>(sums) / T(n);
}

// The same for a sum of squares, by fused multiply-add.
template <class T, class Term> FASTNN_INLINE T mean_square_of_row(int64_t n, Term term) {
    Vec<T> sums[block_vectors] = {};
    int64_t j = 0;
    for (int v = 0; j + lanes<T> <= n; j += lanes<T>, v = (v + 1) % block_vectors) {
        const Vec<T> t = term(j);
        sums[v] = fma(t, t, sums[v]);
    }
    if (j < n) {
        const Vec<T> t = keep_lanes<T>(term(j), n - j, T(0));
        Vec<T> &sum = sums[j / lanes<T> % block_vectors];
        sum = fma(t, t, sum);
    }
    return sum_block<T>(sums) / T(n);
}

// Layer normalization (Ba, Kiros and Hinton 2016, arXiv:1607.06450): mean 0 and variance 1 over a row.
template <class T> struct LayerNorm {
    static constexpr bool centers = true, has_shifts = true;
};

// Root mean square normalization (Zhang and Sennrich 2019, arXiv:1910.07467): mean square 1, without a mean and a shift.
template <class T> struct RmsNorm {
    static constexpr bool centers = false, has_shifts = false;
};

template <class T, class N>
void normalize(T *x, const T *gains, const T *shifts, T *normalized, T *factors, int64_t rows, int64_t n, int64_t row) {
    const int64_t count = elements_of_row<T>(n, row);
    for (int64_t i = 0; i < rows; i++, x += row) {
        T mean = 0;
        if constexpr (N::centers) mean = mean_of_row<T>(n, [=](int64_t j) { return load(x + j); });
        const Vec<T> center = splat(mean);
        const T square = mean_square_of_row<T>(n, [=](int64_t j) { return load(x + j) - center; });
        const Vec<T> factor = T(1) / sqrt(splat(square + T(normalization_epsilon)));
        T *const own = normalized ? normalized + i * row : nullptr;
        for (int64_t j = 0; j < count; j += lanes<T>) {
            const Vec<T> unit = keep_lanes<T>((load(x + j) - center) * factor, n - j, T(0));
            if (own) store(own + j, unit);
            const Vec<T> gain = load(gains + j);
            if constexpr (N::has_shifts) store(x + j, fma(unit, gain, load(shifts + j)));
            else store(x + j, unit * gain);
        }
        if (factors) factors[i] = factor[0];
    }
}

// The derivative of x' is a symmetric matrix: factor * (I - x' x'^T / n), without the mean if the normalization centers.
template <class T, class N, bool FORWARD>
void normalization_derivative(T *delta, const T *gains, const T *normalized, const T *factors, int64_t rows, int64_t n,
                              int64_t row) {
    const int64_t count = elements_of_row<T>(n, row);
    for (int64_t i = 0; i < rows; i++, delta += row, normalized += row) {
        const auto d = [=](int64_t j) { return FORWARD ? load(delta + j) : load(delta + j) * load(gains + j); };
        T mean = 0;
        if constexpr (N::centers) mean = mean_of_row<T>(n, d);
        const Vec<T> center = splat(mean), factor = splat(factors[i]);
        const Vec<T> share = splat(mean_of_row<T>(n, [=](int64_t j) { return d(j) * load(normalized + j); }));
        for (int64_t j = 0; j < count; j += lanes<T>) {
            const Vec<T> change = keep_lanes<T>(fma(-share, load(normalized + j), d(j) - center) * factor, n - j, T(0));
            store(delta + j, FORWARD ? change * load(gains + j) : change);
        }
    }
}

template <class T, class N> constexpr NormalizationKernels<T> normalization_kernels() {
    NormalizationKernels<T> kernels = {};
    kernels.value = normalize<T, N>;
    kernels.back = normalization_derivative<T, N, false>;
    kernels.forward = normalization_derivative<T, N, true>;
    kernels.has_gains = true;
    kernels.has_shifts = N::has_shifts;
    return kernels;
}

}  // namespace
