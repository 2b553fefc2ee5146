// Activation functions, each with its derivative: as a function of the output a if that determines it, else of the input z.
#pragma once

#include "elementary_gated.h"
#include "elementary_special.h"
#include "kernel_tables.h"
#include "padding.h"
#include "softmax.h"
#include "vec.h"

namespace {

// A struct whose derivative follows from the output has value(z) and derivative(a). Every other struct has value(z) and
// value_and_derivative(z, a, derivative). Each struct declares two traits: from_output says which of the two it is, and
// keeps_zero says that f(0) = 0, so that the padding of a row stays zero by itself.

// The traits that most structs share. A struct that differs declares its own.
struct ActivationTraits {
    static constexpr bool is_identity = false;
    static constexpr bool elementwise = true;  // an output depends on one input alone; otherwise the derivative is a matrix
    static constexpr bool has_slopes = false;  // each unit has a slope that is trained
};

template <class T> struct Identity : ActivationTraits {
    static constexpr bool from_output = true, keeps_zero = true, is_identity = true;
    FASTNN_INLINE Vec<T> value(Vec<T> z) { return z; }
    FASTNN_INLINE Vec<T> derivative(Vec<T>) { return splat(T(1)); }
};

template <class T> struct Tanh : ActivationTraits {
    static constexpr bool from_output = true, keeps_zero = true;
    FASTNN_INLINE Vec<T> value(Vec<T> z) { return tanh(z); }
    FASTNN_INLINE Vec<T> derivative(Vec<T> a) { return fused ? fma(-a, a, splat(T(1))) : (T(1) - a) * (T(1) + a); }
};

template <class T> struct Sigmoid : ActivationTraits {
    static constexpr bool from_output = true, keeps_zero = false;
    FASTNN_INLINE Vec<T> value(Vec<T> z) { return sigmoid(z); }
    FASTNN_INLINE Vec<T> derivative(Vec<T> a) { return a * (T(1) - a); }
};

template <class T> struct Relu : ActivationTraits {
    static constexpr bool from_output = true, keeps_zero = true;
    FASTNN_INLINE Vec<T> value(Vec<T> z) { return max(Vec<T>{}, z); }  // max passes on a NaN in its second argument
    FASTNN_INLINE Vec<T> derivative(Vec<T> a) { return a > Vec<T>{} ? splat(T(1)) : Vec<T>{}; }
};

template <class T> struct LeakyRelu : ActivationTraits {
    static constexpr bool from_output = true, keeps_zero = true;
    static constexpr T leak = T(0.01);
    FASTNN_INLINE Vec<T> value(Vec<T> z) { return max(z * leak, z); }
    FASTNN_INLINE Vec<T> derivative(Vec<T> a) { return a > Vec<T>{} ? splat(T(1)) : splat(leak); }
};

template <class T> struct Elu : ActivationTraits {
    static constexpr bool from_output = true, keeps_zero = true;
    FASTNN_INLINE Vec<T> value(Vec<T> z) { return z > Vec<T>{} ? z : expm1(z); }
    FASTNN_INLINE Vec<T> derivative(Vec<T> a) { return a > Vec<T>{} ? splat(T(1)) : a + T(1); }
};

// ELU, with a scale and a limit that preserve mean 0 and variance 1 from layer to layer (Klambauer et al. 2017,
// arXiv:1706.02515).
template <class T> struct Selu : ActivationTraits {
    static constexpr bool from_output = true, keeps_zero = true;
    static constexpr double alpha = 1.6732632423543772, lambda = 1.0507009873554805;
    static constexpr T scale = T(lambda), limit = T(lambda * alpha);
    // limit + rest has twice the digits of lambda alpha: so the derivative keeps all of its own where the output is close to
    // -limit.
    static constexpr T rest = sizeof(T) == 4 ? T(lambda * alpha - limit) : T(0x1.092dbf6372048p-54);
    FASTNN_INLINE Vec<T> value(Vec<T> z) { return z > Vec<T>{} ? scale * z : limit * expm1(z); }
    FASTNN_INLINE Vec<T> derivative(Vec<T> a) { return a > Vec<T>{} ? splat(scale) : (a + limit) + rest; }
};

// z * Phi(z), Phi the normal distribution function (Hendrycks & Gimpel 2016, arXiv:1606.08415, the exact form).
template <class T> struct Gelu : ActivationTraits {
    static constexpr bool from_output = false, keeps_zero = true;
    FASTNN_INLINE Vec<T> value(Vec<T> z) { return gelu(z); }
    FASTNN_INLINE void value_and_derivative(Vec<T> z, Vec<T> &a, Vec<T> &derivative) { a = gelu(z, &derivative); }
};

// z * sigmoid(z) (Elfwing, Uchibe & Doya 2017, arXiv:1702.03118).
template <class T> struct Silu : ActivationTraits {
    static constexpr bool from_output = false, keeps_zero = true;
    FASTNN_INLINE Vec<T> value(Vec<T> z) { return silu(z); }
    FASTNN_INLINE void value_and_derivative(Vec<T> z, Vec<T> &a, Vec<T> &derivative) { a = silu(z, &derivative); }
};

// z * tanh(softplus(z)) (Misra 2019, arXiv:1908.08681).
template <class T> struct Mish : ActivationTraits {
    static constexpr bool from_output = false, keeps_zero = true;
    FASTNN_INLINE Vec<T> value(Vec<T> z) { return mish(z); }
    FASTNN_INLINE void value_and_derivative(Vec<T> z, Vec<T> &a, Vec<T> &derivative) { a = mish(z, &derivative); }
};

template <class T> struct Softplus : ActivationTraits {
    static constexpr bool from_output = true, keeps_zero = false;
    FASTNN_INLINE Vec<T> value(Vec<T> z) { return softplus(z); }
    FASTNN_INLINE Vec<T> derivative(Vec<T> a) { return -expm1(-a); }
};

template <class T> struct Sin : ActivationTraits {
    static constexpr bool from_output = false, keeps_zero = true;
    FASTNN_INLINE Vec<T> value(Vec<T> z) {
        Vec<T> s, c;
        sincos(z, s, c);
        return s;
    }
    FASTNN_INLINE void value_and_derivative(Vec<T> z, Vec<T> &a, Vec<T> &derivative) { sincos(z, a, derivative); }
};

template <class T> struct Exp : ActivationTraits {
    static constexpr bool from_output = true, keeps_zero = false;
    FASTNN_INLINE Vec<T> value(Vec<T> z) { return exp(z); }
    FASTNN_INLINE Vec<T> derivative(Vec<T> a) { return a; }
};

template <class T> struct Softmax : ActivationTraits, SoftmaxOfRows<T> {
    static constexpr bool from_output = true, elementwise = false;
};

// The slope s below zero is trained, one per unit (He et al. 2015, arXiv:1502.01852). It may have any sign, so that the output
// does not determine the derivative.
template <class T> struct Prelu : ActivationTraits {
    static constexpr bool from_output = false, keeps_zero = true, has_slopes = true;
    FASTNN_INLINE Vec<T> value(Vec<T> z, Vec<T> s) { return z > Vec<T>{} ? z : s * z; }
    FASTNN_INLINE Vec<T> by_input(Vec<T> z, Vec<T> s) { return z > Vec<T>{} ? splat(T(1)) : s; }
    FASTNN_INLINE Vec<T> by_slope(Vec<T> z) { return z > Vec<T>{} ? Vec<T>{} : z; }
};

// y = f(x) for n elements; y may be x. Not inlined: it is also a function of arrays.
template <class T, template <class> class F> __attribute__((noinline)) void value_of(const T *x, T *y, int64_t n) {
    for_each_vector<T>(n, [=](int64_t i, auto access) { access.store(y + i, F<T>::value(access.load(x + i))); });
}

template <class T, template <class> class F> void activate(T *z, int64_t rows, int64_t n, int64_t row) {
    value_of<T, F>(z, z, rows * row);
    if (!F<T>::keeps_zero) clear_padding(z, rows, n, row);
}

template <class T, template <class> class F>
void activate_with_derivative(T *z, T *derivative, int64_t rows, int64_t n, int64_t row) {
    for_each_vector<T>(rows * row, [=](int64_t i, auto access) {
        Vec<T> a, s;
        if constexpr (F<T>::from_output) {
            a = F<T>::value(access.load(z + i));
            s = F<T>::derivative(a);
        } else {
            F<T>::value_and_derivative(access.load(z + i), a, s);
        }
        access.store(z + i, a);
        access.store(derivative + i, s);
    });
    if (!F<T>::keeps_zero) clear_padding(z, rows, n, row);
}

// delta *= f'(z), given the output a.
template <class T, template <class> class F> void times_derivative(T *delta, const T *a, int64_t rows, int64_t, int64_t row) {
    for_each_vector<T>(rows * row, [=](int64_t i, auto access) {
        access.store(delta + i, access.load(delta + i) * F<T>::derivative(access.load(a + i)));
    });
}

template <class T, template <class> class F> void activate_with_slopes(T *z, const T *s, int64_t rows, int64_t n, int64_t row) {
    const int64_t count = elements_of_row<T>(n, row);
    for (int64_t i = 0; i < rows; i++, z += row)
        for_each_vector<T>(
            count, [=](int64_t j, auto access) { access.store(z + j, F<T>::value(access.load(z + j), access.load(s + j))); });
}

template <class T, template <class> class F>
void derivatives_with_slopes(T *z, const T *s, T *by_input, T *by_slope, int64_t rows, int64_t n, int64_t row) {
    const int64_t count = elements_of_row<T>(n, row);
    for (int64_t first = 0; first < rows * row; first += row)
        for_each_vector<T>(count, [=](int64_t j, auto access) {
            const Vec<T> zj = access.load(z + first + j), sj = access.load(s + j);
            access.store(z + first + j, F<T>::value(zj, sj));
            access.store(by_input + first + j, F<T>::by_input(zj, sj));
            if (by_slope) access.store(by_slope + first + j, F<T>::by_slope(zj));
        });
}

template <class T, template <class> class F> constexpr ActivationKernels<T> activation_kernels() {
    using A = F<T>;
    ActivationKernels<T> kernels = {};
    if constexpr (A::has_slopes) {
        kernels.value_with_slopes = activate_with_slopes<T, F>;
        kernels.derivatives = derivatives_with_slopes<T, F>;
    } else if constexpr (A::elementwise) {
        kernels.value = activate<T, F>;
        kernels.value_and_derivative = activate_with_derivative<T, F>;
        if constexpr (A::from_output) kernels.times_derivative = times_derivative<T, F>;
    } else {
        kernels.value = A::value;
        kernels.times_derivative = A::times_derivative;
    }
    kernels.is_identity = A::is_identity;
    kernels.elementwise = A::elementwise;
    kernels.from_output = A::from_output;
    kernels.has_slopes = A::has_slopes;
    return kernels;
}

}  // namespace
