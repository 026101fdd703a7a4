// The checks of tensor views before each memory access under emulation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace higan_fast::emulation {

[[noreturn]] void fail_bounds(const int* index, const int* sizes, int rank, int width, int along);
[[noreturn]] void fail_alignment(const void* address, std::size_t size);

// Throws with the kernel's name if any of the `width` elements along `along`, from index on, is outside sizes.
inline void check_bounds(std::initializer_list<int> index, const int* sizes, int rank, int width, int along) {
    const int* const at = index.begin();
    bool inside = true;
    for (int i = 0; i < rank; ++i) {
        inside = inside && at[i] >= 0 && at[i] <= sizes[i] - (i == along ? width : 1);
    }
    if (!inside) fail_bounds(at, sizes, rank, width, along);
}

// Throws with the kernel's name if the address is not a multiple of `size` bytes.
inline void check_alignment(const void* address, std::size_t size) {
    if (reinterpret_cast<std::uintptr_t>(address) % size != 0) fail_alignment(address, size);
}

}  // namespace higan_fast::emulation
