// The position in the grid: CUDA's four built-in variables.
#pragma once

struct uint3 {
    unsigned x, y, z;
};

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
    constexpr unsigned long long volume() const { return 1ull * x * y * z; }
};

// Only one thread of one launch runs at a time, so these are plain variables, set at each switch.
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;

constexpr int warpSize = 32;
