// The functions that g++ -fsanitize=thread calls at each memory access of a kernel. They replace the sanitizer's own
// run-time library, which is not linked. Without that option nothing calls them.
#include <cstddef>
#include <cstdint>

#include "shared_memory.h"
#include "waits.h"

#ifdef __SANITIZE_THREAD__
#error "compile the kernels with -fsanitize=thread, the emulator without"
#endif

using higan_fast::emulation::Access;

static void note(const void* address, std::size_t bytes, std::size_t alignment, Access access) {
    if (higan_fast::emulation::SharedMemory::is_near(address)) {
        higan_fast::emulation::note_access(address, bytes, alignment, access);
    }
}

#define ACCESSES(bytes)                                                                         \
    void __tsan_read##bytes(void* address) { note(address, bytes, bytes, Access::read); }       \
    void __tsan_write##bytes(void* address) { note(address, bytes, bytes, Access::write); }     \
    void __tsan_unaligned_read##bytes(void* address) { note(address, bytes, 1, Access::read); } \
    void __tsan_unaligned_write##bytes(void* address) { note(address, bytes, 1, Access::write); }

// Atomics of host code in the same files: guards of local statics, reference counts.
#define ATOMICS(T, bits)                                                                                     \
    T __tsan_atomic##bits##_load(const volatile T* at, int) { return __atomic_load_n(at, __ATOMIC_SEQ_CST); } \
    void __tsan_atomic##bits##_store(volatile T* at, T value, int) {                                         \
        __atomic_store_n(at, value, __ATOMIC_SEQ_CST);                                                       \
    }                                                                                                        \
    T __tsan_atomic##bits##_fetch_add(volatile T* at, T value, int) {                                        \
        return __atomic_fetch_add(at, value, __ATOMIC_SEQ_CST);                                              \
    }

extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_read_range(void* address, std::size_t bytes) { note(address, bytes, 1, Access::read); }
void __tsan_write_range(void* address, std::size_t bytes) { note(address, bytes, 1, Access::write); }

ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)

ATOMICS(std::uint8_t, 8)
ATOMICS(std::uint32_t, 32)
ATOMICS(std::uint64_t, 64)

}  // extern "C"
