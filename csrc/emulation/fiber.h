// A function on a stack of its own, entered and left by hand.
#pragma once

#include <cstddef>

namespace higan_fast::emulation {

class Fiber {
public:
    static constexpr std::size_t STACK_BYTES = 256 * 1024;  // reserved; the system backs only what is touched

    // Each pass through `body` begins with enter(); its end leaves.
    explicit Fiber(void (*body)());
    ~Fiber();
    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;

    // Runs the body from where it left, until it leaves again.
    void enter();

    // Called on a fiber: goes back to where it was entered.
    static void leave();

    // Whether a fiber runs now.
    static bool running();

    // Forgets where the body was; what lived on the stack is not destroyed.
    void restart();

    // Whether the address lies in the inaccessible pages below the stack: the stack overflowed.
    bool overflowed_at(const void* address) const;

private:
    void (*body_)();
    unsigned char* memory_;
    std::size_t stagger_;
    void* context_;  // fiber.cpp knows its type
};

}  // namespace higan_fast::emulation
