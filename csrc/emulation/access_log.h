// Logs the accesses to a block's shared memory: finds races, uninitialised reads and accesses out of bounds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "waits.h"

namespace higan_fast::emulation {

// Two accesses to the same bytes by different threads race if at least one is a write, not both are atomic, and neither
// a __syncthreads() of the block nor a __syncwarp() of both lanes separates them. Shuffles and votes do not order
// accesses, as on the GPU. The log has a granularity of two bytes, and keeps the last write and two of the reads since.
// So every reported race is real, but not every race is reported.
class AccessLog {
public:
    void begin_block(std::size_t bytes, int num_threads);
    void order_block(Place place);
    void order_warp(int first_thread, unsigned lanes);

    // Logs an access to `bytes` bytes at byte `at` of shared memory; throws if it is an error.
    void note(int thread, std::ptrdiff_t at, std::size_t bytes, Access access);

private:
    struct Stamp {
        std::uint32_t epoch = 0;  // counts the waits of whole blocks, over all blocks
        std::uint32_t clock = 0;  // the thread's own time
        int thread = 0;
    };
    struct Cell {
        Stamp write, reads[2];
        bool atomic = false;  // whether the write was atomic
    };

    std::uint32_t& clock(int thread, int of_lane) { return clocks_[std::size_t(thread * 32 + of_lane)]; }
    // Whether the stamped access happens before the thread's current one.
    bool is_before(const Stamp& stamp, int thread) {
        if (stamp.epoch < epoch_ || stamp.thread == thread) return true;
        return stamp.thread / 32 == thread / 32 && stamp.clock <= clock(thread, stamp.thread % 32);
    }

    [[noreturn]] void fail_access(Access access, std::ptrdiff_t at, const std::string& why) const;
    const Stamp* rival(const Cell& cell, int thread, Access access);
    void record(Cell& cell, const Stamp& now, Access access);

    std::size_t bytes_ = 0;
    std::uint32_t epoch_ = 0, first_epoch_ = 0;  // now; when the block began
    Place barrier_;                              // the last barrier of the whole block
    std::vector<Cell> cells_;
    std::vector<std::uint32_t> clocks_;  // vector clocks: for each thread, the known time of each lane of its warp
};

}  // namespace higan_fast::emulation
