// Activations z + a (f(z) - z) with a trained factor a for each unit, of any elementwise activation f.
//
// Nothing here is inlined: the code that all networks run stays short.
#pragma once

#include <cstring>

#include "kernel_tables.h"
#include "vec.h"

namespace {

template <class T> class ParametricActivation {
  public:
    ParametricActivation(const Layer &layer, const T *parameters)
        : layer_(layer),
          kernels_(all_activations<T>[layer.activation]),
          alphas_(parameters + layer.block(BlockKind::alphas)->offset) {}

    // Sets rows of sums z to the outputs, in place. derivative and by_alpha, the derivatives of the outputs by z and by the factors,
    // are null if they are not needed.
    __attribute__((noinline)) void activate(T *z, T *derivative, T *by_alpha, int64_t rows) const {
        for (int64_t i = 0; i < rows; i++)
            for (int64_t j = 0; j < layer_.n_out; j += segment) {
                const int64_t at = i * layer_.row + j, left = layer_.n_out - j;
                activate_segment(z + at, alphas_ + j, derivative ? derivative + at : nullptr, by_alpha ? by_alpha + at : nullptr,
                                 left < segment ? left : segment);
            }
    }

  private:
    static constexpr int64_t segment = 256;  // units whose f(z) stand on the stack

    void activate_segment(T *z, const T *alphas, T *derivative, T *by_alpha, int64_t n) const {
        alignas(block_bytes) T f[segment], by_z[segment];
        if (layer_.custom) layer_.custom(z, f, derivative ? by_z : nullptr, n);
        else {
            std::memcpy(f, z, size_t(n) * sizeof(T));
            if (derivative) kernels_.value_and_derivative(f, by_z, 1, n, n);
            else kernels_.value(f, 1, n, n);
        }
        for_each_vector<T>(n, [&](int64_t j, auto access) {
            const Vec<T> zj = access.load(z + j), alpha = access.load(alphas + j), difference = access.load(f + j) - zj;
            access.store(z + j, fma(alpha, difference, zj));
            if (by_alpha) access.store(by_alpha + j, difference);
            if (derivative) access.store(derivative + j, fma(alpha, access.load(by_z + j) - T(1), splat(T(1))));
        });
    }

    const Layer &layer_;
    const ActivationKernels<T> &kernels_;
    const T *const alphas_;
};

}  // namespace
