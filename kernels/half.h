// Conversion between half precision (IEEE 754 binary16) and float, in integer arithmetic, which every compiler vectorizes.
#pragma once

#include <cstdint>
#include <cstring>

namespace {

inline float float_of_bits(uint32_t bits) {
    float x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}
inline uint32_t bits_of_float(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits;
}

constexpr uint32_t float_infinity = 0x7f800000;
constexpr int shorter = 23 - 10;  // bits by which the mantissa is shorter

// Reads the exponent as a float's, which makes the number 2^112 times too small, also if it is subnormal.
inline float half_to_float(uint16_t half) {
    const uint32_t magnitude = uint32_t(half & 0x7fff) << shorter;
    const uint32_t special = magnitude >= (0x7c00u << shorter) ? float_infinity : 0;  // infinity and NaN
    const uint32_t bits = bits_of_float(float_of_bits(magnitude) * 0x1p112f) | special;
    return float_of_bits(bits | uint32_t(half & 0x8000) << 16);
}

// Rounds to even. For numbers below 2^-14, the sum with 1/2 has the half's bits at its end. For larger numbers, the code adds
// half a unit, less one bit unless the last bit is odd; the carry rounds up.
inline uint16_t float_to_half(float x) {
    const uint32_t bits = bits_of_float(x), magnitude = bits & 0x7fffffff;
    const uint32_t small = bits_of_float(float_of_bits(magnitude) + 0.5f) - 0x3f000000;
    const uint32_t odd = (magnitude >> shorter) & 1;
    const uint32_t normal = (magnitude - (112u << 23) + 0xfff + odd) >> shorter;
    const uint32_t finite = magnitude < 0x38800000 ? small : normal < 0x7c00 ? normal : 0x7c00;
    const uint32_t nan = 0x7e00;
    return uint16_t((magnitude > float_infinity ? nan : magnitude == float_infinity ? 0x7c00 : finite) | (bits >> 16 & 0x8000));
}

}  // namespace
