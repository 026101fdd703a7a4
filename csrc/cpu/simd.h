// A vector of floats or doubles, as wide as the instruction set's registers, loaded from and stored to any dtype.
//
//     for_vectors<S>(length, [&](int i, auto lanes) { store(out + i, load(x + i, lanes) * factor, lanes); });
//
// Arithmetic is written with operators, and multiply_add where one rounding is wanted: nothing else is contracted.
// All of cpu/ lives in a namespace named after the instruction set: see instruction_sets.cmake.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "../include/number.h"

#ifdef __AVX2__
#include <immintrin.h>
#endif

#define ALWAYS_INLINE inline __attribute__((always_inline))
#define INLINE_LAMBDA __attribute__((always_inline))

namespace higan_fast::cpu::HIGAN_FAST_ISA {

#if defined(__AVX512F__)
constexpr int VECTOR_BYTES = 64;
constexpr __mmask16 ALL = 0xffff;  // a mask of ones costs nothing; GCC 12 warns about the forms without one
#elif defined(__AVX2__)
constexpr int VECTOR_BYTES = 32;
#else
constexpr int VECTOR_BYTES = 16;
#endif

template <class S, int BYTES = VECTOR_BYTES>
struct VectorType {
    typedef S type __attribute__((vector_size(BYTES)));
};
template <class S>
using Vector = typename VectorType<S>::type;
template <class S>
constexpr int LANES = VECTOR_BYTES / int(sizeof(S));

using Words = VectorType<std::uint32_t>::type;
using HalfWords = VectorType<std::uint16_t, VECTOR_BYTES / 2>::type;

// How much of a vector a load or store touches.
struct Full {};
struct Partial {
    int count;
};

template <class S, class F>
ALWAYS_INLINE void for_vectors(int length, const F& f) {
    int i = 0;
    for (; i + LANES<S> <= length; i += LANES<S>) f(i, Full{});
    if (i < length) f(i, Partial{length - i});
}

template <class S>
ALWAYS_INLINE Vector<S> broadcast(S value) {
    return value - Vector<S>{};
}

template <class V, class P>
ALWAYS_INLINE V bits_at(const P* p) {
    V bits;
    std::memcpy(&bits, p, sizeof bits);
    return bits;
}

ALWAYS_INLINE Vector<float> load(const float* p, Full) { return bits_at<Vector<float>>(p); }
ALWAYS_INLINE Vector<double> load(const double* p, Full) { return bits_at<Vector<double>>(p); }

ALWAYS_INLINE Vector<float> load(const bfloat16_t* p, Full) {
#if defined(__AVX512F__)
    return Vector<float>(Words(_mm512_maskz_cvtepu16_epi32(ALL, bits_at<__m256i>(p))) << 16);
#elif defined(__AVX2__)
    return Vector<float>(Words(_mm256_cvtepu16_epi32(bits_at<__m128i>(p))) << 16);
#else
    return Vector<float>(__builtin_convertvector(bits_at<HalfWords>(p), Words) << 16);
#endif
}

ALWAYS_INLINE Vector<float> load(const half_t* p, Full) {
#if defined(__AVX512F__)
    return Vector<float>(_mm512_maskz_cvtph_ps(ALL, bits_at<__m256i>(p)));
#elif defined(__AVX2__)
    return Vector<float>(_mm256_cvtph_ps(bits_at<__m128i>(p)));
#else
    Vector<float> x;
    for (int i = 0; i < LANES<float>; ++i) x[i] = widen(p[i]);
    return x;
#endif
}

ALWAYS_INLINE void store(float* p, Vector<float> x, Full) { std::memcpy(p, &x, sizeof x); }
ALWAYS_INLINE void store(double* p, Vector<double> x, Full) { std::memcpy(p, &x, sizeof x); }

// As narrow<bfloat16_t>, all lanes at once. The processors' own conversion would flush subnormals to zero.
ALWAYS_INLINE void store(bfloat16_t* p, Vector<float> x, Full) {
    const Words bits = Words(x);
    Words rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
    rounded = (x == x ? rounded : (bits | 0x400000u)) >> 16;
#if defined(__AVX512F__)
    const __m256i narrowed = _mm512_maskz_cvtepi32_epi16(ALL, __m512i(rounded));
#else
    const HalfWords narrowed = __builtin_convertvector(rounded, HalfWords);
#endif
    std::memcpy(static_cast<void*>(p), &narrowed, sizeof narrowed);
}

ALWAYS_INLINE void store(half_t* p, Vector<float> x, Full) {
#if defined(__AVX512F__)
    const __m256i narrowed = _mm512_maskz_cvtps_ph(ALL, __m512(x), _MM_FROUND_TO_NEAREST_INT);
    std::memcpy(static_cast<void*>(p), &narrowed, sizeof narrowed);
#elif defined(__AVX2__)
    const __m128i narrowed = _mm256_cvtps_ph(__m256(x), _MM_FROUND_TO_NEAREST_INT);
    std::memcpy(static_cast<void*>(p), &narrowed, sizeof narrowed);
#else
    for (int i = 0; i < LANES<float>; ++i) p[i] = narrow<half_t>(x[i]);
#endif
}

// The end of a run: lanes beyond it are zero when loaded, and not stored.
template <class T>
ALWAYS_INLINE Vector<accumulator_t<T>> load(const T* p, Partial lanes) {
    T padded[LANES<accumulator_t<T>>] = {};
    std::memcpy(static_cast<void*>(padded), p, std::size_t(lanes.count) * sizeof(T));
    return load(padded, Full{});
}

template <class T>
ALWAYS_INLINE void store(T* p, Vector<accumulator_t<T>> x, Partial lanes) {
    T padded[LANES<accumulator_t<T>>];
    store(padded, x, Full{});
    std::memcpy(static_cast<void*>(p), padded, std::size_t(lanes.count) * sizeof(T));
}

// a·b + c, rounded once where the instruction set can.
ALWAYS_INLINE Vector<float> multiply_add(Vector<float> a, Vector<float> b, Vector<float> c) {
#if defined(__AVX512F__)
    return Vector<float>(_mm512_fmadd_ps(__m512(a), __m512(b), __m512(c)));
#elif defined(__AVX2__)
    return Vector<float>(_mm256_fmadd_ps(__m256(a), __m256(b), __m256(c)));
#else
    return a * b + c;
#endif
}

ALWAYS_INLINE Vector<double> multiply_add(Vector<double> a, Vector<double> b, Vector<double> c) {
#if defined(__AVX512F__)
    return Vector<double>(_mm512_fmadd_pd(__m512d(a), __m512d(b), __m512d(c)));
#elif defined(__AVX2__)
    return Vector<double>(_mm256_fmadd_pd(__m256d(a), __m256d(b), __m256d(c)));
#else
    return a * b + c;
#endif
}

ALWAYS_INLINE Vector<float> square_root(Vector<float> x) {
#if defined(__AVX512F__)
    return Vector<float>(_mm512_maskz_sqrt_ps(ALL, __m512(x)));
#elif defined(__AVX2__)
    return Vector<float>(_mm256_sqrt_ps(__m256(x)));
#else
    for (int i = 0; i < LANES<float>; ++i) x[i] = std::sqrt(x[i]);
    return x;
#endif
}

ALWAYS_INLINE Vector<double> square_root(Vector<double> x) {
#if defined(__AVX512F__)
    return Vector<double>(_mm512_maskz_sqrt_pd(__mmask8(ALL), __m512d(x)));
#elif defined(__AVX2__)
    return Vector<double>(_mm256_sqrt_pd(__m256d(x)));
#else
    for (int i = 0; i < LANES<double>; ++i) x[i] = std::sqrt(x[i]);
    return x;
#endif
}

// The integer below, for 0 ≤ x < 2^31; NaN stays NaN.
template <class S>
ALWAYS_INLINE Vector<S> round_down(Vector<S> x) {
    using Integers = typename VectorType<std::conditional_t<sizeof(S) == 4, std::int32_t, std::int64_t>>::type;
    const Vector<S> rounded = __builtin_convertvector(__builtin_convertvector(x, Integers), Vector<S>);
    return x == x ? rounded : x;
}

// The sum of all lanes, in an order that depends on the vector's width alone.
template <class S, int BYTES = VECTOR_BYTES>
ALWAYS_INLINE S sum_lanes(const typename VectorType<S, BYTES>::type& x) {
    if constexpr (BYTES == int(sizeof(S))) {
        return x[0];
    } else {
        using Half = typename VectorType<S, BYTES / 2>::type;
        Half halves[2];
        std::memcpy(halves, &x, sizeof x);
        return sum_lanes<S, BYTES / 2>(halves[0] + halves[1]);
    }
}

}  // namespace higan_fast::cpu::HIGAN_FAST_ISA
