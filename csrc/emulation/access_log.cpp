// Finds races with vector clocks: one for the block, and one for each lane of a warp.
#include "access_log.h"

#include <algorithm>
#include <string>

#include "waits.h"

namespace higan_fast::emulation {

namespace {

constexpr std::size_t GRAIN = 2;

const char* verb(Access access) {
    return access == Access::read ? "reads" : access == Access::write ? "writes" : "atomically changes";
}

}  // namespace

void AccessLog::begin_block(std::size_t bytes, int num_threads) {
    bytes_ = bytes;
    barrier_ = Place();
    first_epoch_ = ++epoch_;  // entries of earlier blocks in the cells are older than this
    cells_.resize(std::max(cells_.size(), (bytes + GRAIN - 1) / GRAIN));
    for (int thread = int(clocks_.size() / 32); thread < num_threads; ++thread) {
        clocks_.resize(clocks_.size() + 32, 0);
        clock(thread, thread % 32) = 1;
    }
}

void AccessLog::order_block(Place place) {
    barrier_ = place;
    ++epoch_;
}

// Merges the clocks of all lanes; then each lane starts a new time of its own, unknown to the others.
void AccessLog::order_warp(int first_thread, unsigned lanes) {
    std::uint32_t known[32] = {};
    for (int lane = 0; lane < 32; ++lane) {
        if ((lanes >> lane & 1u) == 0) continue;
        for (int of = 0; of < 32; ++of) known[of] = std::max(known[of], clock(first_thread + lane, of));
    }
    for (int lane = 0; lane < 32; ++lane) {
        if ((lanes >> lane & 1u) == 0) continue;
        std::copy(known, known + 32, &clock(first_thread + lane, 0));
        ++clock(first_thread + lane, lane);
    }
}

void AccessLog::note(int thread, std::ptrdiff_t at, std::size_t bytes, Access access) {
    if (at < 0 || std::size_t(at) + bytes > bytes_) {
        const std::ptrdiff_t outside = at < 0 ? at : std::max(at, std::ptrdiff_t(bytes_));
        fail_access(access, outside, "which has " + std::to_string(bytes_) + " bytes");
    }
    const Stamp now = {epoch_, clock(thread, thread % 32), thread};
    const std::size_t last = (std::size_t(at) + bytes - 1) / GRAIN;
    for (std::size_t i = std::size_t(at) / GRAIN; i <= last; ++i) {
        Cell& cell = cells_[i];
        if (access != Access::write && cell.write.epoch < first_epoch_) {
            fail_access(access, at, "which no thread has written");
        }
        if (const Stamp* const other = rival(cell, thread, access)) {
            fail_access(access, at, "which thread " + std::to_string(other->thread) + " of the block " +
                                        (other == &cell.write ? "writes" : "reads") + ": a race");
        }
        record(cell, now, access);
    }
}

void AccessLog::fail_access(Access access, std::ptrdiff_t at, const std::string& why) const {
    const bool first = barrier_.line == 0;
    fail(std::string(verb(access)) + " byte " + std::to_string(at) + " of shared memory, " + why + " (" +
         (first ? "before the first __syncthreads" : "after the __syncthreads of " + barrier_.text()) + ")");
}

// Returns the access that races with this one, or null.
const AccessLog::Stamp* AccessLog::rival(const Cell& cell, int thread, Access access) {
    const bool both_atomic = access == Access::atomic && cell.atomic;
    if (!both_atomic && !is_before(cell.write, thread)) return &cell.write;
    if (access == Access::read) return nullptr;
    for (const Stamp& read : cell.reads) {
        if (!is_before(read, thread)) return &read;
    }
    return nullptr;
}

void AccessLog::record(Cell& cell, const Stamp& now, Access access) {
    if (access == Access::read) {
        // Keeps two reads that do not happen before this one: either is enough to detect a later racing write.
        if (is_before(cell.reads[0], now.thread)) {
            cell.reads[0] = now;
        } else if (is_before(cell.reads[1], now.thread)) {
            cell.reads[1] = now;
        }
    } else {
        cell.write = now;
        cell.atomic = access == Access::atomic;
    }
}

}  // namespace higan_fast::emulation
