// Elementary functions on vectors of either type: exp, expm1, log, log1p, tanh, sigmoid, softplus. elementary_special.h adds
// sincos, and elementary_gated.h adds the activations that multiply z by a gate.
//
// Each is one sequence of IEEE operations, without tables and without branches on the data, so that all instruction sets with
// fused multiply-add give the same bits. Without it, fma rounds twice, and some results differ in the last bit. Constants have
// fewer bits where a product must be exact. NaN gives NaN; results at infinities, signed zeros and subnormal numbers are the
// mathematical ones.
//
// The table shows the largest errors found, in units in the last place (ULP), with and without fused multiply-add. Inputs of
// float: all for exp, log, tanh and sigmoid; with fused multiply-add, also all for expm1 and log1p, and up to 1e5 for sin and
// cos; every seventh for the others. Inputs of double: 5 million and more, compared with results of 113 bits.
//
//              exp        expm1      log        log1p      tanh       sigmoid    sin, cos
//     float    1.08 1.04  1.68 1.76  0.86 0.85  1.42 1.40  1.20 1.20  1.69 1.93  2.33 2.33
//     double   1.06 1.04  2.12 2.22  0.86 0.87  1.37 1.32  1.30 1.42  1.65 1.81  2.39 2.39
#pragma once

#include <cmath>
#include <type_traits>

#include "vec.h"

