// Runs in rounds: some threads run until they wait, then all complete waits end.
#include "block.h"

#include <algorithm>
#include <utility>

#include "bounds.h"

namespace higan_fast::emulation {

namespace {

Block* running_block;

struct Abandoned {};  // thrown by a wait that will never end

unsigned bit(int lane) { return 1u << lane; }

}  // namespace

void Block::run(const Launch& launch, Schedule& schedule) {
    launch_ = &launch;
    running_block = this;
    shared_.resize(std::size_t(launch.shared_bytes));
    shared_.poison();
    begin();
    try {
        const int num_threads = int(threads_.size());
        while (num_exited_ < num_threads) {
            draw_round(schedule);
            for (const int number : round_) step(number);
            for (const int warp : warps_) finish_warp_waits(warp);
            if (num_at_barrier_ > 0 && num_at_barrier_ + num_exited_ == num_threads) finish_block_wait();
        }
        const std::string damage = shared_.damage();
        if (!damage.empty()) fail("some thread " + damage);
    } catch (...) {
        abandon();
        throw;
    }
}

void Block::begin() {
    const int num_threads = int(blockDim.volume());
    threads_.assign(std::size_t(num_threads), Thread{});
    ready_.assign(std::size_t(num_threads + 31) / 32, 0);
    for (int i = 0; i < num_threads; ++i) {
        const unsigned number = unsigned(i);
        threads_[i].index = {number % blockDim.x, number / blockDim.x % blockDim.y,
                             number / blockDim.x / blockDim.y};
        ready_[i / 32] |= bit(i % 32);
    }
    num_exited_ = num_at_barrier_ = 0;
    log_.begin_block(shared_.bytes(), num_threads);
}

// Fills warps_ with the warps that take part in the next round, round_ with their ready threads in order.
void Block::draw_round(Schedule& schedule) {
    warps_.clear();
    for (int warp = 0; warp < int(ready_.size()); ++warp) {
        if (ready_[warp] != 0) warps_.push_back(warp);
    }
    if (!schedule.mixes_warps()) warps_ = {warps_[schedule.choose(warps_.size())]};
    round_.clear();
    for (const int warp : warps_) {
        for (int lane = 0; lane < 32; ++lane) {
            if (ready_[warp] & bit(lane)) round_.push_back(warp * 32 + lane);
        }
    }
    schedule.arrange(round_);
}

// Runs a thread to its next wait or its end.
void Block::step(int number) {
    running_ = &threads_[number];
    if (running_->fiber == nullptr) {
        if (idle_.empty()) {
            fibers_.push_back(std::make_unique<Fiber>(body));
            idle_.push_back(fibers_.back().get());
        }
        running_->fiber = idle_.back();
        idle_.pop_back();
    }
    running_->state = State::ready;
    threadIdx = running_->index;
    running_->fiber->enter();
    const Fault fault = take_fault();
    if (fault.signal != 0) fail_fault(fault);
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
    ready_[number / 32] &= ~bit(number % 32);
    if (running_->state == State::exited) {
        ++num_exited_;
        idle_.push_back(std::exchange(running_->fiber, nullptr));
    }
    running_ = nullptr;
}

// The body of a fiber, run for each thread assigned to it.
void Block::body() {
    Block& block = *running_block;
    Thread& thread = *block.running_;
    try {
        block.launch_->call(block.launch_->arguments);
    } catch (const Abandoned&) {
    } catch (...) {
        block.error_ = std::current_exception();
    }
    thread.state = State::exited;
}

void Block::wait_for_block(Place place) {
    running_->state = State::waits_for_block;
    running_->waits_at = "__syncthreads";
    running_->place = place;
    ++num_at_barrier_;
    leave_waiting();
}

void Block::wait_for_warp(unsigned mask, const char* name, WarpOperation operation, void* argument, Place place) {
    const int lane = int(running_ - threads_.data()) % 32;
    running_->state = State::waits_for_warp;
    running_->waits_at = name;
    running_->place = place;
    running_->mask = mask;
    running_->operation = operation;
    running_->argument = argument;
    if ((mask & bit(lane)) == 0) fail_mask(lane);
    leave_waiting();
}

// Returns when the wait is over; throws Abandoned if it will never be.
void Block::leave_waiting() {
    Fiber::leave();
    if (abandoning_) throw Abandoned();
}

void Block::note_access(const void* address, std::size_t bytes, std::size_t alignment, Access access) {
    if (running_ == nullptr || abandoning_ || !SharedMemory::is_near(address)) return;
    try {
        if (reinterpret_cast<std::uintptr_t>(address) % alignment != 0) fail_alignment(address, alignment);
        const auto at = static_cast<const unsigned char*>(address) - shared_.begin();
        log_.note(int(running_ - threads_.data()), at, bytes, access);
    } catch (...) {
        error_ = std::current_exception();
    }
    if (error_) Fiber::leave();
}

// When no lane of a warp can run, carries out its complete operations. If none is complete, none ever will be: the
// missing lanes wait for something else.
void Block::finish_warp_waits(int warp) {
    const unsigned present = lanes_in(warp, State::waits_for_warp);
    const unsigned alive = present | lanes_in(warp, State::waits_for_block);
    for (unsigned waiting = present; waiting != 0;) {
        const Thread& first = threads_[warp * 32 + __builtin_ctz(waiting)];
        const unsigned group = first.mask & alive;
        waiting &= ~bit(__builtin_ctz(waiting));
        void* lanes[32] = {};
        bool complete = (group & ~present) == 0;
        for (int lane = 0; lane < 32 && complete; ++lane) {
            if ((group & bit(lane)) == 0) continue;
            const Thread& thread = threads_[warp * 32 + lane];
            complete = thread.mask == first.mask && thread.operation == first.operation;
            lanes[lane] = thread.argument;
        }
        if (!complete) continue;
        if (first.operation != nullptr) {
            first.operation(lanes);
        } else {
            log_.order_warp(warp * 32, group);
        }
        ready_[warp] |= group;
        waiting &= ~group;
    }
    const int last = std::min(warp * 32 + 32, int(threads_.size()));
    if (present != 0 && ready_[warp] == 0) fail_divergent(warp * 32, last);
}

void Block::finish_block_wait() {
    const Place* place = nullptr;
    for (std::size_t i = 0; i < threads_.size(); ++i) {
        if (threads_[i].state != State::waits_for_block) continue;
        if (place == nullptr) place = &threads_[i].place;
        if (!(threads_[i].place == *place)) fail_divergent(0, int(threads_.size()));
        ready_[i / 32] |= bit(int(i % 32));
    }
    num_at_barrier_ = 0;
    log_.order_block(*place);
}

unsigned Block::lanes_in(int warp, State state) const {
    unsigned lanes = 0;
    const int num = std::min(32, int(threads_.size()) - warp * 32);
    for (int lane = 0; lane < num; ++lane) {
        if (threads_[warp * 32 + lane].state == state) lanes |= bit(lane);
    }
    return lanes;
}

// After an error: waiting threads unwind their stacks. A thread that was stopped in the middle of its work, where no
// exception may pass, is discarded together with its allocations.
void Block::abandon() {
    abandoning_ = true;
    for (Thread& thread : threads_) {
        if (thread.fiber == nullptr) continue;
        if (thread.state == State::ready) thread.fiber->restart();
        if (thread.state == State::waits_for_block || thread.state == State::waits_for_warp) {
            running_ = &thread;
            thread.fiber->enter();
            if (take_fault().signal != 0) thread.fiber->restart();
        }
        idle_.push_back(thread.fiber);
    }
    abandoning_ = false;
    running_ = nullptr;
    threads_.clear();
}

}  // namespace higan_fast::emulation
