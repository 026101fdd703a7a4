// CUDA's keywords and functions for kernels compiled by g++; launch.h includes this instead of CUDA's headers.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "grid.h"
#include "indices.h"
#include "waits.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

#define SHARED_MEMORY(type, name) \
    type* const name = reinterpret_cast<type*>(::higan_fast::emulation::shared_memory())

#define LAUNCH(kernel, grid, block, shared_bytes, queue, ...) \
    ::higan_fast::launch(#kernel, &kernel, grid, block, shared_bytes, queue, __VA_ARGS__)

namespace higan_fast {

constexpr int STATIC_SHARED_LIMIT = 48 * 1024;  // as in launch.h

// Arguments are converted once to the kernel's parameter types; each thread gets its own copies.
template <class... Params, class... Args>
void launch(const char* name, void (*kernel)(Params...), dim3 grid, dim3 block, int shared_bytes, Queue,
            Args&&... args) {
    const auto run = [&](Params... params) {
        auto thread = [&] { kernel(params...); };
        const auto call = [](void* arguments) { (*static_cast<decltype(thread)*>(arguments))(); };
        emulation::run({name, grid, block, shared_bytes, call, &thread});
    };
    run(std::forward<Args>(args)...);
}

namespace emulation {

constexpr unsigned ALL_LANES = 0xffffffffu;

// A lane's part in a shuffle: its value, the source lane, and the value received.
template <class T>
struct Shuffle {
    T value;
    int source;
    T taken;
};

// A missing lane supplies 0xFF bytes: NaN or -1.
template <class T>
void shuffle(void* const lanes[32]) {
    for (int i = 0; i < 32; ++i) {
        if (lanes[i] == nullptr) continue;
        auto& taker = *static_cast<Shuffle<T>*>(lanes[i]);
        if (lanes[taker.source] == nullptr) {
            std::memset(&taker.taken, 0xFF, sizeof(T));
        } else {
            taker.taken = static_cast<Shuffle<T>*>(lanes[taker.source])->value;
        }
    }
}

struct Vote {
    bool value;
    unsigned mask;  // out: the lanes whose value is true
};

inline void vote(void* const lanes[32]) {
    unsigned mask = 0;
    for (int i = 0; i < 32; ++i) {
        if (lanes[i] != nullptr && static_cast<Vote*>(lanes[i])->value) mask |= 1u << i;
    }
    for (int i = 0; i < 32; ++i) {
        if (lanes[i] != nullptr) static_cast<Vote*>(lanes[i])->mask = mask;
    }
}

inline int lane_id() {
    return int((threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % 32u);
}

template <class T>
T shuffle_from(int source, unsigned mask, T value, const char* name, Place place) {
    static_assert(std::is_trivially_copyable<T>::value && sizeof(T) <= 8, "shuffles carry numbers");
    Shuffle<T> arguments = {value, source, value};
    wait_for_warp(mask, name, shuffle<T>, &arguments, place);
    return arguments.taken;
}

inline unsigned vote_among(unsigned mask, bool value, const char* name, Place place) {
    Vote arguments = {value, 0};
    wait_for_warp(mask, name, vote, &arguments, place);
    return arguments.mask;
}

}  // namespace emulation

// CUDA's functions. They are in the kernels' namespace because some C libraries have an rsqrtf at global scope.

inline void __syncthreads(emulation::Place place = emulation::Place::here()) { emulation::wait_for_block(place); }

inline void __syncwarp(unsigned mask = emulation::ALL_LANES, emulation::Place place = emulation::Place::here()) {
    emulation::wait_for_warp(mask, "__syncwarp", nullptr, nullptr, place);
}

// Shuffles stay within each group of `width` lanes, a power of two: a source beyond it is the lane itself.
template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32,
              emulation::Place place = emulation::Place::here()) {
    const int first = emulation::lane_id() & ~(width - 1);
    return emulation::shuffle_from(first + (source & (width - 1)), mask, value, "__shfl_sync", place);
}

template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32,
                  emulation::Place place = emulation::Place::here()) {
    const int lane = emulation::lane_id(), source = (lane ^ lane_mask) & 31;
    const bool beyond = source > (lane | (width - 1));
    return emulation::shuffle_from(beyond ? lane : source, mask, value, "__shfl_xor_sync", place);
}

template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                   emulation::Place place = emulation::Place::here()) {
    const int lane = emulation::lane_id(), source = lane + int(delta);
    const bool beyond = source > (lane | (width - 1));
    return emulation::shuffle_from(beyond ? lane : source, mask, value, "__shfl_down_sync", place);
}

template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32,
                 emulation::Place place = emulation::Place::here()) {
    const int lane = emulation::lane_id(), source = lane - int(delta);
    const bool beyond = source < (lane & ~(width - 1));
    return emulation::shuffle_from(beyond ? lane : source, mask, value, "__shfl_up_sync", place);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, emulation::Place place = emulation::Place::here()) {
    return emulation::vote_among(mask, predicate != 0, "__ballot_sync", place);
}

inline int __any_sync(unsigned mask, int predicate, emulation::Place place = emulation::Place::here()) {
    return emulation::vote_among(mask, predicate != 0, "__any_sync", place) != 0;
}

inline int __all_sync(unsigned mask, int predicate, emulation::Place place = emulation::Place::here()) {
    return emulation::vote_among(mask, predicate == 0, "__all_sync", place) == 0;
}

// Threads run one at a time and switch only at waits: a plain addition is atomic.
template <class T>
__attribute__((no_sanitize("thread"))) T atomicAdd(T* address, std::common_type_t<T> value) {
#ifdef __SANITIZE_THREAD__
    emulation::note_access(address, sizeof(T), sizeof(T), emulation::Access::atomic);
#endif
    const T before = *address;
    *address = before + value;
    return before;
}

inline void __threadfence() {}

template <class T>
T __ldg(const T* address) {
    return *address;
}

inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline double rsqrt(double x) { return 1.0 / std::sqrt(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }

// For numbers of any two types, as in nvcc; for a number and a NaN, the result is the number.
template <class A, class B>
constexpr std::common_type_t<A, B> min(A a, B b) {
    using T = std::common_type_t<A, B>;
    return T(b) < T(a) || a != a ? T(b) : T(a);
}

template <class A, class B>
constexpr std::common_type_t<A, B> max(A a, B b) {
    using T = std::common_type_t<A, B>;
    return T(a) < T(b) || a != a ? T(b) : T(a);
}

}  // namespace higan_fast
