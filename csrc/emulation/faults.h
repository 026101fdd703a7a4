// Turns memory faults of a kernel into errors of that kernel.
#pragma once

#include <csignal>

namespace higan_fast::emulation {

struct Fault {
    int signal = 0;  // 0: none
    const void* address = nullptr;
};

// During its lifetime, a fault of this host thread on a fiber is recorded, and the fiber is abandoned. Other faults go
// to the previous handlers.
class FaultCatcher {
public:
    FaultCatcher();
    ~FaultCatcher();
    FaultCatcher(const FaultCatcher&) = delete;
    FaultCatcher& operator=(const FaultCatcher&) = delete;
};

// Returns and clears the fault that ended the last fiber, if any.
Fault take_fault();

}  // namespace higan_fast::emulation
