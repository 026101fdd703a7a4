// 16-bit numbers under one name on the GPU and the host, and their conversion to and from float.
#pragma once

#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#define HOST_DEVICE __host__ __device__ __forceinline__
#else
// Always inlined: the CPU kernels are compiled for several instruction sets, and the linker could otherwise choose a
// copy that runs on machines without that set.
#define HOST_DEVICE inline __attribute__((always_inline))
#endif

namespace higan_fast {

#ifdef __CUDACC__
using half_t = __half;
using bfloat16_t = __nv_bfloat16;
#else
// For storage only; arithmetic is done in float.
struct half_t {
    std::uint16_t bits;
};
struct bfloat16_t {
    std::uint16_t bits;
};
#endif

// The type of sums: double for double, float for all others.
template <class T>
struct accumulator {
    using type = float;
};
template <>
struct accumulator<double> {
    using type = double;
};
template <class T>
using accumulator_t = typename accumulator<T>::type;

HOST_DEVICE float widen(float x) { return x; }
HOST_DEVICE double widen(double x) { return x; }

// The inverse of widen<T>: rounds to nearest, ties to even.
template <class T>
HOST_DEVICE T narrow(accumulator_t<T> x);
template <>
HOST_DEVICE float narrow<float>(float x) {
    return x;
}
template <>
HOST_DEVICE double narrow<double>(double x) {
    return x;
}

#ifdef __CUDACC__

HOST_DEVICE float widen(half_t x) { return __half2float(x); }
HOST_DEVICE float widen(bfloat16_t x) { return __bfloat162float(x); }
template <>
HOST_DEVICE half_t narrow<half_t>(float x) {
    return __float2half_rn(x);
}
template <>
HOST_DEVICE bfloat16_t narrow<bfloat16_t>(float x) {
    return __float2bfloat16_rn(x);
}

#else

HOST_DEVICE std::uint32_t bits_of(float x) {
    std::uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits;
}

HOST_DEVICE float float_of(std::uint32_t bits) {
    float x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

HOST_DEVICE float widen(bfloat16_t x) { return float_of(std::uint32_t(x.bits) << 16); }

template <>
HOST_DEVICE bfloat16_t narrow<bfloat16_t>(float x) {
    const std::uint32_t bits = bits_of(x);
    const bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
    const std::uint32_t rounded = bits + 0x7fffu + ((bits >> 16) & 1u);
    return {std::uint16_t(is_nan ? (bits >> 16) | 0x40u : rounded >> 16)};
}

// Does not need _Float16, which not every compiler has; scaling by powers of two handles subnormals as well.
HOST_DEVICE float widen(half_t x) {
    const std::uint32_t sign = std::uint32_t(x.bits & 0x8000u) << 16;
    const std::uint32_t magnitude = std::uint32_t(x.bits & 0x7fffu) << 13;
    const float finite = float_of(magnitude) * 0x1p112f;
    const std::uint32_t special = magnitude | 0x7f800000u;  // infinity or NaN
    const bool is_special = (x.bits & 0x7c00u) == 0x7c00u;
    return float_of(sign | (is_special ? special : bits_of(finite)));
}

template <>
HOST_DEVICE half_t narrow<half_t>(float x) {
    const std::uint32_t bits = bits_of(x);
    const std::uint32_t magnitude = bits & 0x7fffffffu;
    const std::uint16_t sign = std::uint16_t((bits >> 16) & 0x8000u);
    if (magnitude > 0x7f800000u) return {std::uint16_t(sign | 0x7e00u)};   // NaN
    if (magnitude >= 0x477ff000u) return {std::uint16_t(sign | 0x7c00u)};  // rounds to 2^16 or more
    if (magnitude < 0x38800000u) {  // below 2^-14: adding 0.5 leaves the subnormal's bits at the bottom
        return {std::uint16_t(sign | (bits_of(float_of(magnitude) + 0.5f) - 0x3f000000u))};
    }
    const std::uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u) - 0x38000000u;
    return {std::uint16_t(sign | (rounded >> 13))};
}

#endif

}  // namespace higan_fast
