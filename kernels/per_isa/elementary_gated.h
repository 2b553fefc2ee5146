// The gated linear units z Phi(z), z sigmoid(z) and z tanh(softplus(z)), and their derivatives. elementary.h states the rules for
// all.
//
// With t = |z| and a gate g, which is Phi or sigmoid, the unit is max(z, 0) - t g(-t), and the derivatives at z and -z add up to
// 1. Left of 0 both vanish like an exponential. They stay 2^shift times too large up to the last product, which alone rounds to a
// subnormal number. The derivative has its root there. It keeps all digits, because root - t is a factor, with the root in two
// parts.
//
// The table shows the largest errors found, in ULP, with and without fused multiply-add. Inputs of float: all from 2^-31 to 2^9,
// and every 61st of the others. Inputs of double: a million, half of them small or next to the roots, compared with 113 bits.
//
//              gelu       its derivative  silu       its derivative
//     float    3.75 3.74  3.39 3.70  2.84 3.19  3.71 3.71
//     double   3.35 3.68  2.92 3.15  2.57 2.76  3.50 3.50
#pragma once

#include "elementary.h"

namespace {
namespace elementary {

// Cuts off the lower half of the bits: the square of the result is exact.
template <class T> FASTNN_INLINE Vec<T> upper_half(Vec<T> a) {
    constexpr int low_bits = (Format<T>::mantissa + 2) / 2;
    return as_float<T>(as_int<T>(a) & splat_int<T>(-(int64_t(1) << low_bits)));
}

// Returns q with e^(-t^2 / 2) = 2^-shift scale (1 + q), given t and t^2. The rounding of t^2 alone would cost up to t^2 / 4 ULP.
template <class T> FASTNN_INLINE Vec<T> bell_parts(Vec<T> t, Vec<T> square, Vec<T> &scale) {
    const Vec<T> half = splat<T>(T(0.5));
    Vec<T> error;
    if constexpr (fused) {
        error = fma(t, t, -square);
    } else {
        const Vec<T> upper = upper_half<T>(t);
        error = fma(t - upper, t + upper, upper * upper - square);
    }
    const Vec<T> q = exp_parts<T>(-half * square, ExpConstants<T>::shift, scale);
    return fma(-half * error, splat<T>(1) + q, q);
}

// Phi is the normal distribution function. With a = sqrt(2 pi) and u = t + t^2 q(t), for t >= 0:
//   e^(t^2 / 2) t Phi(-t) = u / v, v = 2 + t p(t) + a u,
// and e^(t^2 / 2) times its derivative, which is e^(t^2 / 2) Phi(-t) - t / a, is (root - t) (1 / a + r(t) / v). Horner's rule
// rounds worst for large t, where the errors of q cancel, and those of p and r hardly show. The degrees of p, q and r are 3, 4
// and 5 for t <= 14 (relative errors 2^-28.7 and 2^-25.8), and 8, 9 and 10 for t <= 38 (2^-55.4 and 2^-54.3). From `far` on, Phi
// and its density are zero.
template <class T> struct Normal;
template <> struct Normal<float> {
    static constexpr float far = 14.75f, a = 0x1.40d932p1f, inverse_a = 0x1.988454p-2f;
    static constexpr float root_high = 0x1.80ead2p-1f, root_low = -0x1.a03fd4p-27f;
    FASTNN_INLINE Vec<float> p(Vec<float> t) {
        return horner<float>(t, 0x1.394b34p0f, 0x1.9632ccp-2f, 0x1.1ca0fcp-4f, 0x1.6faa9p-8f);
    }
    FASTNN_INLINE Vec<float> q(Vec<float> t) {
        return horner<float>(t, 0x1.113ca2p0f, 0x1.187b06p-1f, 0x1.4c93bcp-3f, 0x1.c676bep-6f, 0x1.254feep-9f);
    }
    FASTNN_INLINE Vec<float> r(Vec<float> t) {
        return horner<float>(t, 0x1.1085ep-1f, 0x1.476bdp-1f, 0x1.6a35e4p-2f, 0x1.c68d66p-4f, 0x1.45b838p-6f, 0x1.b904fp-10f);
    }
};
template <> struct Normal<double> {
    static constexpr double far = 39, a = 0x1.40d931ff62706p1, inverse_a = 0x1.9884533d43651p-2;
    static constexpr double root_high = 0x1.80ead197f00b4p-1, root_low = -0x1.13e74c58cada8p-56;
    FASTNN_INLINE Vec<double> p(Vec<double> t) {
        return horner<double>(t, 0x1.3c6f9bda8259ap1, 0x1.90070a7059323p0, 0x1.483c946b8fe24p-1, 0x1.7bacf4f518aa5p-3,
                              0x1.3e9955cf50912p-5, 0x1.82c8e1d3a8a73p-8, 0x1.47dafa00a08e5p-11, 0x1.61ec1650c5d44p-15,
                              0x1.76ce070193079p-20);
    }
    FASTNN_INLINE Vec<double> q(Vec<double> t) {
        return horner<double>(t, 0x1.b106a43b4317ap0, 0x1.6a407d4b7555p0, 0x1.84089cbf58988p-1, 0x1.2429986065c45p-2,
                              0x1.41cfc5d570ac7p-4, 0x1.06533e4de675bp-6, 0x1.390598bc912acp-9, 0x1.06c248115037bp-12,
                              0x1.1a639a2e2ab22p-16, 0x1.2b0d0ba2a56b2p-21);
    }
    FASTNN_INLINE Vec<double> r(Vec<double> t) {
        return horner<double>(t, 0x1.1085e17c4073ep-1, 0x1.f185fe9632bcp-1, 0x1.b8425ac51d19p-1, 0x1.ec9d61859703ap-2,
                              0x1.80262b6c15bd1p-3, 0x1.b3a13708ca8c2p-5, 0x1.6c0b2786e8df6p-7, 0x1.bc03689e99b22p-10,
                              0x1.7c3a5fe56ed0ep-13, 0x1.a077f1d1459f6p-17, 0x1.c1a5e037be6fcp-22);
    }
};

// These return the unit and its derivative at z, given t g(-t) and its derivative times 2^shift. Left of 0 the zero is negative.
template <class T> FASTNN_INLINE Vec<T> value_of_side(Vec<T> z, Vec<T> left) {
    return fma(left, splat<T>(-ExpConstants<T>::unshift), max(splat<T>(T(-0.0)), z));
}
template <class T> FASTNN_INLINE Vec<T> derivative_of_side(Vec<T> z, Vec<T> left) {
    constexpr T unshift = ExpConstants<T>::unshift;
    const auto negative = z < Vec<T>{};
    return fma(left, negative ? splat<T>(unshift) : splat<T>(-unshift), negative ? splat<T>(T(-0.0)) : splat<T>(1));
}

// Returns z Phi(z), and stores the derivative if `derivative` is not null.
template <class T> FASTNN_INLINE Vec<T> gelu(Vec<T> z, Vec<T> *derivative = nullptr) {
    using N = Normal<T>;
    const Vec<T> t = min(splat<T>(N::far), abs<T>(z)), square = t * t, u = fma(square, N::q(t), t);
    const Vec<T> v = splat<T>(2) + fma(u, splat<T>(N::a), t * N::p(t)), inverse = splat<T>(1) / v;
    Vec<T> scale;
    const Vec<T> e = bell_parts<T>(t, square, scale);
    if (derivative) {
        const Vec<T> high = splat<T>(N::root_high), d = high - t, low = (high - (d + t)) + splat<T>(N::root_low);
        const Vec<T> smooth = scale * fma(N::r(t), inverse, splat<T>(N::inverse_a)), left = d * smooth;
        const Vec<T> rest = low * smooth;
        *derivative = derivative_of_side<T>(z, left + fma(left + rest, e, rest));
    }
    const Vec<T> left = scale * (u * inverse);
    return value_of_side<T>(z, fma(left, e, left));
}

// 1 - t sigmoid(t) = d + d^2 w(d) for d = root - t and |d| <= 0.25. w is of degree 4 (relative error of the sum 2^-28.3) and 10
// (2^-55.1). From `far` on, t e^-t is zero.
template <class T> struct Logistic;
template <> struct Logistic<float> {
    static constexpr float far = 110, root_high = 0x1.474974p0f, root_low = -0x1.bdf6fap-27f;
    FASTNN_INLINE Vec<float> w(Vec<float> d) {
        return horner<float>(d, -0x1.be141p-4f, -0x1.90722ap-5f, -0x1.353b3ap-8f, 0x1.8e221cp-9f, 0x1.1e370ep-10f);
    }
};
template <> struct Logistic<double> {
    static constexpr double far = 756, root_high = 0x1.474973c84120bp0, root_low = 0x1.f8d74bc9ac154p-54;
    FASTNN_INLINE Vec<double> w(Vec<double> d) {
        return horner<double>(d, -0x1.be1410460528p-4, -0x1.9072f07666208p-5, -0x1.353eb573ca1e9p-8, 0x1.8f0d829048781p-9,
                              0x1.20a572dbd92e2p-10, -0x1.2f7f19c90aab6p-16, -0x1.a2a7cdebf440bp-14, -0x1.5a1d2a2e0b49fp-16,
                              0x1.128c22dcaab35p-18, 0x1.64b3eb09219ecp-19, 0x1.f96df3846a0e4p-23);
    }
};

// Returns z sigmoid(z), and stores the derivative if `derivative` is not null. With s = sigmoid(-t), the derivative of t s is
// s (1 - t sigmoid(t)).
template <class T> FASTNN_INLINE Vec<T> silu(Vec<T> z, Vec<T> *derivative = nullptr) {
    using E = ExpConstants<T>;
    using L = Logistic<T>;
    const Vec<T> t = min(splat<T>(L::far), abs<T>(z)), one = splat<T>(1);
    Vec<T> scale;
    const Vec<T> q = exp_parts<T>(-t, E::shift, scale), e = fma(scale, q, scale) * splat<T>(E::unshift), s = e / (one + e);
    const Vec<T> scaled = scale * (one - s), left = fma(scaled, q, scaled);
    if (derivative) {
        const Vec<T> d = splat<T>(L::root_high) - t, near = d + fma(d * d, L::w(d), splat<T>(L::root_low));
        *derivative = derivative_of_side<T>(z, left * (abs<T>(d) < splat<T>(T(0.25)) ? near : fma(t, s, one - t)));
    }
    return value_of_side<T>(z, left * t);
}

// z tanh(softplus(z)) is z - 2 z / m with m = e^2 + 2 e + 2 and e = e^z, or e z (e + 2) / m if z <= 0. The derivative there is e
// r with r = (4 (1 + z) + e (4 z + 6 + e (4 + e))) / m^2, and r = c (d + d^2 w(d)) for d = z - root and |d| <= 0.25. w is of
// degree 5 (relative error of the sum 2^-29.3) and 11 (2^-56.6). From `far` on, m is so large that the result is z.
template <class T> struct SmoothGate;
template <> struct SmoothGate<float> {
    static constexpr float far = 20, vanishes = -110, root_high = -0x1.31432cp0f, root_low = -0x1.a25b08p-29f, c = 0x1.c25cf4p-1f;
    FASTNN_INLINE Vec<float> w(Vec<float> d) {
        return horner<float>(d, -0x1.dd520ap-3f, -0x1.c2554ap-4f, -0x1.0839d4p-6f, 0x1.274f2ep-7f, 0x1.918218p-8f, 0x1.3d41f8p-10f);
    }
};
template <> struct SmoothGate<double> {
    static constexpr double far = 20, vanishes = -756, root_high = -0x1.31432c0d12d84p0, root_low = -0x1.bf319154da210p-55;
    static constexpr double c = 0x1.c25cf3639e453p-1;
    FASTNN_INLINE Vec<double> w(Vec<double> d) {
        return horner<double>(d, -0x1.dd52092d659cep-3, -0x1.c255493da975fp-4, -0x1.083da71a8fd7cp-6, 0x1.27489ea82e357p-7,
                              0x1.940b7dea93e46p-8, 0x1.460428447a753p-10, -0x1.aa849c34fcb80p-12, -0x1.76eccd8b14df2p-12,
                              -0x1.72339fff83b55p-14, 0x1.11724f4018613p-16, 0x1.4762793ba4745p-16, 0x1.705c0455555a3p-18);
    }
};

// Stores the derivative if `derivative` is not null. With e = s (1 + q), where s is a power of two, m has no notable error but
// its own rounding. Above z = -0.45 the derivative is 1 minus a smaller number.
template <class T> FASTNN_INLINE Vec<T> mish(Vec<T> z, Vec<T> *derivative = nullptr) {
    using E = ExpConstants<T>;
    using G = SmoothGate<T>;
    const Vec<T> near = min(splat<T>(G::far), max(splat<T>(G::vanishes), z)), one = splat<T>(1), two = splat<T>(2);
    const auto positive = z > Vec<T>{};
    Vec<T> scale;
    const Vec<T> q = exp_parts<T>(near, E::shift, scale), s = scale * splat<T>(E::unshift), e = fma(s, q, s), square = s * s;
    const Vec<T> m = fma(q, fma(square, q, two * (square + s)), (square + two * s) + two);
    const Vec<T> gate = (positive ? two : e + two) / m, scaled = scale * (near * gate);
    if (derivative) {
        const Vec<T> four = splat<T>(4), d = near - splat<T>(G::root_high);
        const Vec<T> at_root = splat<T>(G::c) * (d + fma(d * d, G::w(d), splat<T>(-G::root_low)));
        const Vec<T> sum = fma(e, fma(four, near, splat<T>(6)) + e * (four + e), fma(four, near, four));
        const Vec<T> r = abs<T>(d) < splat<T>(T(0.25)) ? at_root : sum / (m * m);
        const Vec<T> left = fma(scale * q, r, scale * r) * splat<T>(E::unshift);
        const Vec<T> growth = four * near * (e * ((one + e) / m));
        *derivative = z > splat<T>(T(-0.45)) ? one - (two - growth) / m : left;
    }
    const Vec<T> left = fma(scaled, q, scaled) * splat<T>(E::unshift);
    return z > splat<T>(G::far) ? z : positive ? fma(-near, gate, near) : left;
}

}  // namespace elementary

FASTNN_INLINE Vec<float> gelu(Vec<float> z, Vec<float> *derivative = nullptr) { return elementary::gelu<float>(z, derivative); }
FASTNN_INLINE Vec<double> gelu(Vec<double> z, Vec<double> *derivative = nullptr) { return elementary::gelu<double>(z, derivative); }
FASTNN_INLINE Vec<float> silu(Vec<float> z, Vec<float> *derivative = nullptr) { return elementary::silu<float>(z, derivative); }
FASTNN_INLINE Vec<double> silu(Vec<double> z, Vec<double> *derivative = nullptr) { return elementary::silu<double>(z, derivative); }
FASTNN_INLINE Vec<float> mish(Vec<float> z, Vec<float> *derivative = nullptr) { return elementary::mish<float>(z, derivative); }
FASTNN_INLINE Vec<double> mish(Vec<double> z, Vec<double> *derivative = nullptr) { return elementary::mish<double>(z, derivative); }

}  // namespace
