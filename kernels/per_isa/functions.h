// Elementwise functions of arrays: activations, their derivatives, and the logarithms and exponentials of losses.
#pragma once

#include "activations.h"

namespace {

template <class T> struct Expm1 {
    FASTNN_INLINE Vec<T> value(Vec<T> x) { return expm1(x); }
};
template <class T> struct Log {
    FASTNN_INLINE Vec<T> value(Vec<T> x) { return log(x); }
};
template <class T> struct Log1p {
    FASTNN_INLINE Vec<T> value(Vec<T> x) { return log1p(x); }
};

// x is the activation's output if that determines the derivative, else its input.
template <class T, template <class> class F> void derivative_of(const T *x, T *y, int64_t n) {
    for_each_vector<T>(n, [=](int64_t i, auto access) {
        Vec<T> a, derivative;
        if constexpr (F<T>::from_output) derivative = F<T>::derivative(access.load(x + i));
        else F<T>::value_and_derivative(access.load(x + i), a, derivative);
        access.store(y + i, derivative);
    });
}

}  // namespace
