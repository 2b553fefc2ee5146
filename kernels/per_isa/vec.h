// SIMD vectors of one instruction set. Only this file contains instructions.
//
// CMakeLists.txt compiles the kernels once per instruction set, which fixes the width of a vector. Sums across lanes
// are defined on blocks of 64 bytes, for every width, so that all instruction sets with fused multiply-add give the same bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#if defined(__AVX512F__)
#define FASTNN_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define FASTNN_VECTOR_BYTES 32
#else
#define FASTNN_VECTOR_BYTES 16
#endif

#define FASTNN_INLINE static inline __attribute__((always_inline))

namespace {

constexpr int block_bytes = 64;
// The number of vectors in a block, which is the unit of padding and of partial sums.
constexpr int block_vectors = block_bytes / FASTNN_VECTOR_BYTES;

template <class T> struct VectorOf;
template <> struct VectorOf<float> {
    typedef float type __attribute__((vector_size(FASTNN_VECTOR_BYTES)));
    typedef float unaligned __attribute__((vector_size(FASTNN_VECTOR_BYTES), aligned(4), may_alias));
    typedef int32_t integer __attribute__((vector_size(FASTNN_VECTOR_BYTES)));
};
template <> struct VectorOf<double> {
    typedef double type __attribute__((vector_size(FASTNN_VECTOR_BYTES)));
    typedef double unaligned __attribute__((vector_size(FASTNN_VECTOR_BYTES), aligned(8), may_alias));
    typedef int64_t integer __attribute__((vector_size(FASTNN_VECTOR_BYTES)));
};

template <class T> using Vec = typename VectorOf<T>::type;
template <class T> using IntVec = typename VectorOf<T>::integer;  // integers as wide as T; also the result of a comparison
template <class T> constexpr int lanes = FASTNN_VECTOR_BYTES / int(sizeof(T));
template <class T> constexpr int block_lanes = block_bytes / int(sizeof(T));

template <class T> FASTNN_INLINE Vec<T> load(const T *p) { return *(const typename VectorOf<T>::unaligned *)p; }
template <class T> FASTNN_INLINE void store(T *p, Vec<T> a) { *(typename VectorOf<T>::unaligned *)p = a; }
template <class T> FASTNN_INLINE Vec<T> splat(T x) { return x - Vec<T>{}; }
// A vector is its own splat: formulas take one number for all lanes, or one for each.
FASTNN_INLINE Vec<float> splat(Vec<float> a) { return a; }
FASTNN_INLINE Vec<double> splat(Vec<double> a) { return a; }
template <class T> FASTNN_INLINE IntVec<T> splat_int(int64_t x) { return decltype(IntVec<T>{}[0])(x) - IntVec<T>{}; }

// Reinterprets the bits of a vector as the other type, without conversion.
template <class T> FASTNN_INLINE IntVec<T> as_int(Vec<T> a) { return (IntVec<T>)a; }
template <class T> FASTNN_INLINE Vec<T> as_float(IntVec<T> a) { return (Vec<T>)a; }

#if defined(__AVX512F__)
constexpr bool fused = true;  // fma rounds once
// GCC 12 warns of an uninitialised variable inside the plain forms; so these are the zero-masked forms with a full mask.
FASTNN_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) { return _mm512_fmadd_ps(a, b, c); }
FASTNN_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) { return _mm512_fmadd_pd(a, b, c); }
FASTNN_INLINE Vec<float> min(Vec<float> a, Vec<float> b) { return _mm512_maskz_min_ps(-1, a, b); }
FASTNN_INLINE Vec<double> min(Vec<double> a, Vec<double> b) { return _mm512_maskz_min_pd(-1, a, b); }
FASTNN_INLINE Vec<float> max(Vec<float> a, Vec<float> b) { return _mm512_maskz_max_ps(-1, a, b); }
FASTNN_INLINE Vec<double> max(Vec<double> a, Vec<double> b) { return _mm512_maskz_max_pd(-1, a, b); }
FASTNN_INLINE Vec<float> sqrt(Vec<float> a) { return _mm512_maskz_sqrt_ps(-1, a); }
FASTNN_INLINE Vec<double> sqrt(Vec<double> a) { return _mm512_maskz_sqrt_pd(-1, a); }
FASTNN_INLINE void stream_vector(float *p, Vec<float> a) { _mm512_stream_ps(p, a); }
FASTNN_INLINE void stream_vector(double *p, Vec<double> a) { _mm512_stream_pd(p, a); }
#elif defined(__AVX2__)
constexpr bool fused = true;
FASTNN_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) { return _mm256_fmadd_ps(a, b, c); }
FASTNN_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) { return _mm256_fmadd_pd(a, b, c); }
FASTNN_INLINE Vec<float> min(Vec<float> a, Vec<float> b) { return _mm256_min_ps(a, b); }
FASTNN_INLINE Vec<double> min(Vec<double> a, Vec<double> b) { return _mm256_min_pd(a, b); }
FASTNN_INLINE Vec<float> max(Vec<float> a, Vec<float> b) { return _mm256_max_ps(a, b); }
FASTNN_INLINE Vec<double> max(Vec<double> a, Vec<double> b) { return _mm256_max_pd(a, b); }
FASTNN_INLINE Vec<float> sqrt(Vec<float> a) { return _mm256_sqrt_ps(a); }
FASTNN_INLINE Vec<double> sqrt(Vec<double> a) { return _mm256_sqrt_pd(a); }
FASTNN_INLINE void stream_vector(float *p, Vec<float> a) { _mm256_stream_ps(p, a); }
FASTNN_INLINE void stream_vector(double *p, Vec<double> a) { _mm256_stream_pd(p, a); }
#else
// Like the x86 instructions, also for NaN and signed zeros: the result is b where the comparison is false.
template <class V> FASTNN_INLINE V min(V a, V b) { return a < b ? a : b; }
template <class V> FASTNN_INLINE V max(V a, V b) { return a > b ? a : b; }
#if defined(__ARM_NEON)
constexpr bool fused = true;
FASTNN_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) { return vfmaq_f32(c, a, b); }
FASTNN_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) { return vfmaq_f64(c, a, b); }
FASTNN_INLINE Vec<float> sqrt(Vec<float> a) { return vsqrtq_f32(a); }
FASTNN_INLINE Vec<double> sqrt(Vec<double> a) { return vsqrtq_f64(a); }
#else
// This rounds twice: without hardware support, a fused operation would cost one library call per lane.
constexpr bool fused = false;
template <class V> FASTNN_INLINE V fma(V a, V b, V c) { return a * b + c; }
template <class V> FASTNN_INLINE V sqrt(V a) {
    for (size_t i = 0; i < sizeof(V) / sizeof(a[0]); i++)
        a[i] = sizeof(a[0]) == 4 ? __builtin_sqrtf(float(a[i])) : __builtin_sqrt(a[i]);
    return a;
}
#endif
#endif

