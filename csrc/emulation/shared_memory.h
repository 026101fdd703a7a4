// A block's dynamic shared memory: poisoned, and guarded at both ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace higan_fast::emulation {

// Inaccessible pages follow the memory directly (rounded up to its alignment of 16 bytes), so an access past the end
// faults at once. The rounding gap and some bytes before the memory are guards: a write there is detected when the
// block has ended.
class SharedMemory {
public:
    static constexpr std::size_t MOST_BYTES = 227 * 1024;  // per block on the largest supported GPU

    SharedMemory();
    ~SharedMemory();
    SharedMemory(const SharedMemory&) = delete;
    SharedMemory& operator=(const SharedMemory&) = delete;

    void resize(std::size_t bytes);

    // Sets every byte to 0xFF: NaN as a float, half or bfloat16, -1 as an integer.
    void poison();

    // Describes what was written outside the memory since poison(); empty if nothing was.
    std::string damage() const;

    // Describes an access to this address; empty if the address is elsewhere.
    std::string explain(const void* address) const;

    // Whether the address is in the memory or in the inaccessible pages around it. This is fast because a process has
    // one shared memory.
    static bool is_near(const void* address) {
        return reinterpret_cast<std::uintptr_t>(address) - reinterpret_cast<std::uintptr_t>(memory_) < ALL_BYTES;
    }

    unsigned char* begin() const { return begin_; }
    std::size_t bytes() const { return bytes_; }

private:
    static constexpr std::size_t FENCE_BYTES = 256 * 1024;  // inaccessible, on either side
    static constexpr std::size_t INNER_BYTES = 256 * 1024;  // accessible, a multiple of any page
    static constexpr std::size_t ALL_BYTES = FENCE_BYTES + INNER_BYTES + FENCE_BYTES;

    unsigned char* fence() const { return memory_ + FENCE_BYTES + INNER_BYTES; }

    static unsigned char* memory_;
    unsigned char* begin_ = nullptr;
    std::size_t bytes_ = 0;
};

}  // namespace higan_fast::emulation
