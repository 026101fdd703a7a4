// One block of threads: each a fiber, run from wait to wait.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "access_log.h"
#include "faults.h"
#include "fiber.h"
#include "grid.h"
#include "indices.h"
#include "schedule.h"
#include "shared_memory.h"
#include "waits.h"

namespace higan_fast::emulation {

class Block {
public:
    // Runs all blockDim threads of a block to their ends. Throws what a thread threw, or an error about how the threads
    // interacted.
    void run(const Launch& launch, Schedule& schedule);

    // Whether a thread is running now, namely that of threadIdx.
    bool in_thread() const { return running_ != nullptr; }

    const SharedMemory& shared() const { return shared_; }

    // Called by the running thread: see waits.h.
    void wait_for_block(Place place);
    void wait_for_warp(unsigned mask, const char* name, WarpOperation operation, void* argument, Place place);
    void note_access(const void* address, std::size_t bytes, std::size_t alignment, Access access);

private:
    enum class State : unsigned char { ready, waits_for_block, waits_for_warp, exited };
    struct Thread {
        uint3 index;
        Fiber* fiber;  // from its first step to its end
        State state;
        unsigned mask;  // this and the following describe its wait
        const char* waits_at;
        Place place;
        WarpOperation operation;
        void* argument;
    };

    static void body();
    void begin();
    void draw_round(Schedule& schedule);
    void step(int number);
    void finish_warp_waits(int warp);
    void finish_block_wait();
    void leave_waiting();
    void abandon();
    unsigned lanes_in(int warp, State state) const;
    [[noreturn]] void fail_divergent(int first, int last) const;
    [[noreturn]] void fail_mask(int lane) const;
    [[noreturn]] void fail_fault(const Fault& fault) const;

    SharedMemory shared_;
    AccessLog log_;
    std::vector<Thread> threads_;
    std::vector<unsigned> ready_;  // of each warp, a bit for each lane
    std::vector<int> warps_, round_;
    std::vector<std::unique_ptr<Fiber>> fibers_;
    std::vector<Fiber*> idle_;
    const Launch* launch_ = nullptr;
    Thread* running_ = nullptr;
    int num_exited_ = 0, num_at_barrier_ = 0;
    std::exception_ptr error_;
    bool abandoning_ = false;
};

}  // namespace higan_fast::emulation
