// Elementary functions on vectors, for both types: exp, expm1, log, log1p, tanh, sigmoid, erf, sincos.
#pragma once

#include <cmath>

#include "vec.h"

namespace {

// c0 + c1 x + c2 x^2 + ..., by Horner's rule.
template <class T> FASTNN_INLINE Vec<T> polynomial(Vec<T>, T c) { return splat<T>(c); }
template <class T, class... C> FASTNN_INLINE Vec<T> polynomial(Vec<T> x, T c, C... rest) {
    return fma(x, polynomial<T>(x, rest...), splat<T>(c));
}

// What the code below needs to know about a format.
template <class T> struct Format;
template <> struct Format<float> {
    static constexpr int mantissa = 23, bias = 127;
    static constexpr float round = 0x1.8p23f;  // x + round - round is x to the nearest integer
    static constexpr float ln2_high = 0x1.62e4p-1f, ln2_low = 0x1.7f7d1cp-20f, log2e = 0x1.715476p0f;
    static constexpr float exp_max = 89, exp_min = -104, saturated = 17.5f;
    static constexpr float normal_min = 0x1p-126f, tiny = 0x1p-13f;
};
template <> struct Format<double> {
    static constexpr int mantissa = 52, bias = 1023;
    static constexpr double round = 0x1.8p52;
    static constexpr double ln2_high = 0x1.62e42fefap-1, ln2_low = 0x1.cf79abc9e3b3ap-40, log2e = 0x1.71547652b82fep0;
    static constexpr double exp_max = 710, exp_min = -746, saturated = 38;
    static constexpr double normal_min = 0x1p-1022, tiny = 0x1p-30;
};

FASTNN_INLINE Vec<float> expm1_reduced(Vec<float> r) {
    const auto p = polynomial<float>(r, 0x1.fffffep-2f, 0x1.5554bp-3f, 0x1.555716p-5f, 0x1.1227a4p-7f, 0x1.6b738ap-10f);
    return fma(r * r, p, r);
}
FASTNN_INLINE Vec<double> expm1_reduced(Vec<double> r) {
    const auto p = polynomial<double>(r, 0x1.0000000000005p-1, 0x1.555555555553bp-3, 0x1.55555555520fbp-5, 0x1.1111111118836p-7,
                                      0x1.6c16c17f35c8ep-10, 0x1.a01a0177f483cp-13, 0x1.a019a68880e55p-16,
                                      0x1.71de80f227566p-19, 0x1.28a2abb97d7d5p-22, 0x1.ae77c51b51155p-26);
    return fma(r * r, p, r);
}

// e^x = 2^n (1 + q), |r| <= ln(2)/2, q = e^r - 1. Returns q; n comes back as an integer plus the bits of `round`.
template <class T> FASTNN_INLINE Vec<T> exp_parts(Vec<T> x, IntVec<T> &n) {
    using F = Format<T>;
    const Vec<T> shifted = fma(x, splat<T>(F::log2e), splat<T>(F::round));
    n = as_int<T>(shifted);
    const Vec<T> k = shifted - splat<T>(F::round);
    const Vec<T> r = fma(k, splat<T>(-F::ln2_low), fma(k, splat<T>(-F::ln2_high), x));
    return expm1_reduced(r);
}
// 2^n
template <class T> FASTNN_INLINE Vec<T> power_of_two(IntVec<T> n) {
    return as_float<T>((n + splat_int<T>(Format<T>::bias)) << Format<T>::mantissa);
}

template <class T> FASTNN_INLINE Vec<T> exp_of(Vec<T> x) {
    using F = Format<T>;
    IntVec<T> n;
    // min and max return their second operand when it is NaN
    const Vec<T> q = exp_parts<T>(min(splat<T>(F::exp_max), max(splat<T>(F::exp_min), x)), n);
    n = n - as_int<T>(splat<T>(F::round));
    const IntVec<T> half = (n + splat_int<T>(2 * F::bias)) / 2 - splat_int<T>(F::bias);
    const Vec<T> a = power_of_two<T>(half), b = power_of_two<T>(n - half);
    return fma(a, q, a) * b;
}

template <class T> FASTNN_INLINE Vec<T> expm1_of(Vec<T> x) {
    using F = Format<T>;
    IntVec<T> n;
    const Vec<T> q = exp_parts<T>(min(splat<T>(F::exp_max), max(splat<T>(-2 * F::saturated), x)), n);
    const Vec<T> half = power_of_two<T>(n - as_int<T>(splat<T>(F::round)) - splat_int<T>(1));
    const Vec<T> e = fma(half, q, half - splat<T>(T(0.5)));
    return abs<T>(x) < splat<T>(F::tiny * F::tiny) ? x : e + e;
}

template <class T> FASTNN_INLINE Vec<T> sigmoid_of(Vec<T> x) {
    const Vec<T> e = exp_of<T>(-abs<T>(x)), one = splat<T>(1);
    return (x < Vec<T>{} ? e : one) / (one + e);
}

template <class T> FASTNN_INLINE Vec<T> tanh_of(Vec<T> x) {
    using F = Format<T>;
    IntVec<T> n;
    const Vec<T> a = abs<T>(x), y = min(splat<T>(2 * F::saturated), a + a), one = splat<T>(1);
    const Vec<T> q = exp_parts<T>(y, n);
    const Vec<T> s = power_of_two<T>(n - as_int<T>(splat<T>(F::round)));
    const Vec<T> t = fma(s, q, s - one) / fma(s, q, s + one);
    return copysign<T>(a < splat<T>(F::tiny * F::tiny) ? a : t, x);
}

// log(2^e (1 + f)), f in [sqrt(1/2) - 1, sqrt(2) - 1]: with s = f / (2 + f), log(1 + f) = 2 atanh(s) = f - s (f - R(s^2)).
template <class T> FASTNN_INLINE Vec<T> log_parts(Vec<T> e, Vec<T> f) {
    using F = Format<T>;
    const Vec<T> s = f / (splat<T>(2) + f), z = s * s;
    Vec<T> r;
    if constexpr (sizeof(T) == 4)
        r = polynomial<T>(z, T(0x1.55555cp-1), T(0x1.997b8cp-2), T(0x1.2efa24p-2));
    else
        r = polynomial<T>(z, T(0x1.5555555555558p-1), T(0x1.9999999995284p-2), T(0x1.2492492e03d4dp-2), T(0x1.c71c62c9cbd6ep-3),
                          T(0x1.7462bd216f01bp-3), T(0x1.39fd3c31c2b95p-3), T(0x1.2b66b990ff9cp-3));
    const Vec<T> h = splat<T>(T(0.5)) * f * f;
    const Vec<T> low = fma(s, fma(z, r, h), e * splat<T>(F::ln2_low));
    return fma(e, splat<T>(F::ln2_high), f - (h - low));
}
// x = 2^e m, m in [sqrt(1/2), sqrt(2)), for positive normal x. Returns e as a number.
template <class T> FASTNN_INLINE IntVec<T> exponent_of(Vec<T> x) {
    using F = Format<T>;
    const IntVec<T> root = as_int<T>(splat<T>(T(0.70710678118654752)));
    const IntVec<T> up = (as_int<T>(x) - root) + (splat_int<T>(F::bias) << F::mantissa);
    return (up >> F::mantissa) - splat_int<T>(F::bias);
}
template <class T> FASTNN_INLINE Vec<T> number_of(IntVec<T> n) {
    return as_float<T>(n + as_int<T>(splat<T>(Format<T>::round))) - splat<T>(Format<T>::round);
}
// The result at the ends of the domain: `value` for 0 < x < inf, else -inf at 0, NaN below, x itself at inf and NaN.
template <class T> FASTNN_INLINE Vec<T> log_domain(Vec<T> x, Vec<T> value) {
    const Vec<T> inf = splat<T>(T(INFINITY)), nan = splat<T>(T(NAN)), zero = {};
    const Vec<T> below = x == zero ? -inf : nan;
    value = x > zero ? value : below;
    return x < inf ? value : x + x;
}

template <class T> FASTNN_INLINE Vec<T> log_of(Vec<T> x) {
    using F = Format<T>;
    const auto small = x < splat<T>(F::normal_min);
    const Vec<T> y = small ? x * splat<T>(T(int64_t(2) << F::mantissa)) : x;
    const IntVec<T> e = exponent_of<T>(y);
    const Vec<T> m = as_float<T>(as_int<T>(y) - (e << F::mantissa));
    const Vec<T> k = number_of<T>(e) - (small ? splat<T>(T(F::mantissa + 1)) : Vec<T>{});
    return log_domain<T>(x, log_parts<T>(k, m - splat<T>(1)));
}

template <class T> FASTNN_INLINE Vec<T> log1p_of(Vec<T> x) {
    using F = Format<T>;
    const Vec<T> one = splat<T>(1), u = x + one;
    const IntVec<T> e = exponent_of<T>(u);
    const Vec<T> m = as_float<T>(as_int<T>(u) - (e << F::mantissa));
    const Vec<T> s = power_of_two<T>(-e);
    const auto large = x > splat<T>(T(0x1p60));
    const Vec<T> f = large ? m - one : fma(x, s, s - one);
    const Vec<T> y = log_domain<T>(u, log_parts<T>(number_of<T>(e), f));
    return abs<T>(x) < splat<T>(F::tiny * F::tiny) ? x : y;
}

FASTNN_INLINE Vec<float> exp(Vec<float> x) { return exp_of<float>(x); }
FASTNN_INLINE Vec<double> exp(Vec<double> x) { return exp_of<double>(x); }
FASTNN_INLINE Vec<float> expm1(Vec<float> x) { return expm1_of<float>(x); }
FASTNN_INLINE Vec<double> expm1(Vec<double> x) { return expm1_of<double>(x); }
FASTNN_INLINE Vec<float> log(Vec<float> x) { return log_of<float>(x); }
FASTNN_INLINE Vec<double> log(Vec<double> x) { return log_of<double>(x); }
FASTNN_INLINE Vec<float> log1p(Vec<float> x) { return log1p_of<float>(x); }
FASTNN_INLINE Vec<double> log1p(Vec<double> x) { return log1p_of<double>(x); }
FASTNN_INLINE Vec<float> tanh(Vec<float> x) { return tanh_of<float>(x); }
FASTNN_INLINE Vec<double> tanh(Vec<double> x) { return tanh_of<double>(x); }
FASTNN_INLINE Vec<float> sigmoid(Vec<float> x) { return sigmoid_of<float>(x); }
FASTNN_INLINE Vec<double> sigmoid(Vec<double> x) { return sigmoid_of<double>(x); }

FASTNN_INLINE Vec<float> erf(Vec<float> x) {
    const Vec<float> a = min(splat<float>(3.95f), abs<float>(x)), u = a * a;
    const Vec<float> near = a * polynomial<float>(u, 0x1.20dd74p0f, -0x1.8126a4p-2f, 0x1.ce13e2p-4f, -0x1.b6466cp-6f, 0x1.45fc38p-8f,
                                                  -0x1.35df3ep-11f);
    const Vec<float> p = polynomial<float>(a, -0x1.0261f8p-11f, -0x1.2077c2p0f, -0x1.4690cap-1f, -0x1.ab1f64p-4f, 0x1.7985acp-6f,
                                           -0x1.d0816cp-9f, 0x1.5c6d9p-12f, -0x1.daeaa6p-17f);
    return copysign<float>(a < splat<float>(0.9219f) ? near : splat<float>(1) - exp(p), x);
}
FASTNN_INLINE Vec<double> erf(Vec<double> x) {
    const Vec<double> a = min(splat<double>(5.95), abs<double>(x)), u = a * a;
    const Vec<double> near =
        a * polynomial<double>(u, 0x1.20dd750429b6dp0, -0x1.812746b0379cap-2, 0x1.ce2f21a041df3p-4, -0x1.b82ce3125647ap-6,
                               0x1.565bcd07fa605p-8, -0x1.c02db2f9c2b97p-11, 0x1.f9a30b576b8ccp-14, -0x1.f4d05fc887746p-17,
                               0x1.b9cd799776869p-20, -0x1.5e94fcc839228p-23, 0x1.f253bae72ebc3p-27, -0x1.290ef2aba0acfp-30,
                               0x1.bcc7673e2f71dp-35);
    const Vec<double> p = polynomial<double>(
        a, 0x1.ca3f9407aac03p-26, -0x1.20dd7abae0347p0, -0x1.45f2c1e00f22bp-1, -0x1.a4fd12a1a6676p-4, 0x1.39be56e454633p-6,
        0x1.5e49fa4d6fcfcp-13, -0x1.ab4bae2598684p-10, 0x1.09df8f5ef207ap-11, 0x1.eade98a48f12bp-15, -0x1.1a5748f210e5bp-13,
        0x1.44cdb21a39e4dp-14, -0x1.f38c34ae46101p-16, 0x1.24ad1f80885a2p-17, -0x1.0f8758eecad3bp-19, 0x1.925f3df0eb4abp-22,
        -0x1.d8e13b8c7ebf8p-25, 0x1.b01a2acf36686p-28, -0x1.285bf7ac18191p-31, 0x1.1f2e44dba7956p-35, -0x1.5e87a6720013dp-40,
        0x1.9522db9f4658cp-46);
    return copysign<double>(a < splat<double>(1) ? near : splat<double>(1) - exp(p), x);
}

// First version: a library call a lane.
template <class T> FASTNN_INLINE void sincos_of(Vec<T> x, Vec<T> &s, Vec<T> &c) {
    for (int i = 0; i < lanes<T>; i++) s[i] = std::sin(x[i]), c[i] = std::cos(x[i]);
}
FASTNN_INLINE void sincos(Vec<float> x, Vec<float> &s, Vec<float> &c) { sincos_of<float>(x, s, c); }
FASTNN_INLINE void sincos(Vec<double> x, Vec<double> &s, Vec<double> &c) { sincos_of<double>(x, s, c); }

}  // namespace
