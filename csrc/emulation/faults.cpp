// Signal handlers run on their own stack, because the fiber's may have overflowed.
#include "faults.h"

#include <pthread.h>

#include <utility>

#include "fiber.h"

namespace higan_fast::emulation {

namespace {

constexpr int SIGNALS[] = {SIGSEGV, SIGBUS, SIGFPE};
constexpr int NUM_SIGNALS = 3;

struct sigaction previous_actions[NUM_SIGNALS];
stack_t previous_stack;
alignas(16) unsigned char handler_stack[64 * 1024];
pthread_t launching_thread;
Fault last_fault;

// SA_NODEFER leaves the signal mask unchanged, so leaving by a fiber switch instead of a return is safe.
void on_fault(int signal, siginfo_t* info, void*) {
    if (Fiber::running() && pthread_equal(pthread_self(), launching_thread)) {
        last_fault = {signal, info->si_addr};
        Fiber::leave();
    }
    for (int i = 0; i < NUM_SIGNALS; ++i) {  // faults again on return, then under the previous handler
        if (SIGNALS[i] == signal) sigaction(signal, &previous_actions[i], nullptr);
    }
}

}  // namespace

FaultCatcher::FaultCatcher() {
    launching_thread = pthread_self();
    stack_t stack = {};
    stack.ss_sp = handler_stack;
    stack.ss_size = sizeof handler_stack;
    sigaltstack(&stack, &previous_stack);
    struct sigaction action = {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < NUM_SIGNALS; ++i) sigaction(SIGNALS[i], &action, &previous_actions[i]);
}

FaultCatcher::~FaultCatcher() {
    for (int i = 0; i < NUM_SIGNALS; ++i) sigaction(SIGNALS[i], &previous_actions[i], nullptr);
    sigaltstack(&previous_stack, nullptr);
}

Fault take_fault() { return std::exchange(last_fault, Fault{}); }

}  // namespace higan_fast::emulation