// Copies n numbers, past the caches if whole vectors can be written: for what is not read soon.
template <class T> FASTNN_INLINE void stream(T *to, const T *from, int64_t n) {
    int64_t i = 0;
#if defined(__AVX2__)
    const bool is_aligned = reinterpret_cast<uintptr_t>(to) % FASTNN_VECTOR_BYTES == 0;
    for (; is_aligned && i + lanes<T> <= n; i += lanes<T>) stream_vector(to + i, load(from + i));
    _mm_sfence();  // orders these writes before all later ones
#endif
    std::memcpy(to + i, from + i, size_t(n - i) * sizeof(T));
}

template <class T> FASTNN_INLINE Vec<T> abs(Vec<T> a) { return as_float<T>(as_int<T>(a) & ~as_int<T>(splat<T>(T(-0.0)))); }
// Returns the magnitude of a with the sign of s.
template <class T> FASTNN_INLINE Vec<T> copysign(Vec<T> a, Vec<T> s) {
    const IntVec<T> sign = as_int<T>(splat<T>(T(-0.0)));
    return as_float<T>((as_int<T>(a) & ~sign) | (as_int<T>(s) & sign));
}

// The first n lanes: -1 there, and 0 in the others.
template <class T> FASTNN_INLINE IntVec<T> first_lanes(int64_t n) {
    IntVec<T> lane;
    for (int q = 0; q < lanes<T>; q++) lane[q] = q;
    return lane < splat_int<T>(n);
}
// Keeps the first n lanes; the others become `other`.
template <class T> FASTNN_INLINE Vec<T> keep_lanes(Vec<T> a, int64_t n, T other) { return first_lanes<T>(n) ? a : splat(other); }

// These read and write the first n lanes, 0 <= n <= lanes. The other lanes read as zero, and are not written.
#if defined(__AVX512F__)
FASTNN_INLINE Vec<float> load_partial(const float *p, int64_t n) { return _mm512_maskz_loadu_ps(__mmask16(0xffff >> (16 - n)), p); }
FASTNN_INLINE Vec<double> load_partial(const double *p, int64_t n) { return _mm512_maskz_loadu_pd(__mmask8(0xff >> (8 - n)), p); }
FASTNN_INLINE void store_partial(float *p, Vec<float> a, int64_t n) { _mm512_mask_storeu_ps(p, __mmask16(0xffff >> (16 - n)), a); }
FASTNN_INLINE void store_partial(double *p, Vec<double> a, int64_t n) { _mm512_mask_storeu_pd(p, __mmask8(0xff >> (8 - n)), a); }
#elif defined(__AVX2__)
FASTNN_INLINE Vec<float> load_partial(const float *p, int64_t n) { return _mm256_maskload_ps(p, (__m256i)first_lanes<float>(n)); }
FASTNN_INLINE Vec<double> load_partial(const double *p, int64_t n) {
    return _mm256_maskload_pd(p, (__m256i)first_lanes<double>(n));
}
FASTNN_INLINE void store_partial(float *p, Vec<float> a, int64_t n) { _mm256_maskstore_ps(p, (__m256i)first_lanes<float>(n), a); }
FASTNN_INLINE void store_partial(double *p, Vec<double> a, int64_t n) {
    _mm256_maskstore_pd(p, (__m256i)first_lanes<double>(n), a);
}
#else
template <class T> FASTNN_INLINE Vec<T> load_partial(const T *p, int64_t n) {
    Vec<T> a = {};
    std::memcpy(&a, p, size_t(n) * sizeof(T));
    return a;
}
template <class T> FASTNN_INLINE void store_partial(T *p, Vec<T> a, int64_t n) { std::memcpy(p, &a, size_t(n) * sizeof(T)); }
#endif

