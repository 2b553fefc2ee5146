// Activation functions, each with its derivative: from the output a where that determines it, else from the input z.
#pragma once

#include "elementary.h"
#include "registry.h"
#include "softmax.h"
#include "vec.h"

#include <type_traits>

namespace {

// value(z) and slope(a) for those whose derivative follows from the output; value_and_slope(z, a, slope) for the others.
// keeps_zero: f(0) = 0, so that the padding of a row stays zero by itself.

template <class T> struct Identity {
    static constexpr bool from_output = true, keeps_zero = true;
    FASTNN_INLINE Vec<T> value(Vec<T> z) { return z; }
    FASTNN_INLINE Vec<T> slope(Vec<T>) { return splat(T(1)); }
};

template <class T> struct Tanh {
    static constexpr bool from_output = true, keeps_zero = true;
    FASTNN_INLINE Vec<T> value(Vec<T> z) { return tanh(z); }
    FASTNN_INLINE Vec<T> slope(Vec<T> a) { return fused ? fma(-a, a, splat(T(1))) : (T(1) - a) * (T(1) + a); }
};

template <class T> struct Sigmoid {
    static constexpr bool from_output = true, keeps_zero = false;
    FASTNN_INLINE Vec<T> value(Vec<T> z) { return sigmoid(z); }
    FASTNN_INLINE Vec<T> slope(Vec<T> a) { return a * (T(1) - a); }
};

template <class T> struct Relu {
    static constexpr bool from_output = true, keeps_zero = true;
    FASTNN_INLINE Vec<T> value(Vec<T> z) { return max(Vec<T>{}, z); }  // max hands on a NaN in its second argument
    FASTNN_INLINE Vec<T> slope(Vec<T> a) { return a > Vec<T>{} ? splat(T(1)) : Vec<T>{}; }
};

template <class T> struct LeakyRelu {
    static constexpr bool from_output = true, keeps_zero = true;
    static constexpr T leak = T(0.01);
    FASTNN_INLINE Vec<T> value(Vec<T> z) { return max(z * leak, z); }
    FASTNN_INLINE Vec<T> slope(Vec<T> a) { return a > Vec<T>{} ? splat(T(1)) : splat(leak); }
};

template <class T> struct Elu {
    static constexpr bool from_output = true, keeps_zero = true;
    FASTNN_INLINE Vec<T> value(Vec<T> z) { return z > Vec<T>{} ? z : expm1(z); }
    FASTNN_INLINE Vec<T> slope(Vec<T> a) { return a > Vec<T>{} ? splat(T(1)) : a + T(1); }
};

// z * Phi(z), Phi the normal distribution function (Hendrycks & Gimpel 2016, arXiv:1606.08415, the exact form).
template <class T> struct Gelu {
    static constexpr bool from_output = false, keeps_zero = true;
    FASTNN_INLINE Vec<T> value(Vec<T> z) { return gelu(z); }
    FASTNN_INLINE void value_and_slope(Vec<T> z, Vec<T> &a, Vec<T> &slope) { a = gelu(z, &slope); }
};

// z * sigmoid(z) (Elfwing, Uchibe & Doya 2017, arXiv:1702.03118).
template <class T> struct Silu {
    static constexpr bool from_output = false, keeps_zero = true;
    FASTNN_INLINE Vec<T> value(Vec<T> z) { return silu(z); }
    FASTNN_INLINE void value_and_slope(Vec<T> z, Vec<T> &a, Vec<T> &slope) { a = silu(z, &slope); }
};

template <class T> struct Softplus {
    static constexpr bool from_output = true, keeps_zero = false;
    FASTNN_INLINE Vec<T> value(Vec<T> z) { return max(Vec<T>{}, z) + log1p(exp(-abs<T>(z))); }
    FASTNN_INLINE Vec<T> slope(Vec<T> a) { return -expm1(-a); }
};

template <class T> struct Sin {
    static constexpr bool from_output = false, keeps_zero = true;
    FASTNN_INLINE Vec<T> value(Vec<T> z) {
        Vec<T> s, c;
        sincos(z, s, c);
        return s;
    }
    FASTNN_INLINE void value_and_slope(Vec<T> z, Vec<T> &a, Vec<T> &slope) { sincos(z, a, slope); }
};

template <class T> struct Exp {
    static constexpr bool from_output = true, keeps_zero = false;
    FASTNN_INLINE Vec<T> value(Vec<T> z) { return exp(z); }
    FASTNN_INLINE Vec<T> slope(Vec<T> a) { return a; }
};

// Rows of n values, `row` elements apart; the padding between is zero before and after.
template <class T> struct ActivationKernels {
    void (*value)(T *z, int64_t rows, int64_t n, int64_t row);                        // in place
    void (*value_and_slope)(T *z, T *slope, int64_t rows, int64_t n, int64_t row);    // null: the derivative is a matrix
    void (*times_slope)(T *delta, const T *a, int64_t rows, int64_t n, int64_t row);  // null: it needs z
};

template <class T> void clear_padding(T *z, int64_t rows, int64_t n, int64_t row) {
    if (n < row)
        for (int64_t i = 0; i < rows; i++) std::memset(z + i * row + n, 0, size_t(row - n) * sizeof(T));
}

template <class T, template <class> class F> void activate(T *z, int64_t rows, int64_t n, int64_t row) {
    for_each_vector<T>(rows * row, [=](int64_t i, auto access) { access.store(z + i, F<T>::value(access.load(z + i))); });
    if (!F<T>::keeps_zero) clear_padding(z, rows, n, row);
}

template <class T, template <class> class F> void activate_with_slope(T *z, T *slope, int64_t rows, int64_t n, int64_t row) {
    for_each_vector<T>(rows * row, [=](int64_t i, auto access) {
        Vec<T> a, s;
        if constexpr (F<T>::from_output) {
            a = F<T>::value(access.load(z + i));
            s = F<T>::slope(a);
        } else {
            F<T>::value_and_slope(access.load(z + i), a, s);
        }
        access.store(z + i, a);
        access.store(slope + i, s);
    });
    if (!F<T>::keeps_zero) clear_padding(z, rows, n, row);
}

// delta *= f'(z), the slope itself.
template <class T> void multiply_by(T *delta, const T *slope, int64_t count) {
    for_each_vector<T>(count,
                       [=](int64_t i, auto access) { access.store(delta + i, access.load(delta + i) * access.load(slope + i)); });
}

// delta *= f'(z), told by the output a.
template <class T, template <class> class F> void times_slope(T *delta, const T *a, int64_t rows, int64_t, int64_t row) {
    for_each_vector<T>(rows * row, [=](int64_t i, auto access) {
        access.store(delta + i, access.load(delta + i) * F<T>::slope(access.load(a + i)));
    });
}

template <class T, template <class> class F> constexpr ActivationKernels<T> activation_kernels() {
    if constexpr (std::is_same_v<F<T>, Softmax<T>>) return {F<T>::value, nullptr, F<T>::times_slope};
    else if constexpr (F<T>::from_output) return {activate<T, F>, activate_with_slope<T, F>, times_slope<T, F>};
    else return {activate<T, F>, activate_with_slope<T, F>, nullptr};
}

}  // namespace
