// A function with its own stack, entered and left explicitly.
#pragma once

#include <cstddef>

namespace higan_fast::emulation {

class Fiber {
public:
    static constexpr std::size_t STACK_BYTES = 256 * 1024;  // reserved; the system backs only what is touched

    // enter() starts each pass through `body`; the end of the pass leaves.
    explicit Fiber(void (*body)());
    ~Fiber();
    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;

    // Runs the body from where it left, until it leaves again.
    void enter();

    // Called on a fiber: returns to where it was entered.
    static void leave();

    // Whether a fiber is running now.
    static bool running();

    // Discards the state of the body, without destroying the objects on its stack.
    void restart();

    // Whether the address is in the inaccessible pages below the stack, i.e. the stack overflowed.
    bool overflowed_at(const void* address) const;

private:
    void (*body_)();
    unsigned char* memory_;
    std::size_t stagger_;
    void* context_;  // its type is private to fiber.cpp
};

}  // namespace higan_fast::emulation
