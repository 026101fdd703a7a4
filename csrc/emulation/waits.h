// The emulator's interface for threads of a kernel.
#pragma once

#include <cstddef>
#include <cstring>
#include <string>

namespace higan_fast::emulation {

// A place in the source; by default, that of the caller.
struct Place {
    const char* file = "";
    int line = 0;

    bool operator==(const Place& other) const {
        return line == other.line && std::strcmp(file, other.file) == 0;
    }

    // "name.cu:12"
    std::string text() const {
        const std::string path = file;
        return path.substr(path.find_last_of('/') + 1) + ":" + std::to_string(line);
    }

    static Place here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) { return {file, line}; }
};

// An operation, carried out once for a warp on the arguments of its lanes; lanes[i] is null for a lane that does not
// take part. It writes results into the arguments and touches nothing else. Lanes read the memory that it needs before the
// wait, so that errors name the right thread.
using WarpOperation = void (*)(void* const lanes[32]);

// Waits until every lane in mask that has not exited waits for the same operation with the same mask, and the operation
// has been carried out. Without an operation it is a barrier, which also orders the lanes' memory accesses.
void wait_for_warp(unsigned mask, const char* name, WarpOperation operation, void* argument, Place place);

// Waits until every thread of the block that has not exited waits here.
void wait_for_block(Place place);

enum class Access { read, write, atomic };

// Reports a memory access of the running thread: accesses to shared memory are checked, others ignored. It throws
// nothing, because g++ expects no exception where it is called; a faulty thread does not return from it.
void note_access(const void* address, std::size_t bytes, std::size_t alignment, Access access);

// The block's dynamic shared memory.
unsigned char* shared_memory();

// Throws std::runtime_error "KERNEL: message; block (x, y, z), thread (x, y, z)".
[[noreturn]] void fail(const std::string& message);

}  // namespace higan_fast::emulation
