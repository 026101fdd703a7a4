// A launch: the blocks of a grid, one after another.
#pragma once

#include "indices.h"

namespace higan_fast::emulation {

struct Launch {
    const char* kernel;  // its name
    dim3 grid, block;
    int shared_bytes;
    void (*call)(void* arguments);  // runs the kernel as one thread
    void* arguments;
};

// Returns when every block has run; throws std::runtime_error with the kernel's name.
void run(const Launch& launch);

}  // namespace higan_fast::emulation
