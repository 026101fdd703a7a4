// Memory faults of a kernel, made into errors of that kernel.
#pragma once

#include <csignal>

namespace higan_fast::emulation {

struct Fault {
    int signal = 0;  // 0: none
    const void* address = nullptr;
};

// While it lives, a fault of this host thread on a fiber is noted and the fiber left for good. Faults elsewhere go
// where they went before.
class FaultCatcher {
public:
    FaultCatcher();
    ~FaultCatcher();
    FaultCatcher(const FaultCatcher&) = delete;
    FaultCatcher& operator=(const FaultCatcher&) = delete;
};

// The fault by which the last fiber ended, if it did; asking forgets it.
Fault take_fault();

}  // namespace higan_fast::emulation
