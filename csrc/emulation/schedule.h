// Applies the order: which thread runs next.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "order.h"

namespace higan_fast::emulation {

class Schedule {
public:
    Schedule(Order order, std::uint64_t seed) : order_(order), state_(seed) {}

    // Rearranges items from ascending order into the order in which they run.
    void arrange(std::vector<int>& items) {
        if (order_ == Order::reverse) std::reverse(items.begin(), items.end());
        if (order_ != Order::shuffled) return;
        for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i)]);
    }

    // Chooses one of num items: the first, the last or a random one.
    std::size_t choose(std::size_t num) {
        return order_ == Order::forward ? 0 : order_ == Order::reverse ? num - 1 : below(num);
    }

    // Whether all warps of the block take part in the next round, or just one. Forward and reverse let one warp run as
    // far as it can before the others; shuffled does both.
    bool mixes_warps() { return order_ == Order::shuffled && below(2) == 0; }

private:
    // Uniform over [0, num), from SplitMix64 (public domain, Sebastiano Vigna 2015).
    std::size_t below(std::size_t num) {
        std::uint64_t x = state_ += 0x9e3779b97f4a7c15u;
        x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
        x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
        return std::size_t(((x ^ (x >> 31)) >> 32) * num >> 32);
    }

    Order order_;
    std::uint64_t state_;
};

}  // namespace higan_fast::emulation