namespace {
namespace elementary {

template <class T> constexpr bool is_float = sizeof(T) == sizeof(float);

template <class T> struct Format;
template <> struct Format<float> {
    static constexpr int mantissa = 23, bias = 127;
    static constexpr float round = 0x1.8p23f;  // x + round - round is the integer next to x; the bits of x + round end in it
    static constexpr float smallest_normal = 0x1p-126f, two_to_mantissa = 0x1p23f;
    static constexpr float tiny = 0x1p-30f;  // for smaller |x|, expm1(x) and log1p(x) are x
};
template <> struct Format<double> {
    static constexpr int mantissa = 52, bias = 1023;
    static constexpr double round = 0x1.8p52;
    static constexpr double smallest_normal = 0x1p-1022, two_to_mantissa = 0x1p52;
    static constexpr double tiny = 0x1p-60;
};

// Returns a + b modulo 2^32 or 2^64. The bits may overflow where x is NaN or outside the domain; that result is not used.
template <class T> FASTNN_INLINE IntVec<T> wrapping_add(IntVec<T> a, IntVec<T> b) {
    typedef std::make_unsigned_t<std::remove_reference_t<decltype(a[0])>> Lane;
    typedef Lane Unsigned __attribute__((vector_size(FASTNN_VECTOR_BYTES)));
    return (IntVec<T>)((Unsigned)a + (Unsigned)b);
}

// c0 + c1 x + c2 x^2 + ... by Horner's rule.
template <class T> FASTNN_INLINE Vec<T> horner(Vec<T>, T c) { return splat<T>(c); }
template <class T, class... C> FASTNN_INLINE Vec<T> horner(Vec<T> x, T c, C... rest) {
    return fma(x, horner<T>(x, rest...), splat<T>(c));
}

// e^x = 2^k e^r, where k is the integer next to x / ln 2 and r = x - k ln 2 (Cody & Waite 1980, chapter 6). k ln2_high is exact.
template <class T> struct ExpConstants;
template <> struct ExpConstants<float> {
    static constexpr float log2e = 0x1.715476p0f, ln2 = 0x1.62e43p-1f, ln2_high = 0x1.62e4p-1f, ln2_low = 0x1.7f7d1cp-20f;
    static constexpr float overflow = 89, underflow = -104;  // beyond them, the result is inf or 0
    static constexpr int shift = 64;                         // with k >= underflow / ln 2, 2^(k + shift) is a normal number
    static constexpr float unshift = 0x1p-64f;
};
template <> struct ExpConstants<double> {
    static constexpr double log2e = 0x1.71547652b82fep0, ln2 = 0x1.62e42fefa39efp-1;
    static constexpr double ln2_high = 0x1.62e42fefa3p-1, ln2_low = 0x1.3de6af278ece6p-42;
    static constexpr double overflow = 710, underflow = -746;
    static constexpr int shift = 512;
    static constexpr double unshift = 0x1p-512;
};

// e^r - 1 = r + r^2 p(r) for |r| <= 0.34675, which is ln(2) / 2 plus the rounding of x / ln 2. p is of degree 4 (relative error
// 2^-26.1) and 9 (2^-55.5). Separate sums of even and odd powers halve the chain of dependent operations.
template <class T> FASTNN_INLINE Vec<T> expm1_reduced(Vec<T> r) {
    const Vec<T> z = r * r;
    Vec<T> even, odd;
    if constexpr (is_float<T>) {
        even = horner<T>(z, 0x1.fffffep-2f, 0x1.555716p-5f, 0x1.6b738ap-10f);
        odd = horner<T>(z, 0x1.5554bp-3f, 0x1.1227a4p-7f);
    } else {
        even = horner<T>(z, 0x1.0000000000005p-1, 0x1.55555555520fbp-5, 0x1.6c16c17f35c8ep-10, 0x1.a019a68880e55p-16,
                         0x1.28a2abb97d7d5p-22);
        odd = horner<T>(z, 0x1.555555555553bp-3, 0x1.1111111118836p-7, 0x1.a01a0177f483cp-13, 0x1.71de80f227566p-19,
                        0x1.ae77c51b51155p-26);
    }
    return fma(z, fma(r, odd, even), r);
}

// Returns q in [-0.3, 0.42] with e^x = 2^-shift scale (1 + q). `rough` is for tanh, to which e^x contributes little if k is
// large: one constant for ln 2 is enough, although its error is multiplied by k.
template <class T, bool rough = false> FASTNN_INLINE Vec<T> exp_parts(Vec<T> x, int shift, Vec<T> &scale) {
    using F = Format<T>;
    using E = ExpConstants<T>;
    const Vec<T> round = splat<T>(F::round + T(F::bias + shift));
    const Vec<T> shifted = fma(x, splat<T>(E::log2e), round), k = shifted - round;
    scale = as_float<T>(as_int<T>(shifted) << F::mantissa);
    if constexpr (rough) return expm1_reduced<T>(fma(k, splat<T>(-E::ln2), x));
    else return expm1_reduced<T>(fma(k, splat<T>(-E::ln2_low), fma(k, splat<T>(-E::ln2_high), x)));
}

// The scale is 2^shift times too large if x < 0, and otherwise half of its value. The last product corrects that, and it alone
// can overflow or round to a subnormal number. min and max pass on a NaN in their second argument.
template <class T> FASTNN_INLINE Vec<T> exp(Vec<T> x) {
    using E = ExpConstants<T>;
    Vec<T> s;
    const Vec<T> q = exp_parts<T>(min(splat<T>(E::overflow), max(splat<T>(E::underflow), x)), 0, s);
    const auto negative = x < Vec<T>{};
    constexpr int64_t two = int64_t(1) << Format<T>::mantissa;
    s = as_float<T>(wrapping_add<T>(as_int<T>(s), negative ? splat_int<T>(E::shift * two) : splat_int<T>(-two)));
    return fma(s, q, s) * (negative ? splat<T>(E::unshift) : splat<T>(2));
}

// 2^k q + (2^k - 1), computed as twice its half: 2^k may be one power above the largest number.
template <class T> FASTNN_INLINE Vec<T> expm1(Vec<T> x) {
    using E = ExpConstants<T>;
    Vec<T> s;
    const Vec<T> q = exp_parts<T>(min(splat<T>(E::overflow), max(splat<T>(-40), x)), -1, s);
    const Vec<T> half = fma(s, q, s - splat<T>(T(0.5)));
    return abs<T>(x) < splat<T>(Format<T>::tiny) ? x : half + half;
}

// With e = exp(-|x|), the result is 1 - e / (1 + e), or e - e e / (1 + e) if x < 0. e / (1 + e) itself would err by up to 2.2
// ULP.
template <class T> FASTNN_INLINE Vec<T> sigmoid(Vec<T> x) {
    using E = ExpConstants<T>;
    Vec<T> s;
    const Vec<T> q = exp_parts<T>(max(splat<T>(E::underflow), -abs<T>(x)), E::shift, s), one = splat<T>(1);
    const Vec<T> e = fma(s, q, s) * splat<T>(E::unshift);
    const Vec<T> base = x < Vec<T>{} ? e : one;
    return fma(-base, e / (one + e), base);
}

// If |x| < 0.625, the result is x - x u / d(u) with u = x^2, and d of degree 2 (relative error of tanh 2^-27.0) and 6 (2^-57.2).
// Up to the x at which the result is 1, it is 1 - 2 / (e^2x + 1). Both forms subtract a smaller number, whose own rounding hardly
// shows, and they share the division.
template <class T> FASTNN_INLINE Vec<T> tanh(Vec<T> x) {
    constexpr T is_one = is_float<T> ? 9.5 : 20;
    const Vec<T> a = min(splat<T>(is_one), abs<T>(x)), u = a * a, one = splat<T>(1);
    Vec<T> d, s;
    if constexpr (is_float<T>) d = horner<T>(u, 0x1.800016p1f, 0x1.333074p0f, -0x1.6a420ap-8f);
    else
        d = horner<T>(u, 0x1.800000000000cp1, 0x1.3333333332d2dp0, -0x1.767dce3af97b3p-8, 0x1.0a4e1015bad2bp-12,
                      -0x1.9978ec57a0615p-17, 0x1.40bacc67995afp-21, -0x1.d6654d3ee7b2dp-26);
    const Vec<T> q = exp_parts<T, true>(a + a, 0, s);
    const auto small = a < splat<T>(T(0.625));
    const Vec<T> numerator = small ? a * u : splat<T>(2), denominator = small ? d : fma(s, q, s + one);
    return copysign<T>((small ? a : one) - numerator / denominator, x);
}

// Returns the exponent e of x = 2^e m, with m in [sqrt(1/2), sqrt(2)), for positive normal x.
template <class T> FASTNN_INLINE IntVec<T> exponent(Vec<T> x) {
    return wrapping_add<T>(as_int<T>(x), -as_int<T>(splat<T>(T(0.70710678118654752)))) >> Format<T>::mantissa;
}
template <class T> FASTNN_INLINE Vec<T> times_power(Vec<T> x, IntVec<T> e) {
    return as_float<T>(wrapping_add<T>(as_int<T>(x), e << Format<T>::mantissa));
}
template <class T> FASTNN_INLINE Vec<T> to_float(IntVec<T> n) {
    return as_float<T>(n + as_int<T>(splat<T>(Format<T>::round))) - splat<T>(Format<T>::round);
}

// Returns log(2^e (1 + f)) for f in [sqrt(1/2) - 1, sqrt(2) - 1]. With t = f / (2 + f) and z = t^2, log(1 + f) = 2 atanh(t) =
// 2t + t z r(z); r is of degree 2 (relative error of the sum 2^-28.5) and 6 (2^-57.6). 2t = f - h + t h with h = f^2 / 2 (the
// arrangement of fdlibm, Sun Microsystems 1993), so that f, which is exact, dominates the result. e ln2_high is exact.
template <class T> FASTNN_INLINE Vec<T> log_parts(Vec<T> e, Vec<T> f) {
    using E = ExpConstants<T>;
    const Vec<T> t = f / (splat<T>(2) + f), z = t * t, h = splat<T>(T(0.5)) * f * f;
    Vec<T> r;
    if constexpr (is_float<T>) r = horner<T>(z, 0x1.55555cp-1f, 0x1.997b9ep-2f, 0x1.2ef65ep-2f);
    else
        r = horner<T>(z, 0x1.5555555555558p-1, 0x1.9999999995303p-2, 0x1.2492492df3033p-2, 0x1.c71c62e0b7695p-3,
                      0x1.7462b66192993p-3, 0x1.39fe212d9da1bp-3, 0x1.2b5b85120b2efp-3);
    const Vec<T> low = fma(t, fma(z, r, h), e * splat<T>(E::ln2_low));
    return fma(e, splat<T>(E::ln2_high), f - (h - low));
}

// Returns `value` for 0 < x < inf, -inf for 0, NaN for negative numbers and NaN, inf for inf.
template <class T> FASTNN_INLINE Vec<T> log_domain(Vec<T> x, Vec<T> value) {
    const Vec<T> inf = splat<T>(T(INFINITY)), outside = x == Vec<T>{} ? -inf : splat<T>(T(NAN));
    value = x > Vec<T>{} ? value : outside;
    return x < inf ? value : x + x;
}

template <class T> FASTNN_INLINE Vec<T> log(Vec<T> x) {
    using F = Format<T>;
    const auto subnormal = x < splat<T>(F::smallest_normal);
    const Vec<T> y = subnormal ? x * splat<T>(F::two_to_mantissa) : x;
    const IntVec<T> e = exponent<T>(y);
    const Vec<T> f = times_power<T>(y, -e) - splat<T>(1);
    return log_domain<T>(x, log_parts<T>(to_float<T>(e) - (subnormal ? splat<T>(T(F::mantissa)) : Vec<T>{}), f));
}

// The exponent is that of u = 1 + x, rounded, but f = 2^-e (1 + x) - 1 comes from x itself and is rounded once. If x is so large
// that 2^-e may be subnormal, the 1 is lost anyway.
template <class T> FASTNN_INLINE Vec<T> log1p(Vec<T> x) {
    const Vec<T> one = splat<T>(1), u = one + x;
    const IntVec<T> e = exponent<T>(u);
    const Vec<T> s = times_power<T>(one, -e);
    const Vec<T> f = x > splat<T>(T(0x1p60)) ? times_power<T>(u, -e) - one : fma(x, s, s - one);
    const Vec<T> y = log_domain<T>(u, log_parts<T>(to_float<T>(e), f));
    return abs<T>(x) < splat<T>(Format<T>::tiny) ? x : y;
}

// log(1 + e^x)
template <class T> FASTNN_INLINE Vec<T> softplus(Vec<T> x) { return max(Vec<T>{}, x) + log1p<T>(exp<T>(-abs<T>(x))); }

}  // namespace elementary

FASTNN_INLINE Vec<float> exp(Vec<float> x) { return elementary::exp<float>(x); }
FASTNN_INLINE Vec<double> exp(Vec<double> x) { return elementary::exp<double>(x); }
FASTNN_INLINE Vec<float> expm1(Vec<float> x) { return elementary::expm1<float>(x); }
FASTNN_INLINE Vec<double> expm1(Vec<double> x) { return elementary::expm1<double>(x); }
FASTNN_INLINE Vec<float> log(Vec<float> x) { return elementary::log<float>(x); }
FASTNN_INLINE Vec<double> log(Vec<double> x) { return elementary::log<double>(x); }
FASTNN_INLINE Vec<float> log1p(Vec<float> x) { return elementary::log1p<float>(x); }
FASTNN_INLINE Vec<double> log1p(Vec<double> x) { return elementary::log1p<double>(x); }
FASTNN_INLINE Vec<float> tanh(Vec<float> x) { return elementary::tanh<float>(x); }
FASTNN_INLINE Vec<double> tanh(Vec<double> x) { return elementary::tanh<double>(x); }
FASTNN_INLINE Vec<float> sigmoid(Vec<float> x) { return elementary::sigmoid<float>(x); }
FASTNN_INLINE Vec<double> sigmoid(Vec<double> x) { return elementary::sigmoid<double>(x); }
FASTNN_INLINE Vec<float> softplus(Vec<float> x) { return elementary::softplus<float>(x); }
FASTNN_INLINE Vec<double> softplus(Vec<double> x) { return elementary::softplus<double>(x); }

}  // namespace
