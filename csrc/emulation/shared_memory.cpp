// The placement of shared memory, its poison and its guards.
#include "shared_memory.h"

#include <sys/mman.h>

#include <cstring>
#include <new>

namespace higan_fast::emulation {

namespace {

constexpr std::size_t ALIGNMENT = 16;
constexpr std::size_t FRONT_BYTES = 1024;      // guard bytes before the memory
constexpr unsigned char POISON = 0xFF, GUARD = 0xA5;

}  // namespace

unsigned char* SharedMemory::memory_ = nullptr;

SharedMemory::SharedMemory() {
    static_assert(MOST_BYTES + FRONT_BYTES <= INNER_BYTES);
    void* const memory = mmap(nullptr, ALL_BYTES, PROT_NONE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    memory_ = static_cast<unsigned char*>(memory);
    mprotect(memory_ + FENCE_BYTES, INNER_BYTES, PROT_READ | PROT_WRITE);
    resize(0);
}

SharedMemory::~SharedMemory() { munmap(memory_, ALL_BYTES); }

void SharedMemory::resize(std::size_t bytes) {
    bytes_ = bytes;
    begin_ = fence() - (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

void SharedMemory::poison() {
    std::memset(begin_ - FRONT_BYTES, GUARD, FRONT_BYTES);
    std::memset(begin_, POISON, bytes_);
    std::memset(begin_ + bytes_, GUARD, std::size_t(fence() - begin_) - bytes_);
}

std::string SharedMemory::damage() const {
    for (const unsigned char* at = begin_ + bytes_; at < fence(); ++at) {
        if (*at != GUARD) return "wrote to " + explain(at);
    }
    for (const unsigned char* at = begin_ - 1; at >= begin_ - FRONT_BYTES; --at) {
        if (*at != GUARD) return "wrote to " + explain(at);
    }
    return "";
}

std::string SharedMemory::explain(const void* address) const {
    if (!is_near(address)) return "";
    return "byte " + std::to_string(static_cast<const unsigned char*>(address) - begin_) +
           " of shared memory, which has " + std::to_string(bytes_) + " bytes";
}

}  // namespace higan_fast::emulation
