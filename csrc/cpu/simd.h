// A vector of floats or doubles, as wide as the instruction set's registers, loaded from and stored to any dtype.
//
//     for_vectors<S>(length, [&](int i, auto lanes) { store(out + i, load(x + i, lanes) * factor, lanes); });
//
// Write arithmetic with operators, and use multiply_add where one rounding is wanted; nothing else is contracted.
// All of cpu/ is in a namespace named after the instruction set: see instruction_sets.cmake.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "../include/number.h"

#ifdef __AVX2__
#include <immintrin.h>
#endif

#define ALWAYS_INLINE inline __attribute__((always_inline))
#define INLINE_LAMBDA __attribute__((always_inline))

namespace higan_fast::cpu::HIGAN_FAST_ISA {

#if defined(__AVX512F__)
constexpr int VECTOR_BYTES = 64;
constexpr __mmask16 ALL = 0xffff;  // a full mask costs nothing; GCC 12 warns about the unmasked forms
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

// The elements of one vector, as stored in memory.
template <class T>
using Stored = std::conditional_t<sizeof(T) == 2, HalfWords, Vector<accumulator_t<T>>>;

// How many lanes a load or store touches; the remaining lanes are loaded as zero and not stored.
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

template <class T>
ALWAYS_INLINE Stored<T> read(const T* p, Full) {
    Stored<T> bits;
    std::memcpy(&bits, p, sizeof bits);
    return bits;
}

template <class T>
ALWAYS_INLINE void write(T* p, Stored<T> bits, Full) {
    std::memcpy(static_cast<void*>(p), &bits, sizeof bits);
}

template <class T>
ALWAYS_INLINE Stored<T> read(const T* p, Partial lanes) {
#if defined(__AVX512F__)
    const auto mask = (1u << lanes.count) - 1u;
    if constexpr (sizeof(T) == 2) return Stored<T>(_mm256_maskz_loadu_epi16(__mmask16(mask), p));
    if constexpr (sizeof(T) == 4) return Stored<T>(_mm512_maskz_loadu_epi32(__mmask16(mask), p));
    if constexpr (sizeof(T) == 8) return Stored<T>(_mm512_maskz_loadu_epi64(__mmask8(mask), p));
#else
    Stored<T> bits = {};
    std::memcpy(&bits, p, std::size_t(lanes.count) * sizeof(T));
    return bits;
#endif
}

template <class T>
ALWAYS_INLINE void write(T* p, Stored<T> bits, Partial lanes) {
#if defined(__AVX512F__)
    const auto mask = (1u << lanes.count) - 1u;
    if constexpr (sizeof(T) == 2) _mm256_mask_storeu_epi16(p, __mmask16(mask), __m256i(bits));
    if constexpr (sizeof(T) == 4) _mm512_mask_storeu_epi32(p, __mmask16(mask), __m512i(bits));
    if constexpr (sizeof(T) == 8) _mm512_mask_storeu_epi64(p, __mmask8(mask), __m512i(bits));
#else
    std::memcpy(static_cast<void*>(p), &bits, std::size_t(lanes.count) * sizeof(T));
#endif
}

ALWAYS_INLINE Vector<float> widen_half(HalfWords bits) {
#if defined(__AVX512F__)
    return Vector<float>(_mm512_maskz_cvtph_ps(ALL, __m256i(bits)));
#elif defined(__AVX2__)
    return Vector<float>(_mm256_cvtph_ps(__m128i(bits)));
#else
    Vector<float> x;
    for (int i = 0; i < LANES<float>; ++i) x[i] = widen(half_t{bits[i]});
    return x;
#endif
}

ALWAYS_INLINE HalfWords narrow_half(Vector<float> x) {
#if defined(__AVX512F__)
    return HalfWords(_mm512_maskz_cvtps_ph(ALL, __m512(x), _MM_FROUND_TO_NEAREST_INT));
#elif defined(__AVX2__)
    return HalfWords(_mm256_cvtps_ph(__m256(x), _MM_FROUND_TO_NEAREST_INT));
#else
    HalfWords bits;
    for (int i = 0; i < LANES<float>; ++i) bits[i] = narrow<half_t>(x[i]).bits;
    return bits;
#endif
}

ALWAYS_INLINE Vector<float> widen_bfloat16(HalfWords bits) {
#if defined(__AVX512F__)
    return Vector<float>(Words(_mm512_maskz_cvtepu16_epi32(ALL, __m256i(bits))) << 16);
#elif defined(__AVX2__)
    return Vector<float>(Words(_mm256_cvtepu16_epi32(__m128i(bits))) << 16);
#else
    return Vector<float>(__builtin_convertvector(bits, Words) << 16);
#endif
}

// The hardware's own conversion would flush subnormals to zero.
ALWAYS_INLINE HalfWords narrow_bfloat16(Vector<float> x) {
    const Words bits = Words(x);
    Words rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
    rounded = (x == x ? rounded : (bits | 0x400000u)) >> 16;
#if defined(__AVX512F__)
    return HalfWords(_mm512_maskz_cvtepi32_epi16(ALL, __m512i(rounded)));
#else
    return __builtin_convertvector(rounded, HalfWords);
#endif
}

template <class T, class Lanes>
ALWAYS_INLINE Vector<accumulator_t<T>> load(const T* p, Lanes lanes) {
    const Stored<T> bits = read(p, lanes);
    if constexpr (std::is_same_v<T, half_t>) {
        return widen_half(bits);
    } else if constexpr (std::is_same_v<T, bfloat16_t>) {
        return widen_bfloat16(bits);
    } else {
        return bits;
    }
}

template <class T, class Lanes>
ALWAYS_INLINE void store(T* p, Vector<accumulator_t<T>> x, Lanes lanes) {
    if constexpr (std::is_same_v<T, half_t>) {
        write(p, narrow_half(x), lanes);
    } else if constexpr (std::is_same_v<T, bfloat16_t>) {
        write(p, narrow_bfloat16(x), lanes);
    } else {
        write(p, x, lanes);
    }
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

// floor(x) for 0 ≤ x < 2^31; NaN stays NaN.
template <class S>
ALWAYS_INLINE Vector<S> round_down(Vector<S> x) {
    using Integers = typename VectorType<std::conditional_t<sizeof(S) == 4, std::int32_t, std::int64_t>>::type;
    const Vector<S> rounded = __builtin_convertvector(__builtin_convertvector(x, Integers), Vector<S>);
    return x == x ? rounded : x;
}

// Lane i of the result is the sum of all lanes of x[i], in an order that depends only on the vector width. Each step
// halves the number of vectors: two folded vectors fit into one.
template <class S, int BLOCK, std::size_t... I>
ALWAYS_INLINE Vector<S> fold(const Vector<S>& x, const Vector<S>& y, std::index_sequence<I...>) {
#ifdef __clang__  // which lacks __builtin_shuffle; GCC before 12 lacks __builtin_shufflevector
    return __builtin_shufflevector(x, y, int(I / BLOCK * 2 * BLOCK + I % BLOCK)...) +
           __builtin_shufflevector(x, y, int(I / BLOCK * 2 * BLOCK + I % BLOCK + BLOCK)...);
#else
    using Integer = std::conditional_t<sizeof(S) == 4, std::int32_t, std::int64_t>;
    using Places = typename VectorType<Integer>::type;
    const Places low = {Integer(I / BLOCK * 2 * BLOCK + I % BLOCK)...};
    return __builtin_shuffle(x, y, low) + __builtin_shuffle(x, y, low + BLOCK);
#endif
}

template <class S, int BLOCK = LANES<S> / 2>
ALWAYS_INLINE Vector<S> sum_each(const Vector<S>* x) {
    Vector<S> folded[BLOCK];
    for (int i = 0; i < BLOCK; ++i) {
        folded[i] = fold<S, BLOCK>(x[2 * i], x[2 * i + 1], std::make_index_sequence<LANES<S>>());
    }
    if constexpr (BLOCK == 1) {
        return folded[0];
    } else {
        return sum_each<S, BLOCK / 2>(folded);
    }
}

// The sum of all lanes of one vector.
template <class S, int BYTES = VECTOR_BYTES>
ALWAYS_INLINE S sum_lanes(const typename VectorType<S, BYTES>::type& x) {
    if constexpr (BYTES == int(sizeof(S))) {
        return x[0];
    } else {
        typename VectorType<S, BYTES / 2>::type halves[2];
        std::memcpy(halves, &x, sizeof x);
        return sum_lanes<S, BYTES / 2>(halves[0] + halves[1]);
    }
}

}  // namespace higan_fast::cpu::HIGAN_FAST_ISA
