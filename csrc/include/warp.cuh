// Sums over the threads of a warp, of a part of a warp, and of a block.
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

// The number of floats of shared memory that block_sum works in.
constexpr int BLOCK_SUM_SCRATCH = 32;

// The sum over the block, for all its threads, in an order that depends on nothing but the block's size. The whole
// block must call it, with a multiple of 32 threads; `scratch` is free again when it returns.
inline __device__ float block_sum(float x, float* scratch) {
    const int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    const int num_warps = blockDim.x * blockDim.y * blockDim.z / WARP;
    x = warp_sum(x);
    if (thread % WARP == 0) scratch[thread / WARP] = x;
    __syncthreads();
    float sum = 0;
    for (int i = 0; i < num_warps; ++i) sum += scratch[i];
    __syncthreads();
    return sum;
}

}  // namespace higan_fast
