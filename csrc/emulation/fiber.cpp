// Stacks, and the switch between them.
#include "fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>
#include <utility>

// On x86-64 Linux the switch is written in assembly: swapcontext makes a system call to save the signal mask, which no
// fiber changes. Entering and leaving costs 5 ns instead of 360 (AMD EPYC, 256 fibers in turn). On other platforms, or
// if HIGAN_FAST_UCONTEXT is defined, swapcontext is used.
#if defined(__x86_64__) && defined(__linux__) && !defined(HIGAN_FAST_UCONTEXT)

// Pushes the callee-saved registers, stores the stack pointer in *save, then does the reverse from `load`. It ends in a
// jump: a return would be mispredicted to lead to its caller, and cost four times as much.
extern "C" void higan_fast_switch_stack(void** save, void* load);
asm(R"(
    .text
    .globl higan_fast_switch_stack
    .hidden higan_fast_switch_stack
    .type higan_fast_switch_stack, @function
higan_fast_switch_stack:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    popq %rdx
    jmp *%rdx
    .size higan_fast_switch_stack, .-higan_fast_switch_stack
)");

namespace {

using Context = void*;  // the top of a stack that holds the registers

void switch_context(Context& from, Context& to) { higan_fast_switch_stack(&from, to); }

// `entry` finds the stack as if it had been called.
void prepare(Context& context, unsigned char* stack, std::size_t bytes, void (*entry)()) {
    auto* top = reinterpret_cast<std::uintptr_t*>(stack + bytes);
    top[-1] = 0;  // where entry would return to
    top[-2] = reinterpret_cast<std::uintptr_t>(entry);
    for (int i = 3; i <= 8; ++i) top[-i] = 0;  // six registers
    context = top - 8;
}

}  // namespace

#else

#include <ucontext.h>

namespace {

using Context = ucontext_t;

void switch_context(Context& from, Context& to) { swapcontext(&from, &to); }

void prepare(Context& context, unsigned char* stack, std::size_t bytes, void (*entry)()) {
    getcontext(&context);
    context.uc_stack.ss_sp = stack;
    context.uc_stack.ss_size = bytes;
    context.uc_link = nullptr;
    makecontext(&context, entry, 0);
}

}  // namespace

#endif

namespace higan_fast::emulation {

namespace {

Context outside;            // where the running fiber was entered
Context* inside = nullptr;  // the running fiber, if any
void (*body_to_start)();    // handed to a fiber that is entered for the first time

void run_forever() {
    void (*const body)() = body_to_start;
    for (;;) {
        body();
        Fiber::leave();
    }
}

// Wide enough that no function's locals jump across it, and a multiple of every page size in use.
constexpr std::size_t GUARD_BYTES = 64 * 1024;

// Stacks at equal distances would compete for the same cache lines, so each starts lower than the previous one.
std::size_t next_stagger() {
    static std::size_t count = 0;
    return count++ % 16 * 256;
}

}  // namespace

Fiber::Fiber(void (*body)()) : body_(body) {
    void* const memory = mmap(nullptr, GUARD_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    memory_ = static_cast<unsigned char*>(memory);
    mprotect(memory_, GUARD_BYTES, PROT_NONE);
    context_ = new Context();
    stagger_ = next_stagger();
    restart();
}

Fiber::~Fiber() {
    delete static_cast<Context*>(context_);
    munmap(memory_, GUARD_BYTES + STACK_BYTES);
}

void Fiber::restart() {
    prepare(*static_cast<Context*>(context_), memory_ + GUARD_BYTES, STACK_BYTES - stagger_, run_forever);
}

void Fiber::enter() {
    body_to_start = body_;
    inside = static_cast<Context*>(context_);
    switch_context(outside, *inside);
}

void Fiber::leave() {
    Context* const left = std::exchange(inside, nullptr);
    switch_context(*left, outside);
}

bool Fiber::running() { return inside != nullptr; }

bool Fiber::overflowed_at(const void* address) const {
    return address >= memory_ && address < memory_ + GUARD_BYTES;
}

}  // namespace higan_fast::emulation
