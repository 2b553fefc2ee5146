// Sine and cosine, computed together. elementary.h states the rules for all functions.
#pragma once

#include "elementary.h"

namespace {
namespace elementary {

// |x| = k pi/2 + r (Cody & Waite 1980, chapter 8). pi/2 is a sum of constants, whose products with k are exact up to `limit`: k
// has 11 bits and the constants 13, or 30 and 23; only the last constant has all its bits. Their sum differs from pi/2 by less
// than 2^-63 and 2^-145; k times that is negligible beside the smallest possible r.
template <class T> struct HalfPi;
template <> struct HalfPi<float> {
    static constexpr float inverse = 0x1.45f306p-1f, limit = 3200;
    FASTNN_INLINE Vec<float> reduce(Vec<float> a, Vec<float> k) {
        a = fma(k, splat<float>(-0x1.921p0f), a);
        a = fma(k, splat<float>(-0x1.f6ap-13f), a);
        a = fma(k, splat<float>(-0x1.11p-26f), a);
        return fma(k, splat<float>(-0x1.68c234p-39f), a);
    }
};
template <> struct HalfPi<double> {
    static constexpr double inverse = 0x1.45f306dc9c883p-1, limit = 1e9;
    FASTNN_INLINE Vec<double> reduce(Vec<double> a, Vec<double> k) {
        a = fma(k, splat<double>(-0x1.921fb4p0), a);
        a = fma(k, splat<double>(-0x1.4442dp-24), a);
        a = fma(k, splat<double>(-0x1.84698p-48), a);
        a = fma(k, splat<double>(-0x1.3198ap-69), a);
        return fma(k, splat<double>(-0x1.701b839a25205p-92), a);
    }
};

// sin r = r + r z p(z) and cos r = 1 + z q(z) for z = r^2 and |r| <= 0.7855. p is of degree 2 (relative error of the sine
// 2^-27.9) and 5 (2^-57.9), q of degree 3 (2^-33.0) and 6 (2^-63.9). If |x| > limit, the results are arbitrary finite numbers or
// NaN.
template <class T> FASTNN_INLINE void sincos_near(Vec<T> x, Vec<T> &s, Vec<T> &c) {
    const Vec<T> a = abs<T>(x), round = splat<T>(Format<T>::round);
    const Vec<T> shifted = fma(a, splat<T>(HalfPi<T>::inverse), round);
    const Vec<T> r = HalfPi<T>::reduce(a, shifted - round), z = r * r;
    Vec<T> p, q;
    if constexpr (is_float<T>) {
        p = horner<T>(z, -0x1.555546p-3f, 0x1.110778p-7f, -0x1.9953fep-13f);
        q = horner<T>(z, -0.5f, 0x1.55554ap-5f, -0x1.6c0c2ap-10f, 0x1.99e91p-16f);
    } else {
        p = horner<T>(z, -0x1.5555555555548p-3, 0x1.111111110f75dp-7, -0x1.a01a019bf222ep-13, 0x1.71de355f05599p-19,
                      -0x1.ae5e5471f5501p-26, 0x1.5d8e3511cdb44p-33);
        q = horner<T>(z, -0.5, 0x1.555555555554bp-5, -0x1.6c16c16c15016p-10, 0x1.a01a019c8f3eep-16, -0x1.27e4f7f19d4b2p-22,
                      0x1.1ee9dbd0d86a6p-29, -0x1.8fa681e385241p-37);
    }
    const Vec<T> sine = fma(r * z, p, r), cosine = fma(z, q, splat<T>(1));
    // The last two bits of `shifted` number the quadrant: bit 0 swaps sine and cosine, bit 1 is moved to the sign.
    const IntVec<T> quadrant = as_int<T>(shifted), one = splat_int<T>(1), sign = as_int<T>(splat<T>(T(-0.0)));
    constexpr int to_sign = 8 * sizeof(T) - 2;
    const auto swap = (quadrant & one) == one;
    s = as_float<T>(as_int<T>(swap ? cosine : sine) ^ ((as_int<T>(x) ^ (quadrant << to_sign)) & sign));
    c = as_float<T>(as_int<T>(swap ? sine : cosine) ^ ((wrapping_add<T>(quadrant, one) << to_sign) & sign));
}

template <class T> void sincos(Vec<T> x, Vec<T> &s, Vec<T> &c);

// Computes the lanes that are too large for sincos_near: floats as doubles, and doubles by the C library, whose bits may differ
// between platforms.
template <class T> __attribute__((noinline, cold)) void sincos_far(const T *x, T *s, T *c) {
    const auto far = [=](int i) { return !(std::fabs(x[i]) <= HalfPi<T>::limit); };
    if constexpr (is_float<T>) {
        constexpr int n = lanes<double>;
        double xd[n], sd[n], cd[n];
        for (int i = 0; i < lanes<T>; i += n) {
            for (int j = 0; j < n; j++) xd[j] = double(x[i + j]);
            Vec<double> sine, cosine;
            sincos<double>(load(xd), sine, cosine);
            store(sd, sine), store(cd, cosine);
            for (int j = 0; j < n; j++)
                if (far(i + j)) s[i + j] = float(sd[j]), c[i + j] = float(cd[j]);
        }
    } else {
        for (int i = 0; i < lanes<T>; i++)
            if (far(i)) s[i] = std::sin(x[i]), c[i] = std::cos(x[i]);
    }
}

template <class T> FASTNN_INLINE bool any(IntVec<T> mask) {
    typedef uint64_t Pair __attribute__((vector_size(16)));
    Pair pairs[sizeof(mask) / sizeof(Pair)], found = {};
    std::memcpy(pairs, &mask, sizeof(mask));
#pragma GCC unroll 4
    for (Pair p : pairs) found |= p;
    return (found[0] | found[1]) != 0;
}

template <class T> FASTNN_INLINE void sincos(Vec<T> x, Vec<T> &s, Vec<T> &c) {
    sincos_near<T>(x, s, c);
    if (__builtin_expect(any<T>(~(abs<T>(x) <= splat<T>(HalfPi<T>::limit))), 0)) {
        T xs[lanes<T>], ss[lanes<T>], cs[lanes<T>];
        store<T>(xs, x), store<T>(ss, s), store<T>(cs, c);
        sincos_far<T>(xs, ss, cs);
        s = load<T>(ss), c = load<T>(cs);
    }
}

}  // namespace elementary

FASTNN_INLINE void sincos(Vec<float> x, Vec<float> &s, Vec<float> &c) { elementary::sincos<float>(x, s, c); }
FASTNN_INLINE void sincos(Vec<double> x, Vec<double> &s, Vec<double> &c) { elementary::sincos<double>(x, s, c); }

}  // namespace
