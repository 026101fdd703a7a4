// Sums and the like over the threads of a warp, or of a part of a warp.
#pragma once

#include "launch.h"

#ifdef HIGAN_FAST_EMULATION
#define UNROLL
#define NO_UNROLL
#else
#define UNROLL _Pragma("unroll")
#define NO_UNROLL _Pragma("unroll 1")
#endif

namespace higan_fast {

constexpr int WARP = 32;
constexpr unsigned ALL_LANES = 0xffffffffu;

// The sum over each group of WIDTH neighbouring lanes (a power of two), for all of them. The whole warp must take
// part.
template <int WIDTH = WARP>
__device__ float warp_sum(float x) {
    UNROLL for (int distance = WIDTH / 2; distance > 0; distance /= 2) {
        x += __shfl_xor_sync(ALL_LANES, x, distance);
    }
    return x;
}

// The largest value of all lanes, for all of them; NaN is left out.
__device__ inline float warp_max(float x) {
    UNROLL for (int distance = WARP / 2; distance > 0; distance /= 2) {
        x = fmaxf(x, __shfl_xor_sync(ALL_LANES, x, distance));
    }
    return x;
}

}  // namespace higan_fast
