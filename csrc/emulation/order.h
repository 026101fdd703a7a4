// In which order the emulator runs blocks and threads.
#pragma once

#include <cstdint>

namespace higan_fast::emulation {

enum class Order { forward, reverse, shuffled };

// Holds for all later launches. The seed counts for the shuffled order alone; each launch starts from it anew, so
// that a launch is repeated exactly whatever ran before it. At first: shuffled, seed 0.
void set_order(Order order, std::uint64_t seed);

}  // namespace higan_fast::emulation
