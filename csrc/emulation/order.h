// The order in which the emulator runs blocks and threads.
#pragma once

#include <cstdint>

namespace higan_fast::emulation {

enum class Order { forward, reverse, shuffled };

// Sets the order of all later launches. Only the shuffled order uses the seed. Every launch restarts from it, so that a
// launch is reproducible whatever ran before. Default: shuffled, seed 0.
void set_order(Order order, std::uint64_t seed);

}  // namespace higan_fast::emulation