// The access of body in for_each_vector: to a whole vector, or to the first n lanes of the last one.
template <class T> struct Whole {
    FASTNN_INLINE Vec<T> load(const T *p) { return ::load(p); }
    FASTNN_INLINE void store(T *p, Vec<T> a) { ::store(p, a); }
};
template <class T> struct Partial {
    int64_t n;
    __attribute__((always_inline)) Vec<T> load(const T *p) const { return load_partial(p, n); }
    __attribute__((always_inline)) void store(T *p, Vec<T> a) const { store_partial(p, a, n); }
};

// Calls body(i, access) for i = 0, lanes, 2 lanes, … below count: one text for the loop over elements and its tail.
template <class T, class Body> FASTNN_INLINE void for_each_vector(int64_t count, Body body) {
    int64_t i = 0;
    for (; i + 4 * lanes<T> <= count; i += 4 * lanes<T>)
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++) body(i + v * lanes<T>, Whole<T>{});
    for (; i + lanes<T> <= count; i += lanes<T>) body(i, Whole<T>{});
    if (i < count) body(i, Partial<T>{count - i});
}

// Exchanges the lanes of two vectors that differ in bit S of their number: one step of a transposition.
template <class V, int S, size_t... I> FASTNN_INLINE void exchange(V &a, V &b, std::index_sequence<I...>) {
    constexpr int W = sizeof...(I);
    const V low = __builtin_shufflevector(a, b, ((int(I) & S) ? W + int(I) - S : int(I))...);
    b = __builtin_shufflevector(a, b, ((int(I) & S) ? W + int(I) : int(I) + S)...);
    a = low;
}

// Transposes squares of WIDTH x WIDTH in place, as many as stand side by side in WIDTH vectors.
template <class T, int WIDTH = lanes<T>, int S = WIDTH / 2> FASTNN_INLINE void transpose_square(Vec<T> *r) {
    if constexpr (S > 0) {
#pragma GCC unroll 16
        for (int i = 0; i < WIDTH; i++)
            if (!(i & S)) exchange<Vec<T>, S>(r[i], r[i + S], std::make_index_sequence<size_t(lanes<T>)>());
        transpose_square<T, WIDTH, S / 2>(r);
    }
}

// Returns one vector, whose lane q is the sum over the lanes of r[q]: halves are added until one lane is left.
template <class T, int S = lanes<T> / 2> FASTNN_INLINE Vec<T> sum_rows(Vec<T> *r) {
    if constexpr (S == 0) {
        return r[0];
    } else {
#pragma GCC unroll 16
        for (int i = 0; i < S; i++) {
            exchange<Vec<T>, S>(r[i], r[i + S], std::make_index_sequence<size_t(lanes<T>)>());
            r[i] += r[i + S];
        }
        return sum_rows<T, S / 2>(r);
    }
}

// Adds halves of a block until one vector of partial sums is left: lane j holds j + (j + half) + ...
template <class T> FASTNN_INLINE Vec<T> fold_block(const Vec<T> *block) {
    Vec<T> r[block_vectors];
#pragma GCC unroll 4
    for (int i = 0; i < block_vectors; i++) r[i] = block[i];
#pragma GCC unroll 4
    for (int half = block_vectors / 2; half > 0; half /= 2)
#pragma GCC unroll 4
        for (int i = 0; i < half; i++) r[i] += r[i + half];
    return r[0];
}

template <class V, int S, size_t... I> FASTNN_INLINE V lanes_from(V a, std::index_sequence<I...>) {
    return __builtin_shufflevector(a, a, int((I + S) % sizeof...(I))...);
}

// Returns the sum of the lanes, in the order of sum_rows: the two give the same bits.
template <class T, int S = lanes<T> / 2> FASTNN_INLINE T sum_lanes(Vec<T> a) {
    if constexpr (S == 0) return a[0];
    else return sum_lanes<T, S / 2>(a + lanes_from<Vec<T>, S>(a, std::make_index_sequence<size_t(lanes<T>)>()));
}
// Returns the largest lane, in all lanes.
template <class T, int S = lanes<T> / 2> FASTNN_INLINE Vec<T> largest_lane(Vec<T> a) {
    if constexpr (S == 0) return a;
    else return largest_lane<T, S / 2>(max(a, lanes_from<Vec<T>, S>(a, std::make_index_sequence<size_t(lanes<T>)>())));
}
template <class T> FASTNN_INLINE T sum_block(const Vec<T> *block) { return sum_lanes<T>(fold_block<T>(block)); }

}  // namespace
