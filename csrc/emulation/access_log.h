// Who read and wrote what of a block's shared memory: finds races, reads of what nobody wrote, accesses outside.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "waits.h"

namespace higan_fast::emulation {

// Two accesses to the same bytes by different threads, one of them a write and not both atomic, race unless a
// __syncthreads() of the block or a __syncwarp() of both lanes stands between them. Shuffles and votes order
// nothing, as on the GPU. The log is kept in grains of two bytes and remembers the last write and two of the reads
// since then: what it reports is wrong, but it does not report all that is wrong.
class AccessLog {
public:
    void begin_block(std::size_t bytes, int num_threads);
    void order_block(Place place);
    void order_warp(int first_thread, unsigned lanes);

    // Notes an access to `bytes` bytes at byte `at` of shared memory; throws when it is wrong.
    void note(int thread, std::ptrdiff_t at, std::size_t bytes, Access access);

private:
    struct Stamp {
        std::uint32_t epoch = 0;  // counts the waits of whole blocks, over all blocks
        std::uint32_t clock = 0;  // the thread's own time
        int thread = 0;
    };
    struct Cell {
        Stamp write, reads[2];
        bool atomic = false;  // the write was
    };

    std::uint32_t& clock(int thread, int of_lane) { return clocks_[std::size_t(thread * 32 + of_lane)]; }
    // Whether what the stamp stands for is certain to have happened, as the thread sees it.
    bool is_before(const Stamp& stamp, int thread) {
        if (stamp.epoch < epoch_ || stamp.thread == thread) return true;
        return stamp.thread / 32 == thread / 32 && stamp.clock <= clock(thread, stamp.thread % 32);
    }

    [[noreturn]] void fail_access(Access access, std::ptrdiff_t at, const std::string& why) const;
    const Stamp* rival(const Cell& cell, int thread, Access access);
    void record(Cell& cell, const Stamp& now, Access access);

    std::size_t bytes_ = 0;
    std::uint32_t epoch_ = 0, first_epoch_ = 0;  // now; when the block began
    Place barrier_;                              // the last that the whole block came to
    std::vector<Cell> cells_;
    std::vector<std::uint32_t> clocks_;  // what each thread knows of the time of each lane of its warp
};

}  // namespace higan_fast::emulation
