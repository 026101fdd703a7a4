// The one function that Python calls.
#include "harness.h"

#include <cstdio>

#include "../../../csrc/emulation/order.h"

using namespace higan_fast;

// Runs a case in the given order. Returns 0; or 1 with what was thrown in `message`.
extern "C" __attribute__((visibility("default"))) int run(const char* name, int order, std::uint64_t seed,
                                                          float* output, char* message, int message_size) {
    emulation::set_order(emulation::Order(order), seed);
    Output view;
    view.data = output;
    view.sizes[0] = NUM;
    view.strides[0] = 1;
    try {
        cases().at(name)(view);
    } catch (const std::exception& error) {
        std::snprintf(message, std::size_t(message_size), "%s", error.what());
        return 1;
    }
    return 0;
}
