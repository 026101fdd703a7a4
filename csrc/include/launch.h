// Launching a kernel: on the GPU through the CUDA runtime, under emulation through fibers on the host.
//
//     SHARED_MEMORY(float, tile);                                       inside a kernel: dynamic shared memory
//     LAUNCH(my_kernel<float>, grid, block, shared_bytes, queue, ...);  inside a launch function
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

#include "number.h"

namespace higan_fast {

// Where work goes: a cudaStream_t for CUDA, the number of threads for the CPU.
using Queue = std::int64_t;

inline int ceil_div(std::int64_t a, std::int64_t b) { return int((a + b - 1) / b); }

// The blocks of a grid along x, the only axis on which a grid may be long.
inline unsigned num_blocks(std::int64_t num) {
    if (num <= 0x7fffffff) return unsigned(num);
    throw std::invalid_argument("out: needs " + std::to_string(num) + " blocks, expected fewer than 2^31");
}

}  // namespace higan_fast

#ifdef HIGAN_FAST_EMULATION
#include "../emulation/simt.h"
#elif defined(__CUDACC__)

#define SHARED_MEMORY(type, name)                               \
    extern __shared__ __align__(16) unsigned char name##_raw[]; \
    type* const name = reinterpret_cast<type*>(name##_raw)

#define LAUNCH(kernel, grid, block, shared_bytes, queue, ...) \
    ::higan_fast::launch(#kernel, &kernel, grid, block, shared_bytes, queue, __VA_ARGS__)

namespace higan_fast {

constexpr int STATIC_SHARED_LIMIT = 48 * 1024;  // more needs an opt-in

inline void check(cudaError_t code, const char* kernel) {
    if (code != cudaSuccess) {
        throw std::runtime_error(std::string(kernel) + ": CUDA error " + cudaGetErrorName(code) + ": " +
                                 cudaGetErrorString(code));
    }
}

template <class... Params, class... Args>
void launch(const char* name, void (*kernel)(Params...), dim3 grid, dim3 block, int shared_bytes, Queue queue,
            Args&&... args) {
    if (shared_bytes > STATIC_SHARED_LIMIT) {
        check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                   cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes),
              name);
    }
    kernel<<<grid, block, shared_bytes, reinterpret_cast<cudaStream_t>(queue)>>>(std::forward<Args>(args)...);
    check(cudaGetLastError(), name);
}

}  // namespace higan_fast

#endif
