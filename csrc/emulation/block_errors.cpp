// Error messages for a block whose threads wait in different places, and for a thread that faults.
#include <algorithm>
#include <cstdio>
#include <utility>

#include "block.h"

namespace higan_fast::emulation {

namespace {

// Ascending numbers as "0-3, 8".
std::string ranges(const std::vector<int>& numbers) {
    std::string text;
    for (std::size_t i = 0; i < numbers.size();) {
        std::size_t last = i;
        while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
        text += (text.empty() ? "" : ", ") + std::to_string(numbers[i]);
        if (last > i) text += "-" + std::to_string(numbers[last]);
        i = last + 1;
    }
    return text;
}

std::string hexadecimal(unsigned value) {
    char text[16];
    std::snprintf(text, sizeof text, "0x%08x", value);
    return text;
}

}  // namespace

// Lists every place at which threads of [first, last) wait, and these threads.
void Block::fail_divergent(int first, int last) const {
    std::vector<std::pair<std::string, std::vector<int>>> waits;  // in the order of their first threads
    for (int i = first; i < last; ++i) {
        const Thread& thread = threads_[i];
        if (thread.state == State::exited) continue;
        std::string at = std::string(thread.waits_at) + " (" + thread.place.text();
        if (thread.state == State::waits_for_warp) at += ", mask " + hexadecimal(thread.mask);
        at += ")";
        const auto same = [&](const auto& wait) { return wait.first == at; };
        auto wait = std::find_if(waits.begin(), waits.end(), same);
        if (wait == waits.end()) wait = waits.insert(wait, {at, {}});
        wait->second.push_back(i);
    }
    std::string message;
    for (const auto& [at, threads] : waits) {
        message += message.empty() ? "divergent barrier: threads " : "; threads ";
        message += ranges(threads) + " wait at " + at;
    }
    fail(message);
}

void Block::fail_mask(int lane) const {
    fail(std::string("calls ") + running_->waits_at + " with mask " + hexadecimal(running_->mask) +
         ", which leaves out its own lane " + std::to_string(lane));
}

void Block::fail_fault(const Fault& fault) const {
    const std::string shared = shared_.explain(fault.address);
    char address[32];
    std::snprintf(address, sizeof address, "%p", fault.address);
    if (running_->fiber->overflowed_at(fault.address)) {
        fail("stack overflow: a thread has " + std::to_string(Fiber::STACK_BYTES / 1024) + " KiB");
    }
    if (!shared.empty()) fail("accesses " + shared);
    if (fault.signal == SIGFPE) fail("divides an integer by zero");
    fail(std::string("accesses address ") + address + ", which is invalid or misaligned");
}

}  // namespace higan_fast::emulation
